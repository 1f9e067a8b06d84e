# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real browser, headless Chromium, on a phone's width and a desk's, light, dark and printed; and the playbook on a lab.

A page is shown in a frame of a page of ours, of the same origin, so that its measures can be read without a debugger. What the browser asks
for is what our server was asked.
"""

from __future__ import annotations

import html
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.html import render
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.model import build
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.style import DARK, LIGHT
from lab import LAB, ROOT, environment

NOW = datetime(2026, 11, 25, 17, 40, tzinfo=UTC)
EVIL = "</style></script><script>window.evil=1</script><img src=/stolen onerror=window.evil=1>"
PHONE, DESK = 390, 1280

in_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium; make test-integration installs it")
on_lab = pytest.mark.skipif(not (ROOT / ".lab" / LAB / "kubeconfig").exists(), reason=f"there is no cluster in lab {LAB}; make cluster makes one")

PROBE = """<!DOCTYPE html><title>probe</title><link rel="icon" href="data:,"><body style="margin:0">
<iframe src="/page" style="border:0;width:%(width)spx;height:2000px"></iframe><pre></pre><script>
addEventListener("load", () => {
  const page = document.querySelector("iframe"), inner = page.contentDocument, find = inner.getElementById("find");
  const visible = () => [...inner.querySelectorAll(".nodes tbody tr")].filter(row => row.getClientRects().length).length;
  const wide = [...inner.querySelectorAll("body *:not(svg *)")].filter(e => e.getBoundingClientRect().right > %(width)s + 1);
  const said = {width: inner.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)), evil: "evil" in page.contentWindow,
    ground: page.contentWindow.getComputedStyle(inner.body).backgroundColor, rows: visible(),
    headings: [...inner.querySelectorAll("h2")].map(e => e.textContent)};
  if (find) { find.value = "Worker-00"; find.dispatchEvent(new Event("input"));
    said.found = visible(); said.status = inner.getElementById("found").textContent }
  document.querySelector("pre").textContent = JSON.stringify(said)
})</script>"""


def _made_up() -> ModuleType:
    spec = importlib.util.spec_from_file_location("made_up", ROOT / "tests" / "unit" / "page" / "conftest.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small() -> str:
    """A page on three nodes that has everything on it, some of it hostile or very long."""
    made_up = _made_up()
    used = {"cpu": 15400, "memory": 2**34, "ephemeral-storage": 2**36}
    hot = made_up.report(used, made_up.condition("CPUOverloaded", "True", "CPU 96 % of allocatable"))
    old = made_up.report(used, age=1260.0, fault="NodeReport is 1260 s old")
    rows = [made_up.node("w1", used, {"cpu": 9000}), made_up.node("x" * 253, {}, {"cpu": 9000}), made_up.node(EVIL, {}, None)]
    told = [made_up.told("w1", hot), made_up.told("x" * 253, old), made_up.told(EVIL, None)]
    quota = made_up.quota("compute", **{"requests.cpu": 95.0, "pods": None, f"{'y' * 63}.example.com/gpu": 3.0, EVIL: 1.0})
    checks = made_up.verification(("resources.memory.containers", "w1", "fail"), (EVIL, "w2", "unknown"), (f"{'z' * 90}", "w1", "warn"))
    resources = made_up.resources(rows, made_up.namespace("team", [quota]), made_up.namespace(EVIL), errors={"nodemetrics": EVIL}, waiting=3)
    return render(build(resources, made_up.health(*told), "shop", NOW, checks, NOW))


def large() -> str:
    return render(build(*_made_up().large(500), "shop", NOW))


@dataclass
class Site:
    """Our server: what it serves, and what it was asked for."""

    address: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    own = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own.asked.append(self.path)
            body = own.pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own.address = f"http://127.0.0.1:{server.server_port}"
    yield own
    server.shutdown()
    server.server_close()


def chromium(profile: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run Chromium; return what it prints and what pages wrote on their consoles."""
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--enable-logging=stderr"]
    command = ["chromium", *fixed, f"--user-data-dir={profile}", "--virtual-time-budget=10000", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def look(site: Site, profile: Path, page: str, width: int, *arguments: str) -> tuple[dict[str, Any], list[str]]:
    site.pages = {"/page": page, "/probe": PROBE % {"width": width}}
    out, console = chromium(profile, "--dump-dom", "--window-size=1400,2000", *arguments, f"{site.address}/probe")
    found = re.search(r"<pre>(\{.*?\})</pre>", out, re.DOTALL)
    assert found, out[-500:]
    return json.loads(html.unescape(found[1])), console


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(int(color[index : index + 2], 16)) for index in (1, 3, 5))})"


def dark(on: bool) -> str:
    return f"--blink-settings=preferredColorScheme={0 if on else 1}"


@in_browser
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_loads_nothing_and_has_no_errors(site: Site, tmp_path: Path, width: int, scheme: str) -> None:
    said, console = look(site, tmp_path, small(), width, dark(scheme == "dark"))

    assert (said["width"], said["wide"]) == (width, [])
    assert said["ground"] == rgb((DARK if scheme == "dark" else LIGHT)["ground"])
    assert (said["rows"], said["evil"]) == (3, False)
    assert said["headings"] == ["Needs attention", "Nodes", "Namespaces and quotas", "Last verification"]
    assert console == []
    assert site.asked == ["/probe", "/page"]


@in_browser
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_five_hundred_nodes_fit_and_can_be_filtered(site: Site, tmp_path: Path, width: int) -> None:
    said, console = look(site, tmp_path, large(), width)

    assert (said["width"], said["wide"]) == (width, [])
    assert (said["rows"], said["found"], said["status"]) == (500, 10, "10 of 500 nodes")
    assert console == []
    assert site.asked == ["/probe", "/page"]


@in_browser
def test_the_probe_sees_what_it_looks_for(site: Site, tmp_path: Path) -> None:
    bad = "<body><p style='width:800px'>wide</p><img src=/stolen><script>window.evil=1;console.error('bad')</script></body>"
    said, console = look(site, tmp_path, bad, PHONE)
    assert said["width"] > PHONE and said["wide"] and said["evil"]
    assert "bad" in "".join(console)
    assert "/stolen" in site.asked


@in_browser
@pytest.mark.parametrize(("page", "sheets"), [(small(), 6), (large(), 110)], ids=["small", "large"])
def test_it_prints_from_a_file(tmp_path: Path, page: str, sheets: int) -> None:
    source, target = tmp_path / "page.html", tmp_path / "page.pdf"
    source.write_text(page, encoding="utf-8")
    chromium(tmp_path / "profile", dark(True), "--no-pdf-header-footer", f"--print-to-pdf={target}", source.as_uri())

    pdf = target.read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= sheets


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", "inventories/lab", "playbooks/report.yml", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False)


@on_lab
def test_the_playbook_writes_a_page_and_in_check_mode_none(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "report.html"
    predicted = play("--check", "-e", f"report_path={target}")
    assert predicted.returncode == 0, predicted.stdout
    assert "changed=2" in predicted.stdout and not target.parent.exists()

    done = play("-e", f"report_path={target}")
    assert done.returncode == 0, done.stdout
    text = target.read_text(encoding="utf-8")
    assert all(f"<b>{name}</b>" in text for name in ("cp1", "w1", "w2", "kube-system"))
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


@on_lab
def test_a_verification_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    done = play("-e", f"report_path={target}", "-e", f"report_verification={tmp_path}/none.json")
    assert done.returncode != 0 and "none.json, which is not there" in done.stdout + done.stderr
    assert not target.exists()
