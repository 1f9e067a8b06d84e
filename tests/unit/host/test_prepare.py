from __future__ import annotations

import platform

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.files import printable
from ansible_collections.nodewise.cluster.plugins.module_utils.host import facts, prepare
from ansible_collections.nodewise.cluster.plugins.module_utils.host.prepare import Preparation, Wish

NOTHING_RUNS = {name: {"active": False, "enabled": False} for name in facts.SERVICES}
NETWORK_MANAGER = "/etc/NetworkManager/conf.d/nodewise-calico.conf"
NETWORKD = "/etc/systemd/network/00-nodewise-calico.network"


class Host:
    """A folder that stands for a host's root, and the programs that were run on it."""

    def __init__(self, root):
        self.root = root
        self.ran: list[list[str]] = []
        self.fails: list[str] = []
        self.wish = {
            "kernel_modules": ["overlay", "br_netfilter"],
            "kernel_modules_optional": [],
            "sysctls": {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"},
            "swap": "disable",
            "install_packages": True,
        }
        self.put("proc/swaps", "Filename Type Size Used Priority\n")
        self.put("proc/sys/net/ipv4/ip_forward", "0\n")
        self.put("etc/fstab", "UUID=1 / ext4 defaults 0 1\n")
        self.put(f"lib/modules/{platform.release()}/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n")
        self.put(f"lib/modules/{platform.release()}/modules.dep", "kernel/net/bridge/br_netfilter.ko:\n")

    def put(self, path, text):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def text(self, path):
        return (self.root / path.lstrip("/")).read_text()

    def run(self, command):
        self.ran.append(list(command))
        if command[0] in self.fails:
            raise NodewiseError(f"{command[0]} failed")
        if command[0] == "modprobe":
            self.put("proc/modules", "br_netfilter 1 0 - Live 0x0\n")
            self.put("proc/sys/net/bridge/bridge-nf-call-iptables", "0\n")
        if command[0] == "swapoff":
            self.put("proc/swaps", "Filename Type Size Used Priority\n")

    def prepare(self, check=False, missing=(), services=NOTHING_RUNS, **changes):
        wish = Wish(**{**self.wish, **changes})
        return [change.action for change in Preparation(wish, str(self.root), self.run).carry_out(check, missing, services)]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def tree(root):
    return {str(path): path.read_text() for path in root.rglob("*") if path.is_file()}


EVERYTHING = [
    "make /var/lib/nodewise",
    "make /var/lib/nodewise/state",
    "load br_netfilter",
    "write /etc/modules-load.d/nodewise.conf",
    "write /etc/sysctl.d/99-nodewise.conf",
    "set net.ipv4.ip_forward",
    "set net.bridge.bridge-nf-call-iptables",
]


def test_virgin_host(host):
    assert host.prepare() == EVERYTHING
    assert host.ran == [["modprobe", "br_netfilter"]]
    assert host.text("/etc/modules-load.d/nodewise.conf").splitlines()[1:] == ["br_netfilter"]
    assert host.text("/etc/sysctl.d/99-nodewise.conf").splitlines()[1:] == ["net.bridge.bridge-nf-call-iptables = 1", "net.ipv4.ip_forward = 1"]
    assert host.text("/proc/sys/net/ipv4/ip_forward") == "1"
    assert host.text("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1"


def test_diff_shows_before_and_after(host):
    host.prepare()
    host.put("/etc/sysctl.d/99-nodewise.conf", "net.ipv4.ip_forward = 0\n")
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    host.put(NETWORK_MANAGER, "[keyfile]\n")
    services = {**NOTHING_RUNS, "NetworkManager": {"active": False, "enabled": True}}
    changes = Preparation(Wish(**host.wish), str(host.root), host.run).carry_out(True, [], services)
    assert [change.before for change in changes] == ["net.ipv4.ip_forward = 0\n", "net.ipv4.ip_forward = 0\n", "[keyfile]\n"]
    assert changes[0].after == "# Written by nodewise.cluster.host_prepare\nnet.bridge.bridge-nf-call-iptables = 1\nnet.ipv4.ip_forward = 1\n"
    assert changes[1].after == "net.ipv4.ip_forward = 1\n"
    assert "unmanaged-devices+=" in changes[2].after


def test_second_run_changes_nothing(host):
    host.prepare()
    host.ran.clear()
    assert host.prepare() == []
    assert host.prepare(check=True) == []
    assert host.ran == []


def test_whether_it_is_done(host):
    def is_done():
        return Preparation(Wish(**host.wish), str(host.root), host.run).is_done([], NOTHING_RUNS)

    assert not is_done()
    host.prepare()
    assert is_done()
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    assert not is_done()
    host.prepare()
    host.wish["kernel_modules"] = ["missing"]
    assert not is_done()


def test_check_changes_nothing_and_predicts(host):
    before = tree(host.root)
    # The bridge's parameter cannot be compared before its module is loaded.
    assert host.prepare(check=True) == EVERYTHING[:-1]
    assert tree(host.root) == before
    assert host.ran == []


@pytest.mark.parametrize(
    ("path", "text", "action"),
    [
        ("/etc/sysctl.d/99-nodewise.conf", "net.ipv4.ip_forward = 0\n", "write /etc/sysctl.d/99-nodewise.conf"),
        ("/etc/modules-load.d/nodewise.conf", "", "write /etc/modules-load.d/nodewise.conf"),
        ("/proc/sys/net/ipv4/ip_forward", "0\n", "set net.ipv4.ip_forward"),
        ("/proc/modules", "", None),  # br_netfilter's parameters show that it is there
    ],
)
def test_drift_is_predicted_and_mended(host, path, text, action):
    host.prepare()
    host.put(path, text)
    expected = [action] if action else []
    assert host.prepare(check=True) == expected
    assert host.prepare() == expected
    assert host.prepare() == []


def test_missing_module_is_an_error(host):
    with pytest.raises(NodewiseError, match=r"has no module nonsense: neither loaded.*Remedy: reboot.*host_kernel_modules_optional"):
        host.prepare(kernel_modules=["nonsense"])


def test_optional_module_may_be_missing(host):
    host.prepare(kernel_modules=["nonsense"], kernel_modules_optional=["nonsense"], sysctls={})
    assert host.text("/etc/modules-load.d/nodewise.conf").splitlines()[1:] == []
    assert host.ran == []


def test_swap_goes_for_good(host):
    host.prepare()
    host.ran.clear()
    host.put("etc/fstab", "UUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\n")
    host.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1048576 0 -2\n/dev/zram0 partition 1048576 0 100\n")
    for name, source in (("dev-sda2.swap", "/etc/fstab"), ("dev-zram0.swap", "/usr/lib/systemd/zram-generator.conf")):
        host.put(f"run/systemd/generator/{name}", f"SourcePath={source}\n")
        host.put(f"run/systemd/generator/swap.target.wants/{name}", "")
    host.put("etc/systemd/system/multi-user.target.wants/zramswap.service", "")
    expected = [
        "comment swap out in /etc/fstab",
        "disable zramswap.service",
        "mask dev-zram0.swap",
        "reload systemd, which still has swap from fstab",
        "swapoff /dev/sda2",
        "swapoff /dev/zram0",
    ]
    assert host.prepare(check=True) == expected
    assert host.prepare() == expected
    assert host.ran == [
        ["systemctl", "disable", "zramswap.service"],
        ["systemctl", "mask", "dev-zram0.swap"],
        ["systemctl", "daemon-reload"],
        ["swapoff", "/dev/sda2"],
        ["swapoff", "/dev/zram0"],
    ]
    assert host.text("/etc/fstab") == "UUID=1 / ext4 defaults 0 1\n# nodewise, swap is off: UUID=2 none swap sw 0 0\n"


def test_fstab_in_another_encoding_keeps_its_bytes(host):
    host.prepare()
    text = "# f\xfcr M\xfcller\nUUID=1 / ext4 defaults 0 1\n".encode("latin-1")
    (host.root / "etc/fstab").write_bytes(text + b"UUID=2 none swap sw 0 0\n")
    [change] = Preparation(Wish(**host.wish), str(host.root), host.run).carry_out(False, (), NOTHING_RUNS)
    assert (host.root / "etc/fstab").read_bytes() == text + b"# nodewise, swap is off: UUID=2 none swap sw 0 0\n"
    assert printable(change.before).startswith("# f\ufffdr M\ufffdller\n")
    assert host.prepare() == []


def test_fstab_keeps_its_mode_its_line_ends_and_its_link(host):
    host.prepare()
    fstab, real = host.root / "etc/fstab", host.root / "etc/fstab.real"
    real.write_bytes(b"//nas/a /a cifs password=x 0 0\r\nUUID=2 none swap sw 0 0\r\n")
    real.chmod(0o600)
    fstab.unlink()
    fstab.symlink_to("fstab.real")
    assert host.prepare() == ["comment swap out in /etc/fstab"]
    assert fstab.is_symlink()
    assert real.read_bytes() == b"//nas/a /a cifs password=x 0 0\r\n# nodewise, swap is off: UUID=2 none swap sw 0 0\r\n"
    assert real.stat().st_mode & 0o777 == 0o600
    assert host.prepare() == []


@pytest.mark.parametrize("mode", ["allow", "refuse"])
def test_swap_is_left_alone(host, mode):
    host.prepare()
    host.put("etc/fstab", "UUID=2 none swap sw 0 0\n")
    host.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1048576 0 -2\n")
    assert host.prepare(swap=mode) == []


def test_swap_of_the_machine_below_is_never_turned_off(host):
    host.put("run/systemd/container", "lxc")
    host.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1048576 0 -2\n")
    with pytest.raises(NodewiseError, match=r"Swap is on \(/dev/sda2\), but it belongs to the machine that carries this container.*Remedy: turn it off there"):
        host.prepare()
    assert ["swapoff", "/dev/sda2"] not in host.ran


@pytest.mark.parametrize(
    ("name", "path", "reload"),
    [
        ("NetworkManager", NETWORK_MANAGER, ["systemctl", "reload", "NetworkManager.service"]),
        ("systemd-networkd", NETWORKD, ["networkctl", "reload"]),
    ],
)
def test_network_manager_leaves_calico_alone(host, name, path, reload):
    host.prepare()
    host.ran.clear()
    enabled = {**NOTHING_RUNS, name: {"active": False, "enabled": True}}
    active = {**NOTHING_RUNS, name: {"active": True, "enabled": True}}
    assert host.prepare(check=True, services=active) == [f"write {path}", f"reload {name}"]
    assert host.prepare(services=active) == [f"write {path}", f"reload {name}"]
    assert host.ran == [reload]
    assert host.prepare(services=active) == []
    # Drift, and a manager that will start only at the next boot.
    (host.root / path.lstrip("/")).unlink()
    host.ran.clear()
    assert host.prepare(services=enabled) == [f"write {path}"]
    assert host.ran == []


def test_links_are_excluded_beside_the_operators(host):
    both = {name: {"active": True, "enabled": True} for name in ("NetworkManager", "systemd-networkd")}
    host.prepare(services=both)
    links = ["cali*", "tunl*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali"]
    assert f"unmanaged-devices+={';'.join('interface-name:' + link for link in links)}\n" in host.text(NETWORK_MANAGER)
    assert f"Name={' '.join(links)}\n" in host.text(NETWORKD)
    assert "Unmanaged=yes\n" in host.text(NETWORKD)


def test_reload_that_did_not_happen_is_made_up_for(host):
    active = {**NOTHING_RUNS, "NetworkManager": {"active": True, "enabled": True}}
    host.prepare()
    host.fails = ["systemctl"]
    with pytest.raises(NodewiseError):
        host.prepare(services=active)
    host.fails = []
    assert host.prepare(check=True, services=active) == ["reload NetworkManager"]
    assert host.prepare(services=active) == ["reload NetworkManager"]
    assert host.prepare(services=active) == []


def test_missing_packages_are_installed_first(host, monkeypatch):
    monkeypatch.setattr(facts, "missing_packages", list)
    assert host.prepare(missing=["iptables", "kmod"])[0] == "install iptables, kmod"
    assert host.ran[0][-3:] == ["install", "iptables", "kmod"]


def test_old_package_lists_are_renewed(host, monkeypatch):
    monkeypatch.setattr(facts, "missing_packages", list)
    answers = iter([True, False, False])

    def run(command):
        host.ran.append(list(command))
        if command[0] == "apt-get" and next(answers):
            raise NodewiseError("404")

    host.put("var/lib/dpkg/updates/0001", "")
    Preparation(Wish(**host.wish), str(host.root), run)._install(["kmod"])
    assert [command[0] + " " + next(word for word in command if word in ("install", "update", "--configure")) for command in host.ran] == [
        "dpkg --configure",
        "apt-get install",
        "apt-get update",
        "apt-get install",
    ]


def test_package_that_does_not_help_is_an_error(host, monkeypatch):
    monkeypatch.setattr(facts, "missing_packages", lambda: ["python3-yaml"])
    with pytest.raises(NodewiseError, match=r"After installing python3-yaml .* still not found.*Remedy: set ansible_python_interpreter"):
        host.prepare(missing=["python3-yaml"])


def test_packages_that_may_not_be_installed(host):
    with pytest.raises(NodewiseError, match=r"Missing on this host: the programs of the Debian packages kmod\. Remedy: install them"):
        host.prepare(missing=["kmod"], install_packages=False)


def test_run_command():
    prepare.run_command(["true"])
    with pytest.raises(NodewiseError, match=r"^sh -c echo no >&2; exit 3 failed \(3\): no$"):
        prepare.run_command(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(NodewiseError, match="no-such-program failed: .*No such file"):
        prepare.run_command(["no-such-program"])
