# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission import change
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.change import Result, Wish, ensure_admission
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.manifest import flag_value
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.merge import dump

from .conftest import HELP, POD, Host

ENABLE, CONFIG = "enable-admission-plugins", "admission-control-config-file"
LIMITS = {"EventRateLimit": {"kind": "Configuration", "limits": [{"type": "Server", "qps": 1, "burst": 1}]}}


def wish(*enabled: str, disabled: tuple[str, ...] = (), configuration: dict[str, Any] | None = None) -> Wish:
    return Wish(enabled, disabled, configuration or {}, "1.37.2")


def run(host: Host, wanted: Wish, check: bool = False) -> Result:
    return ensure_admission(wanted, check, host.tools, host.paths, 5)


def everything(host: Host) -> dict[str, str]:
    root = Path(host.paths.manifest).parents[3]
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def arguments(host: Host) -> dict[str, str]:
    return {item["name"]: item["value"] for item in host.document["apiServer"].get("extraArgs", [])}


def test_the_defaults_change_nothing(host: Host) -> None:
    before = everything(host)
    assert run(host, wish("LimitRanger", "MutatingAdmissionWebhook")).actions == []
    assert (everything(host), host.starts, host.version) == (before, 0, 1)


def test_a_change_and_a_second_run(host: Host) -> None:
    found = run(host, wish("AlwaysPullImages"))
    assert [action.split(",")[0] for action in found.actions] == [f"write {host.paths.manifest}", "update ConfigMap kube-system/kubeadm-config"]
    assert found.restarted
    assert host.flag(ENABLE) == "NodeRestriction,AlwaysPullImages"
    assert arguments(host) == {ENABLE: "NodeRestriction,AlwaysPullImages"}
    assert host.validated == [host.document]
    assert Path(host.paths.backup).read_text() == dump(POD)
    assert not os.path.exists(host.paths.trial)
    assert os.listdir(os.path.dirname(host.paths.manifest)) == ["kube-apiserver.yaml"]
    assert os.stat(host.paths.manifest).st_mode & 0o777 == 0o600
    before = everything(host)
    assert run(host, wish("AlwaysPullImages")).actions == []
    assert (everything(host), host.starts, host.version) == (before, 1, 2)


def test_what_is_no_longer_asked_for_goes_with_a_warning(host: Host) -> None:
    run(host, wish("AlwaysPullImages", disabled=("Priority",)))
    found = run(host, wish())
    assert (host.flag(ENABLE), host.flag("disable-admission-plugins"), arguments(host)) == ("NodeRestriction", "", {})
    assert any("AlwaysPullImages of --enable-admission-plugins" in warning for warning in found.warnings)


def test_a_configuration_comes_and_goes(host: Host) -> None:
    run(host, wish("EventRateLimit", configuration=LIMITS))
    first = host.flag(CONFIG)
    assert arguments(host)[CONFIG] == first
    assert "AdmissionConfiguration" in Path(first).read_text()
    other = {"EventRateLimit": {"kind": "Configuration", "limits": [{"type": "User", "qps": 1, "burst": 1}]}}
    run(host, wish("EventRateLimit", configuration=other))
    assert host.flag(CONFIG) != first
    # The backup, which names it, could be put back.
    assert os.path.exists(first)
    assert host.starts == 2
    Path(host.paths.folder, "image-policy.conf").write_text("the operator's")
    run(host, wish())
    run(host, wish("AlwaysPullImages"))
    assert os.listdir(host.paths.folder) == ["image-policy.conf"]


def test_a_file_that_was_edited_is_mended_without_a_restart(host: Host) -> None:
    run(host, wish("EventRateLimit", configuration=LIMITS))
    Path(host.flag(CONFIG)).write_text("x")
    assert run(host, wish("EventRateLimit", configuration=LIMITS)).actions == [f"write {host.flag(CONFIG)}"]
    assert host.starts == 1


def test_check_mode_touches_nothing(host: Host) -> None:
    before = everything(host)
    found = run(host, wish("EventRateLimit", configuration=LIMITS), check=True)
    assert len(found.actions) == 3
    assert [item["before_header"] for item in found.diff][1:] == [host.paths.manifest, "ConfigMap kube-system/kubeadm-config"]
    assert "+" not in found.diff[1]["before"]
    assert "--enable-admission-plugins=NodeRestriction,EventRateLimit" in found.diff[1]["after"]
    assert (everything(host), host.starts, host.version) == (before, 0, 1)


@pytest.mark.parametrize("drift", ["manifest", "cluster"])
def test_drift_is_mended_where_it_is(host: Host, drift: str) -> None:
    run(host, wish("AlwaysPullImages"))
    if drift == "manifest":
        Path(host.paths.manifest).write_text(dump(POD))
        host.sync()
    else:
        host.document["apiServer"] = {}
    found = run(host, wish("AlwaysPullImages"))
    assert len(found.actions) == 1
    assert found.restarted == (drift == "manifest")
    assert (host.flag(ENABLE), arguments(host)) == ("NodeRestriction,AlwaysPullImages", {ENABLE: "NodeRestriction,AlwaysPullImages"})


def refuses(plugin: str) -> Any:
    return lambda pod: plugin in flag_value(pod, ENABLE)


def test_an_api_server_that_does_not_start_is_undone(host: Host) -> None:
    before = everything(host)
    host.bad = refuses("AlwaysDeny")
    with pytest.raises(NodewiseError) as caught:
        run(host, wish("AlwaysDeny"))
    assert "the old one is back and the API server is ready with it" in str(caught.value)
    assert "it ended by itself 2 times" in str(caught.value)
    assert "E1125 command failed err=..." in str(caught.value)
    assert (everything(host), host.version, host.healthy) == (before, 1, True)


def test_the_configuration_of_a_change_that_failed_is_removed(host: Host) -> None:
    before = everything(host)
    host.bad = refuses("EventRateLimit")
    with pytest.raises(NodewiseError, match="the old one is back"):
        run(host, wish("EventRateLimit", configuration=LIMITS))
    assert everything(host) == before
    # One that a killed run wrote is told of.
    stale = Path(host.paths.folder, "admission-0123456789ab.yaml")
    stale.write_text("x")
    assert run(host, wish(), check=True).actions == [f"remove {stale}"]
    assert run(host, wish()).actions == [f"remove {stale}"]
    assert not stale.exists()


def test_both_dead_says_so_and_keeps_what_a_person_needs(host: Host) -> None:
    host.bad = lambda pod: host.starts > 0
    with pytest.raises(NodewiseError, match="with the manifest of before, which is back, it does not either"):
        run(host, wish("AlwaysDeny"))
    assert Path(host.paths.manifest).read_text() == dump(POD)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (wish("LimitRange"), "did you mean LimitRanger"),
        (wish("EventRateLimit"), "without a configuration"),
        (wish("Priority", disabled=("Priority",)), "both enabled and disabled"),
        (
            wish("ImagePolicyWebhook", configuration={"ImagePolicyWebhook": {"imagePolicy": {"kubeConfigFile": "/root/x.conf"}}}),
            "kubeConfigFile /root/x.conf is in no folder that kube-apiserver sees",
        ),
        (
            wish("ImagePolicyWebhook", configuration={"ImagePolicyWebhook": {"imagePolicy": {"kubeConfigFile": "/etc/kubernetes/pki/missing.conf"}}}),
            "kubeConfigFile /etc/kubernetes/pki/missing.conf is not on this host",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(host: Host, wanted: Wish, said: str) -> None:
    before = everything(host)
    with pytest.raises(NodewiseError, match=said):
        run(host, wanted)
    assert (everything(host), host.starts, host.version) == (before, 0, 1)


def test_the_running_program_is_believed_more_than_the_table(host: Host) -> None:
    host.help_text = HELP
    with pytest.raises(NodewiseError, match="AlwaysPullImages .* is no admission plugin of the running kube-apiserver"):
        run(host, wish("AlwaysPullImages"))
    assert host.starts == 0


def test_a_configuration_that_kubeadm_refuses_changes_nothing(host: Host) -> None:
    host.refuses = "kubeadm refuses the configuration"
    with pytest.raises(NodewiseError, match="kubeadm refuses"):
        run(host, wish("AlwaysPullImages"))
    assert host.starts == 0


def test_without_a_kubelet_nothing_is_changed(host: Host) -> None:
    host.kubelet = False
    with pytest.raises(NodewiseError, match="The kubelet does not run"):
        run(host, wish("AlwaysPullImages"))
    assert Path(host.paths.manifest).read_text() == dump(POD)


def test_an_api_server_that_is_not_ready_is_not_changed(host: Host) -> None:
    host.bad = lambda pod: True
    with pytest.raises(NodewiseError, match="The API server is not ready, and nothing was changed: it ended by itself"):
        run(host, wish("AlwaysPullImages"))
    assert Path(host.paths.manifest).read_text() == dump(POD)


def test_a_manifest_that_the_kubelet_has_not_seen_is_waited_for(host: Host) -> None:
    host.kubelet = False
    Path(host.paths.manifest).write_text(dump(POD).replace("NodeRestriction", "NodeRestriction,AlwaysPullImages"))
    found = run(host, wish("AlwaysPullImages"), check=True)
    assert found.actions[-1].startswith("wait until kube-apiserver runs as its manifest says")
    host.kubelet = True
    run(host, wish("AlwaysPullImages"))
    assert run(host, wish("AlwaysPullImages")).actions == []


def test_another_manifest_of_it_is_refused_and_other_files_are_warned_of(host: Host) -> None:
    folder = Path(host.paths.manifest).parent
    (folder / "notes.txt").write_text("x")
    assert "notes.txt is no pod" in run(host, wish()).warnings[0]
    (folder / "kube-apiserver.yaml.bak").write_text(dump(POD))
    with pytest.raises(NodewiseError, match=r"kube-apiserver.yaml.bak holds a pod kube-apiserver too"):
        run(host, wish())


@pytest.mark.parametrize("phase", ["", "initialising"])
def test_before_there_is_a_cluster_only_the_file_is_written(host: Host, phase: str) -> None:
    if phase:
        Path(host.paths.state).write_text('{"phase": "initialising", "node_name": "cp1", "cluster_name": "c"}')
    else:
        os.unlink(host.paths.manifest)
        os.unlink(host.paths.admin_conf)
    os.makedirs(os.path.dirname(host.paths.trial))
    Path(host.paths.trial).write_text("of a cluster that is gone")
    assert run(host, wish("AlwaysPullImages"), check=True).actions == []
    assert len(run(host, wish("EventRateLimit", configuration=LIMITS), check=True).actions) == 1
    assert not os.path.exists(host.paths.folder)
    found = run(host, wish("EventRateLimit", configuration=LIMITS))
    assert Path(found.flags[CONFIG]).exists()
    assert not os.path.exists(host.paths.trial)
    assert run(host, wish("EventRateLimit", configuration=LIMITS)).actions == []
    assert host.starts == 0


@pytest.mark.parametrize("check", [True, False])
def test_a_new_cluster_does_not_begin_with_a_kubeconfig_that_is_missing(host: Host, tmp_path: Path, check: bool) -> None:
    os.unlink(host.paths.manifest)
    os.unlink(host.paths.admin_conf)
    file = tmp_path / "policy.conf"
    wanted = wish("ImagePolicyWebhook", configuration={"ImagePolicyWebhook": {"imagePolicy": {"kubeConfigFile": str(file)}}})
    with pytest.raises(NodewiseError, match=r"kubeConfigFile .*policy.conf is not on this host"):
        run(host, wanted, check=check)
    assert not os.path.exists(host.paths.folder)
    file.write_text("x")
    assert len(run(host, wanted, check=check).actions) == 1


def test_a_control_plane_without_its_manifest_is_an_error(host: Host) -> None:
    os.unlink(host.paths.manifest)
    with pytest.raises(NodewiseError, match="is missing, though .*admin.conf says that this is a control plane"):
        run(host, wish())


class Killed(BaseException):
    """The process ends here; nothing of it runs any more."""


def kill_at(monkeypatch: pytest.MonkeyPatch, host: Host, number: int, after: bool) -> None:
    """End the run at its n-th step that changes or awaits something, before or after that step."""
    count = 0

    def dying(step: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not after:
                raise Killed
            if count > number:
                raise Killed
            result = step(*args, **options)
            if count == number:
                raise Killed
            return result

        return call

    monkeypatch.setattr(change, "write_atomic", dying(change.write_atomic))
    monkeypatch.setattr(change.os, "replace", dying(os.replace))
    monkeypatch.setattr(change.os, "unlink", dying(os.unlink))
    monkeypatch.setattr(host, "wait", dying(host.wait))
    monkeypatch.setattr(host, "run", dying(host.run))


# More than such a run has, so that the last of them is not killed at all.
STEPS = range(1, 16)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", STEPS)
def test_a_killed_run_is_finished_by_the_next(host: Host, number: int, after: bool) -> None:
    wanted = wish("EventRateLimit", configuration=LIMITS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(monkeypatch, host, number, after)
        with contextlib.suppress(Killed):
            run(host, wanted)
    run(host, wanted)
    assert host.flag(ENABLE) == "NodeRestriction,EventRateLimit"
    assert arguments(host) == {ENABLE: host.flag(ENABLE), CONFIG: host.flag(CONFIG)}
    assert host.healthy
    assert os.path.exists(host.flag(CONFIG))
    assert not os.path.exists(host.paths.trial)
    assert run(host, wanted).actions == []


@pytest.mark.parametrize("then", ["the same", "another", "nothing"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", STEPS)
def test_a_killed_run_that_would_have_failed_is_undone_by_the_next(host: Host, number: int, after: bool, then: str) -> None:
    host.bad = refuses("AlwaysDeny")
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(monkeypatch, host, number, after)
        with contextlib.suppress(Killed, NodewiseError):
            run(host, wish("AlwaysDeny"))
    if then == "the same":
        with pytest.raises(NodewiseError, match="E1125"):
            run(host, wish("AlwaysDeny"))
        expected = "NodeRestriction"
    else:
        run(host, wish("AlwaysPullImages") if then == "another" else wish())
        expected = "NodeRestriction,AlwaysPullImages" if then == "another" else "NodeRestriction"
    assert (host.healthy, host.flag(ENABLE)) == (True, expected)
    assert not os.path.exists(host.paths.trial)
    assert "AlwaysDeny" not in arguments(host).get(ENABLE, "")


def test_a_manifest_that_an_upgrade_wrote_since_is_not_undone(host: Host) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        # The fifth step is the replacement of the manifest.
        kill_at(monkeypatch, host, 5, after=True)
        with contextlib.suppress(Killed):
            run(host, wish("AlwaysPullImages"))
    assert os.path.exists(host.paths.trial)
    assert host.flag(ENABLE) == "NodeRestriction,AlwaysPullImages"
    upgraded = Path(host.paths.manifest).read_text().replace("v1.37.2", "v1.37.3")
    Path(host.paths.manifest).write_text(upgraded)
    host.bad = lambda pod: True
    with pytest.raises(NodewiseError, match="The API server is not ready, and nothing was changed"):
        run(host, wish("AlwaysPullImages"))
    assert Path(host.paths.manifest).read_text() == upgraded
    host.bad = lambda pod: False
    assert run(host, wish("AlwaysPullImages")).actions == ["update ConfigMap kube-system/kubeadm-config"]
    assert not os.path.exists(host.paths.trial)


def test_check_mode_tells_of_a_change_that_has_not_proved_itself(host: Host) -> None:
    os.makedirs(os.path.dirname(host.paths.trial))
    Path(host.paths.trial).write_text("x")
    before = everything(host)
    assert run(host, wish(), check=True).actions == ["see whether the API server runs with the change of an earlier run, and undo that if not"]
    assert everything(host) == before
