# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import join as join_module
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.host import HostPaths
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.join import JoinResult, Worker, ensure_joined
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.nodes import Node
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState, load_state, save_state

TOKEN = "abcdef.0123456789abcdef"


class Bench:
    """A host and its kubeadm. kubeadm join makes the file, and the kubelet then the Node, that the real ones make."""

    def __init__(self, kubeadm: Any, kubectl: Any, paths: HostPaths, lock_path: str, node_settings: Any, node_object: Any) -> None:
        self.kubeadm, self.kubectl, self.paths, self.lock_path = kubeadm, kubectl, paths, lock_path
        self._node, self._object = node_settings, node_object
        kubeadm.effect = self.joined

    def joined(self, **node: Any) -> None:
        Path(self.paths.kubelet_conf).write_text("x")
        self.kubectl.nodes = [self._object("n1", **node)]

    def run(
        self, registered: Node | None = None, check_mode: bool = False, token: str = TOKEN, override: dict[str, Any] | None = None, **node: Any
    ) -> JoinResult:
        wanted = Worker(self._node(**node), registered, "192.0.2.11:6443", token, ["sha256:" + "a" * 64], override or {})
        return ensure_joined(wanted, check_mode, self.kubeadm, self.paths, self.lock_path)

    @property
    def state(self) -> HostState:
        return load_state(self.paths.state)


@pytest.fixture
def bench(kubeadm: Any, kubectl: Any, paths: HostPaths, lock_path: str, node_settings: Any, node_object: Any, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(join_module, "Kubectl", lambda **_options: kubectl)
    monkeypatch.setattr(join_module, "_REGISTER_WAIT", 0.0)
    return Bench(kubeadm, kubectl, paths, lock_path, node_settings, node_object)


def registered(**fields: Any) -> Node:
    return Node(**{"name": "n1", "ready": True, "provider_id": "nodewise://c/n1", "machine_id": "machine-n1", **fields})


def test_a_bare_host_is_validated_joined_and_recorded(bench: Bench) -> None:
    result = bench.run()
    assert bench.kubeadm.calls == ["validate", "join"]
    assert bench.state == HostState("joined", "n1", "c")
    assert result.actions == ["kubeadm join (it has no /etc/kubernetes/kubelet.conf)"]


def test_kubeadm_gets_the_token_and_the_result_does_not(bench: Bench) -> None:
    result = bench.run()
    assert bench.kubeadm.documents[0]["discovery"]["bootstrapToken"]["token"] == TOKEN
    assert result.document is not None
    assert TOKEN not in str(result)


def test_kubeadm_gets_the_operators_secrets_and_the_result_does_not(bench: Bench) -> None:
    own, key = "zyxwvu.0123456789abcdef", "e6a2eb85" * 8
    result = bench.run(override={"discovery": {"tlsBootstrapToken": own}, "controlPlane": {"certificateKey": key}})
    assert bench.kubeadm.documents[0]["discovery"]["tlsBootstrapToken"] == own
    assert result.document is not None
    assert result.document["discovery"]["tlsBootstrapToken"] == "<tlsBootstrapToken>"
    assert own not in str(result)
    assert key not in str(result)


def test_the_second_run_does_nothing(bench: Bench) -> None:
    bench.run()
    bench.kubeadm.calls.clear()
    assert bench.run(registered(), token="").actions == []
    assert bench.kubeadm.calls == []


def test_check_mode_predicts_and_touches_nothing(bench: Bench) -> None:
    assert bench.run(check_mode=True).actions == ["kubeadm join (it has no /etc/kubernetes/kubelet.conf)"]
    assert bench.kubeadm.calls == ["validate"]
    assert bench.state == HostState()


def test_check_mode_on_a_host_without_kubeadm(bench: Bench) -> None:
    bench.kubeadm.there = False
    assert bench.run(check_mode=True).actions
    assert bench.kubeadm.calls == []


def test_a_join_that_was_killed_is_reset_and_done_again(bench: Bench) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    bench.kubeadm.effect = killed
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.state.phase == "joining"
    bench.kubeadm.calls.clear()
    bench.kubeadm.effect = bench.joined
    assert bench.run().actions == ["kubeadm reset, kubeadm join (it has no /etc/kubernetes/kubelet.conf)"]
    assert bench.kubeadm.calls == ["validate", "reset", "join"]
    assert bench.state.phase == "joined"


def test_a_join_that_ended_is_only_recorded(bench: Bench, put: Callable[..., Path]) -> None:
    bench.joined()
    token_file = put("/etc/kubernetes/bootstrap-kubelet.conf", TOKEN)
    save_state(HostState("joining", "n1", "c"), bench.paths.state)
    result = bench.run(registered(), token="")
    assert result.plan.action == "record"
    assert bench.kubeadm.calls == []
    assert bench.state.phase == "joined"
    assert not token_file.exists()


def test_a_host_that_was_finished_meanwhile_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeadm of a broken run ends while this one waits for the lock."""
    looks = iter([False, True])
    monkeypatch.setattr(join_module, "look", lambda paths: _view(next(looks)))
    assert bench.run(registered()).actions == []
    assert "join" not in bench.kubeadm.calls


def _view(joined: bool) -> Any:
    from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.plan import HostView

    return HostView(HostState("joined" if joined else "joining", "n1", "c"), kubelet_conf=joined, admin_conf=False, machine_id="machine-n1")


def test_a_worker_does_not_lose_its_etcd_of_somebody_else(bench: Bench, put: Callable[..., Path]) -> None:
    data = put("/var/lib/etcd/default/db")
    save_state(HostState("joining", "n1", "c"), bench.paths.state)
    bench.run()
    assert "reset" in bench.kubeadm.calls
    assert data.exists()


def test_a_refused_configuration_changes_nothing(bench: Bench) -> None:
    bench.kubeadm.refuses = 'unknown field "x"'
    with pytest.raises(NodewiseError, match="unknown field"):
        bench.run()
    assert bench.state == HostState()


def test_a_host_that_must_join_needs_a_token(bench: Bench) -> None:
    with pytest.raises(NodewiseError, match=r"n1 must join \(it has no .*\), but no token was given"):
        bench.run(token="")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"node_name": "N_1"}, "node name 'N_1'"),
        ({"labels": {"node-role.kubernetes.io/worker": ""}}, "label node-role.kubernetes.io/worker"),
        ({"taints": [{"key": "a", "effect": "No"}]}, "effect 'No'"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_done(bench: Bench, node: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        bench.run(**node)
    assert bench.kubeadm.calls == []


def test_a_host_that_cannot_join_is_told_why(bench: Bench) -> None:
    with pytest.raises(NodewiseError, match=r"This host cannot become the worker n1: the cluster has a Ready Node n1 whose machine-id is another host's"):
        bench.run(registered(machine_id="other"))


def test_a_kubelet_that_does_not_register_leaves_the_join_unfinished(bench: Bench) -> None:
    bench.kubeadm.effect = lambda: None
    with pytest.raises(NodewiseError, match=r"did not register the Node n1 within 0 s: there is no such Node.*journalctl -u kubelet"):
        bench.run()
    assert bench.state.phase == "joining"


def test_a_kubelet_that_registers_with_another_provider_id_is_told_of(bench: Bench) -> None:
    bench.kubeadm.effect = lambda: bench.joined(provider_id="other://x")
    with pytest.raises(NodewiseError, match="providerID 'other://x', wanted 'nodewise://c/n1'"):
        bench.run()


def test_nothing_but_the_record_is_written(bench: Bench) -> None:
    bench.run()
    found = {os.path.join(folder, name).removeprefix(bench.paths.root) for folder, _names, files in os.walk(bench.paths.root) for name in files}
    assert found == {"/etc/machine-id", "/etc/kubernetes/kubelet.conf", "/var/lib/nodewise/state/kubeadm.json"}
