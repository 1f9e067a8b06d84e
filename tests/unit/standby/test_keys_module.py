# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster the key is for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.tokens import PLACEHOLDER
from ansible_collections.nodewise.cluster.plugins.modules.autoscaler_keys import cluster_ca_hashes


def test_the_cluster_is_known_by_its_ca(tmp_path: Path) -> None:
    key, certificate = tmp_path / "ca.key", tmp_path / "ca.crt"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-subj", "/CN=kubernetes"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=public, check=True, capture_output=True).stdout.decode().split()[0]
    assert cluster_ca_hashes(str(certificate), check_mode=False) == [f"sha256:{digest}"]


def test_without_a_cluster_there_is_a_prediction_and_nothing_else(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.crt")
    assert cluster_ca_hashes(missing, check_mode=True) == PLACEHOLDER.ca_cert_hashes
    with pytest.raises(NodewiseError, match="ca.crt is missing"):
        cluster_ca_hashes(missing, check_mode=False)
