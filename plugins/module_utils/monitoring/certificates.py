# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates of the metrics on their hosts: the authority on one control-plane host, one certificate on each host whose daemons are scraped.

A private key never leaves the host that it was made on: the authority gets public keys, and gives certificates.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..files import read_text, write_atomic
from ..guard.config import CERTIFICATE as GUARD_CERTIFICATE
from ..guard.install import write_secret
from ..reporter.tls import AUTHORITY, CERTIFICATE
from .pki import SERVER, Authority, Wanted, certificate_of, new_authority, new_key, public_key, why_renew

AUTHORITY_NAME = "nodewise-metrics"
AUTHORITY_FILE = "/etc/nodewise/pki/metrics-authority.pem"
"""Key and certificate; the certificate alone lies beside it, as on every host."""
# A key that waits for its certificate.
_NEW_KEY = f"{CERTIFICATE}.new"


@dataclass
class Outcome:
    """What was, or in check mode would be, done.

    Parameters
    ----------
    actions : list of str
        Everything that was done, a short phrase each; empty if nothing.
    authority : str
        Certificate of the authority (PEM); empty if there is none yet.
    certificates : dict
        Certificates (PEM) that were made, by name.
    public_key : str
        Of a host's new key, for which a certificate is to be made; empty if there is no need, or in check mode.
    """

    actions: list[str] = field(default_factory=list)
    authority: str = ""
    certificates: dict[str, str] = field(default_factory=dict)
    public_key: str = ""


@dataclass(frozen=True)
class Host:
    """A host whose daemons are scraped.

    Parameters
    ----------
    node_name, address : str
        Name and InternalIP of its Node, which its certificate has to bear.
    days : int
        Lifetime of a certificate.
    guard : bool
        Whether a guard runs there, which needs a copy of its own.
    """

    node_name: str
    address: str
    days: int
    guard: bool

    @property
    def wanted(self) -> Wanted:
        """Return whom the certificate is for."""
        return Wanted(self.node_name, (self.address,), SERVER)


def read_authority() -> Authority | None:
    """Return the authority of this host, or None if there is none.

    Raises
    ------
    OSError
        It cannot be read.
    """
    pem = read_text(AUTHORITY_FILE)
    return Authority(pem, certificate_of(pem)) if pem else None


def ensure_authority(requests: Sequence[tuple[Wanted, str]], days: int, check_mode: bool) -> Outcome:
    """Make the authority if there is none, and certificates for the public keys of requests.

    Raises
    ------
    NodewiseError
        openssl is missing, or a public key is none.
    OSError
        A file cannot be read or written.
    """
    outcome = Outcome()
    authority = read_authority()
    if authority is None:
        outcome.actions.append(f"make the authority {AUTHORITY_FILE}")
        if check_mode:
            return outcome
        authority = new_authority(AUTHORITY_NAME)
        write_atomic(AUTHORITY_FILE, authority.key + authority.certificate, 0o600)
    outcome.authority = authority.certificate
    outcome.certificates = {wanted.name: authority.sign(key, wanted, days) for wanted, key in requests}
    return outcome


def remove_authority(check_mode: bool) -> Outcome:
    """Remove the authority.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    return _remove([AUTHORITY_FILE], check_mode)


def ensure_certificate(host: Host, authority: str, certificate: str, check_mode: bool) -> Outcome:
    """See that the host has a certificate that serves, in two steps.

    In the first one, without C(certificate), a host that has none makes a key, and the outcome has its public half. In the second one
    the certificate that the authority made for it is laid down.

    Parameters
    ----------
    host : Host
        The host.
    authority : str
        Certificate of the authority (PEM); empty if it is still to be made.
    certificate : str
        The new certificate (PEM), or empty.
    check_mode : bool
        Change nothing.

    Raises
    ------
    NodewiseError
        openssl is missing, or a name or address cannot stand in a certificate.
    OSError
        A file cannot be read or written.
    """
    outcome = Outcome(authority=authority)
    wanted = host.wanted
    pem = read_text(CERTIFICATE) or ""
    if certificate:
        pem = (read_text(_NEW_KEY) or "") + certificate
        outcome.actions.append(f"write {CERTIFICATE}")
        if not check_mode:
            write_atomic(CERTIFICATE, pem, 0o600)
            with suppress(FileNotFoundError):
                os.unlink(_NEW_KEY)
    else:
        reason = why_renew(pem, authority, wanted, host.days)
        if reason:
            outcome.actions.append(f"make a certificate for {wanted.name}: {reason}")
            if not check_mode:
                key = new_key()
                write_atomic(_NEW_KEY, key, 0o600)
                outcome.public_key = public_key(key)
            return outcome
    if read_text(AUTHORITY) != authority:
        outcome.actions.append(f"write {AUTHORITY}")
        if not check_mode:
            write_atomic(AUTHORITY, authority)
    if host.guard and read_text(GUARD_CERTIFICATE) != pem:
        outcome.actions.append(f"write {GUARD_CERTIFICATE}")
        if not check_mode:
            write_secret(GUARD_CERTIFICATE, pem)
    return outcome


def remove_certificate(check_mode: bool) -> Outcome:
    """Remove a host's certificate, and the authority's.

    Raises
    ------
    OSError
        A file cannot be removed.
    """
    return _remove([CERTIFICATE, _NEW_KEY, AUTHORITY, GUARD_CERTIFICATE], check_mode)


def _remove(paths: Sequence[str], check_mode: bool) -> Outcome:
    outcome = Outcome()
    for path in paths:
        if os.path.exists(path):
            outcome.actions.append(f"remove {path}")
            if not check_mode:
                os.unlink(path)
    if not check_mode:
        with suppress(OSError):  # not there, or others lie in it
            os.rmdir(os.path.dirname(CERTIFICATE))
    return outcome
