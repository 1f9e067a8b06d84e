# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages from a table: what goes over the wire, byte by byte, and what becomes of an unfit table."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes, unary_calls, unary_handler

TABLE = {
    "All": {
        "text": (1, "string"),
        "raw": (2, "bytes"),
        "yes": (3, "bool"),
        "real": (4, "double"),
        "signed": (5, "int64"),
        "unsigned": (16, "uint32"),
        "one": (6, "Value"),
        "many": (7, "repeated Value"),
        "words": (8, "repeated string"),
        "numbers": (9, "repeated int32"),
        "by_name": (10, "map string string"),
        "by_number": (11, "map int32 Value"),
    },
    "Value": {"value": (1, "uint64")},
    "Newer": {"text": (1, "string"), "added": (100, "string")},
}


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    return message_classes("some.package.v1", TABLE)


# Tag: number << 3 | kind (0 varint, 1 64 bits, 2 with a length); https://protobuf.dev/programming-guides/encoding
WIRE: list[tuple[dict[str, Any], bytes]] = [
    ({"text": "hé"}, b"\x0a\x03h\xc3\xa9"),
    ({"raw": b"\x00\xff"}, b"\x12\x02\x00\xff"),
    ({"yes": True}, b"\x18\x01"),
    ({"real": 1.5}, b"\x21\x00\x00\x00\x00\x00\x00\xf8\x3f"),
    ({"signed": -1}, b"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ({"unsigned": 300}, b"\x80\x01\xac\x02"),
    ({"one": {"value": 150}}, b"\x32\x03\x08\x96\x01"),
    ({"one": {}}, b"\x32\x00"),
    ({"many": [{"value": 1}, {}]}, b"\x3a\x02\x08\x01\x3a\x00"),
    ({"words": ["a", ""]}, b"\x42\x01a\x42\x00"),
    ({"numbers": [1, 0, 128]}, b"\x4a\x04\x01\x00\x80\x01"),
    ({"by_name": {"k": "v"}}, b"\x52\x06\x0a\x01k\x12\x01v"),
    ({"by_number": {3: {"value": 7}}}, b"\x5a\x06\x08\x03\x12\x02\x08\x07"),
    ({"text": "", "signed": 0, "yes": False}, b""),
]


@pytest.mark.parametrize(("fields", "wire"), WIRE, ids=[str(fields) for fields, _wire in WIRE])
def test_the_wire(classes: dict[str, Any], fields: dict[str, Any], wire: bytes) -> None:
    assert classes["All"](**fields).SerializeToString() == wire
    assert classes["All"].FromString(wire) == classes["All"](**fields)


def test_numbers_are_read_packed_or_not(classes: dict[str, Any]) -> None:
    assert list(classes["All"].FromString(b"\x48\x01\x48\x02").numbers) == [1, 2]


def test_whether_a_message_is_set_is_known(classes: dict[str, Any]) -> None:
    assert not classes["All"]().HasField("one")
    assert classes["All"].FromString(b"\x32\x00").HasField("one")


def test_a_newer_peers_fields_do_no_harm(classes: dict[str, Any]) -> None:
    wire = classes["Newer"](text="a", added="b").SerializeToString()
    assert classes["All"].FromString(wire).text == "a"


def test_a_package_may_be_made_twice(classes: dict[str, Any]) -> None:
    again = message_classes("some.package.v1", TABLE)
    assert again["All"](text="a").SerializeToString() == classes["All"](text="a").SerializeToString()


@pytest.mark.parametrize(
    "fields",
    [{"a": (1, "strng")}, {"a": (1, "repeated Nothing")}, {"a": (1, "string"), "b": (1, "string")}, {"a": (0, "string")}],
    ids=["no such type", "no such message", "a number twice", "number 0"],
)
def test_an_unfit_table_is_refused(fields: dict[str, tuple[int, str]]) -> None:
    with pytest.raises(TypeError):
        message_classes("unfit", {"Message": fields})["Message"]()


METHODS = {"Double": ("Value", "Value"), "Missing": ("Value", "Value")}


@pytest.fixture
def channel(classes: dict[str, Any], tmp_path: Path) -> Iterator[grpc.Channel]:
    def double(request: Any, context: grpc.ServicerContext) -> Any:
        return classes["Value"](value=request.value * 2)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((unary_handler("some.package.v1.Numbers", METHODS, classes, {"Double": double}),))
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    server.start()
    with grpc.insecure_channel(f"unix:{tmp_path}/socket") as channel:
        yield channel
    server.stop(None).wait()


def test_a_call_and_its_answer(channel: grpc.Channel, classes: dict[str, Any]) -> None:
    calls = unary_calls(channel, "some.package.v1.Numbers", METHODS, classes)
    assert calls["Double"](classes["Value"](value=21), timeout=5).value == 42


def test_a_method_without_a_function_is_unimplemented(channel: grpc.Channel, classes: dict[str, Any]) -> None:
    calls = unary_calls(channel, "some.package.v1.Numbers", METHODS, classes)
    with pytest.raises(grpc.RpcError) as error:
        calls["Missing"](classes["Value"](), timeout=5)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_function_for_no_method_is_refused(classes: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match="Dubble"):
        unary_handler("some.package.v1.Numbers", METHODS, classes, {"Dubble": lambda request, context: request})
