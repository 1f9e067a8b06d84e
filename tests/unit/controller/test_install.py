# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon of control-plane hosts has beyond that of every host: objects, credentials and a folder for its token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.controller import install
from ansible_collections.nodewise.cluster.plugins.module_utils.guard import install as guard
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.account import Account
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.daemon import Daemon, Delivery, Outcome


class Kubectl:
    """Of a host that has no cluster yet."""

    kubeconfig = "/none/admin.conf"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    """Keep the daemons that would be installed."""
    found: list[Daemon] = []

    def ensure_present(daemon: Daemon, *_more: Any) -> Outcome:
        found.append(daemon)
        return Outcome(["start"])

    monkeypatch.setattr(install.daemon, "ensure_present", ensure_present)
    return found


@pytest.mark.parametrize("with_objects", [True, False])
def test_before_there_is_a_cluster_all_is_predicted(installed: list[Daemon], with_objects: bool) -> None:
    wanted = guard.wanted(Config("cp1"), with_objects, "/usr/bin/python3", 30)
    outcome = install.ensure_present(wanted, Kubectl(), Delivery("c0de"), True, None)  # type: ignore[arg-type]
    token = "/var/lib/private/nodewise-guard/token"
    applied = ["apply the guard's objects"] if with_objects else []
    assert outcome.actions == [*applied, "write /etc/nodewise/guard.conf", f"write {token}", "start"]
    (daemon,) = installed
    assert f'"token_file": "{token}"' in daemon.config
    assert "ExecStart=/py -I -m nodewise.guard.main --config /etc/nodewise/guard.json --ready-seconds 30\n" in daemon.unit_text("/py", "1", 257)


@pytest.mark.parametrize("private", [True, False])
def test_its_folder_goes_and_the_link_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool) -> None:
    monkeypatch.setattr(install.daemon, "ensure_absent", lambda _name, _check_mode, _systemd: Outcome(["stop"]))
    link = tmp_path / "own"
    folder = tmp_path / "private" / "own" if private else link
    folder.mkdir(parents=True)
    (folder / "token").touch()
    if private:
        link.symlink_to(folder)
    kubeconfig = tmp_path / "own.conf"
    kubeconfig.touch()
    account = Account("nodewise-own", "own", str(kubeconfig), str(folder))
    expected = ["stop", f"remove {kubeconfig}", f"remove {folder}", *([f"remove {link}"] if private else [])]
    assert install.ensure_absent(account, True, None).actions == expected  # type: ignore[arg-type]
    assert (folder / "token").exists() and kubeconfig.exists()
    assert install.ensure_absent(account, False, None).actions == expected  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.rglob("*")) == (["private"] if private else [])
    assert install.ensure_absent(account, False, None).actions == ["stop"]  # type: ignore[arg-type]
