# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of cluster-autoscaler, and the gRPC server that takes them. No call waits for a host."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..errors import NodewiseError
from ..proto.table import message_classes, unary_handler
from .book import Book
from .contract import CREATING, DELETING, MESSAGES, METHODS, OTHER_ERROR, PACKAGE, RUNNING, SERVICE
from .decide import JOINED, JOINING, LEAVING, NOT_FOUND, Decider, Records, Refused
from .nodes import Nodes
from .settings import Tls
from .state import State
from .template import encode_node, template_node

if TYPE_CHECKING:
    import grpc

LOG = logging.getLogger("nodewise.autoscaler")
_STATES = {JOINED: RUNNING, JOINING: CREATING, LEAVING: DELETING}
_THREADS = 8
# Seconds that calls get to end when the server does.
_GRACE = 0.5


class Service:
    """Answers calls; for several threads.

    Parameters
    ----------
    decider : Decider
        The groups.
    book : Book
        The records, and where promises are kept.
    nodes : Nodes
        What the cluster has.
    now : callable
        Returns the API server's time.
    wake : callable
        Is called when there is something to do.
    state : State
        Counts.
    """

    def __init__(self, decider: Decider, book: Book, nodes: Nodes, now: Callable[[], float], wake: Callable[[], None], state: State) -> None:
        self._decider = decider
        self._book = book
        self._nodes = nodes
        self._now = now
        self._wake = wake
        self._state = state
        self._classes = message_classes(PACKAGE, MESSAGES)
        # Both are the same as long as this process lives.
        self._group_of = decider.group_of()
        self._templates = {name: encode_node(template_node(name, group)) for name, group in decider.groups.items()}

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server takes. Prices and options are left out, and so UNIMPLEMENTED."""
        functions = {
            "NodeGroups": self._node_groups,
            "NodeGroupForNode": self._node_group_for_node,
            "GPULabel": lambda _request: self._classes["GPULabelResponse"](),
            "GetAvailableGPUTypes": lambda _request: self._classes["GetAvailableGPUTypesResponse"](),
            "Cleanup": lambda _request: self._classes["Empty"](),
            "Refresh": lambda _request: self._classes["Empty"](),
            "NodeGroupTargetSize": self._target_size,
            "NodeGroupIncreaseSize": self._increase_size,
            "NodeGroupDeleteNodes": self._delete_nodes,
            "NodeGroupDecreaseTargetSize": self._decrease_target_size,
            "NodeGroupNodes": self._node_group_nodes,
            "NodeGroupTemplateNodeInfo": self._template,
        }
        return unary_handler(SERVICE, METHODS, self._classes, {method: self._counted(method, function) for method, function in functions.items()})

    def _counted(self, method: str, function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        import grpc

        def call(request: Any, context: Any) -> Any:
            begin, code = time.monotonic(), "OK"
            try:
                return function(request)
            except Refused as error:
                code = error.code
                LOG.warning("%s: %s", method, error)
                context.abort(getattr(grpc.StatusCode, code), str(error))
            except NodewiseError as error:
                code = "UNAVAILABLE"
                LOG.error("%s: nothing was promised: %s", method, error)
                context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            except Exception:
                code = "UNKNOWN"
                raise
            finally:
                self._state.called(method, code, time.monotonic() - begin)

        return call

    def _node_groups(self, _request: Any) -> Any:
        records = self._book.records
        return self._classes["NodeGroupsResponse"](nodeGroups=[self._group_message(name, records) for name in self._decider.groups])

    def _node_group_for_node(self, request: Any) -> Any:
        # By the provider id alone: the autoscaler also asks for Nodes that it has made up, whose names mean nothing. One that is not ours is
        # answered with an empty id, which is no error: an error would end the autoscaler's round.
        name = self._group_of.get(request.node.providerID, "")
        group = self._group_message(name) if name else self._classes["NodeGroup"]()
        return self._classes["NodeGroupForNodeResponse"](nodeGroup=group)

    def _target_size(self, request: Any) -> Any:
        return self._classes["NodeGroupTargetSizeResponse"](targetSize=self._decider.target(self._book.records, request.id))

    def _node_group_nodes(self, request: Any) -> Any:
        found = []
        for one in self._decider.instances(self._book.records, request.id):
            status: dict[str, Any] = {"instanceState": _STATES[one.state]}
            if one.error:
                status["errorInfo"] = {"errorCode": "JoinFailed", "errorMessage": one.error, "instanceErrorClass": OTHER_ERROR}
            found.append({"id": one.provider_id, "status": status})
        return self._classes["NodeGroupNodesResponse"](instances=found)

    def _template(self, request: Any) -> Any:
        if request.id not in self._templates:
            raise Refused(NOT_FOUND, f"there is no group {request.id!r}")
        node = self._templates[request.id]
        return self._classes["NodeGroupTemplateNodeInfoResponse"](nodeInfo=node, nodeBytes=node)

    def _increase_size(self, request: Any) -> Any:
        return self._promise(lambda records: self._decider.increase(records, request.id, request.delta, self._now()))

    def _delete_nodes(self, request: Any) -> Any:
        provider_ids = [node.providerID for node in request.nodes]
        return self._promise(lambda records: self._decider.delete(records, request.id, provider_ids, self._now()))

    def _decrease_target_size(self, request: Any) -> Any:
        nodes = self._nodes.by_provider_id()
        return self._promise(lambda records: self._decider.decrease(records, nodes, request.id, request.delta, self._now()))

    def _promise(self, decide: Callable[[Records], Records]) -> Any:
        """Answer only when it is written down; the work is done by others."""
        self._book.change(decide)
        self._wake()
        return self._classes["Empty"]()

    def _group_message(self, name: str, records: Records | None = None) -> Any:
        group = self._decider.groups[name]
        debug = "" if records is None else f"target {self._decider.target(records, name)} of {len(group.hosts)} hosts"
        return self._classes["NodeGroup"](id=name, minSize=group.min, maxSize=group.max, debug=debug)


class Listener:
    """The gRPC server, with mutual TLS: there is no other way in.

    Parameters
    ----------
    address : str
        ADDRESS:PORT.
    tls : Tls
        Certificates; they are read again when a file has changed.
    handler : grpc.GenericRpcHandler
        Takes the calls.

    Raises
    ------
    NodewiseError
        The address cannot be had, or a certificate cannot be read.
    """

    def __init__(self, address: str, tls: Tls, handler: grpc.GenericRpcHandler) -> None:
        import grpc

        self._certificates = Certificates(tls)
        credentials = grpc.dynamic_ssl_server_credentials(self._certificates.current(), self._certificates.fetch, require_client_authentication=True)
        # Without so_reuseport a second one that listens is an error instead of taking half of the calls.
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="call"), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((handler,))
        try:
            port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise NodewiseError(f"{address} cannot be listened on: {error}.", "choose another listen address") from error
        if port == 0:
            raise NodewiseError(f"{address} cannot be listened on.", "see who listens there, or choose another listen address")
        self._server.start()

    def close(self) -> None:
        """Take no more calls."""
        self._server.stop(_GRACE).wait()


class Certificates:
    """Certificates as gRPC wants them, read again once a file has changed.

    Parameters
    ----------
    tls : Tls
        Where they are.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._read: tuple[bytes, ...] = ()

    def current(self) -> Any:
        """Return them.

        Raises
        ------
        NodewiseError
            One cannot be read.
        """
        import grpc

        found = self._files()
        with self._lock:
            self._read = found
        authority, certificate, key = found
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authority)

    def fetch(self) -> Any:
        """Return them if they have changed, else None: gRPC asks before each handshake."""
        try:
            found = self._files()
        except NodewiseError as error:
            LOG.error("the certificates from before stay in use: %s", error)
            return None
        with self._lock:
            if found == self._read:
                return None
        LOG.info("the certificates have changed")
        return self.current()

    def _files(self) -> tuple[bytes, ...]:
        found = []
        for path in (self._tls.ca, self._tls.certificate, self._tls.key):
            try:
                with open(path, "rb") as handle:
                    found.append(handle.read())
            except OSError as error:
                raise NodewiseError(f"{path} cannot be read: {error.strerror}.", "run the role autoscaler again, which makes it") from error
        return tuple(found)
