"""The AKS agent pool of a Workspace. Called by workspace."""

import pulumi

from kaito_components import declare
from kaito_components.connection import OWNER_TAG, Cluster
from kaito_components.manifests import agent_pool
from kaito_components.names import logical_name
from kaito_components.plan import Plan


def make_pool(plan: Plan, cluster: Cluster, parent: pulumi.Resource) -> pulumi.CustomResource:
    """Declares the pool, after the cluster's others; where its name changes, the new pool is made first."""
    assert plan.pool
    body = {
        "resourceGroupName": cluster.resource_group,
        "resourceName": cluster.name,
        "tags": {OWNER_TAG: declare.this_stack()},
        **agent_pool(plan),
    }
    if plan.gpus_per_node:
        body["nodeLabels"] |= cluster.offer_gpus()
    opts = pulumi.ResourceOptions(
        parent=parent,
        depends_on=list(cluster.queued_pools),
        delete_before_replace=False,
        ignore_changes=["count"] if plan.pool.max_count is not None else None,
        import_=cluster.existing_pool(plan.pool.name),
    )
    pool = declare.agent_pool(f"{logical_name(plan.namespace, plan.name)}-pool", body, opts)
    cluster.queue_pool(pool)
    return pool
