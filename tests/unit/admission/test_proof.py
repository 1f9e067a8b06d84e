# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.change import Paths
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.proof import LABEL, PLUGINS, REMOVED, Proof
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.webhook import ANNOTATION, REFUSE_LABEL, refusal
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, FAIL, OK, UNKNOWN, Result
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.table import Report, headline
from ansible_collections.nodewise.cluster.plugins.modules import verify_admission

SESSION = "nodewise-admission-1"


class Cluster:
    """An API server with the admission plugins that C(off) does not name; C(slow) attempts see nothing new yet."""

    def __init__(self) -> None:
        self.off: set[str] = set()
        self.slow = 0
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.serving = False
        self.breaks_at = ""
        self.sticks = False

    # -- Kubectl
    def apply(self, objects: list[dict[str, Any]]) -> str:
        for item in objects:
            if item["kind"] == self.breaks_at:
                raise NodewiseError(f"{item['kind']} cannot be applied.", "mend it")
            assert item["metadata"]["labels"] == {LABEL: SESSION}
            self.objects[item["kind"], item["metadata"]["name"]] = item
        return ""

    def run(self, args: list[str], stdin: str | None = None, ok: tuple[int, ...] = (0,), timeout: float = 0) -> tuple[int, str, str]:
        if args[0] == "delete":
            assert f"--selector={LABEL}" in args
            if self.sticks and self.objects:
                raise NodewiseError("namespace is still there.")
            self.objects.clear()
            return 0, "", ""
        if args[0] == "auth":
            return 0, json.dumps({"status": {"userInfo": {"username": "system:node:cp1"}}}), ""
        if args[0] == "label":
            assert args[1:3] == ["node", "cp1"]
            return (0, "labeled", "") if "NodeRestriction" in self.off else (1, "", "is not allowed to modify labels: x")
        assert args[:2] == ["create", "--dry-run=server"]
        made, error = self.create(json.loads(stdin or ""))
        return (1, "", f'error when creating "STDIN": {error}') if error else (0, json.dumps(made), "")

    def on(self, plugin: str) -> bool:
        return plugin not in self.off

    def create(self, item: dict[str, Any]) -> tuple[dict[str, Any], str]:
        if item["kind"] == "Node":
            item["spec"] = {"taints": [{"key": "node.kubernetes.io/not-ready"}] if self.on("TaintNodesByCondition") else []}
            return item, ""
        if self.slow:
            self.slow -= 1
            return item, 'serviceaccount "default" not found'
        spec, metadata = item["spec"], item["metadata"]
        if self.on("NamespaceLifecycle") and ("Namespace", metadata["namespace"]) not in self.objects:
            return item, f'namespaces "{metadata["namespace"]}" not found'
        if self.on("Priority") and "priorityClassName" in spec:
            found = self.objects.get(("PriorityClass", spec["priorityClassName"]))
            if found is None:
                return item, f"no PriorityClass with name {spec['priorityClassName']} was found"
            spec["priority"] = found["value"]
        if self.on("LimitRanger"):
            spec["containers"][0]["resources"] = {"limits": {"memory": "48Mi"}}
        if self.on("DefaultTolerationSeconds"):
            spec["tolerations"] = [{"key": f"node.kubernetes.io/{key}", "tolerationSeconds": 300} for key in ("not-ready", "unreachable")]
        if self.on("ServiceAccount"):
            spec["serviceAccountName"] = "default"
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            hook = self.objects.get((kind, SESSION))
            if hook is None or not self.on(kind.replace("WebhookConfiguration", "AdmissionWebhook")):
                continue
            if not self.serving:
                if hook["webhooks"][0]["failurePolicy"] == "Fail":
                    return item, 'failed calling webhook "verify.nodewise.dev": connection refused'
            elif kind.startswith("M"):
                metadata["annotations"][ANNOTATION] = SESSION
            elif REFUSE_LABEL in metadata["labels"]:
                return item, f'admission webhook "verify.nodewise.dev" denied the request: {refusal(SESSION)}'
        if self.on("ResourceQuota") and ("ResourceQuota", SESSION) in self.objects:
            return item, f"exceeded quota: {SESSION}, requested: pods=1"
        return item, ""

    # -- WebhookServer
    url, ca_bundle = "https://192.0.2.11:1", "Y2E="

    def __enter__(self) -> Cluster:
        self.serving = True
        return self

    def __exit__(self, *_: Any) -> None:
        self.serving = False

    def stop(self) -> None:
        self.serving = False


def prove(cluster: Any, disabled: tuple[str, ...] = (), server: Callable[[], Any] | None = None) -> dict[str, Result]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    results = Proof(cluster, cluster, SESSION, 2, lambda: now[0], sleep).run(server or (lambda: cluster), disabled)
    assert len({result.check for result in results}) == len(results)
    assert {result.node for result in results} == {CLUSTER}
    return {result.check: result for result in results}


def test_a_good_cluster_passes_and_is_left_as_it_was() -> None:
    cluster = Cluster()
    cluster.slow = 3
    found = prove(cluster)
    assert list(found) == [*(check for check in found if check != REMOVED), REMOVED]
    assert set(found) == {*PLUGINS, REMOVED}
    assert {result.status for result in found.values()} == {OK}
    assert found["admission.validating-webhook"].observed.endswith(refusal(SESSION))
    assert cluster.objects == {}
    assert not cluster.serving


@pytest.mark.parametrize("plugin", sorted({plugin for plugins in PLUGINS.values() for plugin in plugins}))
def test_a_plugin_that_does_not_work_fails_its_checks(plugin: str) -> None:
    cluster = Cluster()
    cluster.off.add(plugin)
    found = prove(cluster)
    failed = {check for check, result in found.items() if result.status == FAIL}
    assert failed
    # With one of the two webhooks the failure policy is proved nevertheless.
    assert failed <= {check for check, plugins in PLUGINS.items() if plugin in plugins}
    assert all(found[check].hint and found[check].observed for check in failed)


@pytest.mark.parametrize("plugin", sorted({plugin for plugins in PLUGINS.values() for plugin in plugins}))
def test_a_plugin_that_is_disabled_on_purpose_is_not_tried(plugin: str) -> None:
    cluster = Cluster()
    cluster.off.add(plugin)
    found = prove(cluster, disabled=(plugin,))
    assert set(found) == {check for check, plugins in PLUGINS.items() if plugins != (plugin,)} | {REMOVED}
    assert {result.status for result in found.values()} == {OK}


@pytest.mark.parametrize(
    ("kind", "still_made"),
    [
        ("Namespace", 0),
        ("MutatingWebhookConfiguration", 8),
        ("ResourceQuota", 12),
    ],
)
def test_what_was_not_made_is_unknown_and_everything_is_removed(kind: str, still_made: int) -> None:
    cluster = Cluster()
    cluster.breaks_at = kind
    found = prove(cluster)
    assert set(found) == {*PLUGINS, REMOVED}
    unknown = [result for result in found.values() if result.status == UNKNOWN]
    assert len(PLUGINS) - len(unknown) == still_made
    assert {(result.observed, result.hint) for result in unknown} == {(f"could not be made: {kind} cannot be applied.", "mend it")}
    assert cluster.objects == {}
    assert not cluster.serving


def test_without_a_server_the_rest_is_still_said() -> None:
    def broken() -> Any:
        raise NodewiseError("openssl is not installed on this host.", "install it")

    found = prove(Cluster(), server=broken)
    assert found["admission.limit-ranger"].status == OK
    assert found["admission.mutating-webhook"].status == UNKNOWN
    assert found[REMOVED].status == OK


def test_a_kubectl_that_fails_without_a_word_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    run = cluster.run
    monkeypatch.setattr(cluster, "run", lambda args, *rest, **more: (1, "", "") if args[0] == "create" else run(args, *rest, **more))
    found = prove(cluster)
    # The kubelet's label is the one thing that is not created.
    assert {check for check, result in found.items() if result.status == OK} == {"admission.node-restriction", REMOVED}


def test_what_cannot_be_removed_is_a_failure() -> None:
    cluster = Cluster()
    cluster.sticks = True
    found = prove(cluster)
    assert (found[REMOVED].status, found[REMOVED].observed) == (FAIL, "namespace is still there.")
    assert f"--selector={LABEL}" in found[REMOVED].hint


def test_the_headline_says_it() -> None:
    def of(*statuses: str) -> str:
        return headline(Report("n", [], [Result(f"admission.{index}", CLUSTER, status) for index, status in enumerate(statuses)], (), 0.1))

    assert "dmission" not in of()
    assert of(OK, OK).endswith(", admission works")
    assert of(OK, UNKNOWN).endswith(", ADMISSION NOT PROVED")
    assert of(UNKNOWN, FAIL).endswith(", ADMISSION FAILED")


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        verify_admission.main()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_module_in_check_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, _ansible_check_mode=True)["checks"] == []


def test_the_module_without_a_control_plane(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(verify_admission, "PATHS", Paths(manifest=f"{tmp_path}/none.yaml"))
    checks = run(capsys, disabled=["Priority"])["checks"]
    assert {check["status"] for check in checks} == {UNKNOWN}
    assert "admission.priority" not in {check["check"] for check in checks}
    assert "does not hold a pod" in checks[0]["observed"]
