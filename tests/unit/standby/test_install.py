# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.standby import authorized_keys, install
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.capacity import allocatable, read_capacity, with_pods
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.install import Request, ensure_absent, ensure_present, keys_paths, sshd_problem
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.settings import Settings

KEY = f"ssh-ed25519 {'A' * 68} nodewise-autoscaler@cp1"
SETTINGS = Settings("c", "s1", "192.0.2.31", "unix:///run/containerd/containerd.sock", "10.244.0.0/16", "192.0.2.11:6443", [f"sha256:{'a' * 64}"])


def test_a_line_restricts_its_key() -> None:
    assert authorized_keys.lines([KEY], ["192.0.2.11", "2001:db8::1"], "/opt/x y") == [
        f'restrict,from="192.0.2.11,2001:db8::1",command="/opt/x y" ssh-ed25519 {"A" * 68} nodewise-autoscaler@cp1'
    ]


@pytest.mark.parametrize(
    ("keys", "addresses", "message"),
    [
        (["ssh-rsa AAAA"], ["192.0.2.11"], "is not an ed25519 public key"),
        ([f"{KEY}\nssh-ed25519 {'B' * 68}"], ["192.0.2.11"], "is not an ed25519 public key"),
        ([KEY], ['192.0.2.11",command="sh'], "is not an IP address"),
        ([KEY], ["*"], "is not an IP address"),
        ([KEY], [], "No address may use"),
    ],
)
def test_a_malformed_key_or_address_never_gets_into_the_file(keys: list[str], addresses: list[str], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        authorized_keys.lines(keys, addresses, "x")


def test_only_our_lines_are_replaced() -> None:
    others = f"# comment\n\nssh-ed25519 {'C' * 68} me@home\nssh-ed25519 {'D' * 68} nodewise-autoscaler"
    first = authorized_keys.replace(others, authorized_keys.lines([KEY], ["192.0.2.11"], "x"))
    assert first.startswith(f"{others}\n")
    second = authorized_keys.replace(first, authorized_keys.lines([KEY], ["192.0.2.12"], "x"))
    assert second.count("nodewise-autoscaler@cp1") == 1
    assert authorized_keys.replace(second, []) == f"{others}\n"


@pytest.mark.parametrize("others", [f"ssh-ed25519 {'C' * 68} me@home", f"# a\r\nssh-ed25519 {'C' * 68} me@home\r\n", "# a\x0cb\u2028c\n", "\n\n", ""])
def test_the_lines_of_others_keep_every_byte(others: str) -> None:
    assert authorized_keys.replace(others, []) == others
    with_ours = authorized_keys.replace(others, ["restrict ssh-ed25519 A nodewise-autoscaler@cp1"])
    assert with_ours.startswith(others)
    assert authorized_keys.replace(with_ours, []) in (others, f"{others}\n")


@pytest.mark.parametrize(
    ("setting", "paths"),
    [
        ("", ["/root/.ssh/authorized_keys"]),
        (".ssh/authorized_keys .ssh/authorized_keys2", ["/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys2"]),
        ("/etc/ssh/keys/%u", ["/etc/ssh/keys/root"]),
        ("%h/.keys", ["/root/.keys"]),
        ("none", ["/root/.ssh/authorized_keys"]),
    ],
)
def test_keys_go_where_sshd_looks(setting: str, paths: list[str]) -> None:
    assert keys_paths(setting) == paths


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"permitrootlogin": "without-password", "pubkeyauthentication": "yes", "forcecommand": "none"}, ""),
        ({"permitrootlogin": "forced-commands-only"}, ""),
        ({"permitrootlogin": "no"}, "PermitRootLogin is no"),
        ({"permitrootlogin": "yes", "pubkeyauthentication": "no"}, "PubkeyAuthentication is no"),
        ({"permitrootlogin": "yes", "forcecommand": "/bin/audit"}, "ForceCommand is /bin/audit, which would be run instead of the key's own command"),
    ],
)
def test_an_sshd_that_does_not_let_the_key_in_is_found_out(settings: dict[str, str], problem: str) -> None:
    assert sshd_problem(settings) == problem


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands for the host's file system."""
    for name, path in (("ROOT", "opt/standby"), ("PATH", "etc/nodewise/standby.json"), ("_HOME", "root"), ("HOST_KEY", "etc/host_key.pub")):
        monkeypatch.setattr(install, name, str(tmp_path / path))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/host_key.pub").write_text(f"ssh-ed25519 {'E' * 68} root@s1\n")
    monkeypatch.setattr(install, "_sshd_settings", lambda *_args, **_options: {"authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2"})
    return tmp_path


def request_(**changes: Any) -> Request:
    return Request(**{"settings": SETTINGS, "public_keys": [KEY], "addresses": ["192.0.2.11"], "python": sys.executable, **changes})


def test_what_is_installed_runs_by_itself_and_a_second_time_changes_nothing(host: Path) -> None:
    predicted = ensure_present(request_(), check_mode=True)
    assert not (host / "opt").exists()
    done = ensure_present(request_(), check_mode=False)
    assert done.actions == predicted.actions
    assert done.host_key == f"ssh-ed25519 {'E' * 68}"
    assert (host / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (host / "root/.ssh/authorized_keys2").stat().st_mode & 0o777 == 0o600
    assert ensure_present(request_(), check_mode=False).actions == []
    # By the interpreter of the release alone, as sshd would start it.
    program = [str(host / "opt/standby/current/venv/bin/python"), "-I", "-m", "nodewise.standby.main"]
    ran = subprocess.run(program, env={"SSH_ORIGINAL_COMMAND": "reboot"}, input="", capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stdout.startswith('{"ok": false, "state": "failed", "reason": "The command \'reboot\' is not allowed here.')


def test_what_the_operator_adds_to_the_join_may_be_secret(host: Path) -> None:
    path, secret = host / "etc/nodewise/standby.json", "abcdef.0123456789abcdef"
    settings = replace(SETTINGS, join_configuration={"discovery": {"tlsBootstrapToken": secret}})
    done = ensure_present(request_(settings=settings), check_mode=False)
    assert secret in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    removed = ensure_absent(check_mode=True)
    assert '"tlsBootstrapToken": "<tlsBootstrapToken>"' in str(done.diff)
    assert secret not in str([done, removed])


def test_settings_that_all_could_read_are_closed_once(host: Path) -> None:
    ensure_present(request_(), check_mode=False)
    path = host / "etc/nodewise/standby.json"
    path.chmod(0o644)
    assert ensure_present(request_(), check_mode=False).actions == [f"write {path}"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_present(request_(), check_mode=False).actions == []


def test_all_of_it_goes_and_the_keys_of_others_stay(host: Path) -> None:
    (host / "root/.ssh").mkdir(parents=True)
    keys = host / "root/.ssh/authorized_keys"
    keys.write_text(f"ssh-ed25519 {'C' * 68} me@home\n")
    ensure_present(request_(), check_mode=False)
    # A line that stood there once, for sshd was configured otherwise.
    keys.write_text(f"ssh-ed25519 {'C' * 68} me@home\n{authorized_keys.lines([KEY], ['192.0.2.11'], 'x')[0]}\n")
    assert ensure_absent(check_mode=True).actions == ensure_absent(check_mode=False).actions != []
    assert keys.read_text() == f"ssh-ed25519 {'C' * 68} me@home\n"
    assert not (host / "root/.ssh/authorized_keys2").exists()
    assert not (host / "opt/standby").exists()
    assert not (host / "etc/nodewise/standby.json").exists()
    assert ensure_absent(check_mode=False).actions == []


def test_keys_whose_comments_are_in_another_encoding_keep_their_bytes(host: Path) -> None:
    (host / "root/.ssh").mkdir(parents=True)
    keys, others = host / "root/.ssh/authorized_keys2", f"ssh-ed25519 {'C' * 68} M\xfcller\n".encode("latin-1")
    keys.write_bytes(others)
    json.dumps(ensure_present(request_(), check_mode=False).diff, ensure_ascii=False).encode()
    assert keys.read_bytes().startswith(others)
    ensure_absent(check_mode=False)
    assert keys.read_bytes() == others


@pytest.mark.parametrize("others", [f"ssh-ed25519 {'C' * 68} me@home", f"ssh-ed25519 {'C' * 68} me@home\r\n"])
def test_a_file_of_keys_without_ours_is_not_written(host: Path, others: str) -> None:
    """Another tool writes the first file as a whole, as it likes."""
    (host / "root/.ssh").mkdir(parents=True)
    keys = host / "root/.ssh/authorized_keys"
    keys.write_text(others, newline="")
    assert ensure_absent(check_mode=True).actions == []
    ensure_present(request_(), check_mode=False)
    ensure_absent(check_mode=False)
    assert keys.read_bytes() == others.encode()


def test_line_ends_of_others_stay_beside_our_key(host: Path) -> None:
    (host / "root/.ssh").mkdir(parents=True)
    keys, others = host / "root/.ssh/authorized_keys2", f"# a\r\nssh-ed25519 {'C' * 68} me@home\r\n".encode()
    keys.write_bytes(others)
    ensure_present(request_(), check_mode=False)
    assert keys.read_bytes().startswith(others)
    assert ensure_present(request_(), check_mode=False).actions == []
    ensure_absent(check_mode=False)
    assert keys.read_bytes() == others


def test_a_link_to_keys_stays_a_link_and_its_file_keeps_owner_and_mode(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "root/.ssh").mkdir(parents=True)
    keys, real, others = host / "root/.ssh/authorized_keys2", host / "etc/keys_of_root", f"ssh-ed25519 {'C' * 68} me@home\n"
    real.write_text(others)
    real.chmod(0o640)
    keys.symlink_to(real)
    owners = []
    monkeypatch.setattr(install.os, "chown", lambda path, user, group: owners.append((path, user, group)))
    assert ensure_present(request_(), check_mode=False).actions[-1] == f"write {real}"
    assert keys.is_symlink()
    assert "nodewise-autoscaler@cp1" in real.read_text()
    assert ensure_present(request_(), check_mode=False).actions == []
    ensure_absent(check_mode=False)
    assert keys.is_symlink()
    assert real.read_text() == others
    found = real.stat()
    assert found.st_mode & 0o777 == 0o640
    assert owners == [(str(real), found.st_uid, found.st_gid)] * 2


def test_two_names_of_one_file_of_keys_are_one(host: Path) -> None:
    (host / "root/.ssh").mkdir(parents=True)
    (host / "root/.ssh/authorized_keys").symlink_to("authorized_keys2")
    ensure_present(request_(), check_mode=False)
    assert "nodewise-autoscaler@cp1" in (host / "root/.ssh/authorized_keys2").read_text()
    assert ensure_present(request_(), check_mode=False).actions == []
    assert ensure_absent(check_mode=False).actions.count(f"remove {host / 'root/.ssh/authorized_keys2'}") == 1


def test_the_key_goes_from_where_it_was_written_whatever_sshd_says_now(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sshd(caller: str, **_options: Any) -> dict[str, str]:
        # As with a block 'Match Address 192.0.2.11'.
        return {"authorizedkeysfile": str(host / "etc/keys_of_callers") if caller == "192.0.2.11" else ".ssh/authorized_keys"}

    monkeypatch.setattr(install, "_sshd_settings", sshd)
    ensure_present(request_(), check_mode=False)
    keys = host / "etc/keys_of_callers"
    keys.write_text(f"ssh-ed25519 {'C' * 68} me@home\n{keys.read_text()}")
    assert ensure_absent(check_mode=True).actions == ensure_absent(check_mode=False).actions
    assert keys.read_text() == f"ssh-ed25519 {'C' * 68} me@home\n"
    assert ensure_absent(check_mode=False).actions == []


def test_the_key_moves_with_what_sshd_reads(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_present(request_(), check_mode=False)
    monkeypatch.setattr(install, "_sshd_settings", lambda *_args, **_options: {"authorizedkeysfile": str(host / "etc/keys")})
    ensure_present(request_(), check_mode=False)
    assert not (host / "root/.ssh/authorized_keys2").exists()
    assert "nodewise-autoscaler@cp1" in (host / "etc/keys").read_text()
    assert ensure_present(request_(), check_mode=False).actions == []


def test_of_an_older_version_nothing_is_remembered_and_what_is_damaged_is_told(host: Path) -> None:
    settings = host / "etc/nodewise/standby.json"
    settings.parent.mkdir()
    settings.write_text('{"cluster_name": "c"}')
    assert [action.partition(" ")[0] for action in ensure_absent(check_mode=True).actions] == ["remove"]
    settings.write_text("{")
    with pytest.raises(NodewiseError, match="where the autoscaler's key stands is unknown"):
        ensure_absent(check_mode=False)
    assert settings.exists()


def test_a_host_without_a_host_key_is_refused(host: Path) -> None:
    (host / "etc/host_key.pub").unlink()
    with pytest.raises(NodewiseError, match="ssh-keygen -A"):
        ensure_present(request_(), check_mode=False)
    assert ensure_present(request_(), check_mode=True).host_key == ""


def test_capacity_is_read_as_the_kubelet_reads_it(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       16377216 kB\nMemFree: 1 kB\n")
    pages = tmp_path / "sys/kernel/mm/hugepages/hugepages-2048kB"
    pages.mkdir(parents=True)
    (pages / "nr_hugepages").write_text("3\n")
    found = read_capacity(str(tmp_path), cpus=4)
    storage = found.pop("ephemeral-storage")
    assert found == {"cpu": "4", "memory": "16377216Ki", "hugepages-2Mi": "6Mi"}
    assert storage.endswith("Ki")


def test_a_host_that_does_not_say_its_memory_is_no_host_without_memory(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="its capacity is unknown"):
        read_capacity(str(tmp_path), cpus=4)


def test_allocatable_is_what_is_left_of_the_capacity() -> None:
    kubelet = {"systemReserved": {"cpu": "200m", "memory": "1Gi"}, "maxPods": 50}
    capacity = with_pods({"cpu": "4", "memory": "16377216Ki", "ephemeral-storage": "20466256Ki", "hugepages-2Mi": "6Mi"}, kubelet)
    assert allocatable(capacity, kubelet) == {
        "cpu": "3800m",
        "memory": f"{16377216 - 1024 * 1024 - 100 * 1024 - 6 * 1024}Ki",
        "ephemeral-storage": "18861701499",  # the kubelet holds 10 % as a float32
        "hugepages-2Mi": "6Mi",
        "pods": "50",
    }


@pytest.mark.parametrize(("kubelet", "pods"), [({}, "110"), ({"maxPods": 30}, "30"), ({"podsPerCore": 5}, "20"), ({"podsPerCore": 100, "maxPods": 30}, "30")])
def test_pods_are_the_kubelets_configuration(kubelet: dict[str, Any], pods: str) -> None:
    assert with_pods({"cpu": "4"}, kubelet)["pods"] == pods


def test_a_configuration_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(NodewiseError, match="KubeletConfiguration cannot be applied"):
        allocatable({"cpu": "4"}, {"systemReserved": {"cpu": "lots"}})
