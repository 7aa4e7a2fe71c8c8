"""A Workspace in the local cloud as `manifests` makes it, without Pulumi: for tests of what watches it."""

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from kubernetes import client, config

from kaito_components import names
from kaito_components.live.cluster import Cluster
from kaito_components.live.snapshot import Goal, goal_of
from kaito_components.live.waiting import wait
from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, delete_node, node_manifest

Object = dict[str, Any]
CLUSTER = "/subscriptions/0/resourceGroups/group/providers/Microsoft.ContainerService/managedClusters/cluster"
GPUS = 2


@dataclass
class LiveWorkspace:
    """One Workspace with nodes of its own. `fault` arms its pods, see docs/local-cloud.md."""

    cloud: Instance
    namespace: str
    kind: str = "Deployment"
    name: str = field(default_factory=lambda: f"ws-{uuid.uuid4().hex[:8]}")
    nodes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = config.new_client_from_config(str(self.cloud.kubeconfig))
        self.core, self.apps, self.batch = (
            api(self.api) for api in (client.CoreV1Api, client.AppsV1Api, client.BatchV1Api)
        )

    @property
    def kubeconfig(self) -> str:
        return self.cloud.kubeconfig.read_text()

    @property
    def goal(self) -> Goal:
        return goal_of(self.manifest())

    @property
    def started(self) -> Goal:
        """That its Job runs."""
        return replace(self.goal, until="started")

    def add_node(self, fault: str = "", gpus: int = GPUS) -> str:
        """Lets a node join that the Workspace's selector finds."""
        name = f"aks-{self.name}-12345678-vmss{len(self.nodes):06}"
        labels = {"apps": self.name} | ({"local-cloud/fault": fault} if fault else {})
        taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
        size = ("Standard_NC12s_v3", 12, 224 * 2**30, gpus, "eastus")
        self.nodes.append(name)
        apply_node(self.cloud.kubeconfig, node_manifest(name, "gpu", CLUSTER, *size, labels, taints))
        return name

    def heal_node(self, name: str) -> None:
        self.core.patch_node(name, {"metadata": {"labels": {"local-cloud/fault": None}}})

    def manifest(
        self, fault: str = "", image: str = "example.com/model:1", container: str = "main", **pod: Any
    ) -> Object:
        """The Deployment, StatefulSet or Job."""
        labels = {names.WORKSPACE_LABEL: self.name}
        mode = "tuning" if self.kind == "Job" else "inference"
        size = {names.INSTANCE_TYPE_ANNOTATION: "Standard_NC12s_v3", names.NODE_COUNT_ANNOTATION: "1"}
        annotations = {**size, names.MODE_ANNOTATION: mode}
        terms = [{"matchExpressions": [{"key": "apps", "operator": "In", "values": [self.name]}]}]
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
        limits = {names.GPU_RESOURCE: str(GPUS)}
        spec = {
            "affinity": affinity,
            "tolerations": [{"key": "sku", "operator": "Exists"}],
            "containers": [{"name": container, "image": image, "resources": {"limits": limits}}],
            **pod,
        }
        armed = {"local-cloud/fault": fault} if fault else {}
        template: Object = {"metadata": {"labels": {**labels, **armed}}, "spec": spec}
        metadata = {"name": self.name, "namespace": self.namespace, "labels": labels, "annotations": annotations}
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": metadata,
            "spec": {"template": template},
        }
        if self.kind == "Job":
            spec["restartPolicy"] = "Never"
            return {**made, "apiVersion": "batch/v1"}
        made["spec"] |= {"replicas": 1, "selector": {"matchLabels": labels}}
        made["spec"] |= {"serviceName": self.name} if self.kind == "StatefulSet" else _ROLLING
        return made

    def make(self, fault: str = "", job: Object | None = None, job_seconds: str = "3", **pod: Any) -> None:
        """Creates the workload and its Service."""
        manifest = self.manifest(fault, **pod)
        manifest["spec"] |= job or {}
        if self.kind == "Job":
            manifest["spec"]["template"]["metadata"]["annotations"] = {"local-cloud/job-seconds": job_seconds}
            self.batch.create_namespaced_job(self.namespace, manifest)
        elif self.kind == "StatefulSet":
            self.apps.create_namespaced_stateful_set(self.namespace, manifest)
        else:
            self.apps.create_namespaced_deployment(self.namespace, manifest)
        self.core.create_namespaced_service(self.namespace, self._service())

    def bring_up(self, **pod: Any) -> "LiveWorkspace":
        """With a node, until it is ready; a Job runs on and on."""
        self.add_node()
        self.make(job_seconds="never", **pod)
        cluster = Cluster.from_text(self.kubeconfig)
        wait(cluster, self.started if self.kind == "Job" else self.goal, 60, print)
        cluster.close()
        return self

    def change(self, fault: str = "", **pod: Any) -> None:
        """Rolls out another template."""
        template = self.manifest(fault, **pod)["spec"]["template"]
        template["metadata"]["labels"].setdefault("local-cloud/fault", None)
        self.apps.patch_namespaced_deployment(self.name, self.namespace, {"spec": {"template": template}})

    def _service(self) -> Object:
        spec = {"selector": {names.WORKSPACE_LABEL: self.name}, "ports": [{"port": 80, "targetPort": 5000}]}
        return {"metadata": {"name": self.name, "labels": {names.WORKSPACE_LABEL: self.name}}, "spec": spec}

    def remove(self) -> None:
        for node in self.nodes:
            delete_node(self.cloud.kubeconfig, node)
        self.api.close()


_ROLLING = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}}
