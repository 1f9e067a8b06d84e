# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the CRI over the runtime's unix socket."""

from __future__ import annotations

import os
from typing import Any

from ..errors import NodewiseError
from ..proto.table import message_classes, unary_calls
from .messages import MESSAGES, PACKAGE, SERVICES

DEFAULT_SOCKET = "/run/containerd/containerd.sock"

# As the kubelet's. gRPC's own limit is 4 MiB, which a list of some 2,700 containers exceeds (cri-tools#872).
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
# gRPC's pause between attempts to connect grows to 2 minutes; a runtime that is back has to be found by the next sample.
_RECONNECT_MS = 1000


class CallFailed(NodewiseError):
    """A CRI call that was not answered.

    Parameters
    ----------
    method : str
        The call.
    code : str
        gRPC's status: C(UNAVAILABLE), C(DEADLINE_EXCEEDED), C(UNIMPLEMENTED), C(NOT_FOUND), ...
    reason : str
        What the runtime, or gRPC, says about it.
    remedy : str
        What to do about it.
    """

    def __init__(self, method: str, code: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"{method}: {code}: {reason}", remedy)
        self.code = code


class CriClient:
    """One connection, which mends itself; calls may come from several threads.

    Parameters
    ----------
    socket : str
        Path of the runtime's unix socket, with or without C(unix://). It need not be there yet.

    Raises
    ------
    NodewiseError
        The path is not absolute, or this Python has no grpcio or protobuf.
    """

    def __init__(self, socket: str = DEFAULT_SOCKET) -> None:
        self.socket = socket.removeprefix("unix://")
        if not self.socket.startswith("/"):
            raise NodewiseError(f"'{socket}' is no absolute path of a container runtime's unix socket.", f"such as unix://{DEFAULT_SOCKET}")
        try:
            import grpc

            self._classes = message_classes(PACKAGE, MESSAGES)
        except ImportError as error:
            raise NodewiseError(
                f"The container runtime cannot be asked: {error}.",
                "install grpcio and protobuf for this Python, or run the role reporter, which brings its own",
            ) from error
        self._error = grpc.RpcError
        self._channel = grpc.insecure_channel(
            f"unix:{self.socket}",
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
                # A retry would hide a runtime that fails now and then, and the next sample is one.
                ("grpc.enable_retries", 0),
                # Connections of one process to one address are shared otherwise, whatever their options.
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self._calls = {
            name: call for service, methods in SERVICES.items() for name, call in unary_calls(self._channel, service, methods, self._classes).items()
        }

    def call(self, method: str, timeout: float, **fields: Any) -> Any:
        """Call a method and return its response.

        Parameters
        ----------
        method : str
            Such as C(Version); see messages.py for those there are.
        timeout : float
            Seconds after which the call has failed with DEADLINE_EXCEEDED.
        **fields
            The request's fields; a dict stands for a message.

        Raises
        ------
        CallFailed
            There is no answer, or it is an error.
        """
        try:
            return self._calls[method](self._classes[f"{method}Request"](**fields), timeout=timeout)
        except self._error as error:
            code = error.code().name
            if code == "UNAVAILABLE" and not os.path.exists(self.socket):
                raise CallFailed(method, code, f"there is no socket {self.socket}.", "start the container runtime, or correct the socket's path") from error
            raise CallFailed(method, code, " ".join((error.details() or "no reason given").split())[:300]) from error

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def __enter__(self) -> CriClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
