# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch files over HTTP so that an interrupted download goes on where it stopped.

Proxies are taken from the environment of the control machine (``https_proxy``, ``no_proxy``).
"""

from __future__ import annotations

import http.client
import os
import urllib.error
from pathlib import Path

from ansible.module_utils.urls import open_url

from ..errors import NodewiseError
from ..files import sha256_file

# Seconds without a single byte after which a connection counts as dead.
STALL = 30.0
CHUNK = 1 << 20


def _open(url: str, offset: int = 0) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    # Not decompressed: a digest is of the bytes as they are served.
    response: http.client.HTTPResponse = open_url(url, headers=headers, timeout=STALL, decompress=False)
    return response


def read_url(url: str) -> str:
    """Return a small text file.

    Raises
    ------
    NodewiseError
        It cannot be fetched; the message names the URL and what the server said.
    """
    try:
        with _open(url) as response:
            return response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> NodewiseError:
    reason = f"HTTP {error.code} {error.reason}" if isinstance(error, urllib.error.HTTPError) else str(getattr(error, "reason", "") or error)
    return NodewiseError(
        f"{url} cannot be fetched: {reason}.",
        "check the version and the way to that server from the control machine (proxies are taken from https_proxy), or choose another artifacts_source.",
    )


def _transfer(url: str, target: Path) -> None:
    """Bring a file to completion, once; leaves what arrived in place when the connection breaks."""
    offset = target.stat().st_size if target.exists() else 0
    try:
        response = _open(url, offset)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing is left from that offset on: either the file is complete, or another file is served now; the digest tells.
        return
    with response:
        resumed = response.status == 206
        expected = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        received = 0
        with target.open("ab" if resumed else "wb") as handle:
            while chunk := response.read(CHUNK):
                handle.write(chunk)
                received += len(chunk)
    if expected is not None and received != expected:
        raise http.client.IncompleteRead(b"", expected - received)


def fetch_url(url: str, target: Path, sha256: str = "", attempts: int = 3) -> None:
    """Fetch a file, going on from what an earlier attempt left in it.

    Parameters
    ----------
    url : str
        Where from.
    target : Path
        Where to; may hold the beginning already.
    sha256 : str
        What it must come to; empty when the publisher gives none, and then nothing is resumed.
    attempts : int
        How often a broken connection is taken up again.

    Raises
    ------
    NodewiseError
        It cannot be fetched, or its digest is another one (the file is then removed).
    """
    begun = target.exists() and target.stat().st_size > 0
    if not sha256:
        target.unlink(missing_ok=True)
    for attempt in range(1, attempts + 1):
        try:
            _transfer(url, target)
            break
        except urllib.error.HTTPError as error:
            raise _unreachable(url, error) from error
        except (OSError, http.client.HTTPException) as error:
            if attempt == attempts:
                raise _unreachable(url, error) from error
    if not sha256:
        return
    found = sha256_file(str(target))
    if found == sha256:
        return
    size = target.stat().st_size
    target.unlink()
    if begun:
        # The old beginning may have been of another file; a fresh one decides.
        fetch_url(url, target, sha256, attempts)
        return
    raise mismatch(os.path.basename(url), url, sha256, found, size, "fetch it again later; if it stays so, the server (or a proxy between) alters the file.")


def mismatch(name: str, source: str, expected: str, found: str, size: int, remedy: str) -> NodewiseError:
    """Return the error for a file whose digest is not what it must be."""
    return NodewiseError(f"{name} from {source} has SHA-256 {found} ({size} bytes), expected {expected}. It was not installed.", remedy)
