"""Kubernetes objects and Azure resources declared from dicts as they are. Called by the component modules.

The typed SDKs are installed because they name the provider versions; importing them would cost seconds.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import pulumi

DISTRIBUTIONS = {"kubernetes": "pulumi-kubernetes", "azure-native": "pulumi-azure-native"}


@cache
def provider_version(package: str) -> str:
    """The version of the provider plugin that belongs to the installed SDK."""
    return version(DISTRIBUTIONS[package])


def kubernetes_object(
    name: str, manifest: Mapping[str, Any], provider: pulumi.ProviderResource, opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """Declares one Kubernetes object; its type follows from apiVersion and kind."""
    api = manifest["apiVersion"]
    token = f"kubernetes:{api if '/' in api else f'core/{api}'}:{manifest['kind']}"
    opts.provider, opts.version = provider, provider_version("kubernetes")
    return pulumi.CustomResource(token, name, dict(manifest), opts)


class AgentPool(pulumi.CustomResource):
    """An AKS agent pool."""

    name: pulumi.Output[str]

    def __init__(self, resource_name: str, body: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        opts.version = provider_version("azure-native")
        super().__init__("azure-native:containerservice:AgentPool", resource_name, {"name": None, **body}, opts)


def azure_invoke(token: str, args: Mapping[str, Any], parent: pulumi.Resource | None = None) -> pulumi.Output[Any]:
    """Calls a function of azure-native; the output is the function's whole result."""
    options = pulumi.InvokeOptions(parent=parent, version=provider_version("azure-native"))
    called = pulumi.runtime.invoke_output(f"azure-native:{token}", dict(args), options)
    return pulumi.Output.from_input(called)
