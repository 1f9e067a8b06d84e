# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that a kubelet serves with, seen as its clients see it: by a handshake that verifies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from .judge import USER

_SECONDS = 3.0
_PORT = 10250


def trust(authority: str) -> ssl.SSLContext:
    """Return a context that trusts the cluster's authority alone.

    Parameters
    ----------
    authority : str
        Its certificate, PEM.

    Raises
    ------
    ssl.SSLError
        It is no certificate.
    """
    context = ssl.create_default_context(cadata=authority)
    # See api.client.tls_context.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def endpoint(node: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return address and port of a Node's kubelet; None if it has no address."""
    status = node.get("status", {})
    address = next((one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"), None)
    port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or _PORT
    return None if address is None else (address, int(port))


def flaw(node: str, address: str, port: int, context: ssl.SSLContext) -> str:
    """Return what is wrong with the certificate that the kubelet shows; empty if its clients can trust it."""
    return shown_by(node, address, port, context)[0]


def shown_by(node: str, address: str, port: int, context: ssl.SSLContext) -> tuple[str, float | None]:
    """Return what is wrong with the certificate that the kubelet shows, and when a good one ends (seconds since 1970)."""
    try:
        with socket.create_connection((address, port), timeout=_SECONDS) as plain, context.wrap_socket(plain, server_hostname=address) as channel:
            shown: dict[str, Any] = dict(channel.getpeercert() or {})
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted ({error.verify_message})", None
    except ssl.SSLError as error:
        # A kubelet without a certificate ends the handshake with an alert.
        return f"it has no certificate yet ({error.reason or error})", None
    except TimeoutError:
        return f"{address}:{port} did not answer within {_SECONDS:g} s", None
    except OSError as error:
        return f"{address}:{port}: {error.strerror or error}", None
    names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    if names != [f"{USER}{node}"]:
        return f"its certificate is that of {', '.join(map(str, names))}", None
    return "", float(ssl.cert_time_to_seconds(shown["notAfter"]))
