# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates, made and judged by a real openssl."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring import pki

WANTED = pki.Wanted("w1", ("192.0.2.21",), pki.SERVER)


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    return pki.new_authority("ours")


@pytest.fixture(scope="module")
def key() -> str:
    return pki.new_key()


def made(authority: pki.Authority, key: str, days: int = 365, wanted: pki.Wanted = WANTED) -> str:
    return key + authority.sign(pki.public_key(key), wanted, days)


def test_a_certificate_that_serves_stays(authority: pki.Authority, key: str) -> None:
    assert pki.why_renew(made(authority, key), authority.certificate, WANTED, 365) == ""


def test_what_a_certificate_says(authority: pki.Authority, key: str) -> None:
    text = pki.openssl(["x509", "-in", "{pem}", "-noout", "-text"], pem=made(authority, key))
    for line in ("CA:FALSE", "TLS Web Server Authentication", "DNS:w1, IP Address:192.0.2.21", "Issuer: CN = ours", "Subject: CN = w1"):
        assert line in text
    assert "Client Authentication" not in text


def test_an_authority_makes_no_other_authority(authority: pki.Authority) -> None:
    text = pki.openssl(["x509", "-in", "{pem}", "-noout", "-text"], pem=authority.certificate)
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text


@pytest.mark.parametrize(
    ("days", "reason"),
    [(366, ""), (122, ""), (121, "it ends soon"), (3, "it ends soon")],
)
def test_it_is_renewed_in_the_last_third(authority: pki.Authority, key: str, days: int, reason: str) -> None:
    assert pki.why_renew(made(authority, key, days), authority.certificate, WANTED, 365) == reason


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (pki.Wanted("w1", ("192.0.2.22",), pki.SERVER), "it has other names"),
        (pki.Wanted("w2", ("192.0.2.21",), pki.SERVER), "it has other names"),
        (pki.Wanted("w1", ("192.0.2.21", "192.0.2.22"), pki.SERVER), "it has other names"),
        (pki.Wanted("w1", ("192.0.2.21",), pki.CLIENT), "another use"),
    ],
)
def test_it_is_for_whom_is_wanted(authority: pki.Authority, key: str, wanted: pki.Wanted, reason: str) -> None:
    assert reason in pki.why_renew(made(authority, key), authority.certificate, wanted, 365)


def test_it_is_from_the_authority_and_of_its_key(authority: pki.Authority, key: str) -> None:
    pem = made(authority, key)
    assert "another authority" in pki.why_renew(pem, pki.new_authority("ours").certificate, WANTED, 365)
    assert pki.why_renew(pki.new_key() + pki.certificate_of(pem), authority.certificate, WANTED, 365) == "it does not fit its key"
    assert pki.why_renew(pki.certificate_of(pem), authority.certificate, WANTED, 365) == "it cannot be read"
    assert pki.why_renew(pem.replace("MII", "NII"), authority.certificate, WANTED, 365) == "it cannot be read"
    assert pki.why_renew(pem, "", WANTED, 365) == "its authority is new"
    for nothing in ("", key):
        assert pki.why_renew(nothing, authority.certificate, WANTED, 365) == "there is none"


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        ("w1,DNS:kubernetes", "192.0.2.1", "cannot be the name of a certificate"),
        ("", "192.0.2.1", "cannot be the name of a certificate"),
        ("a" * 65, "192.0.2.1", "cannot be the name of a certificate"),
        ("w1\nextendedKeyUsage=clientAuth", "192.0.2.1", "cannot be the name of a certificate"),
        ("w1", "w1.example.org", "is no IP address"),
        ("w1", "", "is no IP address"),
    ],
)
def test_what_cannot_stand_in_a_certificate(name: str, address: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        pki.Wanted(name, (address,), pki.SERVER)


def test_a_public_key_that_is_none(authority: pki.Authority) -> None:
    with pytest.raises(NodewiseError, match="openssl x509 failed"):
        authority.sign("no key", WANTED, 365)


@pytest.mark.parametrize("days", [2, 3651, -1])
def test_a_lifetime_that_is_none(days: int) -> None:
    with pytest.raises(NodewiseError, match=f"A certificate for {days} days is not made"):
        pki.check_days(days)


def test_no_secret_is_shown(authority: pki.Authority) -> None:
    assert "PRIVATE" not in repr(authority)
