# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the API server have a report of this reporter? Asked with the node's own credentials, by whoever has just installed it.

C(python -m nodewise.reporter.probe --config FILE --agent-version VERSION) prints the report's particulars as JSON, or says what is
wrong and ends with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from ..api.client import ApiClient
from ..api.times import parse_time
from ..errors import NodewiseError
from ..report.schema import PATH
from .config import read_config

# Seconds between two questions: a node may not watch.
_PAUSE = 0.5
_SHOWN = ("agentVersion", "configDigest", "sequence", "observedAt", "expiresAt", "pressure")


def judge(report: Mapping[str, Any], agent_version: str, config_digest: str, now: float) -> str:
    """Return what is wrong with a report, empty if nothing.

    Parameters
    ----------
    report : Mapping
        The NodeReport.
    agent_version : str
        Version that it must name.
    config_digest : str
        Digest of the configuration that it must name.
    now : float
        Seconds since the epoch.
    """
    status = report.get("status") or {}
    found = status.get("agentVersion")
    if found != agent_version:
        return f"the report is of version {found or '(none)'}, not of {agent_version}"
    found = status.get("configDigest")
    if found != config_digest:
        return f"the report is of the configuration {found or '(none)'}, not of {config_digest}"
    try:
        expires = parse_time(status["expiresAt"])
    except (KeyError, ValueError):
        return "the report does not say when it expires"
    return f"the last report has expired at {status['expiresAt']}" if expires <= now else ""


def ask(client: ApiClient, node_name: str) -> tuple[dict[str, Any] | None, str]:
    """Return a node's report, or None and why there is none."""
    try:
        answer = client.get(f"{PATH}/{node_name}")
        return (answer.value(), "") if answer.ok else (None, f"the API server answers {answer.status}: {answer.message}")
    except (NodewiseError, ValueError) as error:
        return None, str(error)


def main(argv: list[str] | None = None) -> int:
    """Run the probe and return its exit status."""
    parser = argparse.ArgumentParser(description="Look for a report of this reporter in the API server.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--agent-version", required=True)
    parser.add_argument("--timeout", type=float, default=0.0)
    options = parser.parse_args(argv)
    end = time.monotonic() + options.timeout
    try:
        config = read_config(options.config)
        client = ApiClient(config.kubeconfig, config.settings.request_seconds)
    except NodewiseError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    while True:
        report, wrong = ask(client, config.node_name)
        if report is not None:
            wrong = judge(report, options.agent_version, config.digest, time.time())
            if not wrong:
                status = report["status"]
                sys.stdout.write(json.dumps({name: status.get(name) for name in _SHOWN}) + "\n")
                return 0
        if time.monotonic() >= end:
            sys.stdout.write(f"{wrong}\n")
            return 1
        time.sleep(_PAUSE)


if __name__ == "__main__":
    raise SystemExit(main())
