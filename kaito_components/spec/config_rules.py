"""KAITO's rules for the text of `inference_config.yaml` and `training_config.yaml`. Called by beside_rules.

Source: KAITO 0.12 api/v1beta1/inference_config_validation.go and tuning_config_validation.go.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from kaito_components.spec import document as documents
from kaito_components.spec.composing import below, printable

Doubt = tuple[str, str, str]  # severity, code, message

INFERENCE_KEYS = {"vllm", "kv_cache_cpu_memory_utilization", "max_probe_steps"}
TUNING_SECTIONS = {
    "ModelConfig", "QuantizationConfig", "LoraConfig", "TrainingArguments", "DatasetConfig", "DataCollator",
}  # fmt: skip
_RESULTS = "/mnt"


def of_inference_config(text: str) -> Iterator[Doubt]:
    """`vllm` is a mapping of words to single values; `max-model-len` is a number of tokens."""
    settings, doubts = _settings(text)
    yield from doubts
    if settings is None:
        return
    for key in sorted(set(settings) - INFERENCE_KEYS):
        text = f"{printable(key)} is not read; keys are {', '.join(sorted(INFERENCE_KEYS))}"
        yield "warning", "config-section", text
    vllm = settings.get("vllm")
    if vllm is None:
        return
    if not isinstance(vllm, Mapping):
        yield "error", "config-content", "vllm must be a mapping of vLLM's arguments, such as max-model-len: 8192"
        return
    for key, value in vllm.items():
        if isinstance(value, Mapping | list):
            yield "error", "config-content", f"{below('vllm', key)} must be one value; put JSON in quotes"
    length = vllm.get("max-model-len")
    if length not in (None, "", "auto") and not _is_count(length):
        yield "error", "config-content", f"vllm.max-model-len is {length!r}; give a whole number of tokens"


def of_training_config(text: str, method: str) -> Iterator[Doubt]:
    """Known sections, a quantization that goes with the method, and results below /mnt."""
    settings, doubts = _settings(text)
    yield from doubts
    if settings is None:
        return
    root = settings.get("training_config")
    if not isinstance(root, Mapping):
        yield "error", "config-content", "has no mapping training_config"
        return
    for section in sorted(set(root) - TUNING_SECTIONS):
        text = f"section {printable(section)} is unknown; sections are {', '.join(sorted(TUNING_SECTIONS))}"
        yield "error", "config-section", text
    parts = {section: root.get(section) or {} for section in sorted(TUNING_SECTIONS)}
    broken = [section for section, part in parts.items() if not isinstance(part, Mapping)]
    for section in broken:
        yield "error", "config-content", f"section {section} must be a mapping"
    if "QuantizationConfig" not in broken:
        yield from _of_quantization(parts["QuantizationConfig"], method)
    if "TrainingArguments" not in broken:
        yield from _of_output_dir(parts["TrainingArguments"].get("output_dir"))


def _settings(text: str) -> tuple[Mapping[str, Any] | None, list[Doubt]]:
    """The one mapping of the text, and what is wrong with its YAML."""
    found, problems = documents.parse(text, "")
    doubts: list[Doubt] = [("error", "config-content", f"line {p.line}: {_said(p)}") for p in problems]
    if problems:
        return None, doubts
    if len(found) != 1 or not isinstance(found[0].values, Mapping):
        return None, [("error", "config-content", "is not one YAML mapping")]
    return found[0].values, []


def _said(problem: Any) -> str:
    return f"{problem.field} {problem.message}".strip()


def _is_count(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().isdecimal() and int(value) > 0
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _of_quantization(bits: Mapping[str, Any], method: str) -> Iterator[Doubt]:
    four, eight = bits.get("load_in_4bit"), bits.get("load_in_8bit")
    odd = [name for name in ("load_in_4bit", "load_in_8bit") if not isinstance(bits.get(name, False), bool)]
    if odd:
        yield "error", "quantization", f"QuantizationConfig.{odd[0]} must be true or false"
    elif four and eight:
        yield "error", "quantization", "QuantizationConfig loads in 4 bits and in 8 bits; keep one of them"
    elif method == "lora" and (four or eight):
        yield "error", "quantization", "QuantizationConfig loads in 4 or 8 bits, but the method is lora; use qlora"
    elif method == "qlora" and four is False and not eight:
        text = "load_in_4bit false contradicts the method qlora; leave it out, use load_in_8bit, or the method lora"
        yield "error", "quantization", f"QuantizationConfig.{text}"


def _of_output_dir(output: Any) -> Iterator[Doubt]:
    if output is None:
        return
    joined = posixpath.normpath(f"{_RESULTS}/{output}") if isinstance(output, str) else ""
    if not joined.startswith(f"{_RESULTS}/"):
        yield "error", "output-dir", f"TrainingArguments.output_dir {output!r} must be a folder below {_RESULTS}"
