# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a KubeletConfiguration, kubelet.config.k8s.io/v1beta1, and their types.

The kubelet decodes its file leniently: a misspelt field is dropped with a line in the
log. So names and types are checked here. Facts read from k8s.io/kubelet
config/v1beta1/types.go (v0.34.3, v0.35.4, v0.36.3, v0.37.2), k8s.io/component-base
(logging, tracing) and the kubelet's own validation and defaults, v1.37.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

API_VERSION = "kubelet.config.k8s.io/v1beta1"
KIND = "KubeletConfiguration"

# What a field holds: the name of a kind, a mapping of sub-fields, or a list with one such mapping.
Kind = Any

BOOL = "true or false"
INT = "a whole number"
FLOAT = "a number"
STR = "text"
DURATION = "a duration such as '30s'"
# The logging library also takes nanoseconds here.
LOG_DURATION = "a duration such as '5s', or nanoseconds"
STRS = "a list of texts"
INTS = "a list of whole numbers"
STR_MAP = "a mapping of texts to texts"
GATES = "a mapping of names to true or false"
STR_LISTS = "a mapping of names to lists of texts"
QUANTITIES = "a mapping of names to quantities such as '1Gi'"

_LOG_OUTPUT: dict[str, Kind] = {"splitStream": BOOL, "infoBufferSize": STR}

FIELDS: Mapping[str, Kind] = {
    "address": STR,
    "allowedUnsafeSysctls": STRS,
    "authentication": {
        "anonymous": {"enabled": BOOL},
        "webhook": {"enabled": BOOL, "cacheTTL": DURATION},
        "x509": {"clientCAFile": STR},
    },
    "authorization": {"mode": STR, "webhook": {"cacheAuthorizedTTL": DURATION, "cacheUnauthorizedTTL": DURATION}},
    "cgroupDriver": STR,
    "cgroupRoot": STR,
    "cgroupsPerQOS": BOOL,
    "clusterDNS": STRS,
    "clusterDomain": STR,
    "configMapAndSecretChangeDetectionStrategy": STR,
    "containerLogMaxFiles": INT,
    "containerLogMaxSize": STR,
    "containerLogMaxWorkers": INT,
    "containerLogMonitorInterval": DURATION,
    "containerRuntimeEndpoint": STR,
    "contentType": STR,
    "cpuCFSQuota": BOOL,
    "cpuCFSQuotaPeriod": DURATION,
    "cpuManagerPolicy": STR,
    "cpuManagerPolicyOptions": STR_MAP,
    "cpuManagerReconcilePeriod": DURATION,
    "crashLoopBackOff": {"maxContainerRestartPeriod": DURATION},
    "defaultPodSysctls": STR_MAP,
    "enableContentionProfiling": BOOL,
    "enableControllerAttachDetach": BOOL,
    "enableDebugFlagsHandler": BOOL,
    "enableDebuggingHandlers": BOOL,
    "enableProfilingHandler": BOOL,
    "enableServer": BOOL,
    "enableSystemLogHandler": BOOL,
    "enableSystemLogQuery": BOOL,
    "enforceNodeAllocatable": STRS,
    "eventBurst": INT,
    "eventRecordQPS": INT,
    "evictionHard": STR_MAP,
    "evictionMaxPodGracePeriod": INT,
    "evictionMinimumReclaim": STR_MAP,
    "evictionPressureTransitionPeriod": DURATION,
    "evictionSoft": STR_MAP,
    "evictionSoftGracePeriod": STR_MAP,
    "failCgroupV1": BOOL,
    "failSwapOn": BOOL,
    "featureGates": GATES,
    "fileCheckFrequency": DURATION,
    "hairpinMode": STR,
    "healthzBindAddress": STR,
    "healthzPort": INT,
    "httpCheckFrequency": DURATION,
    "imageGCHighThresholdPercent": INT,
    "imageGCLowThresholdPercent": INT,
    "imageMaximumGCAge": DURATION,
    "imageMinimumGCAge": DURATION,
    "imagePullCredentialsVerificationPolicy": STR,
    "imageServiceEndpoint": STR,
    "iptablesDropBit": INT,
    "iptablesMasqueradeBit": INT,
    "kernelMemcgNotification": BOOL,
    "kubeAPIBurst": INT,
    "kubeAPIQPS": INT,
    "kubeReserved": STR_MAP,
    "kubeReservedCgroup": STR,
    "kubeletCgroups": STR,
    "localStorageCapacityIsolation": BOOL,
    "logging": {
        "format": STR,
        "flushFrequency": LOG_DURATION,
        "verbosity": INT,
        "vmodule": [{"filePattern": STR, "verbosity": INT}],
        "options": {"text": _LOG_OUTPUT, "json": _LOG_OUTPUT},
    },
    "makeIPTablesUtilChains": BOOL,
    "maxOpenFiles": INT,
    "maxParallelImagePulls": INT,
    "maxPods": INT,
    "memoryManagerPolicy": STR,
    "memoryReservationPolicy": STR,
    "memorySwap": {"swapBehavior": STR},
    "memoryThrottlingFactor": FLOAT,
    "mergeDefaultEvictionSettings": BOOL,
    "nodeLeaseDurationSeconds": INT,
    "nodeStatusMaxImages": INT,
    "nodeStatusReportFrequency": DURATION,
    "nodeStatusUpdateFrequency": DURATION,
    "oomScoreAdj": INT,
    "podCIDR": STR,
    "podLogsDir": STR,
    "podPidsLimit": INT,
    "podsPerCore": INT,
    "port": INT,
    "preloadedImagesVerificationAllowlist": STRS,
    "protectKernelDefaults": BOOL,
    "providerID": STR,
    "qosReserved": STR_MAP,
    "readOnlyPort": INT,
    "registerNode": BOOL,
    "registerWithTaints": [{"key": STR, "value": STR, "effect": STR}],
    "registryBurst": INT,
    "registryPullQPS": INT,
    "reservedMemory": [{"numaNode": INT, "limits": QUANTITIES}],
    "reservedSystemCPUs": STR,
    "resolvConf": STR,
    "rotateCertificates": BOOL,
    "runOnce": BOOL,
    "runtimeRequestTimeout": DURATION,
    "seccompDefault": BOOL,
    "serializeImagePulls": BOOL,
    "serverTLSBootstrap": BOOL,
    "showHiddenMetricsForVersion": STR,
    "shutdownGracePeriod": DURATION,
    "shutdownGracePeriodByPodPriority": [{"priority": INT, "shutdownGracePeriodSeconds": INT}],
    "shutdownGracePeriodCriticalPods": DURATION,
    "singleProcessOOMKill": BOOL,
    "staticPodPath": STR,
    "staticPodURL": STR,
    "staticPodURLHeader": STR_LISTS,
    "streamingConnectionIdleTimeout": DURATION,
    "syncFrequency": DURATION,
    "systemCgroups": STR,
    "systemReserved": STR_MAP,
    "systemReservedCgroup": STR,
    "tlsCertFile": STR,
    "tlsCipherSuites": STRS,
    "tlsCurvePreferences": INTS,
    "tlsMinVersion": STR,
    "tlsPrivateKeyFile": STR,
    "topologyManagerPolicy": STR,
    "topologyManagerPolicyOptions": STR_MAP,
    "topologyManagerScope": STR,
    "tracing": {"endpoint": STR, "samplingRatePerMillion": INT},
    "userNamespaces": {"idsPerPod": INT},
    "volumePluginDir": STR,
    "volumeStatsAggPeriod": DURATION,
}

# The first minor version that knows the field; all others are there since 1.34, the oldest we install.
SINCE: Mapping[str, tuple[int, int]] = {
    "tlsCurvePreferences": (1, 36),
    "memoryReservationPolicy": (1, 36),
    "defaultPodSysctls": (1, 37),
}

# Plain Go fields with omitempty: kubeadm drops them at false or 0, which the kubelet then reads as its default.
# (Texts, lists, mappings and durations are alike in this for every field but resolvConf, see merge.py.)
UNSET_AT_ZERO = frozenset(
    {
        "enableContentionProfiling",
        "kernelMemcgNotification",
        "protectKernelDefaults",
        "rotateCertificates",
        "runOnce",
        "serverTLSBootstrap",
        "eventBurst",
        "evictionMaxPodGracePeriod",
        "kubeAPIBurst",
        "maxOpenFiles",
        "maxPods",
        "nodeLeaseDurationSeconds",
        "podsPerCore",
        "port",
        "readOnlyPort",
        "registryBurst",
    }
)

CHOICES: Mapping[str, tuple[str, ...]] = {
    "authorization.mode": ("AlwaysAllow", "Webhook"),
    "cgroupDriver": ("systemd", "cgroupfs"),
    "configMapAndSecretChangeDetectionStrategy": ("Get", "Cache", "Watch"),
    "cpuManagerPolicy": ("none", "static"),
    "hairpinMode": ("promiscuous-bridge", "hairpin-veth", "none"),
    "imagePullCredentialsVerificationPolicy": ("NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"),
    "logging.format": ("text", "json"),
    "memoryManagerPolicy": ("None", "Static"),
    "memoryReservationPolicy": ("None", "TieredReservation"),
    "memorySwap.swapBehavior": ("", "NoSwap", "LimitedSwap"),
    "topologyManagerPolicy": ("none", "best-effort", "restricted", "single-numa-node"),
    "topologyManagerScope": ("container", "pod"),
}

# Lowest and highest value, both allowed; None: no bound of ours.
RANGES: Mapping[str, tuple[int, int | None]] = {
    "containerLogMaxFiles": (2, None),
    "containerLogMaxWorkers": (1, None),
    "eventBurst": (0, None),
    "eventRecordQPS": (0, None),
    "evictionMaxPodGracePeriod": (0, None),
    "healthzPort": (0, 65535),
    "imageGCHighThresholdPercent": (0, 100),
    "imageGCLowThresholdPercent": (0, 100),
    "iptablesDropBit": (0, 31),
    "iptablesMasqueradeBit": (0, 31),
    "kubeAPIBurst": (0, None),
    "kubeAPIQPS": (0, None),
    "maxOpenFiles": (0, None),
    "maxParallelImagePulls": (1, None),
    "maxPods": (1, None),
    "nodeLeaseDurationSeconds": (1, None),
    "nodeStatusMaxImages": (-1, None),
    "oomScoreAdj": (-1000, 1000),
    "podPidsLimit": (-1, None),
    "podsPerCore": (0, None),
    "port": (1, 65535),
    "readOnlyPort": (0, 65535),
    "registryBurst": (0, None),
    "registryPullQPS": (0, None),
}

# The kubelet's own hard eviction thresholds on Linux (pkg/kubelet/eviction/defaults_linux.go, v1.37.2).
DEFAULT_EVICTION_HARD: Mapping[str, str] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
EVICTION_SIGNALS = (*DEFAULT_EVICTION_HARD, "containerfs.available", "containerfs.inodesFree", "pid.available", "allocatableMemory.available")

RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")

ENFORCEMENTS = ("none", "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible")
