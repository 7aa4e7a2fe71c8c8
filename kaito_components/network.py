"""The NetworkPolicy of a Workspace, where the stack wants one. Called by workspace."""

import pulumi

from kaito_components import names
from kaito_components.connection import Cluster
from kaito_components.declare import kubernetes_object
from kaito_components.manifests.network import is_guarded, network_policy
from kaito_components.plan import Plan


def guard(plan: Plan, cluster: Cluster, parent: pulumi.Resource) -> None:
    """Declares it, if the switch asks for it."""
    if not cluster.network.policy or not is_guarded(plan):
        return
    logical = f"{names.logical_name(plan.namespace, plan.name)}-networkpolicy"
    manifest = network_policy(plan, cluster.network.from_namespaces)
    kubernetes_object(logical, manifest, cluster.provider, pulumi.ResourceOptions(parent=parent))
