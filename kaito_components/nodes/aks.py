"""The AKS agent pool of a Workspace. Called by workspace."""

import pulumi

from kaito_components.connection import Cluster
from kaito_components.declare import AgentPool
from kaito_components.errors import KaitoError
from kaito_components.manifests import agent_pool
from kaito_components.plan import Plan


def make_pool(plan: Plan, cluster: Cluster, parent: pulumi.Resource) -> AgentPool:
    """Declares the pool, after the cluster's last one; where its name changes, the new pool is made first."""
    if not (plan.pool and cluster.resource_group and cluster.name):
        raise KaitoError(
            f"{plan.name}: a node pool needs an AKS cluster: give resource_group and name, or use existing nodes"
        )
    body = {
        "resourceGroupName": cluster.resource_group,
        "resourceName": cluster.name,
        **agent_pool(plan),
    }
    opts = pulumi.ResourceOptions(
        parent=parent,
        depends_on=cluster.previous_pool,
        delete_before_replace=False,
        ignore_changes=["count"] if plan.pool.max_count is not None else None,
        import_=cluster.existing_pool(plan.pool.name),
    )
    pool = AgentPool(f"{plan.name}-pool", body, opts)
    cluster.after_last_pool(pool)
    return pool
