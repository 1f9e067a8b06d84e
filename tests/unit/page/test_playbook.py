# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook report: which files its variables mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

PLAYBOOK = "playbooks/report.yml"


@pytest.mark.parametrize(
    ("variables", "verification", "page"),
    [
        ({}, "", "/here/report.html"),
        # As verify_cluster takes it, which wrote it: of the current folder, though modules on localhost run in the playbook's.
        ({"verify_json": "verify.json", "report_path": "pages/a.html"}, "/here/verify.json", "/here/pages/a.html"),
        ({"report_verification": "~/verify.json", "report_path": "/srv/a.html"}, "/home/me/verify.json", "/srv/a.html"),
    ],
)
def test_paths_are_of_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, collection_root: Path, variables: dict[str, Any], verification: str, page: str
) -> None:
    monkeypatch.setenv("PWD", "/here")
    monkeypatch.setenv("HOME", "/home/me")
    loader = DataLoader()
    (play,) = loader.load_from_file(str(collection_root / PLAYBOOK), trusted_as_template=True)
    templar = Templar(loader, variables={**play["vars"], **variables})
    found = [templar.template(trust_as_template(f"{{{{ {name} }}}}")) for name in ("__report_verification_path", "__report_path")]
    assert found == [verification, page]
    assert play["tasks"][0]["ansible.builtin.stat"]["path"] == "{{ __report_verification_path }}"
