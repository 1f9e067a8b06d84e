# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml, killed in the middle of what it does, is repaired by the next run; on real hosts, which are bare each time."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from functools import partial

import lab
import pytest
from lab import changed

# A session of its own is what is killed.
start = partial(lab.start, lab="killed", start_new_session=True)


def play(playbook: str) -> dict[str, int]:
    """Run a playbook to its end; return how much it changed on each host."""
    process = start(playbook)
    out = process.communicate(timeout=900)[0]
    assert process.returncode == 0, out
    return changed(out)


def kill_in(task: str, seconds: float) -> None:
    """Start site.yml, and kill all of it some seconds after the task has begun; what it started on the hosts goes on for itself."""
    process = start("site")
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        # The first play only looks: a task of the same name there does not count.
        if re.match(rf"TASK \[(.* : )?{re.escape(task)}\]", line) and any(line.startswith("PLAY [Prepare") for line in seen):
            break
    else:
        raise AssertionError(f"site.yml has no task {task!r} any more:\n{''.join(seen)}")
    time.sleep(seconds)
    # ansible-playbook's workers are in its session; only SSH's master connections are not, as after a lost terminal.
    subprocess.run(["pkill", "--signal=KILL", f"--session={process.pid}"], check=False)
    process.stdout.close()
    process.wait()


@pytest.fixture(autouse=True)
def bare_hosts() -> Iterator[None]:
    play("lab_down")
    play("lab_up")
    yield
    play("lab_down")


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        ("Bring the programs and manifests to the host", 1),
        ("Load the images into containerd", 3),
        ("Make the control plane", 1),
        ("Make the control plane", 4),
        ("Apply Calico, or check its settings", 1),
        ("Join the cluster", 0.5),
    ],
)
def test_the_next_run_repairs_a_killed_one(task: str, seconds: float) -> None:
    kill_in(task, seconds)
    play("site")
    assert set(play("site").values()) == {0}
