# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the API server over one connection that stays open.

The package kubernetes costs 23 MiB of memory in a daemon that may have 50: http.client and ssl do what a few requests a minute need.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from .kubeconfig import Credentials, read_kubeconfig

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Value of C(Accept) that makes the answer as small as it can be."""

USER_AGENT = "nodewise"


class NoAnswer(NodewiseError):
    """The API server could not be reached, or did not answer in time.

    It may have carried the request out all the same.
    """


@dataclass(frozen=True)
class Answer:
    """What the API server answered.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes
        The answer as it came.
    content_type : str
        Its media type, without parameters.
    seconds : float
        From the request's first byte to the answer's last, the connection's set-up not included.
    date : float or None
        The server's C(Date) header, seconds since the epoch; a whole second, so the server's clock lies in C([date, date + 1)).
    sent_at : float
        The host's own clock (seconds since the epoch) when the request was sent.
    retry_after : float or None
        Seconds of C(Retry-After), which comes with 429 and some 503.
    """

    status: int
    body: bytes = field(repr=False)
    content_type: str
    seconds: float
    date: float | None
    sent_at: float
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.body.decode("utf-8", "replace")

    def value(self) -> Any:
        """Return the decoded JSON.

        Raises
        ------
        ValueError
            It is no JSON.
        """
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The message of a C(Status) object, or the text's first line."""
        try:
            return str(self.value()["message"])
        except (ValueError, KeyError, TypeError):
            return self.text.strip().partition("\n")[0][:200]

    @property
    def skew(self) -> float | None:
        """Seconds that the host's clock is ahead of the server's; good to about half a second, since C(Date) has whole ones."""
        return None if self.date is None else self.sent_at + self.seconds / 2 - (self.date + 0.5)


class ApiClient:
    """One kubeconfig's connection to the API server. Not for several threads at once.

    The kubeconfig and the files that it names are looked at before every request: once one is another file or has
    changed, it is read again and the connection is made anew. So a rotated certificate needs no restart.

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    timeout : float
        Seconds that one request may take, the connection's set-up included.

    Raises
    ------
    NodewiseError
        The kubeconfig is missing or not understood, or its certificate cannot be used.
    """

    def __init__(self, kubeconfig: str, timeout: float = 10.0) -> None:
        self.kubeconfig = kubeconfig
        self.generation = 0
        """Rises whenever the credentials have been read again."""
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self._load()

    @property
    def server(self) -> str:
        """The server's host and port, for messages."""
        return f"{self._host}:{self._port}"

    def get(self, path: str, accept: str = JSON) -> Answer:
        """Read a path.

        Raises
        ------
        NoAnswer
            No answer in time.
        NodewiseError
            The credentials have changed and cannot be used.
        """
        return self.request("GET", path, accept=accept)

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, accept: str = JSON) -> Answer:
        """Send one request; an HTTP error is an answer as well.

        A request that fails on a connection which has been used before is sent once more on a new one: the server, or
        a load balancer, may have closed it meanwhile.

        Parameters
        ----------
        method, path : str
            As in HTTP; the path with its query.
        body : object, optional
            Sent as JSON.
        content_type, accept : str
            Media types of body and answer.

        Raises
        ------
        NoAnswer
            No answer in time.
        NodewiseError
            The credentials have changed and cannot be used.
        """
        deadline = time.monotonic() + self._timeout
        headers = self._headers(accept)
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = content_type
        while True:
            used_before = self._connection is not None
            try:
                answer = self._exchange(method, path, data, headers, deadline)
            except TimeoutError as error:
                self.close()
                raise NoAnswer(f"{self.server} did not answer within {self._timeout:g} s.") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if used_before:
                    continue
                raise NoAnswer(f"{self.server}: {_reason(error)}.") from error
            except BaseException:
                # The rest of an answer that was not read would be taken for the next one.
                self.close()
                raise
            if answer.status == 401:
                # A connection keeps the identity with which it was made.
                self.close()
            return answer

    def stream(self, path: str, silence: float) -> tuple[Answer, Iterator[bytes]]:
        """Read a path whose answer goes on (a watch), over a new connection; return the answer's head, and its lines as they come.

        If the request is refused, the answer is whole and there are no lines. The lines end when the server ends its answer.

        Parameters
        ----------
        path : str
            The path with its query.
        silence : float
            Seconds without a byte after which the connection counts as dead.

        Raises
        ------
        NoAnswer
            No answer in time; the lines raise it, too.
        NodewiseError
            The credentials have changed and cannot be used.
        """
        headers = self._headers(JSON)
        self.close()
        try:
            connection = self._connect(self._timeout)
            # Kept: the connection forgets it once the server has said that it will close, and the answer is read from it all the same.
            channel: socket.socket = connection.sock
            sent_at, begin = time.time(), time.monotonic()
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = b""
            if response.status == 200:
                channel.settimeout(silence)
            else:
                body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{self.server}: {_reason(error)}.") from error
        except BaseException:
            self.close()
            raise
        head = _answer(response, body, time.monotonic() - begin, sent_at)
        if response.status != 200:
            self.close()
            return head, iter(())
        return head, self._lines(response, silence)

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _headers(self, accept: str) -> dict[str, str]:
        if self._credentials.changed:
            self._load()
        headers = {"Accept": accept, "User-Agent": USER_AGENT}
        if self._credentials.token:
            headers["Authorization"] = f"Bearer {self._credentials.token}"
        return headers

    def _lines(self, response: http.client.HTTPResponse, silence: float) -> Iterator[bytes]:
        try:
            while line := response.readline():
                yield line
        except TimeoutError as error:
            raise NoAnswer(f"{self.server} sent nothing for {silence:g} s.") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"{self.server}: {_reason(error)}.") from error
        finally:
            self.close()

    def _exchange(self, method: str, path: str, data: bytes | None, headers: dict[str, str], deadline: float) -> Answer:
        connection = self._connection or self._connect(_left(deadline))
        channel: socket.socket = connection.sock
        channel.settimeout(_left(deadline))
        sent_at, begin = time.time(), time.monotonic()
        connection.request(method, path, body=data, headers=headers)
        channel.settimeout(_left(deadline))
        response = connection.getresponse()
        parts = []
        # A socket's timeout is for one read: read by parts, so that the deadline is for all of them.
        while part := response.read1(1 << 16):
            parts.append(part)
            left = _left(deadline)
            with contextlib.suppress(OSError):  # closed already: that was the last part
                channel.settimeout(left)
        seconds = time.monotonic() - begin
        # By parts, the end goes unnoticed; a response that is not closed blocks the next request.
        response.close()
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        if response.will_close:
            self.close()
        return _answer(response, b"".join(parts), seconds, sent_at)

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
        connection.connect()
        self._connection = connection
        return connection

    def _load(self) -> None:
        credentials = read_kubeconfig(self.kubeconfig)
        self._context = tls_context(credentials, self.kubeconfig)
        self._credentials = credentials
        address = urllib.parse.urlsplit(credentials.server)
        self._host, self._port = address.hostname or "", address.port or 443
        self.generation += 1
        self.close()


def tls_context(credentials: Credentials, path: str) -> ssl.SSLContext:
    """Return a context that trusts the credentials' authority and shows their certificate, if they have one.

    Parameters
    ----------
    credentials : Credentials
        What the kubeconfig says.
    path : str
        The kubeconfig, for messages.

    Raises
    ------
    NodewiseError
        A certificate or key cannot be used.
    """
    try:
        context = ssl.create_default_context(cadata=credentials.authority)
        # Python 3.13 sets it, and then refuses authorities without key identifiers, as clusters have that were made before Kubernetes 1.19.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if credentials.certificate:
            # The ssl module loads a key from a file only: one that exists in memory alone.
            descriptor = os.memfd_create("nodewise")
            with os.fdopen(descriptor, "w", encoding="ascii") as handle:
                handle.write(f"{credentials.certificate}\n{credentials.key}\n")
                handle.flush()
                context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
        return context
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        remedy = "renew it: kubeadm certs renew admin.conf, or for a kubelet remove its certificate and let it join again"
        raise NodewiseError(f"The certificates in {path} cannot be used: {_reason(error)}.", remedy) from error


def _answer(response: http.client.HTTPResponse, body: bytes, seconds: float, sent_at: float) -> Answer:
    headers = response.headers
    return Answer(response.status, body, headers.get_content_type(), seconds, _date(headers.get("Date")), sent_at, _seconds(headers.get("Retry-After")))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _date(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    # The other form of Retry-After, a date, is one that no API server sends.
    return float(text) if text and text.isdecimal() else None
