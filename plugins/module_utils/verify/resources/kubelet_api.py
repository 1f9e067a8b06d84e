# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubelet of this very host, asked directly.

Through the API server it would need the right nodes/proxy, with which one may do anything to any pod. Asked directly it is content with
nodes/stats and nodes/configz (KEP-2862).
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...api.client import tls_context
from ...api.kubeconfig import Credentials
from ...errors import NodewiseError
from ...files import read_text
from ..api import Reading

CERTIFICATES = ("/var/lib/kubelet/pki/kubelet-server-current.pem", "/var/lib/kubelet/pki/kubelet.crt")
"""Where the kubelet keeps its serving certificate: from the cluster's authority, or signed by itself."""

_ANY = ("", "0.0.0.0", "::")


class KubeletClient:
    """GET requests to the kubelet of this host.

    Its certificate is compared with the one on disk: its port is free for any process once the kubelet is down, and a token is a secret.

    Parameters
    ----------
    credentials : Credentials
        Those for the API server; the kubelet lets it judge them.
    configuration : Mapping
        The kubelet's configuration file: C(address), C(port), C(tlsCertFile).
    timeout : float
        Seconds that one request may take.

    Raises
    ------
    NodewiseError
        The kubelet's certificate is not where it belongs.
    """

    def __init__(self, credentials: Credentials, configuration: Mapping[str, Any], timeout: float = 5.0) -> None:
        address = str(configuration.get("address") or "")
        self._host, self._port = "127.0.0.1" if address in _ANY else address, int(configuration.get("port") or 10250)
        self._timeout = timeout
        configured = configuration.get("tlsCertFile")
        own = [path for path in ((configured,) if configured else CERTIFICATES) if os.path.exists(path)]
        if not own:
            raise NodewiseError("The kubelet's serving certificate is not on this host.", f"looked for {configured or ' and '.join(CERTIFICATES)}")
        trusted = "\n".join(_certificates(read_text(path) or "") for path in own)
        self._context = tls_context(replace(credentials, authority=trusted), "the kubelet's own certificate")
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # It names the host, and is asked by address; that it is the very certificate is more than a name.
        self._context.check_hostname = False
        self._headers = {"Authorization": f"Bearer {credentials.token}"} if credentials.token else {}

    def get(self, path: str) -> Reading:
        """Read a path."""
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status >= 400:
                return Reading(error=f"kubelet {path}: HTTP {answer.status} {body.strip().partition(chr(10))[0][:200]}", status=answer.status)
            return Reading(json.loads(body), "", answer.status)
        except TimeoutError:
            return Reading(error=f"the kubelet did not answer {path} within {self._timeout:g} s")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Reading(error=f"the kubelet at {self._host}:{self._port}: {error}")
        finally:
            connection.close()


def _certificates(pem: str) -> str:
    """Return only the certificates of a file that may hold a key as well."""
    end = "-----END CERTIFICATE-----"
    return "\n".join(f"-----BEGIN CERTIFICATE-----{part.partition(end)[0]}{end}" for part in pem.split("-----BEGIN CERTIFICATE-----")[1:])
