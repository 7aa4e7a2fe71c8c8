"""Settings that are each right and together wrong. Called by settings."""

from collections.abc import Iterator, Mapping

from tuning_image import servers
from tuning_image.arguments import Arguments
from tuning_image.sections import Config


def contradictions(config: Config, arguments: Arguments, origins: Mapping[str, str]) -> list[str]:
    """One line for each pair that cannot both hold."""
    return [
        *_quantization(config, arguments),
        *_training(config, arguments, origins),
        *_dataset(config),
        *_serving(config, arguments),
    ]


def _quantization(config: Config, arguments: Arguments) -> Iterator[str]:
    quantization = config.QuantizationConfig
    if quantization.load_in_4bit and quantization.load_in_8bit:
        yield "QuantizationConfig: load_in_4bit and load_in_8bit are both true; choose one"
    if arguments.method == "qlora" and not (quantization.load_in_4bit or quantization.load_in_8bit):
        yield "QuantizationConfig.load_in_4bit: false contradicts --method qlora; use --method lora or remove it"
    if arguments.method == "lora" and quantization.load_in_4bit:
        yield "QuantizationConfig.load_in_4bit: true contradicts --method lora; use --method qlora"


def _training(config: Config, arguments: Arguments, origins: Mapping[str, str]) -> Iterator[str]:
    training = config.TrainingArguments
    if training.output_dir and training.output_dir.rstrip("/") != str(arguments.output).rstrip("/"):
        yield f"TrainingArguments.output_dir: {training.output_dir} contradicts --output {arguments.output}; name one"
    if training.bf16 and training.fp16:
        yield "TrainingArguments: bf16 and fp16 are both true; choose one, or neither: the hardware decides"
    if training.eval_strategy == "steps" and not training.eval_steps:
        yield "TrainingArguments.eval_steps: missing beside eval_strategy: steps"
    no_split = config.DatasetConfig.train_test_split == 1
    if no_split and (training.load_best_model_at_end or arguments.early_stopping_patience):
        yield (
            "DatasetConfig.train_test_split: 1 leaves nothing to evaluate, but the best checkpoint or early stopping "
            "is asked for; set it to 0.9"
        )
    if no_split and "TrainingArguments.eval_strategy" in origins and training.eval_strategy != "no":
        yield f"TrainingArguments.eval_strategy: {training.eval_strategy} needs DatasetConfig.train_test_split below 1"
    if training.packing and training.loss_type != "nll":
        yield f"TrainingArguments.packing: not with loss_type {training.loss_type}: pairs are not packed"
    if training.neftune_noise_alpha and (training.packing or training.per_device_train_batch_size > 1):
        yield (
            "TrainingArguments.neftune_noise_alpha: the noise would be weaker than asked with several rows end to end; "
            "set packing: false and per_device_train_batch_size: 1, and gradient_accumulation_steps instead"
        )
    if training.max_steps == 0 or training.max_steps < -1:
        yield f"TrainingArguments.max_steps: {training.max_steps} must be a positive number, or -1 for whole epochs"


def _dataset(config: Config) -> Iterator[str]:
    dataset = config.DatasetConfig
    if dataset.messages_column and (dataset.context_column or dataset.response_column):
        yield "DatasetConfig: messages_column beside context_column or response_column; map one shape"
    if dataset.context_column and not dataset.response_column:
        yield "DatasetConfig.context_column: needs response_column, the column of the answers"


def _serving(config: Config, arguments: Arguments) -> Iterator[str]:
    if arguments.then_serve and (reason := servers.refusal(config.LoraConfig)):
        yield f"--then-serve {arguments.then_serve}: {reason}"
