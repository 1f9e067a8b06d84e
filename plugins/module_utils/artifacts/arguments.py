# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that need wheels; C(doc_fragments/_wheels.py) documents them."""

from __future__ import annotations

from typing import Any

WHEELS: dict[str, dict[str, Any]] = {
    "wheel_folder": {"type": "path"},
    "mirror": {"type": "str", "default": ""},
    "index_url": {"type": "str", "default": ""},
    "cache": {"type": "path", "default": "~/.cache/nodewise"},
}
"""Where they come from."""

DAEMON: dict[str, dict[str, Any]] = {
    **WHEELS,
    "bundle": {"type": "path"},
    "code": {"type": "str"},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "log_level": {"type": "str", "choices": ["debug", "info", "warning", "error"], "default": "info"},
}
"""Of a module that installs a daemon with them."""
