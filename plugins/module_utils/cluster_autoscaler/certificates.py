# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates of the provider's mutual TLS: one authority for nothing else, a server's and a client's certificate of it.

openssl makes them, since a host's Python cannot. They are judged by what is on the disk: what is missing, ends soon, has other names or is
not of this authority is made anew.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..process import Done, TimeoutExpired, run

CA, SERVER, CLIENT = "ca", "server", "client"
_DAY = 86400
_CA_DAYS = 3650
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]

# Sections for `openssl req`; nothing is taken from the host's own openssl.cnf.
_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""


@dataclass(frozen=True)
class Wanted:
    """What the certificates shall be.

    Parameters
    ----------
    folder : str
        Where they lie: C(ca.crt), C(ca.key), C(server.crt), ...; mode 0700, and keys 0600.
    names : sequence of str
        IP addresses and DNS names under which the server is reached.
    days : int
        How long the server's and the client's certificate are good.
    renew_days : int
        With fewer days left than this they are made anew.

    Raises
    ------
    NodewiseError
        There is no name, or the days make no sense.
    """

    folder: str
    names: Sequence[str]
    days: int
    renew_days: int

    def __post_init__(self) -> None:
        if not self.names:
            raise NodewiseError("The provider's certificate has no name.", "give the address at which cluster-autoscaler reaches it")
        if not 1 <= self.renew_days < self.days <= _CA_DAYS // 2:
            raise NodewiseError(
                f"Certificates live for {self.days} days and are renewed with {self.renew_days} left.", f"see that 1 <= renew < days <= {_CA_DAYS // 2}"
            )

    def path(self, kind: str, ending: str) -> str:
        """Return the path of a certificate (C(crt)) or key (C(key))."""
        return f"{self.folder}/{kind}.{ending}"


def plan(wanted: Wanted) -> dict[str, str]:
    """Return what has to be made, in order, with the reason: C({"server": "it ends within 30 days"}).

    Raises
    ------
    NodewiseError
        openssl is missing or does not answer.
    """
    # An authority outlives every certificate that it signs now.
    reason = _fault(wanted, CA, wanted.days + wanted.renew_days)
    if reason:
        return {CA: reason, SERVER: "its authority is new", CLIENT: "its authority is new"}
    faults = {kind: _fault(wanted, kind, wanted.renew_days) for kind in (SERVER, CLIENT)}
    if not faults[SERVER] and _names(wanted) != sorted(map(_alternative, wanted.names)):
        faults[SERVER] = f"it is to be for {', '.join(wanted.names)}"
    return {kind: fault for kind, fault in faults.items() if fault}


def make(wanted: Wanted, kinds: Sequence[str]) -> None:
    """Make certificates and their keys.

    Parameters
    ----------
    wanted : Wanted
        What they shall be.
    kinds : sequence of str
        Of C(CA), C(SERVER) and C(CLIENT), in this order.

    Raises
    ------
    NodewiseError
        openssl is missing or fails.
    """
    os.makedirs(wanted.folder, mode=0o700, exist_ok=True)
    for kind in kinds:
        with tempfile.TemporaryDirectory(dir=wanted.folder, prefix=".new-") as work:
            config, key, request, certificate = (f"{work}/{name}" for name in ("config", "key", "request", "certificate"))
            write_atomic(config, _CONFIG.format(name=f"nodewise-autoscaler-{kind}", names=",".join(map(_alternative, wanted.names))))
            files = ["-config", config, "-keyout", key]
            if kind == CA:
                _openssl("req", "-x509", *_CURVE, *files, "-extensions", CA, "-days", str(_CA_DAYS), "-out", certificate)
            else:
                _openssl("req", "-new", *_CURVE, *files, "-out", request)
                signer = ["-CA", wanted.path(CA, "crt"), "-CAkey", wanted.path(CA, "key"), "-set_serial", f"0x{secrets.token_hex(16)}"]
                extensions = ["-extfile", config, "-extensions", kind]
                _openssl("x509", "-req", "-in", request, *signer, *extensions, "-days", str(wanted.days), "-out", certificate)
            # The certificate comes last: a key without it is made anew, and the two always fit.
            with_key = read_text(key) or ""
            if os.path.exists(wanted.path(kind, "crt")):
                os.unlink(wanted.path(kind, "crt"))
            write_atomic(wanted.path(kind, "key"), with_key, mode=0o600)
            write_atomic(wanted.path(kind, "crt"), read_text(certificate) or "", mode=0o644)


def ends(wanted: Wanted, kind: str) -> str:
    """Return when a certificate ends, as openssl writes it; empty if there is none."""
    path = wanted.path(kind, "crt")
    return _openssl("x509", "-in", path, "-noout", "-enddate").strip().removeprefix("notAfter=") if os.path.exists(path) else ""


def _fault(wanted: Wanted, kind: str, days: int) -> str:
    """Return what is wrong with a certificate beside its names; empty if nothing is."""
    certificate, key = wanted.path(kind, "crt"), wanted.path(kind, "key")
    missing = [path for path in (certificate, key) if not os.path.exists(path)]
    if missing:
        return f"{os.path.basename(missing[0])} is missing"
    if os.stat(key).st_mode & 0o077:
        return "its key could be read by others"
    if _run("x509", "-in", certificate, "-noout", "-checkend", str(days * _DAY)).returncode:
        return f"it ends within {days} days"
    if _run("verify", "-CAfile", wanted.path(CA, "crt"), certificate).returncode:
        return "it is not of this authority"
    return ""


def _names(wanted: Wanted) -> list[str]:
    text = _openssl("x509", "-in", wanted.path(SERVER, "crt"), "-noout", "-ext", "subjectAltName")
    found = [name.strip() for line in text.splitlines()[1:] for name in line.split(",") if name.strip()]
    return sorted(_alternative(name.removeprefix("IP Address:").removeprefix("DNS:")) for name in found)


def _alternative(name: str) -> str:
    """Return a name as a subjectAltName, addresses in their shortest form."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str) -> str:
    done = _run(*arguments)
    if done.returncode:
        raise NodewiseError(f"openssl {arguments[0]} failed ({done.returncode}): {done.stderr.strip()[-300:]}")
    return done.stdout


def _run(*arguments: str) -> Done:
    try:
        return run(["openssl", *arguments], timeout=60)
    except FileNotFoundError as error:
        raise NodewiseError("openssl is not installed on this host.", "install the package openssl") from error
    except TimeoutExpired as error:
        raise NodewiseError(f"openssl {arguments[0]} did not end within 60 s.") from error
