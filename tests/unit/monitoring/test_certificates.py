# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a certificate: authority, key of the host, certificate, and a second run that changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.guard import install
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring import certificates, pki
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.certificates import Host

HOST = Host("cp1", "192.0.2.11", 365, guard=True)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHORITY_FILE", "CERTIFICATE", "AUTHORITY", "_NEW_KEY"):
        monkeypatch.setattr(certificates, name, str(tmp_path / "pki" / Path(getattr(certificates, name)).name))
    monkeypatch.setattr(install, "STATE_FOLDER", str(tmp_path / "private" / "guard"))
    monkeypatch.setattr(certificates, "GUARD_CERTIFICATE", str(tmp_path / "private" / "guard" / "metrics.pem"))
    return tmp_path


def lay_down(host: Host = HOST) -> str:
    authority = certificates.ensure_authority([], 365, False).authority
    first = certificates.ensure_certificate(host, authority, "", False)
    made = certificates.ensure_authority([(host.wanted, first.public_key)], 365, False).certificates[host.node_name]
    certificates.ensure_certificate(host, authority, made, False)
    return authority


def test_a_host_gets_what_it_needs_and_keeps_it(root: Path) -> None:
    authority = lay_down()
    pem = (root / "pki" / "metrics.pem").read_text()
    assert pki.why_renew(pem, authority, HOST.wanted, 365) == ""
    assert (root / "private" / "guard" / "metrics.pem").read_text() == pem
    assert (root / "pki" / "metrics-ca.crt").read_text() == authority
    modes = {name: os.stat(root / name).st_mode & 0o777 for name in ("pki/metrics.pem", "pki/metrics-authority.pem", "pki/metrics-ca.crt")}
    assert modes == {"pki/metrics.pem": 0o600, "pki/metrics-authority.pem": 0o600, "pki/metrics-ca.crt": 0o644}
    assert not (root / "pki" / "metrics.pem.new").exists()
    assert certificates.ensure_authority([], 365, False).actions == []
    assert certificates.ensure_certificate(HOST, authority, "", False).actions == []


def test_a_run_that_was_killed_between_the_steps_is_mended() -> None:
    authority = certificates.ensure_authority([], 365, False).authority
    certificates.ensure_certificate(HOST, authority, "", False)
    assert lay_down() == authority
    assert certificates.ensure_certificate(HOST, authority, "", False).actions == []


def test_a_lost_authority_is_made_anew_with_all_certificates(root: Path) -> None:
    before = lay_down()
    (root / "pki" / "metrics-authority.pem").unlink()
    after = lay_down()
    assert before != after
    assert certificates.ensure_certificate(HOST, after, "", False).actions == []


def test_check_mode_changes_nothing(root: Path) -> None:
    first = certificates.ensure_authority([], 365, True)
    assert first.actions and first.authority == ""
    second = certificates.ensure_certificate(HOST, first.authority, "", True)
    assert second.actions == ["make a certificate for cp1: there is none"]
    assert second.public_key == ""
    assert list(root.iterdir()) == []


def test_removal_leaves_nothing(root: Path) -> None:
    lay_down()
    assert len(certificates.remove_certificate(True).actions) == 3
    assert len(certificates.remove_certificate(False).actions) == 3
    assert certificates.remove_authority(False).actions == [f"remove {root}/pki/metrics-authority.pem"]
    assert not (root / "pki").exists()
    assert certificates.remove_certificate(False).actions == certificates.remove_authority(False).actions == []
