from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host import swap

SWAPS = """\
Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sda2                               partition\t524284\t\t0\t\t-2
/swap\\040file                           file\t\t1048572\t\t0\t\t-3
/dev/zram0                              partition\t2097148\t\t0\t\t100
"""
FSTAB = """\
# <file system> <mount point> <type> <options> <dump> <pass>
UUID=1234 / ext4 errors=remount-ro 0 1
UUID=5678 none swap sw 0 0
#UUID=9999 none swap sw 0 0
/swapfile\tswap\tswap\tdefaults,noauto\t0 0
/swap2 none swap
"""


@pytest.fixture
def root(tmp_path):
    for folder in ("etc/systemd/system", "run/systemd/generator/swap.target.requires"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/fstab").write_text(FSTAB)
    return tmp_path


def generate(root, name: str, source: str) -> None:
    """Do as a systemd generator does."""
    generator = root / "run/systemd/generator"
    (generator / name).write_text(f"[Unit]\nSourcePath={source}\n\n[Swap]\nWhat=/dev/x\n")
    (generator / "swap.target.requires" / name).symlink_to(f"../{name}")


def test_parse_swaps():
    assert swap.parse_swaps(SWAPS) == [("/dev/sda2", "partition", 511), ("/swap file", "file", 1023), ("/dev/zram0", "partition", 2047)]
    assert swap.parse_swaps(SWAPS.splitlines()[0] + "\n") == []


def test_fstab_without_swap_keeps_all_else():
    after = swap.fstab_without_swap(FSTAB).splitlines()
    assert after[2] == "# nodewise, swap is off: UUID=5678 none swap sw 0 0"
    assert after[5] == "# nodewise, swap is off: /swap2 none swap"
    untouched = [0, 1, 3, 4]
    assert [after[number] for number in untouched] == [FSTAB.splitlines()[number] for number in untouched]


def test_fstab_in_another_encoding_is_read(root):
    (root / "etc/fstab").write_bytes("# f\xfcr M\xfcller\nUUID=5678 none swap sw,x-\xfc 0 0\n".encode("latin-1"))
    assert swap.persistent_swap(str(root)) == ["/etc/fstab: UUID=5678 none swap sw,x-\ufffd 0 0"]


def test_fstab_without_swap_is_idempotent():
    once = swap.fstab_without_swap(FSTAB)
    assert swap.fstab_without_swap(once) == once


def test_units_from_zram_generator_and_from_fstab_are_told_apart(root):
    generate(root, "dev-zram0.swap", "/usr/lib/systemd/zram-generator.conf")
    generate(root, "swap2.swap", "/etc/fstab")
    assert swap.swap_units(str(root)) == ([("dev-zram0.swap", "/run/systemd/generator")], ["swap2.swap"])


def test_masked_unit_does_not_count(root):
    generate(root, "dev-zram0.swap", "/usr/lib/systemd/zram-generator.conf")
    (root / "etc/systemd/system/dev-zram0.swap").symlink_to("/dev/null")
    assert swap.swap_units(str(root)) == ([], [])


def test_enabled_service_that_turns_swap_on_counts(root):
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "zramswap.service").symlink_to("/lib/systemd/system/zramswap.service")
    (wants / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
    assert swap.swap_units(str(root)) == ([("zramswap.service", "/etc/systemd/system")], [])


def test_persistent_swap(root):
    generate(root, "dev-zram0.swap", "/usr/lib/systemd/zram-generator.conf")
    generate(root, "swap2.swap", "/etc/fstab")
    assert swap.persistent_swap(str(root)) == [
        "/etc/fstab: UUID=5678 none swap sw 0 0",
        "/etc/fstab: /swap2 none swap",
        "unit dev-zram0.swap (/run/systemd/generator)",
    ]


def test_host_without_fstab_has_no_persistent_swap(tmp_path):
    assert swap.persistent_swap(str(tmp_path)) == []
