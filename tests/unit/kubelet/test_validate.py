# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.validate import problems_of

WRONG = [
    # shapes
    ({"maxPods": "110"}, "maxPods", "'110' is not a whole number."),
    ({"maxPods": True}, "maxPods", "True is not a whole number."),
    ({"maxPods": 1.5}, "maxPods", "1.5 is not a whole number."),
    ({"failSwapOn": "false"}, "failSwapOn", "'false' is not true or false."),
    ({"clusterDNS": "10.96.0.10"}, "clusterDNS", "'10.96.0.10' is not a list of texts."),
    ({"syncFrequency": 60}, "syncFrequency", "60 is not a duration such as '30s'."),
    ({"syncFrequency": "1 minute"}, "syncFrequency", "'1 minute' is not a duration"),
    ({"kubeReserved": {"cpu": 1}}, "kubeReserved", "{'cpu': 1} is not a mapping of texts to texts."),
    ({"featureGates": {"A": "true"}}, "featureGates", "is not a mapping of names to true or false."),
    ({"authentication": "Webhook"}, "authentication", "'Webhook' is not a mapping."),
    ({"authentication": {"webhook": {"enable": True}}}, "authentication.webhook.enable", "there is no such field (did you mean enabled?)."),
    ({"authentication": {"webhook": {"enabled": 1}}}, "authentication.webhook.enabled", "1 is not true or false."),
    ({"reservedMemory": {"numaNode": 0}}, "reservedMemory", "is not a list."),
    ({"reservedMemory": [{"numanode": 0}]}, "reservedMemory[0].numanode", "there is no such field (did you mean numaNode?)."),
    ({"logging": {"flushFrequency": "soon"}}, "logging.flushFrequency", "'soon' is not a duration"),
    ({"maxPods": None}, "maxPods", "None is not a whole number."),
    ({"nonsense": 1}, "nonsense", "there is no such field."),
    # choices and ranges
    ({"topologyManagerPolicy": "numa"}, "topologyManagerPolicy", "'numa' is not one of none, best-effort, restricted, single-numa-node."),
    ({"logging": {"format": "yaml"}}, "logging.format", "'yaml' is not one of text, json."),
    ({"memorySwap": {"swapBehavior": "Unlimited"}}, "memorySwap.swapBehavior", "is not one of '', NoSwap, LimitedSwap."),
    ({"port": 70000}, "port", "70000 is not between 1 and 65535."),
    ({"oomScoreAdj": -1001}, "oomScoreAdj", "-1001 is not between -1000 and 1000."),
    ({"imageGCHighThresholdPercent": 101}, "imageGCHighThresholdPercent", "101 is not between 0 and 100."),
    ({"nodeStatusMaxImages": -2}, "nodeStatusMaxImages", "-2 is not -1 or more."),
    ({"containerLogMaxFiles": 1}, "containerLogMaxFiles", "1 is not 2 or more."),
    ({"maxParallelImagePulls": 0}, "maxParallelImagePulls", "0 is not 1 or more."),
    # durations
    ({"syncFrequency": "-1m"}, "syncFrequency", "'-1m' is negative."),
    ({"authentication": {"webhook": {"cacheTTL": "-1s"}}}, "authentication.webhook.cacheTTL", "'-1s' is negative."),
    ({"cpuCFSQuotaPeriod": "2s"}, "cpuCFSQuotaPeriod", "2s is not between 1ms and 1s."),
    ({"containerLogMonitorInterval": "1s"}, "containerLogMonitorInterval", "1s is less than 3s."),
    ({"crashLoopBackOff": {"maxContainerRestartPeriod": "10m"}}, "crashLoopBackOff.maxContainerRestartPeriod", "10m is not between 1s and 300s."),
    ({"imageMaximumGCAge": "1m"}, "imageMaximumGCAge", "it is not more than imageMinimumGCAge (default 2m)."),
    ({"shutdownGracePeriod": "500ms"}, "shutdownGracePeriod", "500ms is neither 0s nor at least 1s."),
    ({"shutdownGracePeriodCriticalPods": "10s"}, "shutdownGracePeriodCriticalPods", "it is a part of shutdownGracePeriod and cannot be longer."),
    (
        {"shutdownGracePeriod": "10s", "shutdownGracePeriodByPodPriority": [{"priority": 1, "shutdownGracePeriodSeconds": 5}]},
        "shutdownGracePeriodByPodPriority",
        "it cannot be set beside shutdownGracePeriod.",
    ),
    # heartbeats
    ({"nodeStatusUpdateFrequency": "10s"}, "nodeStatusReportFrequency", "0s makes it follow nodeStatusUpdateFrequency"),
    ({"nodeStatusUpdateFrequency": "10s", "nodeStatusReportFrequency": "0s"}, "nodeStatusReportFrequency", "re-sends its whole status each time"),
    (
        {"nodeLeaseDurationSeconds": 200},
        "nodeLeaseDurationSeconds",
        "renewed every 50 s (a quarter of it), but the controller manager gives a node up after 50 s.",
    ),
    ({"nodeLeaseDurationSeconds": 0}, "nodeLeaseDurationSeconds", "0 is not 1 or more."),
    # endpoints
    ({"containerRuntimeEndpoint": ""}, "containerRuntimeEndpoint", "'' is not a socket of the form unix:///run/containerd/containerd.sock."),
    ({"containerRuntimeEndpoint": "tcp://127.0.0.1:1"}, "containerRuntimeEndpoint", "is not a socket"),
    ({"imageServiceEndpoint": "npipe:////./pipe/x"}, "imageServiceEndpoint", "is not a socket"),
    # image pulls
    ({"serializeImagePulls": True, "maxParallelImagePulls": 3}, "maxParallelImagePulls", "3 pulls at a time contradict serializeImagePulls: true."),
    ({"imageGCLowThresholdPercent": 90}, "imageGCLowThresholdPercent", "90 is not less than imageGCHighThresholdPercent 85"),
    ({"preloadedImagesVerificationAllowlist": ["x"]}, "preloadedImagesVerificationAllowlist", "it needs imagePullCredentialsVerificationPolicy"),
    # thresholds
    ({"evictionHard": {"memory.availble": "1Gi"}}, "evictionHard.memory.availble", "there is no such signal (did you mean memory.available?)."),
    (
        {"evictionHard": {"memory.available": "1GB"}},
        "evictionHard.memory.available",
        "'1GB' is neither a quantity such as '100Mi' nor a percentage such as '10%'.",
    ),
    ({"evictionHard": {"memory.available": "-1Gi"}}, "evictionHard.memory.available", "'-1Gi' is not positive; 0% switches a threshold off."),
    ({"evictionHard": {"memory.available": "0"}}, "evictionHard.memory.available", "'0' is not positive"),
    ({"evictionHard": {"nodefs.available": "101%"}}, "evictionHard.nodefs.available", "'101%' is not between 0% and 100%."),
    ({"evictionHard": {"nodefs.available": "x%"}}, "evictionHard.nodefs.available", "'x%' is neither a quantity"),
    ({"evictionHard": {"containerfs.available": "5%"}}, "evictionHard.containerfs.available", "the kubelet derives containerfs.* from nodefs.* or imagefs.*"),
    ({"evictionMinimumReclaim": {"nodefs.available": "0%"}}, "evictionMinimumReclaim.nodefs.available", "'0%' is not between more than 0% and 100%."),
    ({"evictionSoft": {"memory.available": "1Gi"}}, "evictionSoft.memory.available", "a soft threshold needs its evictionSoftGracePeriod."),
    ({"evictionSoftGracePeriod": {"memory.available": "1m"}}, "evictionSoftGracePeriod.memory.available", "there is no evictionSoft threshold for it."),
    (
        {"evictionSoft": {"memory.available": "1Gi"}, "evictionSoftGracePeriod": {"memory.available": "-1m"}},
        "evictionSoftGracePeriod.memory.available",
        "'-1m' is negative.",
    ),
    (
        {"evictionSoft": {"memory.available": "1Gi"}, "evictionSoftGracePeriod": {"memory.available": "60"}},
        "evictionSoftGracePeriod.memory.available",
        "'60' is not a duration",
    ),
    # reserved resources
    ({"kubeReserved": {"memory": "1GB"}}, "kubeReserved.memory", "'1GB' is not a quantity such as '500m', '100Mi' or '1Gi'."),
    ({"systemReserved": {"cpu": "-100m"}}, "systemReserved.cpu", "'-100m' is negative."),
    ({"systemReserved": {"hugepages-2Mi": "1Gi"}}, "systemReserved.hugepages-2Mi", "only cpu, memory, ephemeral-storage, pid can be reserved."),
    ({"reservedMemory": [{"numaNode": 0, "limits": {"memory": "0"}}]}, "reservedMemory[0].limits.memory", "'0' is not positive."),
    ({"reservedMemory": [{"numaNode": 0, "limits": {"cpu": "1"}}]}, "reservedMemory[0].limits.cpu", "only memory and hugepages-<size> can be reserved here."),
    # enforcement
    ({"enforceNodeAllocatable": []}, "enforceNodeAllocatable", "an empty list is lost on its way through kubeadm and means ['pods'] then; say ['none']."),
    ({"enforceNodeAllocatable": ["pod"]}, "enforceNodeAllocatable", "'pod' is not one of none, pods,"),
    ({"enforceNodeAllocatable": ["pods", "pods"]}, "enforceNodeAllocatable", "names something twice."),
    ({"enforceNodeAllocatable": ["none", "pods"]}, "enforceNodeAllocatable", "'none' stands alone."),
    ({"enforceNodeAllocatable": ["pods", "kube-reserved"]}, "enforceNodeAllocatable", "'kube-reserved' needs kubeReservedCgroup"),
    ({"enforceNodeAllocatable": ["system-reserved-compressible"]}, "enforceNodeAllocatable", "'system-reserved' needs systemReservedCgroup"),
    (
        {"enforceNodeAllocatable": ["kube-reserved", "kube-reserved-compressible"], "kubeReservedCgroup": "/kube.slice"},
        "enforceNodeAllocatable",
        "'kube-reserved' and 'kube-reserved-compressible' exclude each other.",
    ),
    ({"enforceNodeAllocatable": ["pods"], "cgroupsPerQOS": False}, "enforceNodeAllocatable", "it needs cgroupsPerQOS: true; say ['none']."),
    ({"reservedSystemCPUs": "0-1", "kubeReservedCgroup": "/x"}, "reservedSystemCPUs", "it cannot be set beside kubeReservedCgroup."),
    ({"reservedSystemCPUs": "3-1"}, "reservedSystemCPUs", "'3-1' is not a list of CPUs such as '0-1,4'."),
    ({"reservedSystemCPUs": "all"}, "reservedSystemCPUs", "'all' is not a list of CPUs"),
    # single fields
    ({"runOnce": True}, "runOnce", "it is deprecated and the kubelet refuses it."),
    ({"systemCgroups": "/system"}, "systemCgroups", "it needs cgroupRoot."),
    ({"enableSystemLogQuery": True, "enableSystemLogHandler": False}, "enableSystemLogQuery", "it needs enableSystemLogHandler: true."),
    ({"memoryThrottlingFactor": 1.5}, "memoryThrottlingFactor", "1.5 is not more than 0 and at most 1."),
    ({"podLogsDir": "var/log"}, "podLogsDir", "'var/log' is not a plain absolute path."),
    ({"userNamespaces": {"idsPerPod": 1000}}, "userNamespaces.idsPerPod", "1000 is not a multiple of 65536"),
    ({"registerWithTaints": [{"key": "a", "effect": "Never"}]}, "registerWithTaints[0]", "a taint has a key and an effect"),
    ({"containerLogMaxSize": "10MB"}, "containerLogMaxSize", "'10MB' is not a quantity"),
]


@pytest.mark.parametrize(("fields", "path", "said"), WRONG, ids=[f"{case[1]}: {case[2]}" for case in WRONG])
def test_what_is_wrong_is_told(fields: dict[str, Any], path: str, said: str) -> None:
    found = problems_of(fields)
    assert path in [where for where, _text in found]
    assert any(where == path and said in text for where, text in found), found


def test_the_kubelets_own_defaults_are_right() -> None:
    fields = {
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"cacheTTL": "2m0s", "enabled": True},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"}},
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%", "imagefs.available": "0%"},
        "evictionPressureTransitionPeriod": "0s",
        "logging": {"flushFrequency": 0, "options": {"json": {"infoBufferSize": "0"}, "text": {"infoBufferSize": "0"}}, "verbosity": 0},
        "memorySwap": {},
        "crashLoopBackOff": {},
        "reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi", "hugepages-2Mi": "64Mi"}}],
        "reservedSystemCPUs": "0-1,4",
        "volumeStatsAggPeriod": "-1s",
        "imageServiceEndpoint": "",
        "nodeLeaseDurationSeconds": 40,
        "staticPodURLHeader": {"a": ["b"]},
    }
    assert problems_of(fields, (1, 37)) == []
