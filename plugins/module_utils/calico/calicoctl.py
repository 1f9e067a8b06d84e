# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin client over the calicoctl that is installed on a control-plane host."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import ADMIN_KUBECONFIG
from ..process import TimeoutExpired, run
from .resources import Specs

CONFIG_PATH = "/etc/calico/calicoctl.cfg"
_API_VERSION = "projectcalico.org/v3"


def config_text(kubeconfig: str = ADMIN_KUBECONFIG) -> str:
    """Return calicoctl's configuration file for the kubernetes datastore."""
    return (
        f"# Written by nodewise.cluster.calico.\napiVersion: {_API_VERSION}\nkind: CalicoAPIConfig\nmetadata: {{}}\n"
        f"spec:\n  datastoreType: kubernetes\n  kubeconfig: {kubeconfig}\n"
    )


class Calicoctl:
    """Run calicoctl against the kubernetes datastore, whatever the operator's configuration file says at the moment.

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    program : str
        The calicoctl to run.
    """

    def __init__(self, kubeconfig: str = ADMIN_KUBECONFIG, program: str = "calicoctl") -> None:
        self._program = program
        self._config = config_text(kubeconfig)

    def run(self, args: Sequence[str], stdin: str | None = None, timeout: float = 60) -> tuple[int, str, str]:
        """Run calicoctl and return its exit code, standard output and standard error.

        Raises
        ------
        NodewiseError
            calicoctl is missing, or ran longer than C(timeout) seconds.
        """
        with tempfile.NamedTemporaryFile("w", prefix="nodewise-", suffix=".cfg") as config:
            config.write(self._config)
            config.flush()
            command = [self._program, *args, f"--config={config.name}"]
            try:
                done = run(command, stdin=stdin, timeout=timeout)
            except FileNotFoundError as error:
                raise NodewiseError(f"{self._program} is not installed on this host.", "run the artifacts role first") from error
            except TimeoutExpired as error:
                raise NodewiseError(f"calicoctl {' '.join(args)} did not end within {timeout:.0f} s.") from error
        return done.returncode, done.stdout, done.stderr

    def versions(self) -> tuple[str, str]:
        """Return calicoctl's version and the cluster's, each without the leading C(v); empty if not known."""
        _code, out, _err = self.run(["version"])
        found = dict(re.findall(r"^(Client|Cluster) Version:\s+v?(\S+)", out, re.MULTILINE))
        return found.get("Client", ""), found.get("Cluster", "").replace("unknown", "")

    def read(self, kinds: Iterable[str]) -> Specs:
        """Return the specs of all resources of these (cluster-scoped) kinds.

        Raises
        ------
        NodewiseError
            calicoctl fails.
        """
        specs: Specs = {}
        for kind in kinds:
            # Reading is right across versions too; a mismatch is reported where the rollout is judged.
            out = self._checked(["get", kind, "-o", "json", "--allow-version-mismatch"])
            specs.update({(kind, item["metadata"]["name"]): item.get("spec", {}) for item in json.loads(out)["items"]})
        return specs

    def apply(self, specs: Specs) -> None:
        """Create or replace resources; calicoctl validates them.

        Raises
        ------
        NodewiseError
            A resource is refused, or calicoctl's version is not the cluster's.
        """
        if specs:
            self._checked(["apply", "-f", "-"], stdin=_documents(specs))

    def delete(self, names: Sequence[tuple[str, str]]) -> None:
        """Delete resources; those that are gone already count as deleted.

        Raises
        ------
        NodewiseError
            calicoctl fails.
        """
        if names:
            self._checked(["delete", "--skip-not-exists", "-f", "-"], stdin=_documents({name: {} for name in names}))

    def _checked(self, args: Sequence[str], stdin: str | None = None) -> str:
        code, out, err = self.run(args, stdin=stdin)
        if code != 0:
            raise NodewiseError(f"calicoctl {' '.join(args)} failed ({code}): {' '.join((err + out).split())}")
        return out


def _documents(specs: Specs) -> str:
    items: list[dict[str, Any]] = [{"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec} for (kind, name), spec in specs.items()]
    return json.dumps(items)
