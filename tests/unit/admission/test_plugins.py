# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.plugins import (
    NODE_RESTRICTION,
    Selection,
    known_from_help,
    known_in_version,
    minor_of,
    select,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import HELP

KNOWN = known_in_version("1.37.2")
MISSION = [
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionWebhook",
    "NamespaceLifecycle",
    "LimitRanger",
    "ServiceAccount",
    "TaintNodesByCondition",
    "Priority",
    "DefaultTolerationSeconds",
]
LIMITS = {"limits": [{"type": "Server", "qps": 1, "burst": 1}]}


def test_plugins_that_are_on_by_default_take_no_flag() -> None:
    assert select(MISSION, [], {}, KNOWN) == Selection(frozenset({NODE_RESTRICTION}), frozenset(), {})


def test_a_wish_is_added_to_node_restriction() -> None:
    found = select(["AlwaysPullImages", "LimitRanger"], ["DefaultIngressClass", "AlwaysDeny"], {}, KNOWN)
    assert (found.enable, found.disable) == ({"NodeRestriction", "AlwaysPullImages"}, {"DefaultIngressClass"})


@pytest.mark.parametrize(
    ("enabled", "disabled", "configuration", "said"),
    [
        (["LimitRange"], [], {}, "LimitRange (enabled) is no admission plugin of Kubernetes 1.37 (did you mean LimitRanger?)"),
        (["mutatingadmissionwebhook"], [], {}, "(did you mean MutatingAdmissionWebhook?)"),
        ([], ["Foo"], {}, "Foo (disabled) is no admission plugin of Kubernetes 1.37"),
        ([], [], {"PodSecurty": {}}, "PodSecurty (configured) is no admission plugin of Kubernetes 1.37 (did you mean PodSecurity?)"),
        (["PodSecurityPolicy"], [], {}, "PodSecurityPolicy (enabled) was removed in Kubernetes 1.25, use PodSecurity"),
        (["SecurityContextDeny"], [], {}, "was removed in Kubernetes 1.30"),
        ([], ["JobValidation"], {}, "JobValidation (disabled) was removed in Kubernetes 1.37"),
        (["AlwaysPullImages"], ["AlwaysPullImages"], {}, "AlwaysPullImages is both enabled and disabled"),
        ([], ["NodeRestriction"], {}, "NodeRestriction cannot be disabled"),
        (["EventRateLimit"], [], {}, "EventRateLimit is enabled, but without a configuration kube-apiserver would not start; for example"),
        (["ImagePolicyWebhook"], [], {"ImagePolicyWebhook": {}}, "ImagePolicyWebhook is enabled, but without a configuration"),
        ([], [], {"EventRateLimit": LIMITS}, "EventRateLimit has a configuration, but is not enabled"),
        ([], ["PodSecurity"], {"PodSecurity": {"kind": "x"}}, "PodSecurity has a configuration, but is not enabled"),
        (["EventRateLimit"], [], {"EventRateLimit": ["x"]}, "the configuration of EventRateLimit is no mapping"),
    ],
)
def test_what_is_refused(enabled: list[str], disabled: list[str], configuration: dict[str, Any], said: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        select(enabled, disabled, configuration, KNOWN)
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(NodewiseError, match=r"LimitRange .*PodPreset .*Priority is both"):
        select(["LimitRange", "PodPreset", "Priority"], ["Priority"], {}, KNOWN)


def test_a_configuration_of_an_enabled_plugin_is_kept() -> None:
    assert select(["EventRateLimit"], [], {"EventRateLimit": LIMITS}, KNOWN).configuration == {"EventRateLimit": LIMITS}


@pytest.mark.parametrize(
    ("version", "there", "missing"),
    [
        ("1.34.1", ["PodTopologyLabels", "MutatingAdmissionPolicy"], ["NodeDeclaredFeatureValidator", "PodGroupProtection", "JobValidation"]),
        ("v1.35.0", ["NodeDeclaredFeatureValidator"], ["PodGroupProtection", "PodResizeValidator"]),
        ("1.36", ["PodGroupProtection", "PodResizeValidator", "JobValidation", "PodGroupWorkloadExists"], []),
        ("1.37.2", ["PodGroupProtection", "NodeDeclaredFeatureValidator"], ["JobValidation", "PodGroupWorkloadExists"]),
        ("1.40.0", ["PodGroupProtection"], []),
    ],
)
def test_versions_differ(version: str, there: list[str], missing: list[str]) -> None:
    known = known_in_version(version)
    assert set(there) <= known.on
    assert not set(missing) & known.names
    assert NODE_RESTRICTION in known.off


def test_1_37_has_39_plugins_of_which_25_are_on() -> None:
    assert (len(KNOWN.names), len(KNOWN.on)) == (39, 25)


def test_a_plugin_of_another_version_is_unknown() -> None:
    with pytest.raises(NodewiseError, match=r"PodResizeValidator \(enabled\) is no admission plugin of Kubernetes 1.35"):
        select(["PodResizeValidator"], [], {}, known_in_version("1.35.1"))


@pytest.mark.parametrize("version", ["", "2.0", "latest", "1.x"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(NodewiseError, match="is no version of Kubernetes"):
        minor_of(version)


def test_the_running_program_says_what_it_knows() -> None:
    known = known_from_help(HELP)
    assert (known.on, known.off) == ({"LimitRanger", "Priority"}, {"AlwaysDeny", "NodeRestriction"})
    with pytest.raises(NodewiseError, match="does not list its admission plugins"):
        known_from_help("Usage: kube-apiserver [flags]")
