# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where wheels come from, and how modules that install a daemon get them; PRIVATE to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragments C(nodewise.cluster._wheels) and, for modules with a daemon, C(nodewise.cluster._wheels.daemon) beside it."""

    DOCUMENTATION = r"""
options:
  wheel_folder:
    description:
      - Folder on the control machine that holds the wheels.
    type: path
  mirror:
    description:
      - Folder on the control machine, or HTTP address, of a mirror with C(wheels/) and C(SHA256SUMS). Used unless O(wheel_folder) is given.
    type: str
    default: ""
  index_url:
    description:
      - Python package index, used if neither a folder nor a mirror is given. Empty is the one that the control machine's pip is configured for.
    type: str
    default: ""
  cache:
    description:
      - Folder on the control machine in which wheels are kept.
    type: path
    default: ~/.cache/nodewise
"""

    DAEMON = r"""
options:
  python:
    description:
      - The host's Python that runs it, CPython 3.11 to 3.13.
    type: path
    default: /usr/bin/python3
  log_level:
    description:
      - What is written to the journal.
    type: str
    choices: [debug, info, warning, error]
    default: info
  bundle:
    description:
      - Where on the host lies what was sent. Set by the action plugin.
    type: path
  code:
    description:
      - Digest of the daemon's own code. Set by the action plugin, which sends that code where it is missing.
    type: str
"""
