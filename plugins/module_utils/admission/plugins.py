# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which admission plugins there are, and whether a wish for some of them can be met.

Names and defaults per minor version come from AllOrderedPlugins and DefaultOffAdmissionPlugins in
pkg/kubeapiserver/options/plugins.go of Kubernetes 1.34 to 1.37; a running kube-apiserver lists the same
in its C(--help), which is what decides where there is one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError

NODE_RESTRICTION = "NodeRestriction"
"""Off by default in Kubernetes, enabled by kubeadm; without it a kubelet may write other nodes' objects."""

_FIRST_MINOR, _LAST_MINOR = 34, 37

_ON = frozenset(
    {
        "CertificateApproval",
        "CertificateSigning",
        "CertificateSubjectRestriction",
        "ClusterTrustBundleAttest",
        "DefaultIngressClass",
        "DefaultStorageClass",
        "DefaultTolerationSeconds",
        "LimitRanger",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionWebhook",
        "NamespaceLifecycle",
        "PersistentVolumeClaimResize",
        "PodSecurity",
        "PodTopologyLabels",
        "Priority",
        "ResourceQuota",
        "RuntimeClass",
        "ServiceAccount",
        "StorageObjectInUseProtection",
        "TaintNodesByCondition",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionWebhook",
    }
)
_OFF = frozenset(
    {
        "AlwaysAdmit",
        "AlwaysDeny",
        "AlwaysPullImages",
        "DenyServiceExternalIPs",
        "EventRateLimit",
        "ExtendedResourceToleration",
        "ImagePolicyWebhook",
        "LimitPodHardAntiAffinityTopology",
        "NamespaceAutoProvision",
        "NamespaceExists",
        "NodeRestriction",
        "OwnerReferencesPermissionEnforcement",
        "PodNodeSelector",
        "PodTolerationRestriction",
    }
)
# On by default, and only in these minor versions: the first and the last.
_ON_BETWEEN = {
    "NodeDeclaredFeatureValidator": (35, _LAST_MINOR),
    "PodGroupProtection": (36, _LAST_MINOR),
    "PodResizeValidator": (36, _LAST_MINOR),
    "PodGroupWorkloadExists": (36, 36),
    "JobValidation": (36, 36),
}

# The minor version that no longer has the plugin, and what does its work (Kubernetes' changelogs).
_REMOVED = {
    "PodSecurityPolicy": (25, "PodSecurity, which is on by default"),
    "SecurityContextDeny": (30, "PodSecurity, which is on by default"),
    "PersistentVolumeLabel": (31, "cloud-pv-admission-labeler, a webhook"),
    "PodPreset": (20, "a mutating webhook or a MutatingAdmissionPolicy"),
    "DenyEscalatingExec": (18, "PodSecurity, which is on by default"),
    "DenyExecOnPrivileged": (18, "PodSecurity, which is on by default"),
    "Initializers": (14, "MutatingAdmissionWebhook, which is on by default"),
    "PodGroupWorkloadExists": (37, "nothing: leave it out"),
    "JobValidation": (37, "nothing: leave it out"),
}

# Plugins that end kube-apiserver if they are enabled without a configuration (their New functions, 1.37.2), with an example of one.
_NEED_CONFIGURATION = {
    "EventRateLimit": (
        "{apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration, limits: [{type: Namespace, qps: 50, burst: 100, cacheSize: 2000}]}"
    ),
    "ImagePolicyWebhook": "{imagePolicy: {kubeConfigFile: /etc/kubernetes/pki/image-policy.conf, allowTTL: 50, denyTTL: 50, defaultAllow: false}}",
}

_LISTS = re.compile(r"default enabled ones \((?P<on>[^)]*)\)\.\s+Comma-delimited list of admission plugins: (?P<all>[^.]*)\.")


@dataclass(frozen=True)
class Known:
    """The plugins of one kube-apiserver.

    Attributes
    ----------
    on, off : frozenset of str
        Those that are enabled by default, and those that are not.
    source : str
        Who says so.
    """

    on: frozenset[str]
    off: frozenset[str]
    source: str

    @property
    def names(self) -> frozenset[str]:
        """All plugins."""
        return self.on | self.off


@dataclass(frozen=True)
class Selection:
    """What the flags have to say, beyond what is the default.

    Attributes
    ----------
    enable : frozenset of str
        Plugins that are off by default and shall be on; NodeRestriction always among them.
    disable : frozenset of str
        Plugins that are on by default and shall be off.
    configuration : Mapping
        Configuration by plugin.
    """

    enable: frozenset[str] = frozenset({NODE_RESTRICTION})
    disable: frozenset[str] = frozenset()
    configuration: Mapping[str, Any] = field(default_factory=dict)


def minor_of(version: str) -> int:
    """Return the minor version of C(1.37.2), C(v1.37) and the like.

    Raises
    ------
    NodewiseError
        It is no version of Kubernetes 1.
    """
    found = re.match(r"v?1\.(\d+)(\.|$)", version)
    if not found:
        raise NodewiseError(f"{version!r} is no version of Kubernetes.", "write it as 1.37.2")
    return int(found[1])


def known_in_version(version: str) -> Known:
    """Return the plugins of a version of Kubernetes; of a version outside the table those of the nearest one in it.

    Raises
    ------
    NodewiseError
        It is no version.
    """
    minor = min(max(minor_of(version), _FIRST_MINOR), _LAST_MINOR)
    added = {name for name, (first, last) in _ON_BETWEEN.items() if first <= minor <= last}
    return Known(_ON | added, _OFF, f"Kubernetes 1.{minor}")


def known_from_help(text: str) -> Known:
    """Return the plugins that C(kube-apiserver --help) lists.

    Raises
    ------
    NodewiseError
        The text has no such list.
    """
    found = _LISTS.search(" ".join(text.split()))
    if not found:
        raise NodewiseError("kube-apiserver --help does not list its admission plugins as expected.", "report this as a bug, with the version of Kubernetes")
    every, on = (frozenset(re.split(r",\s*", found[group].strip())) for group in ("all", "on"))
    return Known(on, every - on, "the running kube-apiserver")


def select(enabled: Iterable[str], disabled: Iterable[str], configuration: Mapping[str, Any], known: Known) -> Selection:
    """Check a wish and return what it takes beyond the defaults.

    Parameters
    ----------
    enabled, disabled : iterable of str
        Names of plugins. One that is on, or off, by default anyway is fine.
    configuration : Mapping
        By plugin, what stands under C(configuration) in an AdmissionConfiguration.
    known : Known
        The plugins there are.

    Raises
    ------
    NodewiseError
        Anything is wrong with the wish; all of it is said at once.
    """
    enabled, disabled = list(enabled), list(disabled)
    problems = [_unknown(name, place, known) for place, names in _named(enabled, disabled, configuration) for name in names if name not in known.names]
    problems += [f"{name} is both enabled and disabled" for name in sorted(set(enabled) & set(disabled))]
    if NODE_RESTRICTION in disabled:
        problems.append(f"{NODE_RESTRICTION} cannot be disabled: a kubelet could then write other nodes' objects")
    active = (known.on | set(enabled) | {NODE_RESTRICTION}) - set(disabled)
    problems += [
        f"{name} is enabled, but without a configuration kube-apiserver would not start; for example {example}"
        for name, example in _NEED_CONFIGURATION.items()
        if name in active and not configuration.get(name)
    ]
    problems += [f"{name} has a configuration, but is not enabled" for name in configuration if name in known.names and name not in active]
    problems += [f"the configuration of {name} is no mapping" for name, value in configuration.items() if not isinstance(value, Mapping)]
    if problems:
        raise NodewiseError(
            f"The admission plugins cannot be set so: {'; '.join(problems)}.", "correct admission_enabled, admission_disabled or admission_configuration"
        )
    return Selection(frozenset(enabled) & known.off | {NODE_RESTRICTION}, frozenset(disabled) & known.on, dict(configuration))


def _named(enabled: Iterable[str], disabled: Iterable[str], configuration: Iterable[str]) -> list[tuple[str, list[str]]]:
    return [("enabled", list(enabled)), ("disabled", list(disabled)), ("configured", list(configuration))]


def _unknown(name: str, place: str, known: Known) -> str:
    if name in _REMOVED:
        minor, instead = _REMOVED[name]
        return f"{name} ({place}) was removed in Kubernetes 1.{minor}, use {instead}"
    folded = {other.casefold(): other for other in known.names}
    near = difflib.get_close_matches(str(name).casefold(), folded, 1)
    return f"{name} ({place}) is no admission plugin of {known.source}" + (f" (did you mean {folded[near[0]]}?)" if near else "")
