# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server's answers that a real one does not give on demand: 429, 503, none at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer


def answer(status: int = 200, body: Any = None, retry_after: float | None = None, date: float | None = None) -> Answer:
    return Answer(status, json.dumps(body or {}).encode(), "application/json", 0.0, date, time.time(), retry_after)


class Client:
    """Answers as it is told, in order, and keeps what it was asked; an exception is raised. The last answer is given again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []
        self.lines: list[bytes] = []

    def request(self, method: str, path: str, body: Any = None, content_type: str = "", accept: str = "") -> Answer:
        self.asked.append((method, path, body))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        if callable(found):
            found = found(method, path, body)
        assert isinstance(found, Answer)
        return found

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def stream(self, path: str, silence: float) -> tuple[Answer, Iterator[bytes]]:
        return self.request("STREAM", path), iter(self.lines)


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


NO_ANSWER = NoAnswer("api:6443 did not answer within 5 s.")
