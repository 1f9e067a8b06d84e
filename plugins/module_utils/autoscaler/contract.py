# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of cluster-autoscaler's externalgrpc provider, as a table for :mod:`..proto.table`; of it, what is answered.

Names and numbers are those of cluster-autoscaler 1.33 to 1.37. What changed at 1.34/1.35 is the template's Node: C(nodeInfo) is a message v1.Node
(until 1.34), C(nodeBytes) the same message as bytes (since 1.34). Both are bytes with a length on the wire, so both are filled with the same bytes.
Prices and options of a group are not answered, which the autoscaler takes as "use the defaults"; their messages are empty here.
"""

from __future__ import annotations

from ..proto.table import Messages, Methods

PACKAGE = "clusterautoscaler.cloudprovider.v1.externalgrpc"
SERVICE = f"{PACKAGE}.CloudProvider"

# InstanceStatus.InstanceState
RUNNING, CREATING, DELETING = 1, 2, 3
OTHER_ERROR = 99
"""InstanceErrorInfo.instanceErrorClass: the autoscaler leaves the group alone for a while. (1 would say: out of resources.)"""

MESSAGES: Messages = {
    "NodeGroup": {"id": (1, "string"), "minSize": (2, "int32"), "maxSize": (3, "int32"), "debug": (4, "string")},
    "ExternalGrpcNode": {"providerID": (1, "string"), "name": (2, "string"), "labels": (3, "map string string"), "annotations": (4, "map string string")},
    "Empty": {},
    "NodeGroupsResponse": {"nodeGroups": (1, "repeated NodeGroup")},
    "NodeGroupForNodeRequest": {"node": (1, "ExternalGrpcNode")},
    "NodeGroupForNodeResponse": {"nodeGroup": (1, "NodeGroup")},
    "GPULabelResponse": {"label": (1, "string")},
    "GetAvailableGPUTypesResponse": {"gpuTypes": (1, "map string Empty")},
    "NodeGroupTargetSizeRequest": {"id": (1, "string")},
    "NodeGroupTargetSizeResponse": {"targetSize": (1, "int32")},
    "NodeGroupIncreaseSizeRequest": {"delta": (1, "int32"), "id": (2, "string")},
    "NodeGroupDeleteNodesRequest": {"nodes": (1, "repeated ExternalGrpcNode"), "id": (2, "string")},
    "NodeGroupDecreaseTargetSizeRequest": {"delta": (1, "int32"), "id": (2, "string")},
    "NodeGroupNodesRequest": {"id": (1, "string")},
    "NodeGroupNodesResponse": {"instances": (1, "repeated Instance")},
    "Instance": {"id": (1, "string"), "status": (2, "InstanceStatus")},
    "InstanceStatus": {"instanceState": (1, "int32"), "errorInfo": (2, "InstanceErrorInfo")},
    "InstanceErrorInfo": {"errorCode": (1, "string"), "errorMessage": (2, "string"), "instanceErrorClass": (3, "int32")},
    "NodeGroupTemplateNodeInfoRequest": {"id": (1, "string")},
    "NodeGroupTemplateNodeInfoResponse": {"nodeInfo": (1, "bytes"), "nodeBytes": (2, "bytes")},
}

METHODS: Methods = {
    "NodeGroups": ("Empty", "NodeGroupsResponse"),
    "NodeGroupForNode": ("NodeGroupForNodeRequest", "NodeGroupForNodeResponse"),
    "PricingNodePrice": ("Empty", "Empty"),
    "PricingPodPrice": ("Empty", "Empty"),
    "GPULabel": ("Empty", "GPULabelResponse"),
    "GetAvailableGPUTypes": ("Empty", "GetAvailableGPUTypesResponse"),
    "Cleanup": ("Empty", "Empty"),
    "Refresh": ("Empty", "Empty"),
    "NodeGroupTargetSize": ("NodeGroupTargetSizeRequest", "NodeGroupTargetSizeResponse"),
    "NodeGroupIncreaseSize": ("NodeGroupIncreaseSizeRequest", "Empty"),
    "NodeGroupDeleteNodes": ("NodeGroupDeleteNodesRequest", "Empty"),
    "NodeGroupDecreaseTargetSize": ("NodeGroupDecreaseTargetSizeRequest", "Empty"),
    "NodeGroupNodes": ("NodeGroupNodesRequest", "NodeGroupNodesResponse"),
    "NodeGroupTemplateNodeInfo": ("NodeGroupTemplateNodeInfoRequest", "NodeGroupTemplateNodeInfoResponse"),
    "NodeGroupGetOptions": ("Empty", "Empty"),
}
