# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .model import HIGH, RESOURCES, Page, age_text, percent_text
from .style import CSS
from .template import SCRIPT, TEMPLATE

FILTER_FROM = 20
"""Nodes from which they can be filtered by name."""

_GLYPHS = {FAIL: "\u2715", UNKNOWN: "?", WARN: "!", OK: "\u2713"}
_WORDS = {FAIL: "Failing", UNKNOWN: "Unknown", WARN: "Warning", OK: "Passed"}


def render(page: Page) -> str:
    """Return the HTML of a page. Its own policy lets a browser load nothing and run only the script that is in it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(
        page=page,
        css=Markup(CSS),
        style_hash=_policy_hash(CSS),
        script=Markup(SCRIPT),
        script_hash=_policy_hash(SCRIPT),
        labels=list(RESOURCES.values()),
        filtered=len(page.nodes or ()) >= FILTER_FROM,
        glyphs=_GLYPHS,
        words=_WORDS,
        high=round(HIGH),
        percent=_width,
        percent_text=percent_text,
        age_text=age_text,
        moment=_moment,
    )


def _policy_hash(content: str) -> str:
    """Return how a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _width(share: float) -> str:
    """Return a share as a width: what is more than the whole is drawn as the whole."""
    return f"{min(share, 100.0):.1f}%"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
