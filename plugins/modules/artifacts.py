#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin C(artifacts)."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: artifacts
short_description: Obtain the parts of a Kubernetes cluster on the control machine
description:
  - Fetches or builds the programs, container images and manifests that a cluster of given versions needs, verifies them and keeps them
    in a cache on the control machine, from where M(nodewise.cluster.host_artifacts) brings them to the hosts.
  - Which images go with a Kubernetes version is asked of the very kubeadm that was obtained.
  - It runs entirely on the control machine and shows what it is doing. Two runs at once share the cache and the work.
version_added: 1.0.0
author:
  - The nodewise authors (@nodewise)
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  source:
    description:
      - V(mirror) is a folder or HTTP root given by O(mirror).
      - V(official) is the publishers' download servers and image registries. Images need the program C(skopeo).
      - V(gomod) compiles everything from the Go module proxy. It needs Go, C(gcc), C(libc6-dev), C(libseccomp-dev),
        C(pkg-config), C(mmdebstrap), C(zstd) and a Debian mirror.
      - V(auto) is the mirror if one is given; else the source whose cache has everything already; else V(official) if it answers; else V(gomod).
    type: str
    choices:
      - auto
      - mirror
      - official
      - gomod
    default: auto
  mirror:
    description:
      - Folder on the control machine, or HTTP address, with C(bin/), C(images/), C(manifests/) and C(SHA256SUMS).
      - The playbook C(nodewise.cluster.mirror) makes one.
    type: str
    default: ""
  cache:
    description:
      - Folder on the control machine; each source has its own in it.
    type: path
    default: ~/.cache/nodewise
  architectures:
    description:
      - Architectures of the hosts, V(amd64) and V(arm64).
    type: list
    elements: str
    required: true
  kubernetes_version:
    description:
      - Version of Kubernetes, without C(v).
    type: str
    required: true
  containerd_version:
    description:
      - Version of containerd.
    type: str
    required: true
  runc_version:
    description:
      - Version of runc.
    type: str
    required: true
  cni_plugins_version:
    description:
      - Version of the reference CNI plugins.
    type: str
    required: true
  crictl_version:
    description:
      - Version of crictl.
    type: str
    required: true
  calico_version:
    description:
      - Version of Calico.
    type: str
    required: true
  etcd_version:
    description:
      - Tag of the etcd image; empty for the one that kubeadm wants.
    type: str
    default: ""
  coredns_version:
    description:
      - Tag of the CoreDNS image without C(v); empty for the one that kubeadm wants.
    type: str
    default: ""
  pause_version:
    description:
      - Tag of the pause image; empty for the one that kubeadm wants.
    type: str
    default: ""
  metrics_server_version:
    description:
      - Version of metrics-server; empty for none.
    type: str
    default: ""
  prometheus_operator_version:
    description:
      - Version of Prometheus Operator, with its kinds; empty for none.
    type: str
    default: ""
  prometheus_version:
    description:
      - Version of Prometheus; empty for none.
    type: str
    default: ""
  cluster_autoscaler_version:
    description:
      - Version of cluster-autoscaler, whose image O(source=gomod) cannot build; empty for none.
    type: str
    default: ""
  cni_plugins:
    description:
      - Names of the reference CNI plugins to install.
    type: list
    elements: str
    required: true
  calico_manifest:
    description:
      - Which of Calico's manifests.
    type: str
    choices:
      - calico-vxlan
      - calico
    default: calico-vxlan
  calico_backend:
    description:
      - What programs Calico's routes. The calico-node that O(source=gomod) builds has no BIRD, so V(bird) is refused there.
    type: str
    choices:
      - vxlan
      - bird
    default: vxlan
  official_urls:
    description:
      - Replacements for the servers of V(official), with the keys V(kubernetes) (U(https://dl.k8s.io/release)), V(github) (U(https://github.com))
        and V(github_raw) (U(https://raw.githubusercontent.com)).
    type: dict
    default: {}
  registries:
    description:
      - Registries to copy images from instead of the ones in their names, as C(registry.k8s.io) to C(registry.example.org/k8s).
        The images keep their names on the hosts.
    type: dict
    default: {}
  debian_mirror:
    description:
      - Where V(gomod) takes the Debian packages in the images of kube-proxy and Calico's node from.
    type: str
    default: http://deb.debian.org/debian
  export:
    description:
      - Folder on the control machine in which a mirror of everything is made; files of other versions in it stay.
    type: path
"""

EXAMPLES = r"""
---
- name: Obtain everything
  nodewise.cluster.artifacts:
    architectures: [amd64]
    kubernetes_version: "1.37.2"
    containerd_version: "2.4.2"
    runc_version: "1.5.2"
    cni_plugins_version: "1.9.1"
    crictl_version: "1.37.0"
    calico_version: "3.33.0"
    cni_plugins: [bandwidth, host-local, loopback, portmap, tuning]
  run_once: true
  register: obtained

- name: See where it came from
  ansible.builtin.assert:
    that:
      - obtained.source in ['official', 'gomod']
"""

RETURN = r"""
---
source:
  description: The source that was used.
  returned: success
  type: str
  sample: gomod
fetched:
  description: What was not in the cache and was obtained, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - kubeadm 1.37.2 amd64
exported:
  description: What was written in the mirror to be made, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - bin/kubeadm-1.37.2-amd64
unavailable:
  description: What this source can never give. A cluster works without it.
  returned: success
  type: list
  elements: str
  sample:
    - cluster-autoscaler 1.36.1 amd64
artifacts:
  description: One record for each file.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Short name.
      type: str
      sample: kube-proxy
    kind:
      description: V(bin), V(image) or V(manifest).
      type: str
      sample: image
    version:
      description: Version; of an image its tag, without C(v).
      type: str
      sample: 1.37.2
    arch:
      description: Architecture; empty for a manifest.
      type: str
      sample: amd64
    nodes:
      description: V(all) or V(control_plane), the hosts that need it.
      type: str
      sample: all
    source:
      description: Where it came from.
      type: str
      sample: gomod
    path:
      description: The file on the control machine; empty if it is only predicted.
      type: str
      sample: /root/.cache/nodewise/gomod/images/kube-proxy-1.37.2-amd64.tar
    sha256:
      description: Digest of the file; empty if it is only predicted.
      type: str
      sample: fa1cde95e78a3ad54dfd4ef8aa4f1dcd0b9acfbfb5bba81ec3eaa5b9bb8f51c2
    size:
      description: Size of the file in bytes.
      type: int
      sample: 61736960
    dest:
      description: Where it lands on a host; empty for an image.
      type: str
      sample: /usr/local/bin/kubelet
    mode:
      description: Permission bits on a host.
      type: str
      sample: "0755"
    image:
      description: Full name of an image; empty for other kinds.
      type: str
      sample: registry.k8s.io/kube-proxy:v1.37.2
    image_id:
      description: Digest of an image's configuration, which CRI calls its id; empty for other kinds, or if it is only predicted.
      type: str
      sample: sha256:2260fe49802d6c13ac4ae2b0c29f6a7cf10f3e5e21f8ad1d7a8f5f1d5c3d0f4e
"""
