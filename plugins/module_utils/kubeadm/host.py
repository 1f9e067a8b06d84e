# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of Kubernetes is on this host: the few paths by which init, join and reset judge it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from ..errors import NodewiseError
from ..files import read_text
from .plan import HostView
from .run import Kubeadm
from .state import STATE_PATH, load_state

DEFAULT_ETCD_DATA = "/var/lib/etcd"


@dataclass(frozen=True)
class HostPaths:
    """Where things are; another C(root) than the host's is for tests.

    Attributes
    ----------
    root : str
        Prefix of every path.
    """

    root: str = ""

    def at(self, path: str) -> str:
        """Return an absolute path below the root."""
        return self.root + path

    @property
    def admin_conf(self) -> str:
        """The administrator's kubeconfig, made by kubeadm init."""
        return self.at("/etc/kubernetes/admin.conf")

    @property
    def kubelet_conf(self) -> str:
        """The kubelet's kubeconfig, made by kubeadm init and by the kubelet's TLS bootstrap."""
        return self.at("/etc/kubernetes/kubelet.conf")

    @property
    def state(self) -> str:
        """Our own record."""
        return self.at(STATE_PATH)


def look(paths: HostPaths) -> HostView:
    """Return what the host shows.

    Raises
    ------
    NodewiseError
        The record is not readable as one.
    """
    return HostView(
        state=load_state(paths.state),
        kubelet_conf=os.path.exists(paths.kubelet_conf),
        admin_conf=os.path.exists(paths.admin_conf),
        machine_id=(read_text(paths.at("/etc/machine-id")) or "").strip(),
    )


def etcd_data_folder(paths: HostPaths) -> str | None:
    """Return the data folder of this host's etcd of Kubernetes; None if it has none."""
    text = read_text(paths.at("/etc/kubernetes/manifests/etcd.yaml"))
    if text is None:
        # After a reset that was killed only our record tells that this was a control plane.
        try:
            control_plane = load_state(paths.state).phase in ("initialising", "initialised")
        except NodewiseError:
            control_plane = False
        return paths.at(DEFAULT_ETCD_DATA) if control_plane else None
    import yaml

    folders = [volume["hostPath"]["path"] for volume in yaml.safe_load(text)["spec"].get("volumes", []) if volume["name"] == "etcd-data"]
    return paths.at(folders[0] if folders else DEFAULT_ETCD_DATA)


def clear_folder(folder: str) -> None:
    """Remove everything in a folder, but not the folder, which may be a mount point; a missing one is fine.

    Raises
    ------
    OSError
        Something in it cannot be removed.
    """
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def undo_kubeadm(kubeadm: Kubeadm, cri_socket: str, paths: HostPaths) -> None:
    """Run C(kubeadm reset), then empty etcd's folder: containers first, data afterwards.

    Raises
    ------
    NodewiseError
        kubeadm reset failed.
    """
    etcd_data = etcd_data_folder(paths)
    kubeadm.reset(cri_socket)
    if etcd_data is not None:
        clear_folder(etcd_data)
