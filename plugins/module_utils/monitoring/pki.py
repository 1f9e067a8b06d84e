# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small authority of our own, for the mutual TLS of the metrics alone: keys, certificates, and whether one still serves.

openssl(1) does it. Keys reach it as descriptors of files that exist in memory alone, so none is ever on a command line or in a temporary file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from dataclasses import dataclass, field

from ..errors import NodewiseError
from ..process import TimeoutExpired, run

SERVER, CLIENT = "serverAuth", "clientAuth"
"""What a certificate is for: extended key usage, RFC 5280 section 4.2.1.12."""
AUTHORITY_DAYS = 3650
_DAY = 86400
_PURPOSE = {SERVER: "sslserver", CLIENT: "sslclient"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Wanted:
    """Whom a certificate is for.

    Parameters
    ----------
    name : str
        Common name, and DNS name: the Node's, or the client's.
    addresses : tuple of str
        IP addresses.
    usage : str
        C(SERVER) or C(CLIENT).

    Raises
    ------
    NodewiseError
        A name or an address is none.
    """

    name: str
    addresses: tuple[str, ...]
    usage: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > 64:
            raise NodewiseError(f"{self.name!r} cannot be the name of a certificate.", "use at most 64 small letters, digits, '-' and '.'")
        for address in self.addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise NodewiseError(f"{address!r}, for the certificate of {self.name}, is no IP address.", "give the Node's InternalIP") from error

    @property
    def alternatives(self) -> str:
        """Return the subject's alternative names as openssl reads them."""
        return ",".join([f"DNS:{self.name}", *(f"IP:{address}" for address in self.addresses)])


@dataclass(frozen=True)
class Authority:
    """Key and certificate (PEM) that others are made with."""

    key: str = field(repr=False)
    certificate: str

    def sign(self, public_key: str, wanted: Wanted, days: int) -> str:
        """Return a certificate (PEM) for a public key (PEM).

        Only the public key is the asker's; names and usage are what the caller has found right.

        Raises
        ------
        NodewiseError
            openssl is missing or fails.
        """
        extensions = (
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            f"extendedKeyUsage={wanted.usage}\nsubjectAltName={wanted.alternatives}\n"
        )
        arguments = ["x509", "-new", "-subj", f"/CN={wanted.name}", "-force_pubkey", "{public}", "-CA", "{authority}", "-CAkey", "{key}"]
        arguments += ["-set_serial", f"0x1{secrets.token_hex(15)}", "-days", str(days), "-sha256", "-extfile", "{extensions}"]
        return openssl(arguments, public=public_key, authority=self.certificate, key=self.key, extensions=extensions)


def check_days(days: int) -> int:
    """Return the lifetime of a certificate if it can be one.

    Raises
    ------
    NodewiseError
        It cannot.
    """
    if not 3 <= days <= AUTHORITY_DAYS:
        raise NodewiseError(f"A certificate for {days} days is not made.", f"choose 3 to {AUTHORITY_DAYS}")
    return days


def new_key() -> str:
    """Return a new private key (PEM): P-256, which every TLS library speaks and whose handshake costs least."""
    return openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])


def public_key(key: str) -> str:
    """Return the public half (PEM) of a private key.

    Raises
    ------
    NodewiseError
        It is no key.
    """
    return openssl(["pkey", "-in", "{key}", "-pubout"], key=key)


def new_authority(name: str) -> Authority:
    """Return a new authority that can make certificates but no further authorities."""
    key = new_key()
    extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
    config = f"[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n[authority]\n{extensions}"
    arguments = ["req", "-x509", "-new", "-key", "{key}", "-subj", f"/CN={name}", "-days", str(AUTHORITY_DAYS), "-sha256", "-config", "{config}"]
    return Authority(key, openssl(arguments, key=key, config=config))


def why_renew(pem: str, authority: str, wanted: Wanted, days: int) -> str:
    """Return why a key with its certificate (one PEM text) has to be replaced; empty if it still serves.

    It is replaced when less than a third of its lifetime is left, so that several runs of a playbook may fail before it ends.

    Parameters
    ----------
    pem : str
        Key and certificate; empty if there is none.
    authority : str
        The authority's certificate (PEM).
    wanted : Wanted
        Whom it has to be for.
    days : int
        The lifetime of a new one.

    Raises
    ------
    NodewiseError
        openssl is missing.
    """
    certificate = certificate_of(pem)
    if not certificate:
        return "there is none"
    if not authority:
        return "its authority is new"
    check = ["x509", "-in", "{certificate}", "-noout"]
    try:
        if public_key(pem) != openssl([*check, "-pubkey"], certificate=certificate):
            return "it does not fit its key"
    except NodewiseError:
        return "it cannot be read"
    if not _holds(["verify", "-CAfile", "{authority}", "-purpose", _PURPOSE[wanted.usage], "{certificate}"], authority=authority, certificate=certificate):
        return "it is from another authority, for another use, or has ended"
    if not _holds([*check, "-checkend", str(days * _DAY // 3)], certificate=certificate):
        return "it ends soon"
    found = openssl([*check, "-ext", "subjectAltName"], certificate=certificate).splitlines()[-1]
    names = {entry.strip().replace("IP Address:", "IP:") for entry in found.split(",")}
    return "" if names == set(wanted.alternatives.split(",")) else "it has other names"


def certificate_of(pem: str) -> str:
    """Return the first certificate in a PEM text, or nothing."""
    found = _CERTIFICATE.search(pem)
    return found.group() if found else ""


def openssl(arguments: list[str], **files: str) -> str:
    """Run openssl and return what it says.

    Parameters
    ----------
    arguments : list of str
        C({name}) stands for the path of a file.
    files : str
        Their content.

    Raises
    ------
    NodewiseError
        It is missing or fails.
    """
    status, out, err = _run(arguments, files)
    if status:
        raise NodewiseError(f"openssl {arguments[0]} failed ({status}): {err.strip()[-300:]}")
    return out


def _holds(arguments: list[str], **files: str) -> bool:
    return _run(arguments, files)[0] == 0


def _run(arguments: list[str], files: dict[str, str]) -> tuple[int, str, str]:
    descriptors = {}
    try:
        for name, text in files.items():
            descriptors[name] = os.memfd_create(name)
            os.write(descriptors[name], text.encode())
            os.lseek(descriptors[name], 0, os.SEEK_SET)
        paths = {f"{{{name}}}": f"/proc/self/fd/{descriptor}" for name, descriptor in descriptors.items()}
        done = run(["openssl", *(paths.get(one, one) for one in arguments)], timeout=30, pass_fds=list(descriptors.values()))
    except FileNotFoundError as error:
        raise NodewiseError("openssl is not installed on this host; it makes the certificates of the metrics.", "install the package openssl") from error
    except TimeoutExpired as error:
        raise NodewiseError(f"openssl {arguments[0]} did not end within 30 s.") from error
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    return done.returncode, done.stdout, done.stderr
