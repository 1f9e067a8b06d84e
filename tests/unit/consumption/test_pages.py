# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.pages import METADATA_LIST, PAGE, Unreadable, pages, read

from .conftest import Api, answer, named, refused

SECRETS = "/api/v1/secrets"


class Replies:
    """Answers one after the other."""

    def __init__(self, *replies: Answer | Exception) -> None:
        self.replies = list(replies)

    def get(self, path: str, accept: str = "") -> Answer:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def items(number: int) -> list[dict[str, Any]]:
    return [named(f"s{index:05}", "shop") for index in range(number)]


@pytest.mark.parametrize(("number", "sizes"), [(0, [0]), (1, [1]), (PAGE, [PAGE]), (2 * PAGE + 1, [PAGE, PAGE, 1])])
def test_every_object_comes_once_in_pages(number: int, sizes: list[int]) -> None:
    api = Api({SECRETS: items(number)})
    read_pages = list(pages(api, SECRETS, METADATA_LIST))
    assert [len(page) for page in read_pages] == sizes
    assert [item for page in read_pages for item in page] == items(number)
    assert len(api.seen) == len(sizes)
    assert all(path.startswith(f"{SECRETS}?limit={PAGE}") and accept == METADATA_LIST for path, accept in api.seen)


def test_no_more_than_the_next_page_is_asked_for_ahead() -> None:
    api = Api({SECRETS: items(4 * PAGE)})
    listed = pages(api, SECRETS)
    next(listed)
    listed.close()
    assert [path.partition("continue=")[2] for path, _accept in api.seen] == ["", str(PAGE)]


def test_a_snapshot_that_is_gone_is_gone_on_with_from_the_same_key() -> None:
    api = Api({SECRETS: items(3 * PAGE)})
    api.expire_at = {str(PAGE), str(2 * PAGE)}
    assert [item for page in pages(api, SECRETS) for item in page] == items(3 * PAGE)
    assert len(api.seen) == 5


def test_gone_without_a_way_on_is_an_error() -> None:
    first = answer(200, {"metadata": {"continue": "x"}, "items": items(1)})
    with pytest.raises(Unreadable, match="HTTP 410: too old"):
        list(pages(Replies(first, refused(410, "too old")), SECRETS))
    again = answer(410, {"message": "too old", "metadata": {"continue": "x"}})
    with pytest.raises(Unreadable, match="HTTP 410: too old"):
        list(pages(Replies(first, again), SECRETS))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refused(403, 'secrets is forbidden: User "x" cannot list'), 'HTTP 403: secrets is forbidden: User "x" cannot list'),
        (refused(404), r"the API server does not serve it \(HTTP 404\)"),
        (refused(500, "etcd"), "HTTP 500: etcd"),
        (NoAnswer("127.0.0.1:6443: Connection refused."), "Connection refused"),
        (Answer(200, b"<html>", "text/html", 0.0, None, 0.0), "the answer is not understood"),
    ],
)
def test_a_page_that_cannot_be_read_ends_it_with_the_reason(reply: Answer | Exception, reason: str) -> None:
    first = answer(200, {"metadata": {"continue": "x"}, "items": items(1)})
    taken = pages(Replies(first, reply), SECRETS)
    assert next(taken) == items(1)
    with pytest.raises(Unreadable, match=reason):
        next(taken)


def test_a_busy_server_is_asked_again_when_it_says_so_but_not_for_ever() -> None:
    waits: list[float] = []
    busy = answer(429, {"message": "too many requests"}, retry_after=1)
    long = answer(503, {"message": "starting"}, retry_after=600)
    assert read(Replies(busy, long, answer(200, {})), SECRETS, sleep=waits.append).ok
    assert waits == [1, 5]
    with pytest.raises(Unreadable, match="HTTP 429: too many requests"):
        read(Replies(*[busy] * 5), SECRETS, sleep=waits.append)
    assert len(waits) == 6


def test_a_busy_server_that_does_not_say_when_is_not_asked_again() -> None:
    with pytest.raises(Unreadable, match="HTTP 503"):
        read(Replies(refused(503)), SECRETS, sleep=lambda _seconds: pytest.fail("waited"))
