"""KAITO's Workspaces as Pulumi components.

The public names are loaded when they are first used, so that the import costs little more than `import pulumi`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaito_components.connection import AzureArgs, Cluster, ClusterArgs, MonitoringArgs
    from kaito_components.errors import Finding, InvalidWorkspace, KaitoError
    from kaito_components.inference_set import InferenceSet
    from kaito_components.making import workspaces_from_files
    from kaito_components.plan.types import Plan
    from kaito_components.workspace import Workspace, WorkspaceArgs

_HOMES = {
    "AzureArgs": "connection",
    "Cluster": "connection",
    "ClusterArgs": "connection",
    "Finding": "errors",
    "InferenceSet": "inference_set",
    "InvalidWorkspace": "errors",
    "KaitoError": "errors",
    "MonitoringArgs": "connection",
    "Plan": "plan.types",
    "Workspace": "workspace",
    "WorkspaceArgs": "workspace",
    "workspaces_from_files": "making",
}
__all__ = [
    "AzureArgs", "Cluster", "ClusterArgs", "Finding", "InferenceSet", "InvalidWorkspace", "KaitoError",
    "MonitoringArgs", "Plan", "Workspace", "WorkspaceArgs", "workspaces_from_files",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kaito_components' has no attribute {name!r}")
    return getattr(import_module(f"kaito_components.{_HOMES[name]}"), name)
