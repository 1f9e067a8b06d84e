# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes on the wire: field numbers of 1.34 to 1.37, and the template's Node against one that Go made."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.book import Book
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.contract import MESSAGES, METHODS, PACKAGE, SERVICE
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.decide import Record
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.nodes import Nodes
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.server import Service
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import Group, Host
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.state import State
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.template import MESSAGES as NODE_MESSAGES
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.template import encode_node, template_node
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes

from .conftest import decider, pid

# Made once by this program, with k8s.io/api and k8s.io/apimachinery v0.37.2 (go run .):
#
#   package main
#
#   import (
#       "encoding/hex"
#       "fmt"
#
#       core "k8s.io/api/core/v1"
#       "k8s.io/apimachinery/pkg/api/resource"
#       meta "k8s.io/apimachinery/pkg/apis/meta/v1"
#   )
#
#   func main() {
#       amounts := core.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("2048000Ki"),
#           "ephemeral-storage": resource.MustParse("20Gi"), "pods": resource.MustParse("110")}
#       node := core.Node{
#           ObjectMeta: meta.ObjectMeta{Name: "template-standby", Labels: map[string]string{"kubernetes.io/hostname": "template-standby",
#               "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
#               "pool": "standby"}},
#           Spec: core.NodeSpec{Taints: []core.Taint{{Key: "pool", Value: "standby", Effect: "NoSchedule"}}},
#           Status: core.NodeStatus{Capacity: amounts, Allocatable: amounts, Conditions: []core.NodeCondition{
#               {Type: "Ready", Status: "True"}, {Type: "MemoryPressure", Status: "False"}, {Type: "DiskPressure", Status: "False"},
#               {Type: "PIDPressure", Status: "False"}, {Type: "NetworkUnavailable", Status: "False"}}},
#       }
#       raw, err := node.Marshal()
#       if err != nil {
#           panic(err)
#       }
#       fmt.Println(hex.EncodeToString(raw))
#   }
#
# The other way, Go's Node.Unmarshal of what encode_node gives and of this text were found to be the same object.
GO_NODE = bytes.fromhex(
    "0ad7010a1074656d706c6174652d7374616e64627912001a0022002a003200380042005a200a17626574612e6b756265726e657465732e696f2f617263681205616d6436345a"
    "1e0a15626574612e6b756265726e657465732e696f2f6f7312056c696e75785a1b0a126b756265726e657465732e696f2f617263681205616d6436345a2a0a166b756265726e"
    "657465732e696f2f686f73746e616d65121074656d706c6174652d7374616e6462795a190a106b756265726e657465732e696f2f6f7312056c696e75785a0f0a04706f6f6c12"
    "077374616e64627912250a0012001a0020002a1b0a04706f6f6c12077374616e6462791a0a4e6f5363686564756c651ad0020a0a0a0363707512030a01320a1b0a1165706865"
    "6d6572616c2d73746f7261676512060a04323047690a120a066d656d6f727912080a06323030304d690a0d0a04706f647312050a03313130120a0a0363707512030a0132121b"
    "0a11657068656d6572616c2d73746f7261676512060a043230476912120a066d656d6f727912080a06323030304d69120d0a04706f647312050a033131301a0022150a055265"
    "6164791204547275651a0022002a003200221f0a0e4d656d6f72795072657373757265120546616c73651a0022002a003200221d0a0c4469736b507265737375726512054661"
    "6c73651a0022002a003200221c0a0b5049445072657373757265120546616c73651a0022002a00320022230a124e6574776f726b556e617661696c61626c65120546616c7365"
    "1a0022002a00320032040a0208003a140a0012001a0022002a0032003a0042004a005200"
)
# As Go writes the memory, which is a quantity's canonical form.
AMOUNTS = {"cpu": "2", "memory": "2000Mi", "ephemeral-storage": "20Gi", "pods": "110"}


def group(**changes: Any) -> Group:
    host = Host("10.0.0.1", pid("s1"), "amd64", AMOUNTS, AMOUNTS)
    values: dict[str, Any] = {"labels": {"pool": "standby"}, "taints": [{"key": "pool", "value": "standby", "effect": "NoSchedule"}], **changes}
    return Group(0, 1, values.pop("hosts", {"s1": host}), **values)


CLASSES = message_classes(PACKAGE, MESSAGES)
NODE = message_classes("k8s.io.api.core.v1", NODE_MESSAGES)["Node"]


def node_of(encoded: bytes) -> Any:
    node = NODE.FromString(encoded)
    # Go writes empty fields, too.
    node.DiscardUnknownFields()
    return node


def fields(data: bytes) -> list[tuple[int, int, bytes | int]]:
    """Return (field number, wire type, value) of a message: an own small reader of protobuf's encoding."""

    def varint(position: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[position]
            value |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                return value, position

    found: list[tuple[int, int, bytes | int]] = []
    position = 0
    while position < len(data):
        key, position = varint(position)
        assert key & 7 in (0, 2), "only varints and what has a length"
        value, position = varint(position)
        if key & 7 == 2:
            found.append((key >> 3, 2, data[position : position + value]))
            position += value
        else:
            found.append((key >> 3, 0, value))
    return found


def test_the_template_is_what_go_makes_of_the_same_node() -> None:
    ours, theirs = node_of(encode_node(template_node("standby", group()))), node_of(GO_NODE)
    assert ours == theirs
    assert ours.metadata.name == "template-standby" and ours.status.allocatable["memory"].string == "2000Mi"
    assert not GO_NODE.startswith(b"k8s\0")


def test_the_template_is_the_smallest_host_and_bears_what_hosts_register_with() -> None:
    hosts = {
        "s1": Host("10.0.0.1", pid("s1"), "arm64", {**AMOUNTS, "cpu": "4", "example.com/gpu": "1"}, {**AMOUNTS, "cpu": "3500m"}),
        "s2": Host("10.0.0.2", pid("s2"), "arm64", {**AMOUNTS, "memory": "1Gi", "cpu": "10"}, {**AMOUNTS, "memory": "900Mi"}),
    }
    node = template_node("a", Group(0, 2, hosts, {"pool": "a"}, [{"key": "k", "effect": "NoSchedule"}]))
    assert node["status"]["capacity"] == {"cpu": "4", "memory": "1Gi", "ephemeral-storage": "20Gi", "pods": "110"}
    assert node["status"]["allocatable"]["cpu"] == "2" and node["status"]["allocatable"]["memory"] == "900Mi"
    assert node["metadata"]["labels"] == {
        "pool": "a",
        "kubernetes.io/hostname": "template-a",
        "kubernetes.io/arch": "arm64",
        "beta.kubernetes.io/arch": "arm64",
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/os": "linux",
    }
    assert node["spec"]["taints"] == [{"key": "k", "effect": "NoSchedule"}], "neither not-ready nor overloaded"
    assert [one for one in node["status"]["conditions"] if one["status"] == "True"] == [{"type": "Ready", "status": "True"}]
    encode_node(node)


REQUESTS = {
    # message: (fields, bytes)
    "NodeGroupIncreaseSizeRequest": ({"delta": 2, "id": "a"}, "0802120161"),
    "NodeGroupDecreaseTargetSizeRequest": ({"delta": -1, "id": "a"}, "08ffffffffffffffffff01120161"),
    "NodeGroupDeleteNodesRequest": ({"nodes": [{"providerID": "p", "name": "n"}], "id": "a"}, "0a060a017012016e120161"),
    "NodeGroupForNodeRequest": (
        {"node": {"providerID": "p", "name": "n", "labels": {"l": "1"}, "annotations": {"a": "2"}}},
        "0a160a017012016e1a060a016c12013122060a0161120132",
    ),
    "NodeGroupTargetSizeRequest": ({"id": "a"}, "0a0161"),
    "NodeGroupNodesRequest": ({"id": "a"}, "0a0161"),
    "NodeGroupTemplateNodeInfoRequest": ({"id": "a"}, "0a0161"),
    "NodeGroup": ({"id": "a", "minSize": 1, "maxSize": 2, "debug": "d"}, "0a016110011802220164"),
    "NodeGroupsResponse": ({"nodeGroups": [{"id": "a"}]}, "0a030a0161"),
    "NodeGroupForNodeResponse": ({"nodeGroup": {"id": "a"}}, "0a030a0161"),
    "NodeGroupTargetSizeResponse": ({"targetSize": 3}, "0803"),
    "GPULabelResponse": ({"label": "x"}, "0a0178"),
    "NodeGroupNodesResponse": (
        {"instances": [{"id": "p", "status": {"instanceState": 2, "errorInfo": {"errorCode": "c", "errorMessage": "m", "instanceErrorClass": 99}}}]},
        "0a110a0170120c080212080a016312016d1863",
    ),
}


@pytest.mark.parametrize("message", REQUESTS)
def test_field_numbers(message: str) -> None:
    values, expected = REQUESTS[message]
    made = CLASSES[message](**values)
    assert made.SerializeToString(deterministic=True).hex() == expected
    assert CLASSES[message].FromString(bytes.fromhex(expected)) == made


def test_the_service_bears_the_name_of_the_contract() -> None:
    assert SERVICE == "clusterautoscaler.cloudprovider.v1.externalgrpc.CloudProvider"
    assert len(METHODS) == 15


class Context:
    """Notes what a call is refused with."""

    def abort(self, code: Any, message: str) -> None:
        raise RuntimeError(code.name, message)


class Details:
    """Of a call."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = f"/{SERVICE}/{method}"


class Provider:
    """The service without a server: requests and answers are bytes."""

    def __init__(self) -> None:
        self.decider = decider()
        self.book = Book(None, "cp1", lambda: True, lambda _before, _after: None)  # type: ignore[arg-type]
        self.book.records = {"s1": Record("joined"), "s2": Record("joining"), "s3": Record("leaving"), "s4": Record("failed", reason="why", untold=True)}
        self.handler = Service(self.decider, self.book, Nodes(), lambda: 0.0, lambda: None, State()).handler()

    def call(self, method: str, request: bytes = b"") -> bytes:
        found: Any = self.handler.service(Details(method))
        answer: bytes = found.response_serializer(found.unary_unary(found.request_deserializer(request), Context()))
        return answer

    def known(self, method: str) -> bool:
        return self.handler.service(Details(method)) is not None


@pytest.fixture
def provider() -> Provider:
    return Provider()


def test_a_template_is_read_by_every_version(provider: Provider) -> None:
    """Until 1.33 nodeInfo (1) alone, in 1.34 both, since 1.35 nodeBytes (2) alone."""
    answer = fields(provider.call("NodeGroupTemplateNodeInfo", b"\x0a\x01a"))
    assert [(number, wire) for number, wire, _value in answer] == [(1, 2), (2, 2)]
    old, new = answer[0][2], answer[1][2]
    assert isinstance(old, bytes) and old == new
    assert node_of(old).metadata.name == "template-a"


def test_a_node_of_no_group_is_answered_with_an_empty_id(provider: Provider) -> None:
    for node in (b"\x12\x02w1", b"\x0a\x05other\x12\x02s1", b"\x12\x02s1"):
        answer = provider.call("NodeGroupForNode", b"\x0a" + bytes([len(node)]) + node)
        assert answer == b"\x0a\x00", "the group is there, and empty: never an error, never a match by name"


def test_a_node_is_known_by_its_provider_id_whatever_its_name(provider: Provider) -> None:
    node = b"\x0a\x11nodewise://lab/s4\x12\x11nodewise://lab/s4"
    answer = fields(provider.call("NodeGroupForNode", b"\x0a" + bytes([len(node)]) + node))
    assert isinstance(answer[0][2], bytes)
    assert fields(answer[0][2]) == [(1, 2, b"b"), (3, 0, 1)]


def test_instances_have_their_states(provider: Provider) -> None:
    def instances(group: bytes) -> list[list[tuple[int, int, bytes | int]]]:
        return [fields(value) for _number, _wire, value in fields(provider.call("NodeGroupNodes", b"\x0a\x01" + group)) if isinstance(value, bytes)]

    assert instances(b"a") == [
        [(1, 2, b"nodewise://lab/s1"), (2, 2, b"\x08\x01")],
        [(1, 2, b"nodewise://lab/s2"), (2, 2, b"\x08\x02")],
        [(1, 2, b"nodewise://lab/s3"), (2, 2, b"\x08\x03")],
    ]
    error = instances(b"b")[0][1][2]
    assert isinstance(error, bytes)
    assert fields(error) == [(1, 0, 2), (2, 2, b"\x0a\x0aJoinFailed\x12\x03why\x18\x63")]


def test_what_is_not_implemented_has_no_handler(provider: Provider) -> None:
    """Then gRPC answers UNIMPLEMENTED; an answer with zeros would be taken for zero seconds."""
    missing = {method for method in METHODS if not provider.known(method)}
    assert missing == {"PricingNodePrice", "PricingPodPrice", "NodeGroupGetOptions"}


@pytest.mark.parametrize(("method", "size"), [("Refresh", 0), ("Cleanup", 0), ("GPULabel", 0), ("GetAvailableGPUTypes", 0)])
def test_the_rest_is_empty(provider: Provider, method: str, size: int) -> None:
    assert len(provider.call(method)) == size


def test_groups_and_target(provider: Provider) -> None:
    groups = [fields(value) for _number, _wire, value in fields(provider.call("NodeGroups")) if isinstance(value, bytes)]
    assert [(found[0][2], found[1][2]) for found in groups] == [(b"a", 3), (b"b", 1)]
    assert provider.call("NodeGroupTargetSize", b"\x0a\x01a") == b"\x08\x02"
    with pytest.raises(RuntimeError, match="NOT_FOUND"):
        provider.call("NodeGroupTargetSize", b"\x0a\x01x")
