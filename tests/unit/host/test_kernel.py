from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.host import kernel

RELEASE = "6.1.0-37-amd64"


@pytest.fixture
def root(tmp_path):
    def put(path: str, text: str = "") -> None:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    put("proc/modules", "nf_conntrack 172032 2 xt_conntrack,nf_nat, Live 0x0000000000000000\n")
    put(
        f"lib/modules/{RELEASE}/modules.dep",
        "kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko kernel/net/802/stp.ko\n"
        "kernel/drivers/net/vxlan/vxlan.ko.xz:\nkernel/fs/with-dash.ko.zst:\n",
    )
    put(f"lib/modules/{RELEASE}/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n")
    put("sys/module/loop/parameters/max_loop", "0\n")
    put("proc/sys/net/ipv4/ip_forward", "0\n")
    put("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
    return tmp_path


def test_module_states(root):
    names = ["nf_conntrack", "br_netfilter", "vxlan", "with_dash", "overlay", "loop", "stp", "nonsense"]
    assert kernel.module_states(names, RELEASE, str(root)) == {
        "nf_conntrack": "loaded",
        "br_netfilter": "available",
        "vxlan": "available",
        "with_dash": "available",
        "overlay": "builtin",
        "loop": "builtin",
        "stp": "missing",  # named only as what another one needs
        "nonsense": "missing",
    }


def test_feature_shows_a_module_that_no_list_names(root):
    (root / "proc/sys/net/bridge").mkdir()
    assert kernel.module_states(["br_netfilter"], "another", str(root)) == {"br_netfilter": "builtin"}


def test_modules_of_another_release_are_not_available(root):
    assert kernel.module_states(["vxlan"], "6.1.0-38-amd64", str(root)) == {"vxlan": "missing"}


def test_modules_file_lists_what_modprobe_finds_loaded_or_not(root):
    content = kernel.modules_file_content(["overlay", "vxlan", "br_netfilter", "nonsense"], RELEASE, str(root))
    assert content.splitlines()[1:] == ["vxlan", "br_netfilter"]


def test_sysctls_are_read_with_single_blanks(root):
    states = kernel.sysctl_states(["net.ipv4.ip_forward", "net.ipv4.tcp_rmem", "vm.nonsense"], str(root))
    assert states["net.ipv4.ip_forward"] == {"value": "0", "writable": True}
    assert states["net.ipv4.tcp_rmem"]["value"] == "4096 131072 6291456"
    assert states["vm.nonsense"] == {"value": None, "writable": False}


def test_write_sysctl(root):
    kernel.write_sysctl("net.ipv4.ip_forward", "1", str(root))
    assert kernel.read_sysctl("net.ipv4.ip_forward", str(root)) == "1"


def test_sysctl_that_cannot_be_set(root, monkeypatch):
    with pytest.raises(NodewiseError, match=r"Cannot set vm\.nonsense to 1 .*No such file.*Remedy: correct host_sysctls"):
        kernel.write_sysctl("vm.nonsense", "1", str(root))

    def refuse(*_args, **_kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(NodewiseError, match=r"Read-only file system.*Remedy: set it on the machine that carries this container"):
        kernel.write_sysctl("net.ipv4.ip_forward", "1", str(root))


def test_sysctl_file_is_sorted():
    assert kernel.sysctl_file_content({"vm.b": "2", "net.a": "1"}).splitlines()[1:] == ["net.a = 1", "vm.b = 2"]


def test_overrides_are_files_read_after_ours(root):
    (root / "etc/sysctl.d").mkdir(parents=True)
    (root / "usr/lib/sysctl.d").mkdir(parents=True)
    (root / "etc/sysctl.d/10-early.conf").write_text("net.a = 5\n")
    (root / "etc/sysctl.d/99-zy.conf").write_bytes("# f\xfcr net.a\n".encode("latin-1"))
    (root / "etc/sysctl.d/99-sysctl.conf").write_text("# net.a = 5\n-net/ipv4/ip_forward=0\nnet.b = 2\nnet.c = 1\n")
    (root / "usr/lib/sysctl.d/99-sysctl.conf").write_text("net.d = 9\n")  # hidden by the file of that name in /etc
    (root / "usr/lib/sysctl.d/99-zz.conf").write_text("net.c = 3\n")
    sysctls = {"net.ipv4.ip_forward": "1", "net.a": "1", "net.b": "2", "net.c": "1", "net.d": "1"}
    assert kernel.sysctl_overrides(sysctls, str(root)) == {
        "net.ipv4.ip_forward": "0 in /etc/sysctl.d/99-sysctl.conf",
        "net.c": "3 in /usr/lib/sysctl.d/99-zz.conf",
    }
