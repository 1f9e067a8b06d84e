# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.manifest import (
    CONFIG_ANNOTATION,
    crd_names,
    edit_manifest,
    felix_environment,
    load_manifest,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

Document = dict[str, Any]


def with_changes(settings: Settings, **changes: Any) -> Settings:
    return Settings(**{**settings.__dict__, **changes})


def find(documents: list[Document], kind: str, name: str = "") -> Document:
    return next(document for document in documents if document["kind"] == kind and (not name or document["metadata"]["name"] == name))


def node_container(documents: list[Document]) -> Document:
    container: Document = find(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]
    return container


def environment(documents: list[Document]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in node_container(documents)["env"]}


def images(documents: list[Document]) -> list[str]:
    pods = [find(documents, kind)["spec"]["template"]["spec"] for kind in ("DaemonSet", "Deployment")]
    return [container["image"] for pod in pods for container in pod.get("initContainers", []) + pod["containers"]]


def test_vxlan_sets_backend_pool_and_probes(real_manifest: str, settings: Settings) -> None:
    documents = edit_manifest(load_manifest(real_manifest), settings)
    data = find(documents, "ConfigMap", "calico-config")["data"]
    assert (data["calico_backend"], data["veth_mtu"]) == ("vxlan", "0")
    env = environment(documents)
    assert {name: env[name] for name in env if name.startswith("CALICO_IPV4POOL_")} == {
        "CALICO_IPV4POOL_CIDR": "10.244.0.0/16",
        "CALICO_IPV4POOL_BLOCK_SIZE": "26",
        "CALICO_IPV4POOL_NAT_OUTGOING": "true",
        "CALICO_IPV4POOL_IPIP": "Never",
        "CALICO_IPV4POOL_VXLAN": "Always",
    }
    assert env["IP_AUTODETECTION_METHOD"] == "kubernetes-internal-ip"
    assert env["IP"] == "autodetect"
    assert env["FELIX_IPTABLESBACKEND"] == "NFT"
    node = node_container(documents)
    assert node["livenessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-live"]
    assert node["readinessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-ready"]


def test_bird_sets_backend_pool_and_probes(real_manifest: str, settings: Settings) -> None:
    documents = edit_manifest(load_manifest(real_manifest), with_changes(settings, backend="bird", encapsulation="IPIPCrossSubnet"))
    assert find(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] == "bird"
    env = environment(documents)
    assert (env["CALICO_IPV4POOL_IPIP"], env["CALICO_IPV4POOL_VXLAN"]) == ("CrossSubnet", "Never")
    node = node_container(documents)
    assert node["livenessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-live", "-bird-live"]
    assert node["readinessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-ready", "-bird-ready"]


@pytest.mark.parametrize("changes", [{}, {"backend": "bird", "encapsulation": "IPIP", "mtu": 1400}])
def test_either_real_manifest_becomes_the_same(both_real_manifests: tuple[str, str], settings: Settings, changes: dict[str, Any]) -> None:
    results = [edit_manifest(load_manifest(text), with_changes(settings, **changes)) for text in both_real_manifests]
    for documents in results:
        node = node_container(documents)
        # They also differ in the mode of an IPv6 pool, which is never made: FELIX_IPV6SUPPORT is false in both.
        node["env"] = [entry for entry in node["env"] if entry["name"] != "CALICO_IPV6POOL_VXLAN"]
    assert results[0] == results[1]
    assert environment(results[0])["FELIX_IPV6SUPPORT"] == "false"


def test_custom_resource_definitions_come_first(real_manifest: str, settings: Settings) -> None:
    documents = edit_manifest(load_manifest(real_manifest), settings)
    names = crd_names(documents)
    assert "ippools.crd.projectcalico.org" in names
    assert [document["metadata"]["name"] for document in documents[: len(names)]] == names


def test_what_is_not_a_setting_stays(real_manifest: str, settings: Settings) -> None:
    before = load_manifest(real_manifest)
    untouched = copy.deepcopy(before)
    after = edit_manifest(before, settings)
    assert before == untouched
    edited = {("ConfigMap", "calico-config"), ("DaemonSet", "calico-node")}
    rest = [document for document in after if (document["kind"], document["metadata"]["name"]) not in edited]
    assert all(document in before for document in rest)
    old, new = (find(documents, "DaemonSet")["spec"]["template"]["spec"] for documents in (before, after))
    assert {name: value for name, value in old.items() if name != "containers"} == {name: value for name, value in new.items() if name != "containers"}
    changed = ("env", "livenessProbe", "readinessProbe")
    assert [{k: v for k, v in c.items() if k not in changed} for c in old["containers"]] == [
        {k: v for k, v in c.items() if k not in changed} for c in new["containers"]
    ]


def test_editing_twice_changes_nothing_more(small_manifest: str, settings: Settings) -> None:
    for backend, encapsulation in (("vxlan", "VXLAN"), ("bird", "None")):
        chosen = with_changes(settings, backend=backend, encapsulation=encapsulation)
        once = edit_manifest(load_manifest(small_manifest), chosen)
        assert edit_manifest(once, chosen) == once


def test_felix_settings_replace_or_join_the_environment(small_manifest: str, settings: Settings) -> None:
    felix_env = {"FELIX_VXLANMTU": 1400, "FELIX_BPFENABLED": False, "FELIX_LOGSEVERITYSCREEN": "Warning"}
    documents = edit_manifest(load_manifest(small_manifest), with_changes(settings, felix_env=felix_env, iptables_backend="Auto"))
    env = environment(documents)
    assert (env["FELIX_VXLANMTU"], env["FELIX_BPFENABLED"], env["FELIX_LOGSEVERITYSCREEN"], env["FELIX_IPTABLESBACKEND"]) == (
        "1400",
        "false",
        "Warning",
        "Auto",
    )
    names = [entry["name"] for entry in node_container(documents)["env"]]
    assert len(names) == len(set(names))
    assert felix_environment(documents) == {"vxlanmtu", "bpfenabled", "logseverityscreen", "iptablesbackend"}


def test_a_changed_configmap_restarts_the_pods(small_manifest: str, settings: Settings) -> None:
    def annotation(**changes: Any) -> str:
        documents = edit_manifest(load_manifest(small_manifest), with_changes(settings, **changes))
        value: str = find(documents, "DaemonSet")["spec"]["template"]["metadata"]["annotations"][CONFIG_ANNOTATION]
        return value

    assert annotation() == annotation()
    assert annotation() != annotation(mtu=1400)


def test_image_prefix_replaces_registry_and_folder(real_manifest: str, settings: Settings) -> None:
    before = images(load_manifest(real_manifest))
    after = images(edit_manifest(load_manifest(real_manifest), with_changes(settings, image_prefix="registry.example:5000/calico")))
    assert [image.replace("docker.io/calico", "registry.example:5000/calico") for image in before] == after
    assert set(after) == {f"registry.example:5000/calico/{name}:v3.28.5" for name in ("cni", "node", "kube-controllers")}
    assert images(edit_manifest(load_manifest(real_manifest), settings)) == before


def test_a_manifest_of_another_version_is_refused(small_manifest: str, settings: Settings) -> None:
    with pytest.raises(NodewiseError, match=r"names the image docker.io/calico/cni:v3.28.5, but calico_version is 3.33.0. Remedy: run the artifacts role"):
        edit_manifest(load_manifest(small_manifest), with_changes(settings, version="3.33.0"))


def _drop_document(kind: str) -> Callable[[list[Document]], None]:
    return lambda documents: documents.remove(find(documents, kind))


def _drop_env(name: str) -> Callable[[list[Document]], None]:
    def drop(documents: list[Document]) -> None:
        node = node_container(documents)
        node["env"] = [entry for entry in node["env"] if entry["name"] != name]

    return drop


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_document("ConfigMap"), "has no ConfigMap calico-config"),
        (_drop_document("DaemonSet"), "has no DaemonSet calico-node"),
        (_drop_document("Deployment"), "has no Deployment calico-kube-controllers"),
        (lambda documents: find(documents, "ConfigMap")["data"].pop("calico_backend"), "no key calico_backend"),
        (lambda documents: find(documents, "ConfigMap")["data"].pop("veth_mtu"), "no key veth_mtu"),
        (lambda documents: node_container(documents).update(name="node"), "has no container calico-node"),
        (_drop_env("CALICO_NETWORKING_BACKEND"), "no environment variable CALICO_NETWORKING_BACKEND"),
        (_drop_env("CALICO_IPV4POOL_IPIP"), "no environment variable CALICO_IPV4POOL_IPIP"),
        (_drop_env("CALICO_IPV4POOL_VXLAN"), "no environment variable CALICO_IPV4POOL_VXLAN"),
        (_drop_env("IP"), "no environment variable IP"),
        (
            lambda documents: node_container(documents).update(livenessProbe={"httpGet": {"port": 9099}}),
            "livenessProbe of calico-node in the Calico manifest is not a list of checks",
        ),
        (lambda documents: node_container(documents).pop("readinessProbe"), "readinessProbe of calico-node in the Calico manifest is not a list of checks"),
    ],
)
def test_a_lost_place_is_named(small_manifest: str, settings: Settings, damage: Callable[[list[Document]], None], message: str) -> None:
    documents = load_manifest(small_manifest)
    damage(documents)
    with pytest.raises(NodewiseError, match=message) as caught:
        edit_manifest(documents, settings)
    assert "Calico version that this collection knows" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not YAML"), ("", "holds no Kubernetes objects"), ("<html>404</html>", "holds no Kubernetes objects")]
)
def test_what_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        load_manifest(text)
