# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutual TLS for metrics that are served beyond the host: whom a daemon shows itself as, and whom it lets in.

Plain HTTP is for loopback alone. Certificate and authority are looked at with each connection, so a rotation needs no restart.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import threading
from dataclasses import dataclass

from ..errors import NodewiseError

CERTIFICATE = "/etc/nodewise/pki/metrics.pem"
AUTHORITY = "/etc/nodewise/pki/metrics-ca.crt"
"""Where the role monitoring lays them; any user of the host may read the latter."""

LOG = logging.getLogger("nodewise.metrics")


@dataclass(frozen=True)
class Files:
    """Where the certificates lie.

    Parameters
    ----------
    certificate : str
        Path of a PEM file with the private key and the server's certificate.
    authority : str
        Path of a PEM file with the authority that clients' certificates have to be from.
    """

    certificate: str
    authority: str


def check_addresses(plain: str, secure: str, files: Files) -> None:
    """Check where metrics are to be served.

    Parameters
    ----------
    plain : str
        IP address of plain HTTP.
    secure : str
        IP address of mutual TLS, at the same port; empty for none.
    files : Files
        The certificates; paths are empty without mutual TLS.

    Raises
    ------
    NodewiseError
        Plain HTTP could be reached from another host, an address is none, or a path is missing.
    """
    if not _address("metrics_address", plain, "127.0.0.1 or ::1").is_loopback:
        raise NodewiseError(
            f"metrics_address is {plain}, which other hosts can reach, and plain HTTP is for loopback alone.",
            "set it to 127.0.0.1, and metrics_tls_address to the host's own address: that one speaks mutual TLS",
        )
    if not secure:
        return
    found = _address("metrics_tls_address", secure, "one of the host's own, or leave it empty")
    if found.is_unspecified or found.is_loopback:
        raise NodewiseError(f"metrics_tls_address is {secure}, where plain HTTP is served.", "give the host's own address, the Node's InternalIP")
    for name, path in (("metrics_certificate", files.certificate), ("metrics_client_authority", files.authority)):
        if not path.startswith("/"):
            raise NodewiseError(f"{name} is {path!r}, and metrics_tls_address is given.", "give an absolute path")


def _address(name: str, text: str, remedy: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise NodewiseError(f"{name} is {text!r}, which is no IP address.", f"use {remedy}") from error


class ServerTls:
    """The server's side of mutual TLS 1.2 or newer.

    Parameters
    ----------
    files : Files
        The certificates.

    Raises
    ------
    NodewiseError
        They cannot be used.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return what a new connection is made with: the files' newest content, or if that cannot be used, what was before."""
        with self._lock:
            seen = self._stamps()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._context = self._load()
                    LOG.info("the certificates of the metrics were read again")
                except NodewiseError as error:
                    LOG.error("%s", error)
            return self._context

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self._files.certificate, self._files.authority)]

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        path = self._files.certificate
        try:
            # A key with a passphrase would ask for it.
            context.load_cert_chain(path, password="")
            path = self._files.authority
            context.load_verify_locations(cafile=path)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise NodewiseError(f"{path} cannot be used for the metrics: {reason}.", "run the role monitoring again") from error
        return context


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Return what differs once a file has been replaced or written; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
