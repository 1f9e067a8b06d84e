# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.serving.judge import check_given, config_map, node_of, parse_addresses, pending, refusal

KNOWN = {"w1": ["10.0.0.21"], "w2": ["10.0.0.22"], "cp1": ["10.0.0.11"]}
Make = Callable[..., dict[str, Any]]


def test_a_kubelets_own_request_may_be_approved(make_request: Make) -> None:
    assert refusal(make_request(), KNOWN) == ""
    assert refusal(make_request(usages=["server auth", "key encipherment", "digital signature"]), KNOWN) == ""


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"signerName": "kubernetes.io/kube-apiserver-client"}, "it is for the signer kubernetes.io/kube-apiserver-client"),
        ({"username": "system:serviceaccount:demo:x"}, "'system:serviceaccount:demo:x' is no node"),
        ({"username": "system:node:"}, "'system:node:' is no node"),
        ({"username": "w1"}, "'w1' is no node"),
        ({"groups": ["system:authenticated"]}, "its requestor is not in system:nodes"),
        ({"groups": ["system:nodes"]}, "its requestor is not in system:authenticated"),
        ({"groups": None}, "its requestor is not in system:authenticated and system:nodes"),
        ({"usages": ["digital signature", "server auth", "client auth"]}, "it asks for the usages client auth, digital signature, server auth"),
        ({"usages": ["server auth"]}, "it asks for the usages server auth"),
        ({"usages": ["digital signature", "server auth", "server auth"]}, "it asks for the usages digital signature, server auth, server auth"),
        ({"usages": None}, "it asks for the usages "),
        ({"username": "system:node:w9"}, "w9 is not in the inventory that the ConfigMap nodewise-system/nodewise-kubelet-addresses was made of"),
        ({"username": "system:node:w2"}, "its common name is system:node:w1"),
        ({"request": ""}, "its request is not a kubelet's: it is not one PEM block CERTIFICATE REQUEST"),
        ({"request": "%"}, "its request is not a kubelet's: "),
    ],
)
def test_who_asks_and_for_what(make_request: Make, spec: dict[str, Any], why: str) -> None:
    assert refusal(make_request(**spec), KNOWN).startswith(why)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("DNS:w1,IP:10.0.0.22", "10.0.0.22 is not w1's: the inventory knows w1, 10.0.0.21"),
        ("DNS:w1,IP:10.0.0.21,IP:10.0.0.11", "10.0.0.11 is not w1's: the inventory knows w1, 10.0.0.21"),
        ("DNS:w1,DNS:kubernetes.default.svc,IP:10.0.0.21", "kubernetes.default.svc is not w1's: the inventory knows w1, 10.0.0.21"),
        ("DNS:w2,IP:10.0.0.21", "w2 is not w1's"),
        ("DNS:*,IP:10.0.0.21", "* is not w1's"),
        ("DNS:w1.,IP:10.0.0.21", "w1. is not w1's"),
        ("DNS:W1,IP:10.0.0.21", "W1 is not w1's"),
        ("DNS:w1,IP:127.0.0.1,IP:10.0.0.21", "127.0.0.1 is not w1's"),
        ("DNS:w1,IP:::ffff:10.0.0.21", "::ffff:"),
        ("DNS:w1", "it asks for no IP address"),
    ],
)
def test_names_and_addresses_of_others(make_request: Make, make_pem: Callable[..., str], names: str, why: str) -> None:
    assert why in refusal(make_request(make_pem(extensions=f"subjectAltName = {names}")), KNOWN)


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("O = system:masters\nCN = system:node:w1", "its organization is system:masters"),
        ("O = system:nodes\nCN = system:node:w2", "its common name is system:node:w2"),
        ("O = system:nodes\nCN = system:node:W1", "its common name is system:node:W1"),
        ("O = system:nodes\nCN = kubernetes-admin", "its common name is kubernetes-admin"),
    ],
)
def test_another_subject(make_request: Make, make_pem: Callable[..., str], subject: str, why: str) -> None:
    assert refusal(make_request(make_pem(subject=subject)), KNOWN) == why


def test_addresses_without_an_order_or_a_second_one(make_request: Make, make_pem: Callable[..., str]) -> None:
    request = make_request(make_pem(extensions="subjectAltName = IP:fd00::21,IP:10.0.0.21"))
    assert refusal(request, {"w1": ["10.0.0.21", "fd00::21"]}) == ""


def test_what_waits(make_request: Make) -> None:
    request = make_request()
    assert pending(request) and node_of(request) == "w1"
    for kind in ("Approved", "Denied", "Failed"):
        assert not pending({**request, "status": {"conditions": [{"type": kind}]}})
    assert not pending(make_request(signerName="example.com/x"))


def test_the_config_map_says_it_back() -> None:
    made = config_map({**KNOWN, "w3": ["fd00:0::3"]})
    assert parse_addresses(made) == {**KNOWN, "w3": ["fd00::3"]}
    assert parse_addresses({}) == {}


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"w1": ["10.0.0.21"], "w2": ["10.0.0.21"]}, "10.0.0.21 is the address of both w1 and w2. Remedy: give each host its own nodewise_node_ip"),
        ({"w1": ["w1.example.org"]}, "'w1.example.org' of w1 is no IP address"),
        ({"w1": [""]}, "'' of w1 is no IP address"),
        ({"w1": ["127.0.0.1"]}, "127.0.0.1 of w1 is not an address of that host alone"),
        ({"w1": ["0.0.0.0"]}, "0.0.0.0 of w1 is not an address of that host alone"),
        ({"w1": ["fe80::1"]}, "fe80::1 of w1 is not an address of that host alone"),
    ],
)
def test_addresses_that_are_refused(known: dict[str, list[str]], message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        config_map(known)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["10.0.0.21", "[", '{"a": 1}', '"10.0.0.21"'])
def test_a_config_map_of_somebody_else(text: str) -> None:
    with pytest.raises(NodewiseError, match="which is no list"):
        parse_addresses({"data": {"w1": text}})


@pytest.mark.parametrize(
    ("given", "found", "declared", "said"),
    [
        ({"w1": ["10.96.0.1"]}, {}, [], "10.96.0.1 of w1 is in 10.96.0.0/12"),
        ({"w1": ["10.96.0.1"]}, {}, ["w1"], "set nodewise_node_ip of w1"),
        ({"w1": ["192.0.2.9"]}, {"w1": ["192.0.2.21"]}, [], "w1 says that its address is 192.0.2.9; the cluster knows it as 192.0.2.21"),
    ],
)
def test_an_address_that_a_host_may_not_claim(given: Any, found: Any, declared: Any, said: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        check_given(given, found, declared, ["10.244.0.0/16", "10.96.0.0/12", "fd00:10::/64"])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("found", "declared"),
    [({}, []), ({"w1": ["192.0.2.21"]}, []), ({"w1": ["192.0.2.9"]}, ["w1"]), ({"w2": ["192.0.2.22"]}, [])],
)
def test_an_address_that_a_host_may_claim(found: Any, declared: Any) -> None:
    check_given({"w1": ["192.0.2.21"]}, found, declared, ["10.244.0.0/16", "10.96.0.0/12"])
