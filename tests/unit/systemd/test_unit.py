# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd import unit
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import UnitError
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.unit import (
    ManagedFile,
    UnitSpec,
    apply_unit,
    plan_unit,
    validate_files,
)


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that counts as one of systemd's."""
    folder = tmp_path / "systemd"
    monkeypatch.setattr(unit, "_UNIT_FOLDERS", (str(folder),))
    return folder


@pytest.fixture
def spec(tmp_path: Path, units: Path) -> UnitSpec:
    return UnitSpec("x", files=[ManagedFile(str(units / "x.service"), "[Service]\n"), ManagedFile(str(tmp_path / "x.conf"), "a\n", 0o600)])


def written(spec: UnitSpec) -> None:
    for managed in spec.files:
        path = Path(managed.path)
        path.parent.mkdir(exist_ok=True)
        path.write_text(managed.content or "")
        path.chmod(managed.mode)


def test_virgin_host(spec: UnitSpec, systemd: Any, tmp_path: Path) -> None:
    plan = plan_unit(spec, systemd)
    assert plan.actions() == [
        f"write {tmp_path}/systemd/x.service",
        f"write {tmp_path}/x.conf",
        "daemon-reload",
        "enable x.service",
        "start x.service",
    ]
    assert plan.reasons == []
    assert not (tmp_path / "x.conf").exists()

    assert apply_unit(plan, systemd).running
    assert systemd.calls == ["daemon-reload", "enable", "start"]
    assert (tmp_path / "x.conf").read_text() == "a\n"
    assert (tmp_path / "x.conf").stat().st_mode & 0o777 == 0o600
    assert not plan_unit(spec, systemd).changed


def test_nothing_to_do(spec: UnitSpec, systemd: Any) -> None:
    written(spec)
    systemd.run(time.time())
    plan = plan_unit(spec, systemd)
    assert (plan.changed, plan.actions(), plan.diff()) == (False, [], [])


@pytest.mark.parametrize(("content", "mode"), [("b\n", 0o600), ("a\n", 0o644)])
def test_a_file_that_differs_is_mended_and_the_unit_restarted(content: str, mode: int, spec: UnitSpec, systemd: Any, tmp_path: Path) -> None:
    written(spec)
    (tmp_path / "x.conf").write_text(content)
    (tmp_path / "x.conf").chmod(mode)
    systemd.run(time.time())
    plan = plan_unit(spec, systemd)
    assert plan.reasons == [f"{tmp_path}/x.conf changes"]
    apply_unit(plan, systemd)
    assert systemd.calls == ["daemon-reload", "restart"]
    assert ((tmp_path / "x.conf").read_text(), (tmp_path / "x.conf").stat().st_mode & 0o777) == ("a\n", 0o600)
    assert not plan_unit(spec, systemd).changed


def test_a_file_read_at_any_time_restarts_nothing(systemd: Any, tmp_path: Path) -> None:
    systemd.run(time.time())
    spec = UnitSpec("x", files=[ManagedFile(str(tmp_path / "live"), "a", restart=False)])
    assert plan_unit(spec, systemd).actions() == [f"write {tmp_path}/live"]
    apply_unit(plan_unit(spec, systemd), systemd)
    assert (systemd.calls, plan_unit(spec, systemd).changed) == ([], False)


def test_a_run_killed_after_any_number_of_steps_is_repaired_by_the_next(spec: UnitSpec, systemd: Any, tmp_path: Path) -> None:
    written(spec)
    systemd.run(time.time() - 100)
    stale = tmp_path / "x.conf"
    stale.write_text("old\n")
    for killed_at in ("daemon-reload", "restart"):
        systemd.run(time.time() - 100)
        systemd.breaks_at = killed_at
        with pytest.raises(UnitError):
            apply_unit(plan_unit(spec, systemd), systemd)
        systemd.breaks_at, systemd.active = "", "active"
        systemd.calls.clear()
        apply_unit(plan_unit(spec, systemd), systemd)
        assert systemd.calls == ["daemon-reload", "restart"]
        assert not plan_unit(spec, systemd).changed


def test_a_removed_file_is_remembered_by_a_killed_run(systemd: Any, tmp_path: Path) -> None:
    gone = tmp_path / "drop-in"
    gone.write_text("x")
    spec = UnitSpec("x", files=[ManagedFile(str(gone), None)])
    systemd.run(time.time() - 100)
    systemd.breaks_at = "restart"
    with pytest.raises(UnitError):
        apply_unit(plan_unit(spec, systemd), systemd)
    assert not gone.exists()
    systemd.breaks_at, systemd.active = "", "active"
    plan = plan_unit(spec, systemd)
    assert plan.steps == ["restart"]
    assert plan.reasons[0].startswith(f"{tmp_path}/notes/x.service changed ")


def test_a_program_replaced_after_the_start_restarts_the_unit(systemd: Any, tmp_path: Path) -> None:
    program = tmp_path / "program"
    spec = UnitSpec("x", restart_paths=[str(program)])
    systemd.run(time.time() - 100)
    assert not plan_unit(spec, systemd).changed  # it is not there: nothing to compare
    program.touch()
    assert plan_unit(spec, systemd).steps == ["restart"]
    systemd.run(time.time())
    assert not plan_unit(spec, systemd).changed


def test_a_clock_set_back_does_not_restart_for_ever(systemd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.touch()
    an_hour_ago = time.time() - 3600
    systemd.run(an_hour_ago - 10)
    monkeypatch.setattr(unit.time, "time", lambda: an_hour_ago)
    assert not plan_unit(UnitSpec("x", restart_paths=[str(program)]), systemd).changed


def test_unit_files_that_systemd_has_not_read(spec: UnitSpec, systemd: Any) -> None:
    written(spec)
    systemd.run(time.time())
    systemd.needs_reload = True
    plan = plan_unit(spec, systemd)
    assert plan.steps == ["daemon-reload", "restart"]
    assert plan.reasons == ["its unit files differ from what systemd has loaded"]


def test_unit_files_that_may_change_without_a_restart(systemd: Any, units: Path) -> None:
    spec = UnitSpec("x", files=[ManagedFile(str(units / "x.service"), "[Service]\n", restart=False)])
    systemd.run(time.time() - 100)
    assert plan_unit(spec, systemd).actions() == [f"write {units}/x.service", "daemon-reload"]
    written(spec)
    systemd.needs_reload = True
    assert plan_unit(spec, systemd).steps == ["daemon-reload"]


def test_stopped_and_disabled_by_hand(spec: UnitSpec, systemd: Any) -> None:
    written(spec)
    systemd.run(time.time())
    systemd.active, systemd.enabled = "inactive", "disabled"
    assert plan_unit(spec, systemd).steps == ["daemon-reload", "enable", "start"]


def test_state_stopped(systemd: Any) -> None:
    spec = UnitSpec("x", state="stopped", enabled=False)
    assert not plan_unit(spec, systemd).changed  # there is no such unit
    systemd.run(time.time())
    apply_unit(plan_unit(spec, systemd), systemd)
    assert systemd.calls == ["disable", "stop"]
    assert not plan_unit(spec, systemd).changed


def test_state_unchanged_restarts_what_runs_and_starts_nothing(spec: UnitSpec, systemd: Any) -> None:
    spec = UnitSpec("x", files=spec.files, state="unchanged")
    assert plan_unit(spec, systemd).steps == ["daemon-reload", "enable"]
    systemd.run(time.time() - 100)
    assert plan_unit(spec, systemd).steps == ["daemon-reload", "restart"]


@pytest.mark.parametrize(("enabled", "found"), [(True, "static"), (True, "alias"), (False, "static"), (False, "not-found"), (False, "masked")])
def test_what_cannot_be_enabled_or_disabled_is_left(enabled: bool, found: str, systemd: Any) -> None:
    systemd.enabled = found
    assert not plan_unit(UnitSpec("x", enabled=enabled, state="unchanged"), systemd).changed


def test_enabled_until_the_next_boot_only_is_not_enabled(systemd: Any) -> None:
    systemd.run(time.time())
    systemd.enabled = "enabled-runtime"
    assert plan_unit(UnitSpec("x"), systemd).steps == ["enable"]


def test_masked(systemd: Any) -> None:
    systemd.enabled = "masked"
    with pytest.raises(NodewiseError, match=r"x\.service is masked on this host\. Remedy: systemctl unmask x\.service"):
        plan_unit(UnitSpec("x"), systemd)


def test_undone_puts_everything_back(spec: UnitSpec, systemd: Any, tmp_path: Path) -> None:
    config = tmp_path / "x.conf"
    config.write_text("old\n")
    config.chmod(0o640)
    systemd.run(time.time())
    plan = plan_unit(spec, systemd)
    systemd.breaks_at = "restart"
    with pytest.raises(UnitError):
        apply_unit(plan, systemd)
    assert config.read_text() == "a\n"
    systemd.breaks_at = ""
    systemd.calls.clear()
    apply_unit(plan.undone(), systemd)
    assert systemd.calls == ["daemon-reload", "restart"]
    assert (config.read_text(), config.stat().st_mode & 0o777) == ("old\n", 0o640)
    assert not (tmp_path / "systemd" / "x.service").exists()


def test_the_diff_shows_files_then_the_unit(spec: UnitSpec, systemd: Any, tmp_path: Path) -> None:
    written(spec)
    (tmp_path / "x.conf").write_text("old\n")
    systemd.run(time.time())
    file, unit_entry = plan_unit(spec, systemd).diff()
    assert file == {
        "before_header": f"{tmp_path}/x.conf (mode 0600)",
        "after_header": f"{tmp_path}/x.conf (mode 0600)",
        "before": "old\n",
        "after": "a\n",
    }
    assert unit_entry["after"] == f"daemon-reload\nrestart\nbecause {tmp_path}/x.conf changes\n"


def test_a_file_that_is_not_text_and_a_dangling_link_are_replaced(systemd: Any, tmp_path: Path) -> None:
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    spec = UnitSpec("x", files=[ManagedFile(str(tmp_path / name), "a") for name in ("bin", "link")])
    plan = plan_unit(spec, systemd)
    apply_unit(plan, systemd)
    assert [(tmp_path / name).read_text() for name in ("bin", "link")] == ["a", "a"]
    assert not (tmp_path / "link").is_symlink()
    assert plan.changes[0].as_diff()["before"] == "\ufffd\ufffd"
    apply_unit(plan.undone(), systemd)
    assert (tmp_path / "bin").read_bytes() == b"\xff\xfe"


def test_a_folder_in_the_place_of_a_file(systemd: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(NodewiseError, match=f"Cannot read {tmp_path}/folder"):
        plan_unit(UnitSpec("x", files=[ManagedFile(str(tmp_path / "folder"), "a")]), systemd)


@pytest.mark.parametrize(("name", "full"), [("kubelet", "kubelet.service"), ("my.app", "my.app.service"), ("a.timer", "a.timer")])
def test_names(name: str, full: str) -> None:
    assert UnitSpec(name).unit == full


class TestValidate:
    def test_refused(self, tmp_path: Path) -> None:
        managed = ManagedFile(str(tmp_path / "x.conf"), "bad\n", validate=["sh", "-c", "echo no: $(cat %s) in $(basename %s) >&2; exit 3"])
        with pytest.raises(NodewiseError, match=rf"The new text of {tmp_path}/x\.conf is refused by sh .* \(3\): no: bad in x\.conf"):
            validate_files([managed], [managed.path], check_mode=False)

    def test_accepted(self, tmp_path: Path) -> None:
        managed = ManagedFile(str(tmp_path / "x.conf"), "good", validate=["grep", "good", "%s"])
        validate_files([managed], [managed.path], check_mode=False)

    def test_only_what_will_be_written(self, tmp_path: Path) -> None:
        validate_files([ManagedFile(str(tmp_path / "x"), "bad", validate=["false"])], [], check_mode=False)

    def test_a_missing_program_is_passed_over_in_check_mode_only(self, tmp_path: Path) -> None:
        managed = ManagedFile(str(tmp_path / "x"), "a", validate=["/nonexistent/program", "%s"])
        validate_files([managed], [managed.path], check_mode=True)
        with pytest.raises(NodewiseError, match="/nonexistent/program, which has to check .*, is not installed"):
            validate_files([managed], [managed.path], check_mode=False)
