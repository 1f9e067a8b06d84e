# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nodewise.cluster.plugins.filter.cluster_page import FilterModule
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.html import render
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.model import build
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.style import DARK, LIGHT

NOW = datetime(2026, 11, 25, 17, 40, tzinfo=UTC)
USED = {"cpu": 4000, "memory": 2**34, "ephemeral-storage": 2**36}
EVIL = "</style><script>alert(1)</script><img src=x onerror='a()'>\"'&{{ 7 * 7 }}"
VOID = {"meta", "link", "input", "br", "img", "rect", "path"}


class Parsed(HTMLParser):
    """A page's tags: all of them must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


def html(resources: Any, health: Any, name: str = "shop", **other: Any) -> str:
    return render(build(resources, health, name, NOW, **other))


def test_nothing_from_the_cluster_becomes_markup(made_up: Any) -> None:
    report = made_up.report(USED, made_up.condition(EVIL, "True", EVIL))
    taint = {"key": f"nodewise.dev/{EVIL}", "value": EVIL, "effect": EVIL}
    told = made_up.told(EVIL, report, made_up.condition("DiskPressure", "True", EVIL), taints=(taint,))
    quota = made_up.quota(EVIL, **{EVIL: 99.0})
    quota["resources"][EVIL].update(hard=EVIL, used=EVIL)
    resources = made_up.resources([made_up.node(EVIL, USED, {})], made_up.namespace(EVIL, [quota]), errors={EVIL: EVIL})
    checks = made_up.verification((EVIL, "w1", "fail"), (EVIL, "cluster", "unknown"), name=EVIL)
    checks["checks"][0].update(expected=EVIL, observed=EVIL, hint=EVIL)

    text = html(resources, made_up.health(told), EVIL, verification=checks, verified_at=NOW)
    parsed = Parsed(text)

    assert (parsed.all("script"), parsed.all("img")) == ([], [])
    assert not [attribute for _tag, attributes in parsed.tags for attribute in attributes if attribute.startswith("on")]
    assert len(parsed.all("style")) == 1
    assert "{{ 7 * 7 }}" in text and "49&" not in text


def test_the_policy_allows_the_own_style_and_script_and_nothing_else(made_up: Any) -> None:
    text = html(*made_up.large(20))
    [policy] = [item["content"] or "" for item in Parsed(text).all("meta") if item.get("http-equiv") == "Content-Security-Policy"]
    for tag in ("style", "script"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert " style=" not in text


def test_nothing_is_loaded(made_up: Any) -> None:
    parsed = Parsed(html(*made_up.large(20)))
    addresses = [value for _tag, attributes in parsed.tags for key, value in attributes.items() if key in ("src", "href", "action", "data", "srcset")]
    assert {address for address in addresses if address and not address.startswith("#")} == {"data:,"}


def test_each_picture_has_words_and_each_link_its_place(made_up: Any) -> None:
    parsed = Parsed(html(*made_up.large(30)))
    assert all(picture["aria-hidden"] == "true" for picture in parsed.all("svg"))
    places = [attributes["id"] for _tag, attributes in parsed.tags if "id" in attributes]
    assert len(places) == len(set(places))
    assert {(link["href"] or "")[1:] for link in parsed.all("a")} <= set(places)
    assert all(item["scope"] in ("col", "row") for item in parsed.all("th"))
    assert parsed.all("html") == [{"lang": "en"}]


def test_the_unknown_has_no_bar(made_up: Any) -> None:
    text = html(made_up.resources([made_up.node("w1", {}, {})]), made_up.health(made_up.told("w1", None)))
    [row] = re.findall(r'<tr role="row" id="n0">.*?</tr>', text, re.DOTALL)
    assert "<svg" not in row and row.count("use unknown") == 3


def test_zero_is_a_bar_and_more_than_all_is_a_whole_one(made_up: Any) -> None:
    used = {"cpu": 0, "memory": 100 * 2**30, "ephemeral-storage": 1}
    text = html(made_up.resources([made_up.node("w1", used, {})]), made_up.health(made_up.told("w1", made_up.report(used))))
    [row] = re.findall(r'<tr role="row" id="n0">.*?</tr>', text, re.DOTALL)
    assert re.findall(r'class="u" y="4" width="([^"]*)"', row) == ["0.0%", "100.0%", "0.0%"]
    assert "156\u00a0%" in row


def test_the_filter_comes_with_many_nodes_only(made_up: Any) -> None:
    assert ("<script>" in html(*made_up.large(19)), "<script>" in html(*made_up.large(20))) == (False, True)


def test_five_hundred_nodes_are_less_than_800_kb(made_up: Any) -> None:
    text = html(*made_up.large(500))
    assert len(text.encode()) < 800_000
    assert text.count('<tr role="row" id="n') == 500


def luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_meets_wcag_aa(palette: dict[str, str]) -> None:
    for text in ("ink", "muted", "fail", "warn"):
        for ground in ("ground", "card"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    # The ends of the bars: what is used on both of its grounds, and the mark at the end of what is requested.
    for drawn, ground in (("used", "track"), ("used", "requested"), ("fail", "track"), ("fail", "requested"), ("tick", "track"), ("tick", "ground")):
        assert contrast(palette[drawn], palette[ground]) >= 3, (drawn, ground)


def filtered(*arguments: Any, **other: Any) -> Any:
    return FilterModule().filters()["cluster_page"](*arguments, **other)


def test_the_filter_returns_the_page_in_utc(made_up: Any) -> None:
    text = filtered(*made_up.large(2), cluster_name="shop", made_at="2026-11-25T18:40:12+01:00")
    assert "<h1>Cluster shop</h1>" in text and "2026-11-25 17:40 UTC" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"made_at": "now"}, "made_at is 'now', which is no RFC 3339 time with a zone"),
        ({"made_at": "2026-11-25T18:40:12"}, "made_at is '2026-11-25T18:40:12'"),
        ({"health": {}}, "health of cluster_page is not the result of nodewise.cluster.node_health_info"),
        ({"health": None}, "health of cluster_page is not the result"),
        ({"verification": {}, "verified_at": "2026-11-25T18:40:12Z"}, "The verification given is not one"),
    ],
)
def test_the_filter_refuses_what_it_cannot_show(made_up: Any, change: dict[str, Any], message: str) -> None:
    resources, health = made_up.large(2)
    with pytest.raises(AnsibleFilterError) as caught:
        filtered(resources, **{"health": health, "cluster_name": "shop", "made_at": "2026-11-25T18:40:12Z", **change})
    assert message in str(caught.value)


def test_what_is_empty_is_said(made_up: Any) -> None:
    none = html(made_up.resources([]), made_up.health())
    assert "There are none." in none and "every node is ready" not in none
    assert "No namespace could be read." in none
    Parsed(none)
    unread = html(made_up.resources(None, made_up.namespace("a")), {"nodes": None, "errors": {"nodes": "HTTP 403"}})
    assert "The nodes could not be read." in unread and "No namespace" not in unread
    Parsed(unread)


@pytest.mark.parametrize("unseen", ["quota", "health", "warning", "verdict"])
def test_nothing_is_only_said_of_what_was_seen(made_up: Any, unseen: str) -> None:
    def text(*changed: str) -> str:
        health = made_up.health(made_up.told("w1", made_up.report(USED)))
        checks = made_up.verification(("dns.a", "w1", "warn" if "warning" in changed else "ok"))
        return html(
            made_up.resources([made_up.node("w1", USED, {})], made_up.namespace("team", [made_up.quota("a", pods=None if "quota" in changed else 10.0)])),
            {"nodes": None, "errors": {"nodes": "HTTP 504"}} if "health" in changed else health,
            verification={**checks, "checks": [], "verdict": "fail"} if "verdict" in changed else checks,
            verified_at=NOW,
        )

    assert "Nothing: every node is ready and reports" in text() and "No pressure" in text()
    assert "Nothing:" not in text(unseen) and "found nothing wrong" not in text(unseen)
    assert ("No pressure" in text(unseen)) == (unseen != "health")
