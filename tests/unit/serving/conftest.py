# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
[req]
prompt = no
distinguished_name = subject
req_extensions = extensions
[subject]
{subject}
[extensions]
{extensions}
"""
SUBJECT = "O = system:nodes\nCN = system:node:w1"
NAMES = "subjectAltName = DNS:w1,IP:10.0.0.21"


@pytest.fixture(scope="session")
def make_pem(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Make requests with openssl, which shares no code with ours."""
    folder = tmp_path_factory.mktemp("requests")
    key = folder / "key.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)

    def make(subject: str = SUBJECT, extensions: str = NAMES, key_file: Path = key) -> str:
        config = folder / "config"
        config.write_text(CONFIG.format(subject=subject, extensions=extensions))
        command = ["openssl", "req", "-new", "-key", key_file, "-config", config]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return make


@pytest.fixture
def make_request(make_pem: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Make CertificateSigningRequests of w1's kubelet, with changes of the spec."""

    def make(pem: str | None = None, name: str = "csr-1", **spec: Any) -> dict[str, Any]:
        return copy.deepcopy(
            {
                "metadata": {"name": name, "resourceVersion": "7", "uid": "u"},
                "spec": {
                    "request": base64.b64encode((pem or make_pem()).encode()).decode(),
                    "signerName": "kubernetes.io/kubelet-serving",
                    "username": "system:node:w1",
                    "groups": ["system:nodes", "system:authenticated"],
                    "usages": ["digital signature", "server auth"],
                    **spec,
                },
                "status": {},
            }
        )

    return make
