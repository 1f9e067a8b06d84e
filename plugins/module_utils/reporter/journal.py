# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's log: lines on standard error that the journal understands."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping


class _JournalFormatter(logging.Formatter):
    """Puts the level in front of each line, as sd-daemon(3) has it; the journal adds the time."""

    _LEVELS: Mapping[int, int] = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        prefix = f"<{self._LEVELS.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def log_to_journal(logger: logging.Logger) -> None:
    """Let a logger write to standard error. Under systemd lines carry their level; a person sees plain ones."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JournalFormatter("%(message)s") if "JOURNAL_STREAM" in os.environ else logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
