"""KAITO's training_config.yaml, section by section: which fields there are and what they may hold. Called by settings.

Source of names and defaults: KAITO 0.12 charts/kaito/workspace/templates/{lora,qlora}-params.yaml and
presets/workspace/tuning/text-generation/cli.py. TrainingArguments is TRL's SFTConfig there; here are the fields of it
that this image acts on. Others are refused rather than ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]


class Section(BaseModel):
    """No unknown keys, no conversions but int to float."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSection(Section):
    torch_dtype: Dtype = "auto"
    local_files_only: bool = False
    device_map: Literal["auto", "cpu", "cuda"] = "auto"
    trust_remote_code: bool = False
    chat_template: str | None = None
    attn_implementation: Literal["sdpa"] = "sdpa"


class QuantizationSection(Section):
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_compute_dtype: Dtype = "auto"
    bnb_4bit_use_double_quant: bool = True
    llm_int8_threshold: NotNegative = 6.0


class LoraSection(Section):
    r: Positive = 8
    lora_alpha: Positive = 8
    lora_dropout: Share = 0.0
    target_modules: list[str] | str | None = None
    use_rslora: bool = False
    use_dora: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    init_lora_weights: bool | Literal["gaussian"] = True  # pissa and olora change the base weights, which servers lack
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | None = None


class TrainingSection(Section):
    output_dir: str | None = None
    num_train_epochs: Annotated[float, Field(gt=0)] = 3.0
    max_steps: int = -1
    per_device_train_batch_size: Positive = 1
    per_device_eval_batch_size: Positive = 8
    gradient_accumulation_steps: Positive = 1
    gradient_checkpointing: bool | None = None  # None: on a GPU, where memory is what runs out; the plan counts on it
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"] = "linear"
    warmup_steps: NotNegative = 0
    optim: Literal["adamw_torch", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor", "sgd"] = (
        "adamw_torch"
    )
    weight_decay: NotNegative = 0.0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: NotNegative = 1e-8
    max_grad_norm: NotNegative = 1.0
    neftune_noise_alpha: NotNegative | None = None
    seed: int = 42
    bf16: bool | None = None
    fp16: bool | None = None
    logging_steps: Positive = 1
    report_to: Literal["none", "tensorboard", "mlflow", "wandb"] = "none"
    save_strategy: Literal["no", "steps", "epoch"] = "no"
    save_steps: Positive = 500
    save_total_limit: Positive = 2
    eval_strategy: Literal["no", "steps", "epoch"] = "epoch"
    eval_steps: Positive | None = None
    load_best_model_at_end: bool = False
    ddp_find_unused_parameters: bool = False
    max_length: Positive = 1024
    packing: bool = False
    assistant_only_loss: bool = True
    completion_only_loss: bool = True
    loss_type: Literal["nll", "dpo", "orpo"] = "nll"
    beta: Annotated[float, Field(gt=0)] = 0.1


class DatasetSection(Section):
    dataset_path: str | None = None
    dataset_extension: Literal["csv", "json", "jsonl", "parquet", "arrow"] | None = None
    shuffle_dataset: bool = True
    shuffle_seed: int = 42
    context_column: str | None = None
    response_column: str | None = None
    messages_column: str | None = None
    train_test_split: Annotated[float, Field(gt=0, le=1)] = 1.0


class CollatorSection(Section):
    mlm: bool = True


class Config(Section):
    """The whole file, under its key `training_config`."""

    ModelConfig: ModelSection = ModelSection()
    QuantizationConfig: QuantizationSection = QuantizationSection()
    LoraConfig: LoraSection = LoraSection()
    TrainingArguments: TrainingSection = TrainingSection()
    DatasetConfig: DatasetSection = DatasetSection()
    DataCollator: CollatorSection = CollatorSection()


METHOD_DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "lora": {},
    "qlora": {
        "QuantizationConfig": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    },
}
