# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import run
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.run import Kubeadm
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import exclusive

TOKEN = "abcdef.0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "_kubelet_journal", lambda: f"The kubelet's last lines:\nit used {TOKEN}")
    return tmp_path


def kubeadm(folder: Path, script: str) -> Kubeadm:
    program = folder / "kubeadm"
    program.write_text("#!/bin/bash\nconfig=${@: -1}\n" + script)
    program.chmod(0o755)
    return Kubeadm(str(program))


def test_kubeadm_gets_the_documents_and_nothing_of_them_is_in_its_arguments(folder: Path) -> None:
    script = f'echo "$@" > {folder}/argv; cat "${{config#--config=}}" > {folder}/first; cat "${{config#--config=}}" > {folder}/second'
    kubeadm(folder, script).join({"token": TOKEN})
    assert (folder / "argv").read_text().startswith("join --config=/proc/self/fd/")
    assert json.loads((folder / "first").read_text()) == {"token": TOKEN}
    assert (folder / "second").read_text() == (folder / "first").read_text()


def test_no_file_is_left(folder: Path) -> None:
    kubeadm(folder, 'cat "${config#--config=}" > /dev/null').join({"token": TOKEN})
    assert [path.name for path in folder.iterdir()] == ["kubeadm"]


def test_init_does_not_print_its_token(folder: Path) -> None:
    kubeadm(folder, f'echo "$@" > {folder}/argv').init([])
    assert (folder / "argv").read_text().startswith("init --skip-token-print --config=")


def test_reset_asks_no_api_server(folder: Path) -> None:
    kubeadm(folder, f'echo "$@" > {folder}/argv').reset("unix:///x")
    assert (folder / "argv").read_text().startswith("reset --kubeconfig=/dev/null --config=")


def test_a_failure_tells_the_last_lines_without_the_token(folder: Path) -> None:
    script = f'for i in {{1..50}}; do echo "line $i"; done; echo "error: no token {TOKEN}" >&2; echo "To see the stack trace of it" >&2; exit 1'
    with pytest.raises(NodewiseError) as caught:
        kubeadm(folder, script).join({})
    message = str(caught.value)
    assert message.startswith("kubeadm join failed (1): line 37\n")
    assert message.endswith("error: no token <token>")


def test_a_failure_is_not_hidden_by_what_is_well(folder: Path) -> None:
    script = r"""printf '[preflight] Running pre-flight checks\nOS: Linux\n\033[0;37mCGROUPS_CPU\033[0m: \033[0;32menabled\033[0m\n'
    printf '\t[WARNING Swap]: on, see https://x\n'
    echo 'error execution phase preflight: no signature'; exit 1"""
    with pytest.raises(NodewiseError) as caught:
        kubeadm(folder, script).join({})
    assert str(caught.value) == "kubeadm join failed (1): [preflight] Running pre-flight checks\nerror execution phase preflight: no signature"


def test_a_failed_preflight_tells_just_that(folder: Path) -> None:
    script = r"""printf '\033[0;37mCONFIG_X\033[0m: \033[0;32menabled\033[0m\n\t[ERROR Port-10250]: \033[0mPort 10250 is in use\n\t[ERROR Swap]: on\n'
    echo '[preflight] If you know what you are doing, ...'; exit 1"""
    with pytest.raises(NodewiseError) as caught:
        kubeadm(folder, script).join({})
    assert str(caught.value) == "kubeadm join failed (1): \t[ERROR Port-10250]: Port 10250 is in use\n\t[ERROR Swap]: on"


def test_a_failure_of_the_kubelet_tells_its_last_lines_without_the_token(folder: Path) -> None:
    with pytest.raises(NodewiseError) as caught:
        kubeadm(folder, "echo '[kubelet-start] Starting the kubelet'; exit 1").join({})
    assert str(caught.value).endswith("Starting the kubelet\nThe kubelet's last lines:\nit used <token>")


def test_a_refused_configuration_says_so(folder: Path) -> None:
    with pytest.raises(NodewiseError, match=r'^kubeadm refuses the configuration: .*unknown field "x" Remedy: correct the variable'):
        kubeadm(folder, """echo 'error: strict decoding error: unknown field "x"' >&2; exit 1""").validate([{"x": 1}])


def test_kubeadm_holds_the_lock_itself(folder: Path, lock_path: str) -> None:
    # The child tells which of its descriptors is the lock.
    with exclusive(lock_path) as lock:
        kubeadm(folder, f"readlink /proc/self/fd/{lock} > {folder}/held").under(lock).join({})
    assert (folder / "held").read_text().strip() == lock_path


def test_a_missing_kubeadm_is_told_of(folder: Path) -> None:
    missing = Kubeadm(str(folder / "none"))
    assert not missing.installed()
    with pytest.raises(NodewiseError, match=r"kubeadm is not installed.*site\.yml"):
        missing.join({})


def test_an_endless_kubeadm_is_stopped(folder: Path) -> None:
    with pytest.raises(NodewiseError, match="kubeadm config did not end within 0 s"):
        kubeadm(folder, "exec sleep 60")._run(["config"], [], timeout=0.2)
