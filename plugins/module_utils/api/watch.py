# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List a kind by pages, then watch it, for ever; only what a decision needs is kept."""

from __future__ import annotations

import json
import logging
import random
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic

from ..errors import NodewiseError
from .client import Answer, ApiClient
from .clock import ServerClock
from .store import Store, T

LOG = logging.getLogger("nodewise.api")
# The server ends a watch after this long, so that watches are spread anew over several servers.
_WATCH_SECONDS = (240, 360)
# Bookmarks come about once a minute, so a longer silence is a dead connection.
_SILENCE = 120.0
_GONE = 410
_BACKOFF = (1.0, 30.0)


class Expired(Exception):
    """The version from which to watch is too old (410): the list must be read again."""


class Refused(Exception):
    """The API server answered with an error.

    Parameters
    ----------
    message : str
        What it said.
    retry_after : float or None
        How long it wants to be left alone.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Watcher(Generic[T]):
    """Keeps a store up to date with the API server.

    Parameters
    ----------
    client : ApiClient
        A connection of its own.
    path : str
        The kind's path.
    page : int
        Objects in one page of a list: what bounds the memory that listing takes.
    keep : callable
        Given an object, the API server's time, and whether a watch told of it, returns what is kept of it; None for one that counts as absent.
    store : Store
        Where it is kept.
    clock : ServerClock
        Learns from each answer.
    count : callable
        Is told why a watch has ended: C(timeout), C(expired), C(error).
    """

    def __init__(
        self,
        client: ApiClient,
        path: str,
        page: int,
        keep: Callable[[Mapping[str, Any], float, bool], T | None],
        store: Store[T],
        clock: ServerClock,
        count: Callable[[str], None],
    ) -> None:
        self._client = client
        self._path = path
        self._page = page
        self._keep = keep
        self._store = store
        self._clock = clock
        self._count = count
        self._version = ""

    def run(self) -> None:
        """Keep the store up to date until the process ends."""
        failures = 0
        while True:
            pause = self.round()
            failures = failures + 1 if pause is not None else 0
            if pause is not None:
                time.sleep(max(pause, random.uniform(0, min(_BACKOFF[0] * 2**failures, _BACKOFF[1]))))

    def round(self) -> float | None:
        """List if need be, and watch until the watch ends; return the seconds to pause at least, None if all went well."""
        try:
            if not self._version:
                self._list()
            self._watch()
            self._count("timeout")
            return None
        except Expired:
            self._version = ""
            self._count("expired")
            LOG.info("%s: the watch has expired, listing again", self._path)
            return None
        except (NodewiseError, Refused, ValueError, KeyError) as error:
            self._failed(str(error))
            LOG.warning("%s: %s", self._path, error)
            return (error.retry_after if isinstance(error, Refused) else None) or 0.0
        except Exception as error:
            # A mistake of ours must be seen, and must not end the thread: what is kept would grow old and still count as up to date.
            self._failed(f"{type(error).__name__}: {error}")
            LOG.exception("%s", self._path)
            return 0.0

    def _failed(self, message: str) -> None:
        self._store.since, self._store.failure = None, f"{self._path}: {message}"
        self._count("error")

    def _list(self) -> None:
        found: dict[str, T] = {}
        following = ""
        while True:
            query = {"limit": str(self._page), **({"continue": following} if following else {})}
            answer = self._client.get(f"{self._path}?{urllib.parse.urlencode(query)}")
            self._check(answer)
            page = answer.value()
            for item in page.get("items") or ():
                kept = self._keep(item, self._clock.now(), False)
                if kept is not None:
                    found[item["metadata"]["name"]] = kept
            following = page["metadata"].get("continue", "")
            if not following:
                break
        self._store.replace(found)
        self._version = page["metadata"]["resourceVersion"]

    def _watch(self) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),
        }
        answer, lines = self._client.stream(f"{self._path}?{urllib.parse.urlencode(query)}", _SILENCE)
        self._check(answer)
        if self._store.since is None:
            self._store.since = time.monotonic()
        self.follow(lines)

    def follow(self, lines: Iterable[bytes]) -> None:
        """Take over the events of a watch.

        Raises
        ------
        Expired
            The server says that the watch is too old.
        Refused
            The server ends the watch with another error.
        """
        for line in lines:
            event = json.loads(line)
            item = event["object"]
            if event["type"] == "ERROR":
                if item.get("code") == _GONE:
                    raise Expired
                raise Refused(str(item.get("message")), (item.get("details") or {}).get("retryAfterSeconds"))
            if event["type"] != "BOOKMARK":
                kept = self._keep(item, self._clock.now(), True) if event["type"] != "DELETED" else None
                if kept is None:
                    self._store.remove(item["metadata"]["name"])
                else:
                    self._store.put(item["metadata"]["name"], kept)
            # Last: an event that could not be taken over is told again by the next watch.
            self._version = item["metadata"]["resourceVersion"]

    def _check(self, answer: Answer) -> None:
        self._clock.learn(answer)
        if answer.status == _GONE:
            raise Expired
        if not answer.ok:
            raise Refused(f"{answer.status}: {answer.message}", answer.retry_after)
