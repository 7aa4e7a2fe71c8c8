"""The command lines: KAITO's for vLLM, and those of our two images."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kaito_components.plan import Hardware
from kaito_components.plan.runtime import CURRENT_CUDA, choose_runtime
from kaito_components.presets import load_preset
from kaito_components.spec.model import Adapter, DataSource
from tests.unit.workspaces import A10, A100, CPU, T4, V100, config, inference, planned, tuning

WIDE = config("vllm: {max-model-len: 32768}")


def flags(made: Any) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in made.command if part.startswith("--"))


def test_vllm_is_started_as_kaito_starts_it() -> None:
    made = planned(inference())
    assert made.command[:2] == ("python3", "/workspace/vllm/inference_api.py")
    # Source: KAITO 0.12 pkg/model/interface.go, for phi-4-mini-instruct on one Standard_NC24ads_A100_v4.
    kaito = {
        "--download-dir": "/workspace/weights",
        "--served-model-name": "phi-4-mini-instruct",
        "--max-model-len": "auto",
        "--gpu-memory-utilization": "0.84",
        "--kv-events-config": '{"enable_kv_cache_events":true}',
        "--compilation-config.pass_config.fuse_allreduce_rms": "False",
        "--tensor-parallel-size": "1",
        "--load-format": "auto",
        "--config-format": "auto",
        "--tokenizer-mode": "auto",
        "--trust-remote-code": "",
        "--dtype": "bfloat16",
        "--chat-template": "/workspace/chat_templates/tool-chat-phi4-mini.jinja",
    }
    assert kaito.items() <= flags(made).items()


def test_a_download_is_pinned_to_the_presets_revision() -> None:
    given = flags(planned(inference()))
    assert given["--model"] == "microsoft/Phi-4-mini-instruct"
    assert given["--revision"] == given["--code-revision"] == "c0fb9e74abda11b496b7907a9c6c9009a7a0488f"


def test_an_a10_gives_vllm_less_of_its_memory() -> None:
    assert flags(planned(inference(A10)))["--gpu-memory-utilization"] == "0.82"


@pytest.mark.parametrize(
    ("more", "flag", "value"),
    [
        ({"annotations": {"kaito.sh/performance-mode": "throughput"}}, "--performance-mode", "throughput"),
        ({"annotations": {"kaito.sh/use-local-weights": "true"}}, "--load-format", "runai_streamer"),
        ({"annotations": {"pulumi.kaito.sh/weights": "pvc:models"}}, "--model", "/workspace/weights"),
        ({"adapters": (Adapter(DataSource(name="a", image="i")),)}, "--enable-lora", ""),
        ({"config": "c"}, "--kaito-config-file", "/mnt/config/inference_config.yaml"),
    ],
)
def test_what_the_user_sets_reaches_vllm(more: Any, flag: str, value: str) -> None:
    assert flags(planned(inference(**more)))[flag] == value


def test_over_several_nodes_pod_0_leads_and_the_others_join() -> None:
    made = planned(inference(A10, "phi-3-mini-128k-instruct", config="c"), bundle=WIDE)
    shell, _, script = made.command
    assert shell == "/bin/sh"
    assert "leader --ray_cluster_size=2 --ray_port=6379" in script
    assert "worker --ray_address=phi-0.phi-headless.default.svc.cluster.local" in script
    assert "'--kv-events-config={\"enable_kv_cache_events\":true}'" in script  # quoted for the shell
    assert "--pipeline-parallel-size=2 --distributed-executor-backend=ray" in script


def test_the_serving_image_gets_model_dtype_and_adapters() -> None:
    adapter = Adapter(DataSource(name="fix", image="i"), 0.5)
    made = planned(inference(T4, adapters=(adapter,)))
    text = " ".join(made.command)
    assert text.startswith("python -m serving_image --model microsoft/Phi-4-mini-instruct --revision c0fb9e74")
    assert "--host 0.0.0.0 --port 5000 --dtype float16" in text
    assert text.endswith("--adapter fix=/mnt/adapter/fix:0.5")


def test_the_tuning_image_gets_data_method_and_destination() -> None:
    text = " ".join(planned(tuning(config="c")).command)
    assert text.startswith("python -m tuning_image --model /workspace/weights --data https://example.com/train.parquet")
    assert "--output /mnt/results --method qlora --config /mnt/config/training_config.yaml" in text
    assert text.endswith("--push-image registry.example.com/out:1 --then-serve default/tune")


def test_data_on_a_volume_is_read_where_it_is_mounted() -> None:
    made = planned(tuning(A100, input=DataSource(volume_source={"persistentVolumeClaim": {"claimName": "d"}})))
    assert made.command[made.command.index("--data") + 1] == "/mnt/data"


def test_deepseek_has_its_own_tokenizer_mode_and_no_cache_in_the_nodes_memory() -> None:
    """KAITO 0.12: deepseek_v4, --kv-cache-dtype of the preset, LMCache off for the architecture."""
    command = planned(inference("Standard_ND96isr_H200_v5", "deepseek-v4-flash-0731")).command
    for flag in ("--tokenizer-mode=deepseek_v4", "--kv-cache-dtype=fp8", "--kaito-kv-cache-cpu-memory-utilization=0"):
        assert flag in command


@pytest.mark.parametrize(
    ("size", "preset", "off"), [(A100, "phi-4", False), ("Standard_NC96ads_A100_v4", "phi-4", True)]
)
def test_several_copies_of_a_model_keep_no_cache_in_the_nodes_memory(size: str, preset: str, off: bool) -> None:
    assert ("--kaito-kv-cache-cpu-memory-utilization=0" in planned(inference(size, preset)).command) is off


def test_the_tag_of_the_current_cuda_is_that_of_the_locked_pytorch() -> None:
    lock = (Path(__file__).parents[2] / "requirements-images.lock").read_text()
    major, minor = re.findall(r"^cuda-toolkit==(\d+)\.(\d+)", lock, re.MULTILINE)[0]
    assert f"cu{major}{minor}" == CURRENT_CUDA


DTYPES = ["bfloat16", "float16", "float32"]
CAPABILITIES = [(V100, 7.0), (T4, 7.5), (A100, 8.0), (A10, 8.6), ("Standard_NC40ads_H100_v5", 9.0), (CPU, None)]


@pytest.mark.parametrize(("size", "capability"), CAPABILITIES)
def test_compute_capability_decides_runtime_dtype_and_image(size: str, capability: float | None) -> None:
    made = planned(inference(size, "smollm2-135m-instruct"))
    is_new = capability is not None and capability >= 8.0
    assert made.runtime == ("vllm" if is_new else "transformers")
    assert made.dtype == ("bfloat16" if is_new else "float16" if capability else "float32")
    build = "cpu" if capability is None else "cu126" if capability < 7.5 else "cu132"
    served = planned(inference(size, "smollm2-135m-instruct", annotations={"kaito.sh/runtime": "transformers"}))
    tuned = planned(tuning(size, "smollm2-135m-instruct"))
    assert served.image.endswith(f"kaito-serving:0.1.0-{build}") and tuned.image.endswith(f"kaito-tuning:0.1.0-{build}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [A100, T4, CPU])
def test_the_users_dtype_wins_and_reaches_the_server(size: str, dtype: str) -> None:
    made = planned(inference(size, "smollm2-135m-instruct", annotations={"pulumi.kaito.sh/dtype": dtype}))
    command = " ".join(made.command)
    assert made.dtype == dtype and (f"--dtype {dtype}" in command or f"--dtype={dtype}" in command)


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_32_bits_take_twice_the_memory(runtime: str) -> None:
    def memory(dtype: str) -> tuple[int, int]:
        given = {"pulumi.kaito.sh/dtype": dtype, "kaito.sh/runtime": runtime}
        found = planned(inference(A100, annotations=given)).memory
        assert found
        return found.weights, found.kv_cache_per_token

    assert memory("float32") == tuple(2 * one for one in memory("bfloat16"))


def test_a_preset_without_vllm_runs_with_transformers_on_any_gpu() -> None:
    preset = replace(load_preset("phi-4-mini-instruct"), runtimes=("transformers",))
    assert choose_runtime(inference(A100), preset, Hardware(1, 9.0)) == "transformers"
