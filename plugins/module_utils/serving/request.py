# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate signing request asks for (PKCS#10, RFC 2986), read strictly.

Whoever approves must not understand a request otherwise than the signer does, so only the one form that kubelets write is taken: DER with no byte
more than needed, a subject of single attributes, and no extension but the alternative names. The Python library has no reader of
requests, and a package for it would be a compiled one on every control plane.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass

_SEQUENCE, _SET, _INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _ATTRIBUTES = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0xA0
_TEXTS = (0x0C, 0x13)  # UTF8String, PrintableString
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # GeneralName, RFC 5280
_COMMON_NAME = bytes.fromhex("550403")
_ORGANIZATION = bytes.fromhex("55040a")
_EXTENSION_REQUEST = bytes.fromhex("2a864886f70d01090e")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_BEGIN, _END = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Parameters
    ----------
    common_name, organization : str
        Its subject.
    names : tuple of str
        DNS names, as they are written.
    addresses : tuple of str
        IP addresses.
    """

    common_name: str
    organization: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


def read_request(pem: str) -> Asked:
    """Return what a request asks for.

    Parameters
    ----------
    pem : str
        One block C(CERTIFICATE REQUEST) and nothing else.

    Raises
    ------
    ValueError
        It is not in the form in which kubelets ask.
    """
    text = pem.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)) or text.count("-----BEGIN") != 1:
        raise ValueError("it is not one PEM block CERTIFICATE REQUEST")
    try:
        der = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("its PEM block is not base64") from error
    whole = _only(der, _SEQUENCE)
    info, rest = _take(whole, _SEQUENCE)
    _algorithm, rest = _take(rest, _SEQUENCE)
    _only(rest, _BIT_STRING)
    version, rest = _take(info, _INTEGER)
    if version != b"\0":
        raise ValueError("it is of another version than 1")
    subject, rest = _take(rest, _SEQUENCE)
    _key, rest = _take(rest, _SEQUENCE)
    common_name, organization = _subject(subject)
    names, addresses = _alternative_names(_only(rest, _ATTRIBUTES))
    return Asked(common_name, organization, names, addresses)


def _subject(der: bytes) -> tuple[str, str]:
    found: dict[bytes, str] = {}
    while der:
        relative, der = _take(der, _SET)
        kind, value = _take(_only(relative, _SEQUENCE), _OID)
        if kind in found or kind not in (_COMMON_NAME, _ORGANIZATION):
            raise ValueError("its subject has more than one common name and one organization")
        text, rest = _take(value, *_TEXTS)
        if rest:
            raise ValueError("bytes follow a part of its subject")
        found[kind] = _ascii(text)
    if len(found) != 2:
        raise ValueError("its subject lacks the common name or the organization")
    return found[_COMMON_NAME], found[_ORGANIZATION]


def _alternative_names(der: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not der:
        raise ValueError("it asks for no alternative names")
    kind, values = _take(_only(der, _SEQUENCE), _OID)
    if kind != _EXTENSION_REQUEST:
        raise ValueError("it has an attribute that is no request for extensions")
    extension = _only(_only(_only(values, _SET), _SEQUENCE), _SEQUENCE)
    kind, value = _take(extension, _OID)
    if kind != _ALTERNATIVE_NAMES:
        raise ValueError("it asks for another extension than alternative names")
    rest = _only(_only(value, _OCTET_STRING), _SEQUENCE)
    names, addresses = [], []
    while rest:
        tag = rest[0]
        content, rest = _take(rest, _DNS_NAME, _IP_ADDRESS)
        if tag == _DNS_NAME:
            names.append(_ascii(content))
        elif len(content) in (4, 16):
            addresses.append(str(ipaddress.ip_address(content)))
        else:
            raise ValueError(f"it asks for an IP address of {len(content)} bytes")
    return tuple(names), tuple(addresses)


def _only(der: bytes, tag: int) -> bytes:
    """Return the content of the one value that the bytes are."""
    content, rest = _take(der, tag)
    if rest:
        raise ValueError("it has more parts than a kubelet's request")
    return content


def _take(der: bytes, *tags: int) -> tuple[bytes, bytes]:
    """Return the content of the first value, and what follows it (X.690: one form of a length, the shortest)."""
    if len(der) < 2:
        raise ValueError("it is cut off")
    if der[0] not in tags:
        raise ValueError(f"it has a part 0x{der[0]:02x} where a kubelet's request has 0x{tags[0]:02x}")
    length, start = der[1], 2
    if length >= 0x80:
        count = length - 0x80
        start = 2 + count
        length = int.from_bytes(der[2:start], "big")
        if not 1 <= count <= 3 or len(der) < start or length < 0x80 or length < 1 << 8 * (count - 1):
            raise ValueError("a length in it is not in the shortest form")
    if len(der) < start + length:
        raise ValueError("it is cut off")
    return der[start : start + length], der[start + length :]


def _ascii(content: bytes) -> str:
    text = content.decode("ascii", "replace")
    if not content or not text.isascii() or not text.isprintable():
        raise ValueError(f"it asks for a name that is not plain ASCII: {content[:64]!r}")
    return text
