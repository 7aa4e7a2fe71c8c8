"""The three resource types as azure-native knows them: inputs, outputs, path, what forces a replacement.

Called by provider.py and its helpers. Names of inputs and outputs are those of the installed SDK (sdk_properties.json).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from local_cloud.providers.azure_native.errors import bad_parameter
from local_cloud.providers.azure_native.ids import ResourceId

AZURE_API = {"ResourceGroup": "2024-03-01", "ManagedCluster": "2025-09-01", "AgentPool": "2025-09-01"}
CLUSTER_NAME = re.compile(r"[a-zA-Z0-9]|[a-zA-Z0-9][-_a-zA-Z0-9]{0,61}[a-zA-Z0-9]")


@dataclass(frozen=True)
class PathInput:
    """An input that is a part of the resource's id.

    Attributes:
        auto_name: what the name is where the program gives none: the logical name with eight random hexadecimal
            digits, or the logical name itself.
    """

    name: str
    pattern: re.Pattern[str]
    max_length: int
    auto_name: Literal["random", "copy"] | None = None


@dataclass(frozen=True)
class ResourceType:
    """A resource type. `outer` inputs lie beside `properties` in the body, all others in it."""

    kind: str
    path: tuple[PathInput, ...]
    outer: frozenset[str]
    force_new: frozenset[str]
    required: tuple[str, ...] = ()
    inputs: frozenset[str] = field(default_factory=frozenset)
    outputs: frozenset[str] = field(default_factory=frozenset)

    @property
    def api_version(self) -> str:
        """Of the REST API, as the SDK's documentation says."""
        return AZURE_API[self.kind]

    def id(self, subscription: str, inputs: Mapping[str, Any]) -> ResourceId:
        """The id that the inputs make."""
        return ResourceId(subscription, *(str(inputs[part.name]) for part in self.path))

    def body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The request body. azure-native would drop an input it does not know; here it is refused.

        Raises:
            ArmError: an input that the SDK does not have.
        """
        path = {part.name for part in self.path}
        sent = {name: value for name, value in inputs.items() if name not in path and not name.startswith("__")}
        sent.pop("azureApiVersion", None)
        for name in sent.keys() - self.inputs:
            raise bad_parameter(name, f"{self.kind} has no such input in this SDK")
        inner = {name: value for name, value in sent.items() if name not in self.outer}
        outer = {name: value for name, value in sent.items() if name in self.outer}
        return {**outer, "properties": inner}

    def outputs_of(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """What azure-native makes of ARM's answer: `properties` flattened, and the API version."""
        if self.kind == "ResourceGroup":
            flat = dict(response)
        else:
            flat = {**response.get("properties", {}), **{k: v for k, v in response.items() if k != "properties"}}
        known = {name: value for name, value in flat.items() if name in self.outputs}
        return {**known, "azureApiVersion": self.api_version}

    def inputs_of(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs that describe what is there, for import."""
        id = ResourceId.parse(response["id"])
        names = (id.group, id.cluster, id.pool)
        inner = response.get("properties", {}) if self.kind != "ResourceGroup" else {}
        flat = {**{k: v for k, v in response.items() if k in self.outer}, **inner}
        path = {part.name: name for part, name in zip(self.path, names, strict=False)}
        return {**{name: value for name, value in flat.items() if name in self.inputs}, **path}


GROUP = PathInput("resourceGroupName", re.compile(r"[-\w\._\(\)]*[-\w_\(\)]"), 90)
CLUSTER = PathInput("resourceName", CLUSTER_NAME, 63)
POOL = PathInput("agentPoolName", re.compile(r"[a-z][a-z0-9]{0,11}"), 12, "copy")
CLUSTER_FORCE_NEW = (
    *("diskEncryptionSetID", "dnsPrefix", "fqdnSubdomain", "linuxProfile", "location", "nodeResourceGroup"),
    *("windowsProfile", "networkProfile.serviceCidr", "networkProfile.serviceCidrs", "networkProfile.dnsServiceIP"),
    *("networkProfile.networkMode", "networkProfile.networkPlugin", "networkProfile.networkPluginMode"),
    *("networkProfile.podCidr", "networkProfile.networkDataplane", "networkProfile.networkPolicy"),
    "networkProfile.outboundType",
)
"""Source of this and of `force_new` below: pulumi/pulumi-azure-native provider/pkg/gen/replacement.go."""


OUTER = frozenset({"location", "tags", "sku", "identity", "extendedLocation", "kind"})
TYPES = {
    "azure-native:resources:ResourceGroup": ResourceType(
        kind="ResourceGroup",
        path=(replace(GROUP, auto_name="random"),),
        outer=frozenset({"location", "tags", "managedBy"}),
        force_new=frozenset({"location"}),
        required=("location",),
    ),
    "azure-native:containerservice:ManagedCluster": ResourceType(
        kind="ManagedCluster",
        path=(GROUP, replace(CLUSTER, auto_name="random")),
        outer=OUTER,
        force_new=frozenset(CLUSTER_FORCE_NEW),
        required=("location",),
    ),
    "azure-native:containerservice:AgentPool": ResourceType(
        kind="AgentPool",
        path=(GROUP, CLUSTER, POOL),
        outer=frozenset(),
        force_new=frozenset({"vmSize", "gpuInstanceProfile", "networkProfile.nodePublicIPTags"}),
    ),
}


@cache
def resource_types() -> Mapping[str, ResourceType]:
    """By type token, with the properties of the SDK."""
    sdk = json.loads(Path(__file__).with_name("sdk_properties.json").read_text())
    return {
        token: replace(type, inputs=frozenset(sdk[type.kind]["inputs"]), outputs=frozenset(sdk[type.kind]["outputs"]))
        for token, type in TYPES.items()
    }
