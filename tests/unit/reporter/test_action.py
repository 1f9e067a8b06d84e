# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control machine does before anything is sent to a host."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.nodewise.cluster.plugins.action import reporter
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import bundle
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.code import ENTRIES, code_files, digest, filename


def run(cache: Path) -> None:
    task = MagicMock(async_val=0, check_mode=False, diff=False, args={"cache": str(cache)})
    action: Any = reporter.ActionModule(task=task, connection=MagicMock(), play_context=MagicMock(), loader=None, templar=None, shared_loader_obj=None)
    missing = [filename(digest(code_files(ENTRIES["reporter"])))]
    action._execute_module = MagicMock(return_value={"missing": missing, "python": "3.11", "arch": "amd64"})
    action.run(task_vars={"inventory_hostname": "w1"})


def full(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(AnsibleActionFail, match=r"The cache .*/cache cannot be written: .*Not a directory.* Remedy: .*artifacts_cache"):
        run(tmp_path / "cache")


def test_one_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reporter, "write_atomic", full)
        with pytest.raises(AnsibleActionFail, match=f"The cache {tmp_path} cannot be written: .*No space left.* Remedy: free some space"):
            run(tmp_path)
    monkeypatch.setattr(bundle, "_piece", full)
    with pytest.raises(AnsibleActionFail, match=f"The cache {tmp_path}/wheels cannot be written: .*No space left"):
        run(tmp_path)
