"""Pool, Service, Deployment and a dynamic resource for each Workspace, as one writes them with Pulumi's typed SDKs."""

import base64
import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_azure_native as azure
import pulumi_kubernetes as k8s

sys.path.insert(0, str(Path(__file__).parent))
from plain_wait import NoWait, NoWaitProvider

config = pulumi.Config("kaito")
where = config.require_object("cluster")
answer = azure.containerservice.list_managed_cluster_user_credentials_output(
    resource_group_name=where["resourceGroup"], resource_name=where["name"]
)
kubeconfig = pulumi.Output.secret(answer.apply(lambda a: base64.b64decode(a.kubeconfigs[0].value).decode()))
provider = k8s.Provider("cluster", kubeconfig=kubeconfig, cluster_identifier="plain")


class Plain(pulumi.ComponentResource):
    """One Workspace's resources, without a plan."""

    def __init__(self, name: str, previous: list[pulumi.Resource]) -> None:
        super().__init__("plain:index:Workspace", name)
        mine = pulumi.ResourceOptions(parent=self)
        self.pool = azure.containerservice.AgentPool(
            f"{name}-pool", resource_group_name=where["resourceGroup"], resource_name_=where["name"],
            agent_pool_name=name, vm_size="Standard_D4s_v5", count=1, mode="User", type="VirtualMachineScaleSets",
            os_type="Linux", os_sku="Ubuntu", os_disk_size_gb=81, node_labels={"apps": name},
            node_taints=["sku=gpu:NoSchedule"], opts=pulumi.ResourceOptions(parent=self, depends_on=previous),
        )  # fmt: skip
        labels = {"kaito.sh/workspace": name}
        meta = {"name": name, "namespace": "default", "labels": labels, "annotations": {"pulumi.com/skipAwait": "true"}}
        in_cluster = pulumi.ResourceOptions(parent=self, provider=provider)
        ports: Any = [{"name": "http", "port": 80, "targetPort": 5000}, {"name": "torch", "port": 29500}]
        service = k8s.core.v1.Service(
            f"{name}-service", metadata=meta, spec={"selector": labels, "ports": ports}, opts=in_cluster
        )
        probe = {"httpGet": {"path": "/health", "port": 5000}, "periodSeconds": 10}
        container: Any = {
            "name": "inference", "image": "example.azurecr.io/kaito/kaito-serving:0.1.0-cpu",
            "command": ["python", "-m", "serving_image", "--model", "HuggingFaceTB/SmolLM2-135M-Instruct"],
            "ports": [{"name": "http", "containerPort": 5000}], "livenessProbe": probe, "readinessProbe": probe,
            "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}],
        }  # fmt: skip
        pod: Any = {
            "containers": [container], "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
            "nodeSelector": {"apps": name}, "tolerations": [{"key": "sku", "operator": "Exists"}],
        }  # fmt: skip
        spec: Any = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment", metadata=meta, spec=spec,
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[self.pool]),
        )  # fmt: skip
        NoWait(NoWaitProvider(), f"{name}-ready", {"kubeconfig": kubeconfig, "workspace": name}, mine)
        self.register_outputs({"service": service.id, "deployment": deployment.id})


previous: list[pulumi.Resource] = []
for index, _ in enumerate(config.require_object("workspaces")):
    previous = [Plain(f"w{index}", previous).pool]
