# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That the field numbers are Kubernetes' own is shown by tests/integration/test_cluster_resources_info.py."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import JSON, Answer
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption import wire
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.pages import Unreadable, pages
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes

CLASSES = message_classes("test", wire.MESSAGES)


def quantity(text: str) -> bytes:
    return bytes(CLASSES["Quantity"](string=text).SerializeToString())


def resources(**parts: dict[str, str]) -> list[bytes]:
    encoded = {part: {name: quantity(text) for name, text in amounts.items()} for part, amounts in parts.items()}
    return [CLASSES["ResourceRequirements"](**encoded).SerializeToString()]


def answer(kind: str, content: Any, status: int = 200) -> Answer:
    unknown = CLASSES["Unknown"](typeMeta=CLASSES["TypeMeta"](apiVersion="v1", kind=kind), raw=content.SerializeToString())
    return Answer(status, b"k8s\0" + unknown.SerializeToString(), wire.PROTOBUF, 0.0, None, 0.0)


def decoded(kind: str, **fields: Any) -> Any:
    found = wire.decoded(answer(kind, CLASSES[kind](**fields)))
    return {**found, "items": list(found["items"])}


def test_a_pod_is_what_its_json_would_be() -> None:
    container = CLASSES["Container"](name="a", resources=resources(requests={"cpu": "100m", "memory": "1Gi"}, limits={"memory": "2Gi"}))
    sidecar = CLASSES["Container"](name="b", restartPolicy="Always")
    state = CLASSES["ContainerStatus"](name="a", allocatedResources={"cpu": quantity("50m")}, resources=resources(requests={"cpu": "60m"}))
    pod = CLASSES["Pod"](
        metadata=CLASSES["ObjectMeta"](name="p", namespace="shop"),
        spec=CLASSES["PodSpec"](nodeName="w1", containers=[container], initContainers=[sidecar], overhead={"cpu": quantity("10m")}),
        status=CLASSES["PodStatus"](
            phase="Running", containerStatuses=[state], conditions=[CLASSES["Condition"](type="PodResizePending", status="True", reason="Infeasible")]
        ),
    )
    assert decoded("PodList", metadata=CLASSES["ListMeta"](**{"continue": "more"}), items=[pod]) == {
        "metadata": {"continue": "more"},
        "items": [
            {
                "metadata": {"name": "p", "namespace": "shop"},
                "spec": {
                    "nodeName": "w1",
                    "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}],
                    "initContainers": [{"name": "b", "restartPolicy": "Always"}],
                    "overhead": {"cpu": "10m"},
                },
                "status": {
                    "phase": "Running",
                    "containerStatuses": [{"name": "a", "allocatedResources": {"cpu": "50m"}, "resources": {"requests": {"cpu": "60m"}}}],
                    "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
                },
            }
        ],
    }


def test_a_node_is_what_its_json_would_be() -> None:
    status = CLASSES["NodeStatus"](
        capacity={"cpu": quantity("2")}, allocatable={"cpu": quantity("1900m")}, conditions=[CLASSES["Condition"](type="Ready", status="True")]
    )
    node = CLASSES["Node"](metadata=CLASSES["ObjectMeta"](name="w1"), spec=CLASSES["NodeSpec"](unschedulable=True), status=status)
    assert decoded("NodeList", items=[node])["items"] == [
        {
            "metadata": {"name": "w1"},
            "spec": {"unschedulable": True},
            "status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "1900m"}, "conditions": [{"type": "Ready", "status": "True"}]},
        }
    ]


def test_resources_that_are_there_but_empty_are_not_absent() -> None:
    pod = CLASSES["Pod"](status=CLASSES["PodStatus"](resources=[b""]), spec=CLASSES["PodSpec"](containers=[CLASSES["Container"](resources=[b""])]))
    assert decoded("PodList", items=[pod])["items"] == [{"spec": {"containers": [{"resources": {}}]}, "status": {"resources": {}}}]


def test_json_stays_json() -> None:
    assert wire.decoded(Answer(200, b'{"items": []}', JSON, 0.0, None, 0.0)) == {"items": []}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "does not begin as protobuf of Kubernetes"),
        (b'{"kind": "PodList"}', "does not begin as protobuf of Kubernetes"),
        (b"k8s\0\xff\xff", "not protobuf"),
        (answer("DeploymentList", CLASSES["ListMeta"]()).body, "its kind 'DeploymentList' is not known"),
        (answer("PodList", CLASSES["PodList"](items=[CLASSES["Pod"](metadata=CLASSES["ObjectMeta"](name="p"))])).body[:-1], "not protobuf"),
    ],
)
def test_what_is_not_understood_is_an_error(body: bytes, reason: str) -> None:
    broken = Answer(200, body, wire.PROTOBUF, 0.0, None, 0.0)
    with pytest.raises(ValueError, match=reason):
        wire.decoded(broken)


class One:
    def __init__(self, reply: Answer) -> None:
        self.reply = reply

    def get(self, path: str, accept: str = JSON) -> Answer:
        return self.reply


def test_an_item_that_is_not_understood_is_an_error() -> None:
    pod = CLASSES["Pod"](spec=CLASSES["PodSpec"](overhead={"cpu": b"\xff"}))
    with pytest.raises(ValueError, match="not protobuf"):
        decoded("PodList", items=[pod])


def test_a_refusal_keeps_its_message() -> None:
    reply = answer("Status", CLASSES["Status"](message="pods is forbidden"), 403)
    with pytest.raises(Unreadable, match="^HTTP 403: pods is forbidden$"):
        list(pages(One(reply), "/api/v1/pods", wire.PROTOBUF))


def test_a_refusal_that_is_not_understood_is_one_all_the_same() -> None:
    with pytest.raises(Unreadable, match="^HTTP 500: an answer that is not understood"):
        list(pages(One(Answer(500, b"oops", wire.PROTOBUF, 0.0, None, 0.0)), "/api/v1/pods", wire.PROTOBUF))
