# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.modules.cluster_autoscaler import has_image

IMAGE = "registry.example/cluster-autoscaler:v1.36.1"


@pytest.fixture
def crictl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "crictl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def answers(program: Path, text: str, code: int = 0) -> None:
    program.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    program.chmod(0o755)


def test_an_image_is_there_if_the_runtime_names_it(crictl: Path) -> None:
    answers(crictl, f'{{"images": [{{"repoTags": null}}, {{"repoTags": ["{IMAGE}"]}}]}}')
    assert has_image("unix:///x", IMAGE)
    assert not has_image("unix:///x", f"{IMAGE}0")


@pytest.mark.parametrize(("text", "code", "message"), [("", 1, "crictl images failed"), ("no JSON", 0, "cannot say whether")])
def test_a_runtime_that_does_not_answer_has_not_said_no(crictl: Path, text: str, code: int, message: str) -> None:
    answers(crictl, text, code)
    with pytest.raises(NodewiseError, match=message):
        has_image("unix:///x", IMAGE)


def test_without_crictl_nothing_is_known(crictl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(crictl.parent))
    with pytest.raises(NodewiseError, match="run site"):
        has_image("unix:///x", IMAGE)
