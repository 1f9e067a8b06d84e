# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control-plane host in a folder, with a kubelet that runs what the manifest says, and a cluster with kubeadm's ConfigMap."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.change import Paths, Tools
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.manifest import command, flag_value, load_pod
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.merge import dump, load

# As kubeadm 1.37 writes it, with fewer flags.
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"labels": {"component": "kube-apiserver"}, "name": "kube-apiserver", "namespace": "kube-system"},
    "spec": {
        "containers": [
            {
                "command": [
                    "kube-apiserver",
                    "--advertise-address=192.0.2.11",
                    "--enable-admission-plugins=NodeRestriction",
                    "--secure-port=6443",
                    "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
                ],
                "image": "registry.k8s.io/kube-apiserver:v1.37.2",
                "name": "kube-apiserver",
                "volumeMounts": [
                    {"mountPath": "/etc/ssl/certs", "name": "ca-certs", "readOnly": True},
                    {"mountPath": "/etc/kubernetes/pki", "name": "k8s-certs", "readOnly": True},
                ],
            }
        ],
        "hostNetwork": True,
        "volumes": [
            {"hostPath": {"path": "/etc/ssl/certs", "type": "DirectoryOrCreate"}, "name": "ca-certs"},
            {"hostPath": {"path": "/etc/kubernetes/pki", "type": "DirectoryOrCreate"}, "name": "k8s-certs"},
        ],
    },
    "status": {},
}
CLUSTER: dict[str, Any] = {
    "apiServer": {},
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "clusterName": "nodewise",
    "kind": "ClusterConfiguration",
    "kubernetesVersion": "v1.37.2",
}
HELP = """
Admission flags:

      --disable-admission-plugins strings      admission plugins that should be disabled although they are in the default enabled plugins list
                (LimitRanger, Priority). Comma-delimited list of admission plugins: AlwaysDeny, LimitRanger, NodeRestriction, Priority. The order matters not.
      --enable-admission-plugins strings       admission plugins that should be enabled in addition to default enabled ones (LimitRanger,
                Priority). Comma-delimited list of admission plugins: AlwaysDeny, LimitRanger, NodeRestriction, Priority. The order of plugins in this
                flag does not matter.
"""


class Host:
    """A host; what runs on it is what its manifest says, unless C(bad) says that such an API server does not start."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.running: dict[str, Any] | None = copy.deepcopy(POD)
        self.bad: Callable[[dict[str, Any]], bool] = lambda pod: False
        self.kubelet = True
        self.starts = 0
        self.document = copy.deepcopy(CLUSTER)
        self.version = 1
        self.validated: list[dict[str, Any]] = []
        self.refuses = ""
        self.help_text = ""

    # -- the kubelet
    def sync(self) -> None:
        text = Path(self.paths.manifest).read_text()
        pod = load(text, "manifest")
        if self.kubelet and pod != self.running:
            self.running = pod
            self.starts += 1

    @property
    def healthy(self) -> bool:
        self.sync()
        return self.running is not None and not self.bad(self.running)

    # -- ApiServer
    def differs_from(self, pod: dict[str, Any]) -> str:
        self.sync()
        return "" if self.running is not None and command(self.running) == command(pod) else "it still runs with other arguments"

    def wait(self, pod: dict[str, Any], timeout: float) -> None:
        reason = self.differs_from(pod)
        if reason or not self.healthy:
            raise NodewiseError(reason or "it ended by itself 2 times")

    def log(self) -> str:
        return "E1125 command failed err=..."

    def help(self) -> str:
        if not self.help_text:
            raise NodewiseError("no container runs")
        return self.help_text

    # -- Kubectl
    def get(self, *args: str) -> dict[str, Any] | None:
        if not self.healthy:
            raise NodewiseError("connection refused")
        return {"metadata": {"resourceVersion": str(self.version)}, "data": {"ClusterConfiguration": dump(self.document)}}

    def run(self, args: Sequence[str], stdin: str = "") -> tuple[int, str, str]:
        if not self.healthy:
            raise NodewiseError("connection refused")
        assert args == ["replace", "--raw=/api/v1/namespaces/kube-system/configmaps/kubeadm-config", "--filename=-"]
        sent = json.loads(stdin)
        assert sent["metadata"] == {"resourceVersion": str(self.version)}
        self.document = load(sent["data"]["ClusterConfiguration"], "data")
        self.version += 1
        return 0, "", ""

    # -- Kubeadm
    def validate(self, documents: list[dict[str, Any]]) -> None:
        if self.refuses:
            raise NodewiseError(self.refuses)
        self.validated += documents

    # -- what tests look at
    @property
    def tools(self) -> Tools:
        tools: Any = self
        return Tools(tools, tools, tools, lambda: self.kubelet)

    def flag(self, name: str) -> str:
        return flag_value(load_pod(Path(self.paths.manifest).read_text(), "manifest"), name)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    root = tmp_path
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "etc/kubernetes/manifests/kube-apiserver.yaml").write_text(dump(POD))
    (root / "etc/kubernetes/admin.conf").write_text("x")
    paths = Paths(
        manifest=f"{root}/etc/kubernetes/manifests/kube-apiserver.yaml",
        staging=f"{root}/etc/kubernetes",
        folder=f"{root}/etc/kubernetes/nodewise-admission",
        backup=f"{root}/backup/kube-apiserver.yaml",
        trial=f"{root}/backup/kube-apiserver.trial.yaml",
        admin_conf=f"{root}/etc/kubernetes/admin.conf",
        state=f"{root}/state.json",
    )
    return Host(paths)
