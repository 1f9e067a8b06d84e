# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kind of the API, read page by page, so that no more than two pages are ever held."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from ..api.client import JSON, Answer, NoAnswer
from .wire import decoded, message

PAGE = 1000
"""Objects of one request: twice kubectl's number, as no person waits for the first page (benchmarks/cluster-resources)."""

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Value of C(Accept) for a list without C(data), C(spec) and C(status)."""

_GONE = 410
_BUSY = (429, 503)
_TRIES = 5
_LONGEST_WAIT = 5.0


class Unreadable(Exception):
    """A kind could not be read to its end; the text is the reason."""


class Client(Protocol):
    """What is needed of an :class:`..api.client.ApiClient`."""

    def get(self, path: str, accept: str = JSON) -> Answer:
        """Read one path."""


def read(client: Client, path: str, accept: str = JSON, sleep: Callable[[float], None] = time.sleep) -> Answer:
    """Read a path; an API server that is busy is asked again when it says so, five times at most.

    Raises
    ------
    Unreadable
        No answer came, or one that is an error.
    """
    for left in reversed(range(_TRIES)):
        try:
            answer = client.get(path, accept)
        except NoAnswer as error:
            raise Unreadable(str(error)) from error
        if answer.ok or answer.status == _GONE:
            return answer
        if answer.status in _BUSY and answer.retry_after is not None and left:
            sleep(min(answer.retry_after, _LONGEST_WAIT))
            continue
        break
    raise Unreadable("the API server does not serve it (HTTP 404)" if answer.status == 404 else f"HTTP {answer.status}: {message(answer)}")


def pages(client: Client, path: str, accept: str = JSON, sleep: Callable[[float], None] = time.sleep) -> Iterator[Iterable[dict[str, Any]]]:
    """Yield the items of a list, a page at a time; the next one is asked for meanwhile.

    The pages are one snapshot, unless reading them takes so long that the API server drops it (some minutes): it then answers
    410 with a token that goes on from the same key in the newest state, and so does this.

    Parameters
    ----------
    client : Client
        The API server. Until the last page nobody else may use it.
    path : str
        Path of the list, without a query.
    accept : str
        :data:`METADATA_LIST`, JSON, or protobuf (:func:`.wire.accepted`).

    Raises
    ------
    Unreadable
        A page could not be read. What was yielded before is then not the whole.
    """
    with ThreadPoolExecutor(max_workers=1) as ahead:

        def ask(token: str) -> Future[Answer]:
            query = {"limit": str(PAGE), **({"continue": token} if token else {})}
            return ahead.submit(read, client, f"{path}?{urllib.parse.urlencode(query)}", accept, sleep)

        asked, token = ask(""), ""
        while True:
            answer = asked.result()
            try:
                value = decoded(answer)
            except ValueError as error:
                raise Unreadable(f"the answer is not understood: {error}") from error
            following = (value.get("metadata") or {}).get("continue") or ""
            if answer.status == _GONE and following in ("", token):
                raise Unreadable(f"HTTP {_GONE}: {message(answer)}")
            if following:
                asked, token = ask(following), following
            if answer.status != _GONE:
                yield value.get("items") or ()
            if not following:
                return
