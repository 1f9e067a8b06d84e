from __future__ import annotations

import os
import socket
import struct

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host import network

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0107A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0007A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t4005F40A\t00000000\t0201\t0\t0\t1024\tC0FFFFFF\t0\t0\t0
vxlan.calico\t0009F40A\t0009F40A\t0003\t0\t0\t0\tC0FFFFFF\t0\t0\t0
eth1\t0008A8C0\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0000000000000000 100 0 0 10 0
   1: 0100007F:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1003 1 0000000000000000 100 0 0 10 0
   3: 0100007F:192B 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 1004 1 0000000000000000 100 0 0 10 0
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 2345: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0000000000000000 0
"""
PORTS = {(6443, "tcp"), (10250, "tcp"), (4789, "udp")}


def test_routes_of_a_calico_node():
    assert network.parse_routes(ROUTES) == [
        {"destination": "192.168.7.0/24", "gateway": "", "interface": "eth0"},
        {"destination": "10.244.5.64/26", "gateway": "", "interface": "*"},
        {"destination": "10.244.9.0/26", "gateway": "10.244.9.0", "interface": "vxlan.calico"},
    ]


def test_addresses_out_of_ifconf():
    def row(name: bytes, address: str) -> bytes:
        return struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(address))

    data = row(b"lo", "127.0.0.1") + row(b"eth0", "192.168.7.21") + row(b"eth0:1", "192.168.7.22") + row(b"cali1", "192.168.7.21")
    assert network.parse_ifconf(data) == ["192.168.7.21", "192.168.7.22"]


def test_only_waiting_sockets_on_the_ports_count():
    assert network.parse_sockets(TCP, "tcp", PORTS) == [(6443, "1001"), (10250, "1002")]
    assert network.parse_sockets(UDP, "udp", PORTS) == [(4789, "0")]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/tcp").write_text(TCP)
    (tmp_path / "proc/net/udp").write_text(UDP)
    for pid, inode, program in (("1", "9", "/sbin/init"), ("42", "1001", "/usr/local/bin/kube-apiserver"), ("43", "1002", "/usr/local/bin/kubelet (deleted)")):
        (tmp_path / "proc" / pid / "fd").mkdir(parents=True)
        os.symlink(f"socket:[{inode}]", tmp_path / "proc" / pid / "fd" / "3")
        os.symlink(program, tmp_path / "proc" / pid / "exe")
    return tmp_path


def test_listeners_and_their_programs(root):
    assert network.listeners(PORTS, str(root)) == [
        {"port": 4789, "protocol": "udp", "program": ""},
        {"port": 6443, "protocol": "tcp", "program": "kube-apiserver"},
        {"port": 10250, "protocol": "tcp", "program": "kubelet"},
    ]


def test_real_listener_is_found_with_this_python():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [found] = network.listeners({(port, "tcp")})
    assert found == {"port": port, "protocol": "tcp", "program": os.path.basename(os.path.realpath("/proc/self/exe"))}


def test_real_host():
    assert "lo" in network.interfaces()
    assert not any(address.startswith("127.") for address in network.addresses())


def test_resolve():
    assert network.resolve("127.0.0.1") == ["127.0.0.1"]
    assert network.resolve("192.168.7.11") == ["192.168.7.11"]
    assert network.resolve("no-such-name.invalid") == []
    assert network.resolve("." + "x" * 300) == []
