"""What the plan decides."""

from dataclasses import replace
from typing import Any

import pytest

from kaito_components.manifests import workload_objects
from kaito_components.plan import NodeOptions, WaitOptions, plan
from kaito_components.spec.model import Partition
from kaito_components.units import GIB
from tests.unit.workspaces import A100, CPU, EXISTING, T4, V100, codes, config, inference, planned, template, tuning


def test_the_quick_start_is_planned_with_a_warning_about_its_retired_size() -> None:
    made = planned(tuning(V100))
    assert codes(made, "warning") == {"vm-size-retired"} and not codes(made, "error")
    assert (made.runtime, made.dtype, made.wait) == ("transformers", "float16", "started")
    assert made.image == "r.example.com/kaito-tuning:0.1.0-cu126"


@pytest.mark.parametrize(
    ("size", "preset", "runtime", "dtype", "image"),
    [
        (A100, "phi-4-mini-instruct", "vllm", "bfloat16", "mcr.microsoft.com/aks/kaito/kaito-base:0.5.0"),
        (T4, "phi-4-mini-instruct", "transformers", "float16", "r.example.com/kaito-serving:0.1.0-cu132"),
        (V100, "phi-4-mini-instruct", "transformers", "float16", "r.example.com/kaito-serving:0.1.0-cu126"),
        (CPU, "smollm2-135m-instruct", "transformers", "float32", "r.example.com/kaito-serving:0.1.0-cpu"),
    ],
)
def test_hardware_decides_runtime_dtype_and_image(size: str, preset: str, runtime: str, dtype: str, image: str) -> None:
    made = planned(inference(size, preset))
    assert (made.runtime, made.dtype, made.image) == (runtime, dtype, image)


def test_the_users_runtime_wins() -> None:
    made = planned(inference(annotations={"kaito.sh/runtime": "transformers"}))
    assert (made.runtime, made.dtype) == ("transformers", "bfloat16")


def test_a_tuning_workspace_never_runs_vllm() -> None:
    made = planned(tuning(A100, annotations={"kaito.sh/runtime": "vllm"}))
    assert made.runtime == "transformers" and "kaito-tuning" in made.image
    assert codes(made, "warning") == {"without-effect"}


def test_a_model_larger_than_a_gpu_gets_more_nodes() -> None:
    text = "vllm:\n  max-model-len: 32768\n"  # KAITO: 2 nodes, TP1 x PP2
    spec = inference("Standard_NV36ads_A10_v5", "phi-3-mini-128k-instruct", config="c")
    made = planned(spec, bundle=config(text))
    assert (made.node_count, made.tensor_parallel_size, made.pipeline_parallel_size) == (2, 1, 2)
    assert made.max_model_len == 32768 and made.pool and made.pool.count == 2


def test_a_small_model_is_copied_to_each_gpu_of_a_node() -> None:
    made = planned(inference("Standard_NC96ads_A100_v4"))
    assert (made.node_count, made.gpus_per_node, made.data_parallel_size, made.tensor_parallel_size) == (1, 4, 4, 1)


def test_the_context_is_vllms_own_choice_unless_the_user_says() -> None:
    assert planned(inference()).max_model_len == "auto"
    assert planned(inference(config="c"), bundle=config("vllm: {max-model-len: 4096}")).max_model_len == 4096


def test_the_transformers_runtime_has_the_context_that_fits_beside_the_weights() -> None:
    made = planned(inference(T4, "phi-3-mini-128k-instruct"))
    assert made.max_model_len == pytest.approx((0.84 * 16 - 2.3 - 7.12 * 1.02) * GIB / 393216, abs=2)
    assert "context-cut" in codes(made, "info")


def test_another_immutable_field_is_another_pool_and_the_rest_is_the_same_one() -> None:
    def pool(spec: Any, **options: Any) -> str:
        made = plan(spec, nodes=NodeOptions(**options)).pool
        assert made
        return made.name

    name = pool(inference())
    family = {"kaito.sh/node-image-family": "azurelinux"}
    others = [pool(inference("Standard_NC40ads_H100_v5")), pool(inference(annotations=family))]
    others += [pool(inference(), spot=True), pool(inference(), zones=("1",))]
    assert len({name, *others}) == 5
    same = [
        pool(inference(count=3)),
        pool(inference(labels_wanted={"x": "y"})),
        pool(inference(), min_count=1, max_count=2),
    ]
    assert set(same) == {name}


def test_the_os_disk_holds_weights_and_images_and_is_no_smaller_than_aks_makes_it() -> None:
    made = planned(inference())
    assert made.disk_bytes == 87 * GIB
    assert made.pool and made.pool.os_disk_size_gib == 128


def test_reserved_labels_of_the_selector_are_left_out() -> None:
    made = planned(inference(labels_wanted={"apps": "phi", "kaito.sh/workspace": "other"}))
    assert made.pool and made.pool.labels["kaito.sh/workspace"] == "phi" == made.node_selector["kaito.sh/workspace"]
    assert codes(made, "warning") == {"reserved-label-left-out"}


def test_pool_labels_hold_everything_that_pods_ask_for() -> None:
    made = planned(inference())
    assert made.pool
    assert made.node_selector.items() <= {**made.pool.labels, "kubernetes.azure.com/agentpool": made.pool.name}.items()


def test_on_existing_nodes_no_pool_is_made_and_the_selector_chooses() -> None:
    made = planned(inference(None), nodes=EXISTING)
    assert made.pool is None and made.node_selector == {"apps": "phi"}
    assert (made.gpus_per_node, codes(made, "info")) == (1, {"nodes-unchecked"})


def test_on_existing_nodes_the_partition_or_the_option_says_how_many_gpus() -> None:
    partition = Partition("accelerator", count=2)
    assert planned(inference(None, partition=partition), nodes=EXISTING).tensor_parallel_size == 2
    made = planned(inference(None, "smollm2-135m-instruct"), nodes=replace(EXISTING, gpus_per_node=0))
    assert (made.gpus_per_node, made.runtime, made.dtype) == (0, "transformers", "float32")


def test_a_mig_slice_is_asked_for_by_its_profile() -> None:
    made = planned(inference(None, partition=Partition("mig", "1g.10gb")), nodes=EXISTING)
    pod = workload_objects(made)[-1]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/mig-1g.10gb": "1"}
    assert {"key": "nvidia.com/mig-1g.10gb", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert (made.tensor_parallel_size, codes(made, "error")) == (1, set())


def test_a_model_larger_than_its_slice_does_not_fit() -> None:
    made = planned(inference(None, partition=Partition("mig", "1g.5gb")), nodes=EXISTING)
    (found,) = [one for one in made.findings if one.code == "does-not-fit"]
    assert found.field == "resource.partition.profile" and "one slice (5.0 GiB)" in found.message


@pytest.mark.parametrize(
    ("annotations", "options", "kind", "reference"),
    [
        ({}, {}, "huggingface", "microsoft/Phi-4-mini-instruct"),
        ({"pulumi.kaito.sh/weights": "image:r.example.com/w:1"}, {}, "image", "r.example.com/w:1"),
        ({"pulumi.kaito.sh/weights": "pvc:models/phi"}, {}, "pvc", "models/phi"),
        ({"pulumi.kaito.sh/weights": "hostPath:/models"}, {}, "hostPath", "/models"),
        ({"kaito.sh/use-local-weights": "true"}, {}, "hostPath", "/opt/kaito/models/phi-4-mini-instruct"),
        ({}, {"image": "r.example.com/phi:1"}, "image", "r.example.com/phi:1"),
    ],
)
def test_weights_come_from_where_the_user_says(annotations: Any, options: Any, kind: str, reference: str) -> None:
    weights = planned(inference(annotations=annotations, preset_options=options)).weights
    assert (weights.kind, weights.reference) == (kind, reference)


def test_tuning_takes_kaitos_artefact_of_the_weights_unless_told_otherwise() -> None:
    assert planned(tuning()).weights.reference.endswith("kaito-phi-3-mini-128k-instruct:0.2.0")
    told = planned(tuning(annotations={"pulumi.kaito.sh/weights": "huggingface"})).weights
    assert (told.kind, told.revision) == ("huggingface", "072cb7562cb8c4adf682a8e186aaafa49469eb5d")


def test_deadlines_follow_the_weights_and_the_user() -> None:
    assert planned(inference()).timeout_seconds == 1800 + 900  # KAITO's least, and the joining of a node
    assert planned(inference(None), nodes=EXISTING).timeout_seconds == 1800
    assert planned(tuning(), wait=WaitOptions("completed")).timeout_seconds > 86400
    asked = planned(inference(), wait=WaitOptions(timeout_seconds=60))
    assert (asked.timeout_seconds, asked.startup_seconds) == (60, 1800)


def test_a_template_brings_everything_but_its_nodes() -> None:
    made = planned(template(count=2))
    assert (made.runtime, made.node_count, made.image, made.command) == ("template", 2, "", ())
    assert made.weights.kind == "none" and made.memory is None and made.pool


def test_planning_has_no_memory() -> None:
    assert planned(inference()) == planned(inference())
