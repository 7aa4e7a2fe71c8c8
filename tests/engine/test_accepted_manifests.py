"""The real API server accepts what the manifests write, for each way to bring weights, data and adapters."""

from typing import Any

import pytest

from kaito_components.manifests import workload_objects
from kaito_components.plan import Plan, plan
from kaito_components.spec.reader import read_documents
from local_cloud.instance import Instance
from local_cloud.providers.kubernetes.client import ApiError, Cluster
from tests.engine.workspaces import config_map, inference, template, tuning
from tests.unit.pod_security import violations


def weights(value: str) -> dict[str, Any]:
    workspace = inference()
    workspace["metadata"]["annotations"] = {"pulumi.kaito.sh/weights": value}
    return workspace


def tuned(**part: Any) -> dict[str, Any]:
    workspace = tuning()
    workspace["tuning"] |= part
    return workspace


def on_two_nodes() -> dict[str, Any]:
    workspace = inference(size="Standard_NV36ads_A10_v5", config="c")
    workspace["inference"]["preset"]["name"] = "phi-3-mini-128k-instruct"
    return workspace


ADAPTERS = [
    {"source": {"name": "a", "image": "r.example.com/a:1", "imagePullSecrets": ["pull"]}},
    {"source": {"name": "b", "volumeSource": {"persistentVolumeClaim": {"claimName": "b"}}}},
]
TOKEN = {"name": "phi-4-mini-instruct", "presetOptions": {"modelAccessSecret": "token"}}
WORKSPACES = {
    "preset": inference(),
    "cpu": inference(size="Standard_D8s_v5", preset={"name": "smollm2-135m-instruct"}),
    "kernels compiled on the node": inference(size="Standard_ND96isr_H200_v5", preset={"name": "deepseek-v3.2"}),
    "adapters": inference(adapters=ADAPTERS),
    "token": inference(preset=TOKEN),
    "template": template("web"),
    "weights from an image": weights("image:r.example.com/w:1"),
    "weights from a claim": weights("pvc:claim/sub/path"),
    "weights from the node": weights("hostPath:/models"),
    "two nodes": on_two_nodes(),
    "tuning": tuned(),
    "tuning from an image": tuned(input={"image": "r.example.com/d:1", "imagePullSecrets": ["pull"]}),
    "tuning to a volume": tuned(
        input={"volumeSource": {"persistentVolumeClaim": {"claimName": "in"}}},
        output={"volumeSource": {"persistentVolumeClaim": {"claimName": "out"}}},
    ),
}
LONG = config_map("c", "vllm: {max-model-len: 32768}")


def planned(name: str, namespace: str) -> Plan:
    documents = [WORKSPACES[name], LONG]
    for document in documents:
        document["metadata"]["namespace"] = namespace
    bundle = read_documents(documents)
    return plan(bundle.workspaces[0], bundle=bundle, image_registry="r.example.com")


@pytest.mark.parametrize("name", WORKSPACES)
def test_the_api_server_accepts_every_object(cloud: Instance, namespace: str, name: str) -> None:
    made = planned(name, namespace)
    assert not [finding for finding in made.findings if finding.severity == "error"]
    cluster = Cluster(str(cloud.kubeconfig))
    objects = workload_objects(made)
    assert (made.node_count == 2) == (name == "two nodes") == (objects[-1]["kind"] == "StatefulSet")
    for manifest in objects:
        assert cluster.apply(manifest, "test", force=False, dry_run=True)["metadata"]["name"]


@pytest.mark.parametrize("name", WORKSPACES)
def test_a_restricted_namespace_takes_every_pod_that_our_table_of_the_standard_passes(
    cloud: Instance, restricted: str, name: str
) -> None:
    for manifest in workload_objects(planned(name, restricted)):
        if "template" not in manifest.get("spec", {}):
            continue
        pod = manifest["spec"]["template"]
        pod |= {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": restricted, "name": "pod"}}
        pod["spec"].pop("serviceAccountName", None)  # comes with the Workspace
        expected = {one for one in violations(pod["spec"]) if not one.endswith("readOnlyRootFilesystem")}
        assert refusal(cloud, pod) == bool(expected), expected


def refusal(cloud: Instance, pod: dict[str, Any]) -> bool:
    """Whether the pod is refused because of the standard."""
    cluster = Cluster(str(cloud.kubeconfig))
    try:
        cluster.call("POST", cluster.path(pod), pod, dryRun="All")
    except ApiError as refused:
        assert "violates PodSecurity" in str(refused)
        return True
    return False
