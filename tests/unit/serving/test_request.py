# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.serving.request import Asked, read_request

SUBJECT = "O = system:nodes\nCN = system:node:w1"
NAMES = "subjectAltName = DNS:w1,IP:10.0.0.21"


def der_of(pem: str) -> bytes:
    return base64.b64decode("".join(pem.strip().splitlines()[1:-1]))


def pem_of(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE REQUEST-----\n"


def wrapped(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = b"" if length < 128 else length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(size) if size else length]) + size + content


def test_what_openssl_writes_is_read(make_pem: Callable[..., str]) -> None:
    wanted = Asked("system:node:w1", "system:nodes", ("w1", "w1.example.org"), ("10.0.0.21", "fd00::21"))
    assert read_request(make_pem(extensions="subjectAltName = DNS:w1,DNS:w1.example.org,IP:10.0.0.21,IP:fd00::21")) == wanted


def test_a_long_request_is_read(make_pem: Callable[..., str], tmp_path: Path) -> None:
    key = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    assert read_request(make_pem(key_file=key)).names == ("w1",)


@pytest.mark.parametrize(
    ("subject", "extensions", "message"),
    [
        ("CN = system:node:w1", NAMES, "lacks the common name or the organization"),
        ("O = system:nodes", NAMES, "lacks the common name or the organization"),
        (f"{SUBJECT}\n1.O = system:masters", NAMES, "more than one common name and one organization"),
        (f"{SUBJECT}\n1.CN = kubernetes", NAMES, "more than one common name and one organization"),
        (f"{SUBJECT}\nOU = x", NAMES, "more than one common name and one organization"),
        (f"{SUBJECT}\n+OU = x", NAMES, "more parts than a kubelet's request"),
        (SUBJECT, f"{NAMES}\nbasicConstraints = CA:TRUE", "more parts than a kubelet's request"),
        (SUBJECT, "basicConstraints = CA:TRUE", "another extension than alternative names"),
        (SUBJECT, f"{NAMES},URI:spiffe://x", "a part 0x86"),
        (SUBJECT, f"{NAMES},email:root@example.org", "a part 0x81"),
        (SUBJECT, f"{NAMES},RID:1.2.3", "a part 0x88"),
        (SUBJECT, NAMES.replace("= ", "= critical,"), "a part 0x01"),
    ],
)
def test_what_no_kubelet_asks_for(make_pem: Callable[..., str], subject: str, extensions: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request(make_pem(subject, extensions))


def test_what_is_no_single_request(make_pem: Callable[..., str]) -> None:
    pem = make_pem()
    for text in ("", pem + pem, f"x\n{pem}", pem.replace("CERTIFICATE REQUEST", "CERTIFICATE"), pem.replace("-----END", "-----BEGIN X-----\n-----END")):
        with pytest.raises(ValueError, match="not one PEM block"):
            read_request(text)
    with pytest.raises(ValueError, match="not base64"):
        read_request(pem.replace("REQUEST-----\n", "REQUEST-----\n!", 1))


def test_no_byte_can_be_cut_or_added(make_pem: Callable[..., str]) -> None:
    der = der_of(make_pem())
    for end in range(len(der)):
        with pytest.raises(ValueError):
            read_request(pem_of(der[:end]))
    with pytest.raises(ValueError, match="more parts"):
        read_request(pem_of(der + b"\0"))


def test_no_change_of_a_byte_is_a_crash_or_a_foreign_name(make_pem: Callable[..., str]) -> None:
    der = der_of(make_pem())
    good = read_request(pem_of(der))
    texts = [b"system:nodes", b"system:node:w1", b"w1\x87\x04\x0a\x00\x00\x15"]
    inside = {at for text in texts for at in range(der.index(text), der.index(text) + len(text))}
    for at in range(len(der)):
        for value in (0, 1, 0x30, 0x7F, 0x80, 0x81, 0x84, 0xFF):
            changed = der[:at] + bytes([value]) + der[at + 1 :]
            try:
                asked = read_request(pem_of(changed))
            except ValueError:
                continue
            assert asked == good or at in inside


@pytest.mark.parametrize(
    ("der", "message"),
    [
        (b"\x30\x80\0\0", "not in the shortest form"),  # BER's open end
        (b"\x30\x81\x05\x02\x01\x00\x30\0", "not in the shortest form"),
        (b"\x30\x82\x00\x85" + bytes(0x85), "not in the shortest form"),
        (b"\x30\x84\x00\x00\x01\x00" + bytes(256), "not in the shortest form"),
        (b"\x30\x82\x01", "not in the shortest form"),
        (b"\x31\x00", "a part 0x31"),
        (b"\x30", "cut off"),
    ],
)
def test_lengths_have_one_form(der: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request(pem_of(der))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (wrapped(0x82, b"w1\0.example.org"), "not plain ASCII"),
        (wrapped(0x82, "wä".encode()), "not plain ASCII"),
        (wrapped(0x82, b""), "not plain ASCII"),
        (wrapped(0x87, b"\x0a\0\0"), "an IP address of 3 bytes"),
        (wrapped(0x87, bytes(8)), "an IP address of 8 bytes"),
    ],
)
def test_names_that_readers_could_understand_differently(names: bytes, message: str) -> None:
    def name(oid: str, text: bytes) -> bytes:
        return wrapped(0x31, wrapped(0x30, wrapped(0x06, bytes.fromhex(oid)) + wrapped(0x13, text)))

    extension = wrapped(0x30, wrapped(0x06, bytes.fromhex("551d11")) + wrapped(0x04, wrapped(0x30, names)))
    attribute = wrapped(0x30, wrapped(0x06, bytes.fromhex("2a864886f70d01090e")) + wrapped(0x31, wrapped(0x30, extension)))
    subject = wrapped(0x30, name("55040a", b"system:nodes") + name("550403", b"system:node:w1"))
    info = wrapped(0x30, b"\x02\x01\0" + subject + b"\x30\0" + wrapped(0xA0, attribute))
    with pytest.raises(ValueError, match=message):
        read_request(pem_of(wrapped(0x30, info + b"\x30\0" + b"\x03\x01\0")))
