"""Which program serves or tunes a model, from which image and with which arguments. Called by plan."""

from collections.abc import Sequence

from kaito_components import names
from kaito_components.plan_types import Runtime, Weights
from kaito_components.presets import Preset
from kaito_components.sizing import Parallelism
from kaito_components.skus import VmSize
from kaito_components.spec.model import Adapter, Workspace

VERSION = "0.1.0"  # of our two images
VLLM_IMAGE = "mcr.microsoft.com/aks/kaito/kaito-base:0.5.0"  # KAITO 0.12's base image: vLLM 0.25.1
VLLM_MIN_CAPABILITY = 8.0  # KAITO 0.12 lists no size below it
BFLOAT16_MIN_CAPABILITY = 8.0  # NVIDIA's Ampere is the first to have it
CUDA_12_6_BELOW = 7.5  # PyTorch's builds for CUDA 12.8 and later leave Volta out
DATA_PATH = "/mnt/data"
RESULTS_PATH = "/mnt/results"
WEIGHTS_PATH = "/workspace/weights"
CONFIG_PATH = "/mnt/config"


def adapter_path(adapter: Adapter) -> str:
    """The folder of an adapter in the pod: KAITO's."""
    return f"/mnt/adapter/{adapter.source.name}"


def choose_runtime(spec: Workspace, preset: Preset | None, vm: VmSize | None) -> Runtime:
    """The user's choice, else vLLM where GPU and preset allow it, else transformers."""
    if preset is None:
        return "template"
    chosen = spec.annotations.get(names.RUNTIME_ANNOTATION)
    if chosen in ("vllm", "transformers"):
        return "vllm" if chosen == "vllm" else "transformers"
    if spec.tuning or "vllm" not in preset.runtimes:
        return "transformers"
    if vm is None:  # nodes that exist already: KAITO's default
        return "vllm"
    return "vllm" if (vm.compute_capability or 0) >= VLLM_MIN_CAPABILITY else "transformers"


def choose_dtype(vm: VmSize | None) -> str:
    """bfloat16 where the GPU has it, float16 on older ones, float32 without a GPU (16 bits are slower there)."""
    if vm is not None and vm.gpus == 0:
        return "float32"
    if vm is not None and (vm.compute_capability or 0) < BFLOAT16_MIN_CAPABILITY:
        return "float16"
    return "bfloat16"


def choose_image(kind: str, runtime: Runtime, vm: VmSize | None, registry: str | None) -> str:
    """KAITO's base image for vLLM; ours, built for the hardware, for the transformers runtime and for tuning."""
    if runtime == "vllm":
        return VLLM_IMAGE
    if vm is not None and vm.gpus == 0:
        build = "cpu"
    elif vm is not None and (vm.compute_capability or 0) < CUDA_12_6_BELOW:
        build = "cu126"
    else:
        build = "cu128"
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}kaito-{kind}:{VERSION}-{build}"


def choose_weights(spec: Workspace, preset: Preset | None) -> Weights:
    """Ours or KAITO's annotation, else the image the user names, else KAITO's artefact (tuning), else Hugging Face."""
    if preset is None:
        return Weights("none")
    kind, _, reference = spec.annotations.get(names.WEIGHTS_ANNOTATION, "").partition(":")
    if kind == "pvc":
        return Weights("pvc", reference)
    if kind == "image":
        return Weights("image", reference)
    if kind == "hostPath":
        return Weights("hostPath", reference)
    if spec.annotations.get(names.LOCAL_WEIGHTS_ANNOTATION) == "true":
        folder = preset.model.lower().replace("/", "-").replace("\\", "-")
        return Weights("hostPath", f"/opt/kaito/models/{folder}")
    part = spec.tuning or spec.inference
    if part and part.preset and part.preset.image:
        return Weights("image", part.preset.image)
    if kind != "huggingface" and spec.tuning and preset.tuning and preset.tuning.weights_image:
        return Weights("image", preset.tuning.weights_image)
    return Weights("huggingface", preset.model, preset.revision)


def model_argument(weights: Weights) -> str:
    """What `--model` is: an id to download, or the folder that is mounted."""
    return weights.reference if weights.kind == "huggingface" else WEIGHTS_PATH


def served_name(preset: Preset) -> str:
    """The `model` that clients send: the last part of the Hugging Face id in lower case, as KAITO has it."""
    return preset.model.rsplit("/", 1)[-1].lower()


def transformers_command(spec: Workspace, preset: Preset, weights: Weights, dtype: str) -> list[str]:
    """`python -m serving_image ...`."""
    assert spec.inference
    command = ["python", "-m", "serving_image", "--model", model_argument(weights)]
    if weights.revision:
        command += ["--revision", weights.revision]
    command += ["--served-model-name", served_name(preset), "--host", "0.0.0.0", "--port", str(names.SERVER_PORT)]
    command += ["--dtype", dtype]
    for adapter in spec.inference.adapters:
        strength = f":{adapter.strength:g}" if adapter.strength is not None else ""
        command += ["--adapter", f"{adapter.source.name}={adapter_path(adapter)}{strength}"]
    return command


def vllm_command(spec: Workspace, preset: Preset, weights: Weights, dtype: str, spread: Parallelism) -> list[str]:
    """KAITO's command line for its base image. Source: KAITO 0.12 pkg/model/interface.go."""
    assert spec.inference
    serve = ["python3", "/workspace/vllm/inference_api.py", f"--model={model_argument(weights)}"]
    if weights.revision:
        serve += [f"--revision={weights.revision}", f"--code-revision={weights.revision}"]
    serve += [
        f"--download-dir={WEIGHTS_PATH}",
        f"--served-model-name={served_name(preset)}",
        "--max-model-len=auto",
        "--gpu-memory-utilization=0.84",
        f"--dtype={dtype}",
        f"--tensor-parallel-size={spread.tensor}",
        *preset.vllm_arguments,
    ]
    if spread.data > 1:
        serve.append(f"--data-parallel-size={spread.data}")
    if spread.pipeline > 1:
        serve += [f"--pipeline-parallel-size={spread.pipeline}", "--distributed-executor-backend=ray"]
    if spec.inference.adapters:
        serve.append("--enable-lora")
    mode = spec.annotations.get(names.PERFORMANCE_ANNOTATION, "balanced")
    if mode != "balanced":
        serve.append(f"--performance-mode={mode}")
    if spec.inference.config:
        serve.append(f"--kaito-config-file={CONFIG_PATH}/inference_config.yaml")
    return _over_nodes(spec, serve, spread.pipeline) if spread.pipeline > 1 else serve


def _over_nodes(spec: Workspace, serve: Sequence[str], nodes: int) -> list[str]:
    """Pod 0 starts Ray's head and the server, the others join it."""
    leader = f"{spec.name}-0.{spec.name}-headless.{spec.namespace}.svc.cluster.local"
    script = "/workspace/vllm/multi-node-serving.sh"
    text = (
        f'if [ "${{POD_INDEX}}" = "0" ]; then {script} leader --ray_cluster_size={nodes} --ray_port=6379; '
        f"{' '.join(serve)}; else {script} worker --ray_address={leader} --ray_port=6379; fi"
    )
    return ["/bin/sh", "-c", text]


def tuning_command(spec: Workspace, preset: Preset, weights: Weights) -> list[str]:
    """`python -m tuning_image ...`."""
    tuning = spec.tuning
    assert tuning
    command = ["python", "-m", "tuning_image", "--model", model_argument(weights)]
    if weights.revision:
        command += ["--revision", weights.revision]
    for source in tuning.input.urls or (DATA_PATH,):
        command += ["--data", source]
    command += ["--output", RESULTS_PATH, "--method", tuning.method]
    if tuning.config:
        command += ["--config", f"{CONFIG_PATH}/training_config.yaml"]
    if tuning.output.image:
        command += ["--push-image", tuning.output.image]
    return command
