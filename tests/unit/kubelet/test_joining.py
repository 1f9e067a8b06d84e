# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.cluster import read_kubelet_config


class Cluster:
    def __init__(self, found: Any) -> None:
        self.found = found

    def get(self, *_args: str) -> Any:
        return self.found


def test_what_nodes_join_with_is_read_from_the_cluster() -> None:
    cluster: Any = Cluster({"data": {"kubelet": "maxPods: 50\nsystemReserved:\n  cpu: 200m\n"}})
    assert read_kubelet_config(cluster) == {"maxPods": 50, "systemReserved": {"cpu": "200m"}}


@pytest.mark.parametrize("found", [None, {"data": {}}])
def test_without_it_nothing_is_assumed(found: Any) -> None:
    cluster: Any = Cluster(found)
    with pytest.raises(NodewiseError, match="kubeadm init phase upload-config kubelet"):
        read_kubelet_config(cluster)
