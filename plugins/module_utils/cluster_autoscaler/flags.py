# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command-line flags of cluster-autoscaler (1.34 to 1.37, FAQ.md and main.go) from typed settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import NodewiseError
from ..guard.model import TAINT_KEY

EXPANDERS = ("least-waste", "least-nodes", "most-pods", "random", "priority")
"""C(price) is none: a standby host has no price."""
# The newest release of each minor; from the last one on there is none newer.
RELEASES = {"1.34": "1.34.5", "1.35": "1.35.2", "1.36": "1.36.1"}

CONFIG_FOLDER = "/etc/nodewise"
NAMESPACE = "kube-system"

# What the cluster of ours needs and an operator cannot change.
_OWN: Mapping[str, str] = {
    "cloud-provider": "externalgrpc",
    "cloud-config": f"{CONFIG_FOLDER}/cloud.yaml",
    "namespace": NAMESPACE,
    # The guard's taint comes and goes with load: a template copied from an overloaded node must not bear it, and such a node is not broken.
    "status-taint": TAINT_KEY,
    # A host that has failed for good goes even at a group's min; the provider's DeleteNodes is what it calls then.
    "force-delete-unregistered-nodes": "true",
    # An operator's min is meant: without it the group only never shrinks below it.
    "enforce-node-group-min-size": "true",
}


@dataclass(frozen=True)
class Flags:
    """How cluster-autoscaler decides; times in seconds.

    Parameters
    ----------
    scan_interval : int
        Between two looks at the cluster.
    scale_down : bool
        Whether idle hosts leave.
    scale_down_delay_after_add : int
        After a scale-up nothing is removed for so long.
    scale_down_unneeded_time : int
        A node is idle for so long before it is removed.
    scale_down_unready_time : int
        The same for a node that is not Ready.
    scale_down_utilization_threshold : float
        A node whose pods request less than this share of it is idle.
    max_node_provision_time : int
        How long a host may take to become a Node.
    max_nodes_total : int
        Nodes of the whole cluster; 0 is no limit.
    expander : str
        One of C(EXPANDERS): which group grows if several could.
    skip_nodes_with_system_pods, skip_nodes_with_local_storage : bool
        Whether nodes with such pods are never removed.
    balance_similar_node_groups : bool
        Whether groups that are alike are kept alike in size.
    verbosity : int
        Of its log.
    extra : Mapping
        Further flags, C({name: value}).

    Raises
    ------
    NodewiseError
        A value is not allowed, or a further flag is one of those above or one of ours.
    """

    scan_interval: int = 10
    scale_down: bool = True
    scale_down_delay_after_add: int = 600
    scale_down_unneeded_time: int = 600
    scale_down_unready_time: int = 1200
    scale_down_utilization_threshold: float = 0.5
    max_node_provision_time: int = 900
    max_nodes_total: int = 0
    expander: str = "least-waste"
    skip_nodes_with_system_pods: bool = True
    skip_nodes_with_local_storage: bool = True
    balance_similar_node_groups: bool = False
    verbosity: int = 2
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low = {"scan_interval": 1, "max_node_provision_time": 60}
        for name in ("scan_interval", "scale_down_delay_after_add", "scale_down_unneeded_time", "scale_down_unready_time", "max_node_provision_time"):
            if not low.get(name, 0) <= getattr(self, name) <= 86400:
                raise NodewiseError(f"{name} is {getattr(self, name)}.", f"set it between {low.get(name, 0)} and 86400 seconds")
        if not 0 <= self.scale_down_utilization_threshold <= 1:
            raise NodewiseError(f"scale_down_utilization_threshold is {self.scale_down_utilization_threshold:g}.", "set it between 0 and 1")
        if not 0 <= self.max_nodes_total <= 1_000_000 or not 0 <= self.verbosity <= 10:
            raise NodewiseError(
                f"max_nodes_total is {self.max_nodes_total} and verbosity {self.verbosity}.", "set the first to 0 or more, the second to 0 to 10"
            )
        if self.expander not in EXPANDERS:
            raise NodewiseError(f"expander is {self.expander!r}.", f"choose one of {', '.join(EXPANDERS)}")
        typed = self._typed()
        for name in self.extra:
            if name.lstrip("-") in typed or name.lstrip("-") in _OWN:
                raise NodewiseError(f"The flag {name} cannot be given as a further one.", "it has a variable of its own, or the provider needs it as it is")

    def arguments(self) -> list[str]:
        """Return the command line, without the program."""
        return [f"--{name.lstrip('-')}={value}" for name, value in sorted({**self._typed(), **_OWN, **self.extra}.items())]

    def _typed(self) -> dict[str, str]:
        return {
            "scan-interval": f"{self.scan_interval}s",
            "scale-down-enabled": _bool(self.scale_down),
            "scale-down-delay-after-add": f"{self.scale_down_delay_after_add}s",
            "scale-down-unneeded-time": f"{self.scale_down_unneeded_time}s",
            "scale-down-unready-time": f"{self.scale_down_unready_time}s",
            "scale-down-utilization-threshold": f"{self.scale_down_utilization_threshold:g}",
            "max-node-provision-time": f"{self.max_node_provision_time}s",
            "max-nodes-total": str(self.max_nodes_total),
            "expander": self.expander,
            "skip-nodes-with-system-pods": _bool(self.skip_nodes_with_system_pods),
            "skip-nodes-with-local-storage": _bool(self.skip_nodes_with_local_storage),
            "balance-similar-node-groups": _bool(self.balance_similar_node_groups),
            "v": str(self.verbosity),
        }


def skew(kubernetes: str, autoscaler: str) -> str:
    """Return what is to be said of a cluster-autoscaler of another minor than the cluster's; empty if it is the same.

    cluster-autoscaler simulates the scheduler of its own minor and promises to work with no other.
    """
    cluster, own = (".".join(version.split(".")[:2]) for version in (kubernetes, autoscaler))
    if cluster == own:
        return ""
    newest = f" {RELEASES[cluster]} is the release for this cluster." if cluster in RELEASES else ""
    return (
        f"cluster-autoscaler {autoscaler} simulates the scheduler of Kubernetes {own}, while the cluster runs {kubernetes}: "
        f"it may judge pods that use newer fields wrongly.{newest}"
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"
