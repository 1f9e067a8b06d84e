# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who leads, with an API server that keeps one Lease."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock
from ansible_collections.nodewise.cluster.plugins.module_utils.api.lease import DEADLINE, DURATION, Elector

from .scripted import NO_ANSWER, Client, Clock, answer


class Api:
    """Keeps the Lease as the API server does: a write with an old resourceVersion is a conflict."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away = False

    def client(self) -> Client:
        return Client(self.reply)

    def reply(self, method: str, _path: str, body: Any) -> Answer:
        if self.away:
            raise NO_ANSWER
        if method == "GET":
            return answer(200, self.lease) if self.lease else answer(404)
        version = 0 if self.lease is None else int(self.lease["metadata"]["resourceVersion"])
        if method == "POST" and self.lease is not None:
            return answer(409)
        if method == "PUT" and (self.lease is None or body["metadata"]["resourceVersion"] != str(version)):
            return answer(409)
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(version + 1)
        return answer(200, self.lease)


def elector(api: Api, identity: str, clock: Clock) -> Elector:
    return Elector(api.client(), identity, "nodewise-guard", ServerClock(), clock)  # type: ignore[arg-type]


def test_the_first_one_takes_it_and_keeps_it() -> None:
    api, clock = Api(), Clock()
    first, second = elector(api, "a", clock), elector(api, "b", clock)
    for _attempt in range(20):
        first.attempt()
        second.attempt()
        assert (first.leading, second.leading) == (True, False)
        clock.now += 3
    assert api.lease is not None and api.lease["spec"]["leaseTransitions"] == 0
    assert second.holder == "a"


def test_one_who_cannot_renew_stops_before_another_may_begin() -> None:
    api, clock = Api(), Clock()
    first, second = elector(api, "a", clock), elector(api, "b", clock)
    first.attempt()
    second.attempt()
    clock.now += DEADLINE - 0.1
    second.attempt()
    assert first.leading and not second.leading
    clock.now += 0.1
    assert not first.leading
    clock.now += DURATION - DEADLINE - 0.1
    second.attempt()
    assert not second.leading
    clock.now += 0.1
    second.attempt()
    assert second.leading and not first.leading
    first.attempt()
    assert not first.leading and second.leading
    assert api.lease is not None and api.lease["spec"]["leaseTransitions"] == 1


def test_an_outage_ends_leading_and_its_end_begins_it_again() -> None:
    api, clock = Api(), Clock()
    only = elector(api, "a", clock)
    only.attempt()
    api.away = True
    clock.now += 3
    only.attempt()
    assert only.leading and "did not answer" in only.failure
    clock.now += DEADLINE
    assert not only.leading
    api.away = False
    only.attempt()
    assert only.leading and only.failure == ""


def test_a_restarted_holder_goes_on_at_once() -> None:
    api, clock = Api(), Clock()
    elector(api, "a", clock).attempt()
    again = elector(api, "a", clock)
    again.attempt()
    assert again.leading


def test_a_released_lease_is_free() -> None:
    api, clock = Api(), Clock()
    first, second = elector(api, "a", clock), elector(api, "b", clock)
    first.attempt()
    second.attempt()
    first.release()
    assert not first.leading
    second.attempt()
    assert second.leading


def test_two_who_want_it_at_once() -> None:
    """Both have read that it is free; one write wins."""
    api, clock = Api(), Clock()
    first, second = elector(api, "a", clock), elector(api, "b", clock)
    first.attempt()
    assert api.lease is not None
    clock.now += DURATION
    api.lease["spec"]["holderIdentity"] = ""
    stale = copy.deepcopy(api.lease)
    second._client = Client(answer(200, stale), api.reply)  # type: ignore[assignment]
    api.lease["metadata"]["resourceVersion"] = "9"
    second.attempt()
    assert not second.leading
    second.attempt()
    assert second.leading


def test_a_refusal_is_told() -> None:
    clock = Clock()
    one = Elector(Client(answer(403, {"message": "forbidden"})), "a", "nodewise-guard", ServerClock(), clock)  # type: ignore[arg-type]
    one.attempt()
    assert not one.leading and "403 forbidden" in one.failure and not one.answered


def test_a_candidate_survives_whatever_happens_and_says_it() -> None:
    api, clock = Api(), Clock()
    one = elector(api, "a", clock)
    one._client = Client(AttributeError("a mistake"), api.reply)  # type: ignore[assignment]
    one.attempt()
    assert (one.leading, one.failure) == (False, "AttributeError: a mistake")
    one.attempt()
    assert (one.leading, one.failure) == (True, "")
