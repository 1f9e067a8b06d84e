# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""metrics-server's serving certificate: its own authority, trusted for its APIService alone, made and judged by openssl on the host.

The cluster's own authority is not used: its key would sign for a name in the cluster whatever else can be read there, and this certificate
needs to be trusted in one place only. A certificate that is no authority and is trusted by itself leaves no signing key behind.
"""

from __future__ import annotations

import os

from ..errors import NodewiseError
from ..process import TimeoutExpired, run
from .manifests import SERVER_NAME, Certificate

DAYS = 3650
"""As long as kubeadm's authorities; a run of the role renews it in the last fifth."""
_RENEW_SECONDS = DAYS * 86400 // 5
_SECONDS = 30
_CONFIG = f"""\
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = {SERVER_NAME}
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:{SERVER_NAME}
subjectKeyIdentifier = hash
"""


def make(previous: str = "") -> Certificate:
    """Return a new certificate with a new key, which never touches a disk.

    Parameters
    ----------
    previous : str
        The certificate that it takes the place of, PEM.

    Raises
    ------
    NodewiseError
        There is no openssl, or it fails.
    """
    key, certificate = os.memfd_create("key"), os.memfd_create("certificate")
    try:
        options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS), "-config", "/dev/stdin"]
        _openssl(["req", *options, "-keyout", f"/proc/self/fd/{key}", "-out", f"/proc/self/fd/{certificate}"], _CONFIG, (key, certificate))
        made = [_content(one) for one in (certificate, key)]
    finally:
        os.close(key)
        os.close(certificate)
    return Certificate(made[0], made[1], previous)


def flaw(certificate: Certificate) -> str:
    """Return why a certificate must be renewed; empty if it is good.

    Raises
    ------
    NodewiseError
        There is no openssl.
    """
    # Asked for both at once openssl 3.0 answers one.
    _status, said = _openssl(["x509", "-noout", "-checkhost", SERVER_NAME], certificate.certificate, ok=(0, 1))
    if "does match certificate" not in said:
        return f"it is not one for {SERVER_NAME}"
    status, _said = _openssl(["x509", "-noout", "-checkend", str(_RENEW_SECONDS)], certificate.certificate, ok=(0, 1))
    return "it expires soon" if status else ""


def _openssl(arguments: list[str], stdin: str, descriptors: tuple[int, ...] = (), ok: tuple[int, ...] = (0,)) -> tuple[int, str]:
    try:
        done = run(["openssl", *arguments], stdin=stdin, timeout=_SECONDS, pass_fds=descriptors)
    except FileNotFoundError as error:
        raise NodewiseError("openssl is not installed on this host.", "install the package openssl, as role host does") from error
    except TimeoutExpired as error:
        raise NodewiseError(f"openssl {arguments[0]} did not end within {_SECONDS} s.") from error
    if done.returncode not in ok:
        raise NodewiseError(f"openssl {arguments[0]} failed ({done.returncode}): {done.stderr.strip()}")
    return done.returncode, done.stdout


def _content(descriptor: int) -> str:
    with open(f"/proc/self/fd/{descriptor}", encoding="ascii") as handle:
        return handle.read()
