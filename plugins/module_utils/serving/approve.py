# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approve what may be approved; used by the module while Ansible runs, and by the guard at all other times."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..api.client import ApiClient
from ..api.times import format_time
from ..errors import NodewiseError
from ..report.manifests import NAMESPACE
from .judge import CONFIG_MAP, SIGNER, node_of, parse_addresses, pending, refusal

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CONFIG_MAP}"


class Approver:
    """Decides about requests and writes the approvals.

    Parameters
    ----------
    client : ApiClient
        With the right to approve for the signer.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def known(self) -> dict[str, list[str]] | None:
        """Return which addresses are whose; None if nobody has said so, and then nothing is approved.

        Raises
        ------
        NodewiseError
            The API server does not answer or refuses, or the ConfigMap is not understood.
        """
        answer = self._client.get(_CONFIG_MAP)
        if answer.status == 404:
            return None
        if not answer.ok:
            raise NodewiseError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: HTTP {answer.status} {answer.message}.")
        return parse_addresses(answer.value())

    def pending(self) -> list[dict[str, Any]]:
        """Return the requests of kubelets about which nobody has decided.

        Raises
        ------
        NodewiseError
            The API server does not answer, or refuses.
        """
        answer = self._client.get(f"{PATH}?fieldSelector={urllib.parse.quote(f'spec.signerName={SIGNER}')}")
        if not answer.ok:
            raise NodewiseError(f"{PATH}: HTTP {answer.status} {answer.message}.")
        return [one for one in answer.value().get("items") or () if pending(one)]

    def decide(self, requests: Iterable[Mapping[str, Any]], known: Mapping[str, Sequence[str]], now: float) -> tuple[list[str], dict[str, str]]:
        """Approve what may be; what may not is left as it is, so that a person can look at it and decide.

        Parameters
        ----------
        requests : Iterable
            From :meth:`pending`.
        known : Mapping
            From :meth:`known`.
        now : float
            Seconds since 1970.

        Returns
        -------
        tuple
            The nodes whose requests were approved, and for each other request's name why it was not.

        Raises
        ------
        NodewiseError
            The API server does not answer.
        """
        approved, refused = [], {}
        for request in requests:
            name, node = str(request["metadata"]["name"]), node_of(request)
            why = refusal(request, known) or self._without_node(node) or self._approve(request, now)
            if why:
                refused[name] = f"{node or request['spec'].get('username')}: {why}"
            else:
                approved.append(node)
        return approved, refused

    def _without_node(self, node: str) -> str:
        answer = self._client.get(f"/api/v1/nodes/{urllib.parse.quote(node, safe='')}")
        if answer.status == 404:
            return f"there is no Node {node}"
        return "" if answer.ok else f"Node {node}: HTTP {answer.status} {answer.message}"

    def _approve(self, request: Mapping[str, Any], now: float) -> str:
        condition = {
            "type": "Approved",
            "status": "True",
            "reason": "NodewiseApproved",
            "message": "Names and addresses are those of the node in the inventory.",
            "lastUpdateTime": format_time(now, 0),
        }
        status = {**(request.get("status") or {}), "conditions": [*((request.get("status") or {}).get("conditions") or ()), condition]}
        path = f"{PATH}/{urllib.parse.quote(str(request['metadata']['name']), safe='')}/approval"
        # With the version that was judged: of one that has changed meanwhile (409) nothing is known.
        answer = self._client.request("PUT", path, {**request, "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "status": status})
        return "" if answer.ok else f"it cannot be approved: HTTP {answer.status} {answer.message}"
