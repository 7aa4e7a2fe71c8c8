"""Which program serves or tunes a model, from which image and with which arguments. Called by plan."""

import shlex
from collections.abc import Sequence

from kaito_components import names
from kaito_components.plan.types import Hardware, Runtime, Weights
from kaito_components.presets import Preset
from kaito_components.sizing.estimator import VLLM_MIN_CAPABILITY, Parallelism
from kaito_components.spec.model import Adapter, PresetRef, Workspace

VERSION = "0.1.0"  # of our two images
VLLM_IMAGE = "mcr.microsoft.com/aks/kaito/kaito-base:0.5.0"  # KAITO 0.12's base image: vLLM 0.25.1
BFLOAT16_MIN_CAPABILITY = 8.0  # NVIDIA's Ampere is the first to have it
CURRENT_CUDA = "cu132"  # of the PyTorch in requirements-images.lock, as PyTorch names its builds
CUDA_12_6_BELOW = 7.5  # PyTorch's builds for CUDA 12.8 and later leave Volta out
MEMORY_SHARES = {"NVIDIA A10": 0.82}  # of a GPU that vLLM takes; KAITO 0.12 pkg/sku
DEFAULT_MEMORY_SHARE = 0.84
DATA_PATH = "/mnt/data"
RESULTS_PATH = "/mnt/results"
WEIGHTS_PATH = "/workspace/weights"
CONFIG_PATH = "/mnt/config"
API_KEY_PATH = "/mnt/api-key"
TOOL_PARSERS = (  # of our serving image, as the next ones
    *("hermes", "granite4", "qwen3_coder", "deepseek_v3", "mistral", "llama3_json", "phi4_mini_json"),
    *("functiongemma", "openai"),
)
REASONING_PARSERS = ("deepseek_r1", "deepseek_v3", "qwen3", "openai_gptoss")
TEMPLATES_PATH = "/workspace/chat_templates"  # in KAITO's base image


def adapter_path(adapter: Adapter) -> str:
    """The folder of an adapter in the pod: KAITO's."""
    return f"/mnt/adapter/{adapter.source.name}"


def preset_ref(spec: Workspace) -> PresetRef | None:
    """The preset that a Workspace names, for whichever of its two tasks."""
    part = spec.tuning or spec.inference
    return part.preset if part else None


def choose_runtime(spec: Workspace, preset: Preset | None, hardware: Hardware) -> Runtime:
    """The user's choice, else vLLM where GPU and preset allow it, else transformers; tuning is always transformers."""
    if preset is None:
        return "template" if preset_ref(spec) is None else "transformers"
    if spec.tuning:
        return "transformers"
    chosen = spec.annotations.get(names.RUNTIME_ANNOTATION, "").lower()
    if chosen in ("vllm", "transformers"):
        return "vllm" if chosen == "vllm" else "transformers"
    return "vllm" if "vllm" in preset.runtimes and hardware.has_capability(VLLM_MIN_CAPABILITY) else "transformers"


def choose_dtype(spec: Workspace, preset: Preset | None, hardware: Hardware) -> str:
    """The user's choice, else the model's own where the GPU has bfloat16, float16 on older ones, float32 without a GPU.

    CPUs compute float32 natively; most emulate the 16-bit types, which is slower and no more exact.
    """
    chosen = spec.annotations.get(names.DTYPE_ANNOTATION)
    if chosen and preset and spec.inference:
        return chosen
    if hardware.gpus == 0:
        return "float32"
    if not hardware.has_capability(BFLOAT16_MIN_CAPABILITY):
        return "float16"
    return preset.dtype if preset else "bfloat16"


def choose_image(spec: Workspace, runtime: Runtime, hardware: Hardware, registry: str | None) -> str:
    """KAITO's base image for vLLM; ours, built for the hardware, for the transformers runtime and for tuning."""
    if runtime == "template":
        return ""
    if runtime == "vllm":
        return VLLM_IMAGE
    build = CURRENT_CUDA if hardware.has_capability(CUDA_12_6_BELOW) else "cu126" if hardware.gpus else "cpu"
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}kaito-{'tuning' if spec.tuning else 'serving'}:{VERSION}-{build}"


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
        named = preset_ref(spec)
        folder = (named.name if named else preset.name).lower().replace("/", "-").replace("\\", "-")
        return Weights("hostPath", f"/opt/kaito/models/{folder}")
    if (named := preset_ref(spec)) and named.image:
        return Weights("image", named.image)
    if kind != "huggingface" and spec.tuning and preset.tuning and preset.tuning.weights_image:
        return Weights("image", preset.tuning.weights_image)
    return Weights("huggingface", preset.model, preset.revision)


def model_argument(weights: Weights) -> str:
    """What `--model` is: an id to download, or the folder that is mounted."""
    return weights.reference if weights.kind == "huggingface" else WEIGHTS_PATH


def served_name(spec: Workspace, preset: Preset) -> str:
    """The `model` that clients send: the InferenceSet's name, else the last part of the model's id in lower case.

    Source: KAITO 0.12 pkg/model/vllm_model.go.
    """
    return spec.inference_set or preset.model.rsplit("/", 1)[-1].lower()


def transformers_command(spec: Workspace, preset: Preset, weights: Weights, dtype: str) -> list[str]:
    """`python -m serving_image ...`."""
    assert spec.inference
    command = ["python", "-m", "serving_image", "--model", model_argument(weights)]
    if weights.revision:
        command += ["--revision", weights.revision]
    command += ["--served-model-name", served_name(spec, preset), "--host", "0.0.0.0", "--port", str(names.SERVER_PORT)]
    command += ["--dtype", dtype]
    for adapter in spec.inference.adapters:
        strength = f":{adapter.strength:g}" if adapter.strength is not None else ""
        path = "/".join(filter(None, (adapter_path(adapter), adapter.folder)))
        command += ["--adapter", f"{adapter.source.name}={path}{strength}"]
    if preset.tool_call_parser in TOOL_PARSERS:
        command += ["--tool-call-parser", preset.tool_call_parser]
    if preset.reasoning_parser in REASONING_PARSERS:
        command += ["--reasoning-parser", preset.reasoning_parser]
    if names.API_KEY_ANNOTATION in spec.annotations:
        command += ["--api-key-file", f"{API_KEY_PATH}/{names.API_KEY}"]
    return command


def vllm_command(
    spec: Workspace, preset: Preset, weights: Weights, dtype: str, spread: Parallelism, gpu_model: str
) -> list[str]:
    """KAITO's command line for its base image. Source: KAITO 0.12 pkg/model/interface.go, vllm_model.go."""
    assert spec.inference
    serve = ["python3", "/workspace/vllm/inference_api.py", f"--model={model_argument(weights)}"]
    if weights.revision:  # KAITO pins none
        serve += [f"--revision={weights.revision}", f"--code-revision={weights.revision}"]
    serve += [
        f"--download-dir={WEIGHTS_PATH}",
        f"--served-model-name={served_name(spec, preset)}",
        "--max-model-len=auto",
        f"--gpu-memory-utilization={MEMORY_SHARES.get(gpu_model, DEFAULT_MEMORY_SHARE)}",
        '--kv-events-config={"enable_kv_cache_events":true}',
        "--compilation-config.pass_config.fuse_allreduce_rms=False",
        f"--tensor-parallel-size={spread.tensor}",
        *_formats(spec, preset),
        "--trust-remote-code",
        f"--dtype={dtype}",
        *_parsers(preset),
        *preset.vllm_arguments,
    ]
    if not preset.cpu_cache or spread.data > 1 or spread.pipeline > 1:  # where KAITO turns LMCache off
        serve.append("--kaito-kv-cache-cpu-memory-utilization=0")
    if spread.data > 1:
        serve.append(f"--data-parallel-size={spread.data}")
    if spread.pipeline > 1:
        serve += [f"--pipeline-parallel-size={spread.pipeline}", "--distributed-executor-backend=ray"]
    if spec.inference.adapters:
        serve.append("--enable-lora")
    mode = spec.annotations.get(names.PERFORMANCE_ANNOTATION, "balanced").lower()
    if mode != "balanced":
        serve.append(f"--performance-mode={mode}")
    if spec.inference.config:
        serve.append(f"--kaito-config-file={CONFIG_PATH}/inference_config.yaml")
    return _over_nodes(spec, serve, spread.pipeline) if spread.pipeline > 1 else serve


def _formats(spec: Workspace, preset: Preset) -> list[str]:
    """How files are read; weights that stand ready on the node are streamed, as KAITO does."""
    local = spec.annotations.get(names.LOCAL_WEIGHTS_ANNOTATION) == "true"
    return [
        f"--load-format={'runai_streamer' if local else preset.load_format}",
        f"--config-format={preset.load_format}",
        f"--tokenizer-mode={preset.tokenizer_mode}",
    ]


def _parsers(preset: Preset) -> list[str]:
    arguments = []
    if preset.tool_call_parser:
        arguments += [f"--tool-call-parser={preset.tool_call_parser}", "--enable-auto-tool-choice"]
    if preset.reasoning_parser:
        arguments.append(f"--reasoning-parser={preset.reasoning_parser}")
    if preset.chat_template:
        arguments.append(f"--chat-template={TEMPLATES_PATH}/{preset.chat_template}")
    return arguments


def _over_nodes(spec: Workspace, serve: Sequence[str], nodes: int) -> list[str]:
    """Pod 0 starts Ray's head and the server, the others join it."""
    leader = names.leader_address(spec.namespace, spec.name)
    script = "/workspace/vllm/multi-node-serving.sh"
    text = (
        f'if [ "${{POD_INDEX}}" = "0" ]; then {script} leader --ray_cluster_size={nodes} --ray_port=6379; '
        f"{shlex.join(serve)}; else {script} worker --ray_address={leader} --ray_port=6379; fi"
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
