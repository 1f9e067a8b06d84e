# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest with just the places that are edited, and Calico's real ones where the Go module cache has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings

MODULE = "github.com/projectcalico/calico@v1.11.0-cni-plugin.0.20250813170300-a0db560f0520"
SMALL = """
apiVersion: v1
kind: ConfigMap
metadata: {name: calico-config, namespace: kube-system}
data: {calico_backend: bird, veth_mtu: "0", cni_network_config: "{}"}
---
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ippools.crd.projectcalico.org}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec:
      nodeSelector: {kubernetes.io/os: linux}
      initContainers:
        - {name: install-cni, image: "docker.io/calico/cni:v3.28.5"}
      containers:
        - name: calico-node
          image: docker.io/calico/node:v3.28.5
          env:
            - {name: CALICO_NETWORKING_BACKEND, valueFrom: {configMapKeyRef: {name: calico-config, key: calico_backend}}}
            - {name: IP, value: autodetect}
            - {name: CALICO_IPV4POOL_IPIP, value: Always}
            - {name: CALICO_IPV4POOL_VXLAN, value: Never}
            - {name: FELIX_VXLANMTU, valueFrom: {configMapKeyRef: {name: calico-config, key: veth_mtu}}}
          livenessProbe: {exec: {command: [/bin/calico-node, -felix-live, -bird-live]}}
          readinessProbe: {exec: {command: [/bin/calico-node, -felix-ready, -bird-ready]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: calico-kube-controllers, namespace: kube-system}
spec:
  template:
    spec:
      containers:
        - {name: calico-kube-controllers, image: "docker.io/calico/kube-controllers:v3.28.5"}
"""


@pytest.fixture
def small_manifest() -> str:
    """Return the text of a manifest with the places that are edited, and no more."""
    return SMALL


def read_real_manifest(name: str) -> str:
    """Return the text of one of Calico's own manifests, or skip the test."""
    modules = Path(os.environ.get("GOMODCACHE", Path(os.environ.get("GOPATH", Path.home() / "go")) / "pkg" / "mod"))
    path = modules / MODULE / "manifests" / f"{name}.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there; `go mod download {MODULE}` gets it")
    return path.read_text(encoding="utf-8")


@pytest.fixture(params=["calico", "calico-vxlan"])
def real_manifest(request: pytest.FixtureRequest) -> str:
    """Return the text of each of Calico's own manifests in turn."""
    return read_real_manifest(request.param)


@pytest.fixture
def both_real_manifests() -> tuple[str, str]:
    """Return the texts of both."""
    return read_real_manifest("calico"), read_real_manifest("calico-vxlan")


def make_settings(**changes: Any) -> Settings:
    """Return good settings with changes."""
    return Settings(**{"version": "3.28.5", "kubernetes_version": "1.37.2", "pod_cidr": "10.244.0.0/16", "allow_unsupported_pair": True, **changes})


@pytest.fixture
def settings() -> Settings:
    """Return good settings."""
    return make_settings()
