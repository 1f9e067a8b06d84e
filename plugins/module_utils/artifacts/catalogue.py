# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster of given versions is made of: pure data, for each architecture."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import NodewiseError

ARCHITECTURES = ("amd64", "arm64")
# Versions that may be empty because that part is not wanted.
OPTIONAL = ("metrics_server", "prometheus_operator", "prometheus", "cluster_autoscaler")

CALICO_MANIFESTS = ("calico-vxlan", "calico")

MANIFESTS = "/var/lib/nodewise/manifests"
"""Where manifests land on a control-plane host."""
OPERATOR_CRDS = "prometheus-operator-crds"
OPERATOR_KINDS = ("podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors")
"""The kinds without which Prometheus Operator does not run a Prometheus, a file each in C(example/prometheus-operator-crd)."""

# Images that kubeadm wants beside its own, per Kubernetes minor version: etcd, CoreDNS, pause.
# Source: `kubeadm config images list` of 1.34.4, 1.35.4, 1.36.3 and 1.37.2. Patch releases may move them,
# so a kubeadm that can be run is asked instead.
KUBEADM_IMAGES = {
    "1.34": ("3.6.5-0", "1.12.1", "3.10.1"),
    "1.35": ("3.6.6-0", "1.13.1", "3.10.1"),
    "1.36": ("3.6.8-0", "1.14.2", "3.10.2"),
    "1.37": ("3.7.0-0", "1.14.6", "3.10.2"),
}


@dataclass(frozen=True)
class Versions:
    """Versions of the parts, without a leading ``v``.

    Parameters
    ----------
    kubernetes, containerd, runc, cni_plugins, crictl, calico : str
        Releases.
    etcd, coredns, pause : str
        Image tags (CoreDNS without its ``v``); empty for those that kubeadm wants.
    metrics_server, prometheus_operator, prometheus, cluster_autoscaler : str
        Release; empty for none.
    """

    kubernetes: str
    containerd: str
    runc: str
    cni_plugins: str
    crictl: str
    calico: str
    etcd: str = ""
    coredns: str = ""
    pause: str = ""
    metrics_server: str = ""
    prometheus_operator: str = ""
    prometheus: str = ""
    cluster_autoscaler: str = ""


@dataclass(frozen=True)
class Item:
    """One file that a cluster needs.

    Parameters
    ----------
    name : str
        Short name, unique within its kind.
    kind : str
        ``bin``, ``image``, ``manifest`` or ``wheel``.
    version : str
        Version without ``v``; for an image what its tag says.
    arch : str
        ``amd64`` or ``arm64``; empty for a manifest.
    nodes : str
        ``all``, or ``control_plane`` when only these need it.
    dest : str
        Where it lands on a host; empty for an image; for a wheel its file name.
    image : str
        Full name of an image; empty for other kinds.
    """

    name: str
    kind: str
    version: str
    arch: str
    nodes: str
    dest: str = ""
    image: str = ""

    @property
    def path(self) -> str:
        """Path in a mirror and in the cache."""
        if self.kind == "manifest":
            return f"manifests/{self.name}-{self.version}.yaml"
        if self.kind == "wheel":
            return f"wheels/{self.dest}"
        if self.kind == "image":
            return f"images/{self.name}-{self.version}-{self.arch}.tar"
        return f"bin/{self.name}-{self.version}-{self.arch}"

    @property
    def mode(self) -> str:
        """Permission bits on a host."""
        return "0755" if self.kind == "bin" else "0644"

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, self.version, self.arch) if part)


def kubeadm_images(kubernetes: str) -> tuple[str, str, str]:
    """Return the tags of etcd, CoreDNS (without ``v``) and pause that a Kubernetes version wants.

    Raises
    ------
    NodewiseError
        The minor version is not in the table.
    """
    minor = ".".join(kubernetes.split(".")[:2])
    if minor not in KUBEADM_IMAGES:
        raise NodewiseError(
            f"The images that kubeadm {kubernetes} wants are not known; known are those of Kubernetes {', '.join(KUBEADM_IMAGES)}.",
            "set artifacts_etcd_version, artifacts_coredns_version and artifacts_pause_version to what 'kubeadm config images list' prints.",
        )
    return KUBEADM_IMAGES[minor]


def kubeadm_item(kubernetes: str, arch: str) -> Item:
    """Return the item that is kubeadm itself, which says what else is needed."""
    return Item("kubeadm", "bin", kubernetes, arch, "all", dest="/usr/local/bin/kubeadm")


def validate(versions: Versions, architectures: list[str], cni_plugins: list[str], calico_manifest: str) -> None:
    """Check what a person may have set wrongly.

    Raises
    ------
    NodewiseError
        A value is not valid; the message names its variable.
    """
    for name, value in vars(versions).items():
        if not (value or name in ("etcd", "coredns", "pause", *OPTIONAL)) or not re.fullmatch(r"(\d+(\.\d+)+(-[0-9A-Za-z.]+)?)?", value):
            raise NodewiseError(f"artifacts_{name}_version is {value!r}, which is not a version.", "write it as 1.37.2, in quotes and without a leading v.")
    for arch in architectures:
        if arch not in ARCHITECTURES:
            raise NodewiseError(f"Architecture {arch!r} is not supported.", f"artifacts_architectures takes {' and '.join(ARCHITECTURES)}.")
    for plugin in cni_plugins:
        if not re.fullmatch(r"[a-z0-9-]+", plugin):
            raise NodewiseError(f"artifacts_cni_plugins names {plugin!r}, which is not the name of a CNI plugin.", "name plugins as host-local, portmap.")
    if calico_manifest not in CALICO_MANIFESTS:
        raise NodewiseError(f"artifacts_calico_manifest is {calico_manifest!r}.", f"choose {' or '.join(CALICO_MANIFESTS)}.")


def catalogue(versions: Versions, architectures: list[str], cni_plugins: list[str], calico_manifest: str) -> list[Item]:
    """List every file that a cluster needs.

    Parameters
    ----------
    versions : Versions
        With etcd, CoreDNS and pause filled in.
    architectures : list of str
        Of the hosts.
    cni_plugins : list of str
        Names of the reference CNI plugins to install.
    calico_manifest : str
        ``calico-vxlan`` or ``calico``; both land as ``calico.yaml``.
    """
    kubernetes, calico = versions.kubernetes, versions.calico
    etcd, coredns, pause = versions.etcd, versions.coredns, versions.pause
    binaries = [
        ("kubelet", kubernetes, "all", "/usr/local/bin"),
        ("kubectl", kubernetes, "all", "/usr/local/bin"),
        ("crictl", versions.crictl, "all", "/usr/local/bin"),
        ("containerd", versions.containerd, "all", "/usr/local/bin"),
        ("containerd-shim-runc-v2", versions.containerd, "all", "/usr/local/bin"),
        ("ctr", versions.containerd, "all", "/usr/local/bin"),
        ("runc", versions.runc, "all", "/usr/local/sbin"),
        *((plugin, versions.cni_plugins, "all", "/opt/cni/bin") for plugin in cni_plugins),
        ("calicoctl", calico, "control_plane", "/usr/local/bin"),
    ]
    images = [
        *(
            (name, kubernetes, nodes, f"registry.k8s.io/{name}:v{kubernetes}")
            for name, nodes in (
                ("kube-apiserver", "control_plane"),
                ("kube-controller-manager", "control_plane"),
                ("kube-scheduler", "control_plane"),
                ("kube-proxy", "all"),
            )
        ),
        ("etcd", etcd, "control_plane", f"registry.k8s.io/etcd:{etcd}"),
        ("coredns", coredns, "all", f"registry.k8s.io/coredns/coredns:v{coredns}"),
        ("pause", pause, "all", f"registry.k8s.io/pause:{pause}"),
        *((f"calico-{part}", calico, "all", f"docker.io/calico/{part}:v{calico}") for part in ("cni", "node", "kube-controllers")),
    ]
    if versions.prometheus_operator:
        images += [
            (name, versions.prometheus_operator, "all", f"quay.io/prometheus-operator/{name}:v{versions.prometheus_operator}")
            for name in ("prometheus-operator", "prometheus-config-reloader")
        ]
    if versions.prometheus:
        images.append(("prometheus", versions.prometheus, "all", f"quay.io/prometheus/prometheus:v{versions.prometheus}"))
    if versions.metrics_server:
        images.append(("metrics-server", versions.metrics_server, "all", f"registry.k8s.io/metrics-server/metrics-server:v{versions.metrics_server}"))
    if versions.cluster_autoscaler:
        name, version = "cluster-autoscaler", versions.cluster_autoscaler
        images.append((name, version, "control_plane", f"registry.k8s.io/autoscaling/{name}:v{version}"))
    items = [Item(calico_manifest, "manifest", calico, "", "control_plane", dest=f"{MANIFESTS}/calico.yaml")]
    if versions.prometheus_operator:
        items.append(Item(OPERATOR_CRDS, "manifest", versions.prometheus_operator, "", "control_plane", dest=f"{MANIFESTS}/{OPERATOR_CRDS}.yaml"))
    for arch in architectures:
        items.append(kubeadm_item(kubernetes, arch))
        items += [Item(name, "bin", version, arch, nodes, dest=f"{folder}/{name}") for name, version, nodes, folder in binaries]
        items += [Item(name, "image", version, arch, nodes, image=image) for name, version, nodes, image in images]
    return items
