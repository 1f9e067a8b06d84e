# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubeconfig says: the server, whom to trust, and who one is."""

from __future__ import annotations

import base64
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import NodewiseError
from ..files import read_text

_UNSUPPORTED = {
    "cluster": ("insecure-skip-tls-verify", "proxy-url", "tls-server-name"),
    "user": ("exec", "auth-provider", "username", "as"),
}


@dataclass(frozen=True)
class Credentials:
    """What is needed to speak to an API server.

    Parameters
    ----------
    server : str
        Its URL.
    authority : str
        Certificates of its authority (PEM).
    certificate, key : str
        Client certificate and key (PEM); both empty if there is a token instead.
    token : str
        Bearer token, or empty.
    files : dict
        The files all this came from, each as it was found before it was read.
    """

    server: str
    authority: str = field(repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    files: Mapping[str, tuple[int, int, int] | None] = field(default_factory=dict, repr=False)

    @property
    def changed(self) -> bool:
        """Whether one of the files, or a link to it, has been replaced or written since: a rotation."""
        return any(_stamp(path) != seen for path, seen in self.files.items())


def read_kubeconfig(path: str) -> Credentials:
    """Read a kubeconfig and the files that it names.

    Raises
    ------
    NodewiseError
        One of the files is missing, cannot be read or is not understood.
    """
    seen = _stamp(path)
    credentials = parse_kubeconfig(_read(path, path), path)
    return replace(credentials, files={path: seen, **credentials.files})


def parse_kubeconfig(text: str, path: str) -> Credentials:
    """Understand a kubeconfig's text; the files that it names are read.

    Parameters
    ----------
    text : str
        The YAML text.
    path : str
        Where it is from: for messages, and relative paths in it start at its folder.

    Raises
    ------
    NodewiseError
        Something of it is missing or not supported, a file that it names cannot be read, or python3-yaml is missing.
    """
    try:
        import yaml
    except ImportError as error:
        raise NodewiseError("The Python package yaml is missing on this host.", "install python3-yaml (role host does)") from error
    try:
        data = yaml.safe_load(text)
        context = _named(data["contexts"], data["current-context"])["context"]
        cluster = _named(data["clusters"], context["cluster"])["cluster"]
        user = _named(data["users"], context["user"])["user"]
        for kind, entry in (("cluster", cluster), ("user", user)):
            for name in _UNSUPPORTED[kind]:
                if entry.get(name):
                    raise NodewiseError(f"{path} uses {name}, which is not supported.", "name a kubeconfig with a client certificate or a token")
        files = {}

        def named_file(name: str) -> str:
            file = os.path.join(os.path.dirname(path), name)
            files[file] = _stamp(file)
            return _read(file, path)

        def value(entry: Mapping[str, Any], name: str) -> str:
            """Return PEM that stands in the kubeconfig, or in a file that it names; empty if neither."""
            if entry.get(f"{name}-data"):
                return base64.b64decode(entry[f"{name}-data"], validate=True).decode("ascii")
            if not entry.get(name):
                return ""
            return named_file(entry[name])

        server = str(cluster["server"])
        if not server.startswith("https://"):
            raise ValueError(f"the server {server!r} is not an https URL")
        if urllib.parse.urlsplit(server).path.strip("/"):
            raise ValueError(f"the server {server!r} has a path, which is not supported")
        authority = value(cluster, "certificate-authority")
        certificate, key = value(user, "client-certificate"), value(user, "client-key")
        token = str(user.get("token") or "")
        if user.get("tokenFile"):
            token = named_file(user["tokenFile"]).strip()
        if not authority:
            raise KeyError("certificate-authority-data")
        if not token and not (certificate and key):
            raise KeyError("client-certificate-data and client-key-data")
        return Credentials(server, authority, certificate, key, token, files)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        # A YAML error quotes the text at fault, which may be a key.
        reason = type(error).__name__ if isinstance(error, yaml.YAMLError) else f"{type(error).__name__}: {error}"
        raise NodewiseError(
            f"{path} is not a kubeconfig with a server and a client certificate or a token ({reason}).",
            "write it again with kubeadm init phase kubeconfig, or name another one",
        ) from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Return what differs once a file, or the link to it, has been replaced or written; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: str, kubeconfig: str) -> str:
    named = "" if path == kubeconfig else f", which {kubeconfig} names,"
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NodewiseError(f"{path}{named} cannot be read: {reason}.", "run with become") from error
    if text is None:
        raise NodewiseError(
            f"{path}{named} is not on this host.", "name the right kubeconfig: admin.conf is on the first control plane, kubelet.conf on every node"
        )
    return text
