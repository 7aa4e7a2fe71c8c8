"""Whatever the reader and the plan accept, a real API server accepts: Workspaces put together at random."""

import copy
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaito_components.errors import InvalidWorkspace, KaitoError
from kaito_components.manifests import set_service, workload_objects
from kaito_components.plan import NodeOptions, Plan, plan
from kaito_components.spec.reader import read_documents
from local_cloud.instance import Instance
from local_cloud.providers.kubernetes.client import Cluster
from tests.engine.workspaces import config_map, secret

SIZES = [
    "Standard_NC24ads_A100_v4",
    "Standard_NV36ads_A10_v5",
    "Standard_NC4as_T4_v3",
    "Standard_D8s_v5",
    "Standard_NV6ads_A10_v5",
]
PRESETS = ["phi-4-mini-instruct", "phi-3-mini-128k-instruct", "smollm2-135m-instruct", "falcon-7b", "gpt-oss-20b"]
KEYS = {"API_KEY": "k", "HF_TOKEN": "t", "keys": "k"}
TRAINING = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "t"},
    "data": {"training_config.yaml": "training_config: {TrainingArguments: {num_train_epochs: 2}}"},
}  # fmt: skip
names = st.from_regex(r"[a-z]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True)
secret_names = st.from_regex(r"[a-z0-9]{1,9}([.-][a-z0-9]{1,9}){0,5}", fullmatch=True)
images = st.sampled_from(["r.example.com/a:1", "r.example.com:5000/b/c@sha256:" + "0" * 64, "web"])
volumes = st.sampled_from([
    {"persistentVolumeClaim": {"claimName": "c"}}, {"hostPath": {"path": "/d"}}, {"nfs": {"server": "s", "path": "/p"}},
    {"emptyDir": {}}, {"secret": {"secretName": "s"}}, {"azureFile": {"secretName": "s", "shareName": "x"}},
])  # fmt: skip
label_values = st.from_regex(r"([A-Za-z0-9]([-_.A-Za-z0-9]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
annotations = st.fixed_dictionaries({}, optional={
    "kaito.sh/runtime": st.sampled_from(["vllm", "transformers"]),
    "kaito.sh/enablelb": st.sampled_from(["True", "False"]),
    "kaito.sh/bypass-resource-checks": st.just("x"),
    "kaito.sh/performance-mode": st.sampled_from(["balanced", "throughput"]),
    "pulumi.kaito.sh/weights": st.sampled_from(["huggingface", "pvc:c/sub", "hostPath:/m", "image:r.example.com/w:1"]),
    "pulumi.kaito.sh/api-key-secret": st.just("key"),
    "pulumi.kaito.sh/dtype": st.sampled_from(["float16", "float32"]),
})  # fmt: skip


def source(**more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An image with or without a login, or a volume."""
    image = st.fixed_dictionaries(
        {"image": images, **more}, optional={"imagePullSecrets": st.lists(secret_names, max_size=1)}
    )
    return image | st.fixed_dictionaries({"volumeSource": volumes, **more})


presets = st.fixed_dictionaries(
    {"name": st.sampled_from(PRESETS)},
    optional={"presetOptions": st.fixed_dictionaries({}, optional={"modelAccessSecret": secret_names})},
)
containers = st.fixed_dictionaries(
    {"name": names, "image": images},
    optional={
        "command": st.lists(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=9), max_size=3
        ),
        "env": st.lists(st.fixed_dictionaries({"name": names, "value": st.text("ab$(){}", max_size=6)}), max_size=2),
    },
)
templates = st.fixed_dictionaries(
    {"spec": st.fixed_dictionaries({"containers": st.lists(containers, min_size=1, max_size=2)})},
    optional={"metadata": st.fixed_dictionaries({"labels": st.dictionaries(names, label_values, max_size=2)})},
)
adapters = st.lists(
    st.fixed_dictionaries({"source": source(name=names)}, optional={"strength": st.sampled_from(["0.5", "1.0"])}),
    max_size=3,
)
inference = st.fixed_dictionaries({"preset": presets}, optional={"config": st.just("c"), "adapters": adapters})
inference |= st.fixed_dictionaries({"template": templates})
tuning = st.fixed_dictionaries({
    "preset": presets,
    "method": st.sampled_from(["lora", "qlora"]),
    "input": source() | st.just({"urls": ["https://example.com/a.parquet"]}),
    "output": st.fixed_dictionaries({"image": images, "imagePushSecret": secret_names})
    | st.fixed_dictionaries({"volumeSource": volumes}),
}, optional={"config": st.just("t")})  # fmt: skip
resources = st.fixed_dictionaries(
    {"labelSelector": st.fixed_dictionaries({"matchLabels": st.dictionaries(names, label_values, max_size=2)})},
    optional={"instanceType": st.sampled_from(SIZES), "count": st.integers(1, 3)},
)
resources |= st.fixed_dictionaries({
    "labelSelector": st.just({"matchLabels": {"a": "b"}}),
    "partition": st.fixed_dictionaries({"mode": st.just("mig"), "profile": st.sampled_from(["1g.10gb", "3g.40gb"])}),
})  # fmt: skip
heads = st.fixed_dictionaries({
    "apiVersion": st.sampled_from(["kaito.sh/v1alpha1", "kaito.sh/v1beta1"]),
    "kind": st.just("Workspace"),
    "metadata": st.fixed_dictionaries({"name": names, "annotations": annotations}),
    "resource": resources,
})  # fmt: skip
bodies = st.one_of(inference.map(lambda one: {"inference": one}), tuning.map(lambda one: {"tuning": one}))
workspaces = st.builds(lambda head, body: {**head, **body}, heads, bodies)


nodes = st.fixed_dictionaries({}, optional={
    "spot": st.booleans(), "zones": st.lists(st.sampled_from(["1", "2", "3"]), unique=True, max_size=2).map(tuple),
    "os_disk_gib": st.integers(30, 2048),
})  # fmt: skip


def test_what_is_accepted_here_is_accepted_there(cloud: Instance, namespace: str) -> None:
    server = Cluster(str(cloud.kubeconfig))
    accepted: Counter[str] = Counter()

    @settings(max_examples=160, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(workspaces | workspaces.map(as_set), nodes)
    def each(document: dict[str, Any], options: dict[str, Any]) -> None:
        plans = planned(document, options, namespace)
        for one in plans:
            for manifest in [*workload_objects(one), *([set_service(one)] if one.spec.inference_set else [])]:
                server.apply(manifest, "test", force=False, dry_run=True)
            accepted[document["kind"]] += 1

    each()
    assert accepted["Workspace"] >= 20 and accepted["InferenceSet"] >= 10, accepted


def as_set(document: dict[str, Any]) -> dict[str, Any]:
    """An InferenceSet of such a Workspace; one that tunes is refused."""
    head = {key: value for key, value in document["metadata"].items() if key != "annotations"}
    resource = {key: value for key, value in document["resource"].items() if key == "instanceType"}
    template = {"metadata": {"annotations": document["metadata"]["annotations"]}, "resource": resource}
    template |= {key: document[key] for key in ("inference", "tuning") if key in document}
    spec = {"replicas": 1, "labelSelector": document["resource"]["labelSelector"], "template": template}
    return {"apiVersion": "kaito.sh/v1beta1", "kind": "InferenceSet", "metadata": head, "spec": spec}


def planned(document: dict[str, Any], options: dict[str, Any], namespace: str) -> list[Plan]:
    """The plans, if all of it is accepted. No exception but ours may come out."""
    objects = [document, config_map("c", "vllm: {max-num-seqs: 8}"), TRAINING, secret("key") | {"stringData": KEYS}]
    objects = copy.deepcopy(objects)
    for one in objects:
        one["metadata"]["namespace"] = namespace
    try:
        bundle = read_documents(objects)
        on_pools = any(one.resource.instance_type for one in bundle.workspaces)
        how = NodeOptions(**options) if on_pools else NodeOptions(provider="existing")
        plans = [plan(one, bundle=bundle, nodes=how, image_registry="r.example.com") for one in bundle.workspaces]
    except KaitoError as refused:
        assert isinstance(refused, InvalidWorkspace) and refused.findings
        return []
    return [one for one in plans if not any(finding.severity == "error" for finding in one.findings)]
