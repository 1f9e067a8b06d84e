# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protobuf messages and unary gRPC calls from a table, without generated code.

A message is C({field: (number, type)}), and a type is one of

* C(string), C(bytes), C(bool), C(double), C(int32), C(int64), C(uint32), C(uint64);
* the name of another message of the table: whether it is set can be asked with C(HasField);
* C(repeated T), or C(map K V) with a scalar K.

An enum is an C(int32): both are the same on the wire, and a value of a newer peer is kept as it came. Fields that a table leaves out are
passed over when a message is read. Everything is proto3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc
    from google.protobuf import descriptor_pb2

Messages = Mapping[str, Mapping[str, tuple[int, str]]]
"""{message: {field: (number, type)}}"""

Methods = Mapping[str, tuple[str, str]]
"""{method: (request, response)}"""


def message_classes(package: str, messages: Messages) -> dict[str, Any]:
    """Make the classes of a package's messages.

    Parameters
    ----------
    package : str
        The protobuf package, such as C(runtime.v1).
    messages : Messages
        The table.

    Returns
    -------
    dict
        {message: subclass of google.protobuf.message.Message}, in a descriptor pool of their own, so that a package may be made more than once.

    Raises
    ------
    ImportError
        There is no google.protobuf.
    TypeError
        A type is neither a scalar nor a message of the table, or a number is used twice.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, f".{package}", field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def unary_calls(channel: grpc.Channel, service: str, methods: Methods, classes: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return {method: call} for a client; C(call(request, timeout=seconds)) returns the response or raises grpc.RpcError.

    Parameters
    ----------
    channel : grpc.Channel
        The connection.
    service : str
        With its package: C(runtime.v1.RuntimeService).
    methods : Methods
        Its methods.
    classes : Mapping
        From :func:`message_classes`.
    """
    return {
        method: channel.unary_unary(
            f"/{service}/{method}", request_serializer=classes[request].SerializeToString, response_deserializer=classes[response].FromString
        )
        for method, (request, response) in methods.items()
    }


def unary_handler(service: str, methods: Methods, classes: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """Return what C(grpc.Server.add_generic_rpc_handlers) takes; a method without a function is answered with UNIMPLEMENTED.

    Parameters
    ----------
    service : str
        With its package.
    methods : Methods
        Its methods.
    classes : Mapping
        From :func:`message_classes`.
    functions : Mapping
        {method: C(function(request, context) -> response)}

    Raises
    ------
    KeyError
        A function's name is none of the service's methods.
    """
    import grpc

    handlers = {}
    for method, function in functions.items():
        request, response = methods[method]
        handlers[method] = grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=classes[request].FromString, response_serializer=classes[response].SerializeToString
        )
    return grpc.method_handlers_generic_handler(service, handlers)


def _add_field(message: descriptor_pb2.DescriptorProto, scope: str, name: str, number: int, kind: str) -> None:
    from google.protobuf import descriptor_pb2

    field = message.field.add(name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    label, *rest = kind.split()
    if label == "map":
        # A map is, on the wire and in a descriptor, a repeated message of key and value whose name follows from the field's.
        entry = message.nested_type.add(name=f"{name.replace('_', ' ').title().replace(' ', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, scope, "key", 1, rest[0])
        _add_field(entry, scope, "value", 2, rest[1])
        kind = f"{message.name}.{entry.name}"
    elif label == "repeated":
        kind = rest[0]
    if label in ("map", "repeated"):
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    if kind in ("string", "bytes", "bool", "double", "int32", "int64", "uint32", "uint64"):
        field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f"{scope}.{kind}"
