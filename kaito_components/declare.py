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


def this_stack() -> str:
    """The running stack's full name, by which what it makes is marked as its own."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


def kubernetes_object(
    name: str, manifest: Mapping[str, Any], provider: pulumi.ProviderResource, opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """Declares one Kubernetes object; its type follows from apiVersion and kind."""
    api = manifest["apiVersion"]
    token = f"kubernetes:{api if '/' in api else f'core/{api}'}:{manifest['kind']}"
    opts.provider, opts.version = provider, provider_version("kubernetes")
    return pulumi.CustomResource(token, name, dict(manifest), opts)


def agent_pool(name: str, body: Mapping[str, Any], opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """Declares an AKS agent pool."""
    opts.version = provider_version("azure-native")
    return pulumi.CustomResource("azure-native:containerservice:AgentPool", name, dict(body), opts)


def azure_invoke(token: str, args: Mapping[str, Any]) -> pulumi.Output[Any]:
    """Calls a function of azure-native; the output is the function's whole result."""
    options = pulumi.InvokeOptions(version=provider_version("azure-native"))
    called = pulumi.runtime.invoke_output(f"azure-native:{token}", dict(args), options)
    return pulumi.Output.from_input(called)
