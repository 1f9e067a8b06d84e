# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.process import TimeoutExpired, run, start_filter


def test_the_code_and_both_outputs_are_told() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_both_outputs_can_be_one() -> None:
    assert run(["sh", "-c", "echo a; echo b >&2; echo c"], merged=True).stdout == "a\nb\nc\n"


def test_a_program_that_asks_gets_no_answer_from_our_input() -> None:
    # The pipe stays open: a program that read it would wait for ever.
    read, write = os.pipe()
    saved = os.dup(0)
    os.dup2(read, 0)
    try:
        assert run(["cat"], timeout=10).stdout == ""
    finally:
        os.dup2(saved, 0)
        for descriptor in (read, write, saved):
            os.close(descriptor)


def test_it_reads_what_it_is_given() -> None:
    assert run(["cat"], stdin="text").stdout == "text"


def test_bytes_that_are_no_text_stop_nothing() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_environment_folder_and_descriptors_are_handed_down(tmp_path: Path) -> None:
    descriptor = os.memfd_create("secret")
    os.write(descriptor, b"token")
    done = run(["sh", "-c", f"pwd; echo $A; cat /proc/self/fd/{descriptor}"], env={"A": "1", "PATH": os.environ["PATH"]}, cwd=tmp_path, pass_fds=[descriptor])
    os.close(descriptor)
    assert done.stdout == f"{tmp_path}\n1\ntoken"


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutExpired):
        run(["sleep", "60"], timeout=0.1)


def test_what_is_not_there_is_not_taken_for_a_failure() -> None:
    with pytest.raises(FileNotFoundError):
        run(["nodewise-no-such-program"])


def test_a_filter_writes_what_it_reads(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as target:
        process = start_filter(["tr", "a-z", "A-Z"], target)
        process.communicate(b"text")
    assert (process.returncode, (tmp_path / "out").read_bytes()) == (0, b"TEXT")
