# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host has what a cluster is asked with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from ..errors import NodewiseError
from .kubectl import ADMIN_KUBECONFIG


def lacking(check_mode: bool, files: Sequence[str] = (), programs: Sequence[str] = ()) -> list[str]:
    """Return what this host lacks, which is nothing outside check mode.

    Parameters
    ----------
    check_mode : bool
        What is lacking is no error: the run itself would bring it.
    files, programs : sequence of str
        What is needed beside C(admin.conf) and C(kubectl).

    Raises
    ------
    NodewiseError
        It lacks something, and this is no check mode.
    """
    missing = [path for path in (ADMIN_KUBECONFIG, *files) if not os.path.exists(path)]
    missing += [name for name in ("kubectl", *programs) if shutil.which(name) is None]
    if missing and not check_mode:
        raise NodewiseError(f"This host has no {', '.join(missing)}.", "run the artifacts role and kubeadm init first")
    return missing
