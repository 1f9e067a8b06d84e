from __future__ import annotations

import socket

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.host import facts
from ansible_collections.nodewise.cluster.plugins.module_utils.host.model import Facts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n', ("debian", "12")),
        ("ID=debian\n", ("debian", "")),
        ("", ("", "")),
    ],
)
def test_parse_os_release(text, expected):
    assert facts.parse_os_release(text) == expected


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "v2"),
        ("tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", "v1"),
        ("tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "hybrid"),
        ("", "v1"),
    ],
)
def test_parse_cgroup(mounts, expected):
    assert facts.parse_cgroup(mounts) == expected


def test_parse_services():
    text = "Id=firewalld.service\nActiveState=inactive\nUnitFileState=\n\nId=ufw.service\nActiveState=active\nUnitFileState=enabled\n"
    assert facts.parse_services(text) == {"firewalld": {"active": False, "enabled": False}, "ufw": {"active": True, "enabled": True}}


def test_services_ask_systemctl(tmp_path, monkeypatch):
    systemctl = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert facts.services() == {}
    systemctl.write_text("#!/bin/sh\nprintf 'Id=ufw.service\\nActiveState=active\\nUnitFileState=disabled\\n'\n")
    systemctl.chmod(0o755)
    assert facts.services() == {"ufw": {"active": True, "enabled": False}}
    systemctl.write_text("#!/bin/sh\necho Id=ufw.service; exit 1\n")
    assert facts.services() == {}


def test_os_release_of_a_host_that_has_it_only_below_usr(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=debian\nVERSION_ID=13\n")
    found = facts.gather([], {}, str(tmp_path))
    assert (found["distribution"], found["distribution_version"]) == ("debian", "13")


def test_missing_packages(tmp_path, monkeypatch):
    for name in ("losetup", "nsenter", "nft"):
        program = tmp_path / name
        program.touch()
        program.chmod(0o755)
    assert facts.missing_packages(str(tmp_path)) == ["iproute2", "kmod", "openssl"]
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert facts.missing_packages(str(tmp_path)) == ["iproute2", "kmod", "openssl", "python3-yaml"]


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    [disk] = facts.disks(str(tmp_path))
    assert disk["path"] == "/var/lib/containerd"
    assert disk["free_mb"] > 0


def test_cri_sockets_are_sockets(tmp_path):
    (tmp_path / "run/containerd").mkdir(parents=True)
    (tmp_path / "run/containerd/containerd.sock").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run/cri-dockerd.sock"))
        assert facts.cri_sockets(root=str(tmp_path)) == ["unix:///run/cri-dockerd.sock"]


def test_apiserver_version(tmp_path):
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    assert facts.apiserver_version(str(tmp_path)) == ""
    (manifests / "kube-apiserver.yaml").write_text("spec:\n  containers:\n  - command:\n    image: registry.k8s.io/kube-apiserver:v1.37.2\n")
    assert facts.apiserver_version(str(tmp_path)) == "1.37.2"


def test_kubelet_version(tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "PROGRAM_PATH", str(tmp_path))
    assert facts.kubelet_version() == ""
    kubelet = tmp_path / "kubelet"
    kubelet.write_text("#!/bin/sh\necho Kubernetes v1.37.2\n")
    kubelet.chmod(0o755)
    assert facts.kubelet_version() == "1.37.2"
    kubelet.write_text("garbage")
    assert facts.kubelet_version() == ""


def test_kubeadm_state(tmp_path):
    assert facts.kubeadm_state(str(tmp_path)) == {}
    folder = tmp_path / "var/lib/nodewise/state"
    folder.mkdir(parents=True)
    (folder / "kubeadm.json").write_text('{"role": "worker"}')
    assert facts.kubeadm_state(str(tmp_path)) == {"role": "worker"}
    (folder / "kubeadm.json").write_text("{")
    with pytest.raises(NodewiseError, match=r"kubeadm\.json is not JSON.*Remedy: remove the file"):
        facts.kubeadm_state(str(tmp_path))


def test_gather_returns_what_the_preflight_reads():
    wanted = {"sysctls": {"net.ipv4.ip_forward": "1"}, "control_plane_endpoint": "127.0.0.1:6443", "cri_socket": "unix:///var/run/other.sock"}
    found = facts.gather(["overlay"], wanted)
    # The action plugin adds the clock and the run.
    assert set(found) == set(Facts.__annotations__) - {"clock", "run"}
    assert found["wanted"] == wanted
    assert found["resolved"] == {"127.0.0.1": ["127.0.0.1"]}
    assert found["memory_mb"] > 100
    assert list(found["sysctls"]) == ["net.ipv4.ip_forward"]


def test_host_without_a_default_route_has_its_first_address(monkeypatch):
    monkeypatch.setattr(facts.network, "addresses", lambda: ["192.168.7.21", "192.168.8.21"])
    monkeypatch.setattr(facts.network, "default_address", lambda: "")
    assert facts.gather([], {})["default_ipv4"] == "192.168.7.21"
    monkeypatch.setattr(facts.network, "default_address", lambda: "192.168.8.21")
    assert facts.gather([], {})["default_ipv4"] == "192.168.8.21"


def test_gather_without_wishes():
    found = facts.gather([], {})
    assert (found["sysctls"], found["resolved"], found["kernel_modules"]) == ({}, {}, {})


def test_a_lost_cni_file_shows(tmp_path):
    folder = tmp_path / "etc/cni/net.d"
    folder.mkdir(parents=True)
    (folder / "10-calico.conflist").touch()
    assert facts.gather([], {}, str(tmp_path))["calico_cni_config"] is False
    (folder / "calico-kubeconfig").touch()
    assert facts.gather([], {}, str(tmp_path))["calico_cni_config"] is True
