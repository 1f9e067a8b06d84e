# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sampling thread on this very host, whose runtime is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.sampling import SampleLoop
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.shared import Shared
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State


def test_a_status_names_the_configuration_that_it_was_made_with(tmp_path: Path) -> None:
    first = Config("w1", cri_socket=f"unix://{tmp_path}/none.sock")
    second = replace(first, settings=Settings(valid_seconds=240))
    shared = Shared(first)
    shared.recall(None, Allocatable(1000, 1))
    loop = SampleLoop(shared, State())
    seen = []
    for config in (first, second):
        shared.change(config)
        loop.sample()
        status = shared.take(0, config)
        assert status is not None
        seen.append(status["configDigest"])
    assert seen == [first.digest, second.digest]
    assert first.digest != second.digest
