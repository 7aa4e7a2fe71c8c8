"""What no Workspace would declare: a group in some region, and a workload that does not tolerate its pool's taint."""

import pulumi

from kaito_components.declare import agent_pool, kubernetes_object, provider_version

OPTIONS = pulumi.ResourceOptions
LABELS = {"kaito.sh/workspace": "w", "kaito.sh/workspacenamespace": "default"}
POOL = {
    "resourceGroupName": "g", "resourceName": "c", "agentPoolName": "w", "vmSize": "Standard_D8s_v5", "count": 1,
    "mode": "User", "nodeLabels": LABELS, "nodeTaints": ["team=a:NoSchedule"],
}  # fmt: skip
POD = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "r.example.com/c:1"}]}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "w", "namespace": "default"},
    "spec": {"selector": {"matchLabels": LABELS}, "template": POD},
}
azure = OPTIONS(version=provider_version("azure-native"))
group = {"resourceGroupName": "g", "location": "westeurope"}
pulumi.CustomResource("azure-native:resources:ResourceGroup", "g", group, azure)
agent_pool("w-pool", POOL, OPTIONS())
cluster = pulumi.ProviderResource("kubernetes", "k", {}, OPTIONS(version=provider_version("kubernetes")))
kubernetes_object("w", DEPLOYMENT, cluster, OPTIONS())
