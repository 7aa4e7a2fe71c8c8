"""The base model, quantized where asked, with a fresh adapter on it. Called by run."""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from tuning_image.errors import TryAgainError, UserError
from tuning_image.sections import Config
from tuning_image.settings import Settings
from tuning_image.training import narrow, ranks, segments

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Precision:
    """The type of the frozen weights, and why."""

    dtype: torch.dtype
    reason: str


def uses_gpu(config: Config) -> bool:
    """Whether there is one and it is not declined."""
    return torch.cuda.is_available() and config.ModelConfig.device_map != "cpu"


def choose_precision(config: Config) -> Precision:
    """bfloat16 where the GPU has it, float16 on older ones, float32 without a GPU unless bfloat16 is asked for."""
    training = config.TrainingArguments
    asked = "bfloat16" if training.bf16 else "float16" if training.fp16 else config.ModelConfig.torch_dtype
    if not uses_gpu(config):
        if asked == "bfloat16":
            return Precision(torch.bfloat16, "ModelConfig.torch_dtype")
        return Precision(torch.float32, "no GPU")
    if not torch.cuda.is_bf16_supported(including_emulation=False) and asked != "float32":
        return Precision(torch.float16, f"{torch.cuda.get_device_name()} has no bfloat16")
    return Precision(DTYPES.get(asked, torch.bfloat16), "ModelConfig.torch_dtype" if asked != "auto" else "the GPU")


def load(settings: Settings, precision: Precision) -> Any:
    """The PeftModel to train.

    Raises:
        UserError: If the model's folder is incomplete or the adapter does not fit the model.
    """
    from tuning_image.training import lean

    torch.manual_seed(settings.config.TrainingArguments.seed)
    model = adapted(settings, base_model(settings, precision))
    if not uses_gpu(settings.config):
        lean.make(model)
    return model


def adapted(settings: Settings, base: Any) -> Any:
    """`base` with a fresh adapter on it.

    Raises:
        UserError: If the adapter does not fit the model.
    """
    from peft import LoraConfig, get_peft_model

    lora = settings.config.LoraConfig.model_dump()
    lora["target_modules"] = lora["target_modules"] or "all-linear"
    try:
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora))
    except ValueError as error:
        raise UserError(f"LoraConfig: does not fit {settings.arguments.model}: {error}") from None
    narrow.follow_inputs(model)
    return model


def base_model(settings: Settings, precision: Precision) -> Any:
    """The frozen model."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    segments.register()
    arguments, config = settings.arguments, settings.config
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            arguments.model,
            revision=arguments.revision,
            dtype=precision.dtype,
            local_files_only=config.ModelConfig.local_files_only,
            trust_remote_code=config.ModelConfig.trust_remote_code,
            attn_implementation=segments.NAME,
            quantization_config=_quantization(config, precision),
            device_map={"": f"cuda:{ranks.rank()}" if uses_gpu(config) else "cpu"},
            output_loading_info=True,
        )
    except (ConnectionError, TimeoutError) as error:
        raise TryAgainError(f"--model {arguments.model}: {error}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--model {arguments.model}: cannot be loaded: {str(error).splitlines()[0]}") from None
    if lacking := sorted(loaded["missing_keys"]):  # transformers would train on random numbers in their place
        raise UserError(f"--model {arguments.model}: its weights lack {lacking[0]} ({len(lacking)} tensors in all)")
    keep_gradients(model)
    return model


def keep_gradients(model: Any) -> None:
    """Turns off a weight layout of bitsandbytes on CPUs that loses gradients after any forward without them.

    bitsandbytes 0.50 repacks the weights of a Linear4bit for AVX512-BF16 at the first forward without gradients, and
    its backward then reads them as if they were not repacked. tests/tuning/test_qlora.py compares the gradients.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _quantization(config: Config, precision: Precision) -> Any:
    from transformers import BitsAndBytesConfig

    chosen = config.QuantizationConfig
    if chosen.load_in_4bit:
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=chosen.bnb_4bit_quant_type,
            bnb_4bit_use_double_quant=chosen.bnb_4bit_use_double_quant,
            bnb_4bit_compute_dtype=_compute_dtype(chosen.bnb_4bit_compute_dtype, precision),
        )
    if chosen.load_in_8bit:
        # that it computes in float16 whatever comes in, told for each layer and step
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=chosen.llm_int8_threshold)
    return None


def _compute_dtype(asked: str, precision: Precision) -> torch.dtype:
    """What is asked for, but never bfloat16 on a GPU without it."""
    return precision.dtype if precision.dtype == torch.float16 else DTYPES.get(asked, precision.dtype)
