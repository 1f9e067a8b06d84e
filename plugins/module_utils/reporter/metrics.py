# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's metrics for Prometheus, and its health, over HTTP."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import NodewiseError
from .state import State
from .tls import Files, ServerTls

PREFIX = "nodewise_reporter"
# Seconds that a client may take for its part.
_PATIENCE = 5
# Connections at once over TLS; a stranger who opens more keeps others out for that long at most, and costs no more threads.
_CONNECTIONS = 8
# Of ip(7); the module socket does not name it.
_IP_FREEBIND = 15


class Collector:
    """Makes metrics of the state at the moment they are asked for, so that a figure that is unknown now is left out.

    Parameters
    ----------
    state : State
        What the reporter knows.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Any]:
        """Return metric families, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        def gauge(name: str, text: str, value: float | None) -> Iterator[Any]:
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)

        state = self._state
        with state.lock:
            status = state.status
            build = GaugeMetricFamily(f"{PREFIX}_build_info", "Version of the reporter.", labels=["version"])
            build.add_metric([state.version], 1)
            yield build

            cpu, memory = status.get("cpuMillicores", {}), status.get("memoryBytes", {})
            yield from gauge("cpu_used_cores", "CPU that the node uses.", _cores(cpu.get("now")))
            yield from gauge("cpu_allocatable_cores", "CPU that pods may have.", _cores(cpu.get("allocatable")))
            yield from gauge("memory_used_bytes", "Memory that the node uses.", memory.get("now"))
            yield from gauge("memory_allocatable_bytes", "Memory that pods may have.", memory.get("allocatable"))
            for name, key, text in (
                ("size", "capacityBytes", "Size of a filesystem."),
                ("used", "usedBytes", "Used space of a filesystem."),
                ("available", "availableBytes", "Space of a filesystem that is available to users."),
            ):
                family = GaugeMetricFamily(f"{PREFIX}_filesystem_{name}_bytes", text, labels=["mountpoint", "roles"])
                for filesystem in status.get("filesystems", []):
                    if filesystem.get(key) is not None:
                        family.add_metric([filesystem["mountpoint"], ",".join(filesystem["roles"])], filesystem[key])
                yield family
            conditions = GaugeMetricFamily(f"{PREFIX}_condition", "Whether a condition has a status: 1 or 0.", labels=["type", "status"])
            for condition in status.get("conditions", []):
                for value in ("True", "False", "Unknown"):
                    conditions.add_metric([condition["type"], value.lower()], float(condition["status"] == value))
            yield conditions
            if "containers" in status:
                yield from gauge("unread_containers", "Running containers whose use could not be read.", status.get("unreadContainers", 0))

            yield SummaryMetricFamily(
                f"{PREFIX}_sample_duration_seconds", "Time that a sample took.", count_value=state.samples, sum_value=state.sample_seconds
            )
            errors = CounterMetricFamily(f"{PREFIX}_sample_errors", "Figures that could not be read.", labels=["source"])
            for source in ("host", "runtime"):
                errors.add_metric([source], state.errors[source])
            yield errors
            publishes = CounterMetricFamily(f"{PREFIX}_publishes", "Attempts to write a report, by their result.", labels=["result"])
            for result, count in sorted(state.publishes.items()):
                publishes.add_metric([result], count)
            yield publishes
            yield from gauge("backoff_seconds", "Pause after attempts that failed; 0 when all is well.", state.backoff_seconds)
            yield from gauge("last_sample_timestamp_seconds", "When the newest sample was complete.", state.sampled_wall)
            yield from gauge("last_publish_success_timestamp_seconds", "When a report was last accepted.", state.published_wall)


def _cores(millicores: float | None) -> float | None:
    return None if millicores is None else millicores / 1000


class _Exposition:
    """The metrics as text. What renders them is imported when they are first asked for: it takes a MiB, and many nodes are never asked."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector
        self._registry: Any = None

    def render(self) -> tuple[str, bytes]:
        """Return their content type and text."""
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        if self._registry is None:
            registry = CollectorRegistry()
            registry.register(self._collector)
            ProcessCollector(registry=registry)
            self._registry = registry
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)


class _Listener(socketserver.TCPServer):
    """Plain HTTP, one client after the other.

    Not C(http.server.HTTPServer), which asks the resolver for the host's name: one that is dead would keep the daemon from starting, and from ending.
    """

    allow_reuse_address = True

    def __init__(self, address: str, port: int, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log a client that goes away, or that has no certificate."""


class _TlsListener(socketserver.ThreadingMixIn, _Listener):
    """HTTPS; has a thread for each connection, so that one that says nothing keeps nobody waiting."""

    daemon_threads = True

    def __init__(self, address: str, port: int, handler: type[http.server.BaseHTTPRequestHandler], tls: ServerTls) -> None:
        self._tls = tls
        self._slots = threading.Semaphore(_CONNECTIONS)
        super().__init__(address, port, handler)

    def server_bind(self) -> None:
        # A daemon may start before the network has given the host its address.
        if self.address_family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, in the connection's own thread, since a handshake waits for the client.
        request.settimeout(_PATIENCE)
        with self._tls.context().wrap_socket(request, server_side=True) as channel:
            super().finish_request(channel, client_address)


class Server:
    """Serves C(/metrics) and C(/healthz) in a thread of its own.

    Parameters
    ----------
    collector : object
        Makes the metrics, as prometheus_client wants them.
    health : callable
        Given the monotonic time, returns what is wrong.
    address : str
        IP address to listen on.
    port : int
        Port to listen on.
    tls : ServerTls, optional
        Makes it HTTPS for clients that show a certificate.

    Raises
    ------
    NodewiseError
        The address or the port cannot be had.
    """

    def __init__(self, collector: Any, health: Callable[[float], list[str]], address: str, port: int, tls: ServerTls | None = None) -> None:
        exposition = _Exposition(collector)

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = _PATIENCE

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, *exposition.render())
                elif path == "/healthz":
                    wrong = health(time.monotonic())
                    self._answer(503 if wrong else 200, "text/plain; charset=utf-8", "".join(f"{line}\n" for line in wrong or ["ok"]).encode())
                else:
                    self._answer(404, "text/plain; charset=utf-8", b"/metrics and /healthz are served here\n")

            def _answer(self, code: int, content_type: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Do not log every request."""

        try:
            self._listener = _Listener(address, port, Handler) if tls is None else _TlsListener(address, port, Handler, tls)
        except OSError as error:
            raise NodewiseError(f"Metrics cannot be served on {address} port {port}: {error.strerror}.", "choose another address or metrics_port") from error
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


def serve(collector: Any, health: Callable[[float], list[str]], plain: str, secure: str, files: Files, port: int) -> Iterator[Server]:
    """Serve metrics where they are wanted: plain HTTP on loopback, mutual TLS on an address that others reach, both at one port.

    Parameters
    ----------
    collector, health, port
        As for C(Server); port 0 serves none.
    plain, secure, files
        As for C(check_addresses).

    Raises
    ------
    NodewiseError
        An address, the port or a certificate cannot be had; those before it are served.
    """
    if port:
        yield Server(collector, health, plain, port)
        if secure:
            yield Server(collector, health, secure, port, ServerTls(files))
