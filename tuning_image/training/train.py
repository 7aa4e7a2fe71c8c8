"""From tokens and a model to a trained adapter. Called by run."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tuning_image import tracking
from tuning_image.data.tokens import Tokens
from tuning_image.errors import OutOfMemoryError, StoppedError, UserError
from tuning_image.settings import Settings
from tuning_image.training import batches, callbacks, checkpoints, memory, progress, ranks
from tuning_image.training.model import choose_precision, uses_gpu
from tuning_image.training.trainer import AdapterTrainer

OWN = {"max_length", "packing", "assistant_only_loss", "completion_only_loss", "loss_type", "beta"}
DECIDED = {"output_dir", "gradient_checkpointing", "load_best_model_at_end", "bf16", "fp16", "eval_strategy"}


@dataclass(frozen=True)
class Work:
    """What is to be done: `model`, a PeftModel, learns `rows`; `pieces`: rows at a time, times a step."""

    settings: Settings
    model: Any
    rows: Sequence[Tokens]
    validation: Sequence[Tokens]
    pieces: tuple[int, int]
    told: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """What training came to."""

    steps: int
    loss: float
    eval_loss: float | None
    seconds: float
    peak_gpu_bytes: int | None = None  # that PyTorch took from this process' GPU, since the model was loaded


def train(work: Work) -> Outcome:
    """Trains the model in place, from the newest checkpoint if there is one.

    Raises:
        StoppedError: After SIGTERM, with a checkpoint on disk.
        OutOfMemoryError: In one of several processes; a single one goes on with fewer rows at a time.
    """
    untrained = memory.trained_weights(work.model)
    while True:
        try:
            return _once(work)
        except (RuntimeError, MemoryError) as error:
            if not memory.ran_out(error):
                raise
            if ranks.count() > 1:
                raise OutOfMemoryError(str(error)) from None
        if work.pieces[0] == 1:
            raise UserError(memory.too_little(work.settings.arguments.model))
        work = replace(work, pieces=memory.halved(*work.pieces))
        memory.start_again(work.model, untrained)
        print(memory.goes_on(*work.pieces), flush=True)


def _once(work: Work) -> Outcome:
    settings = work.settings
    config, output = settings.config.TrainingArguments, settings.arguments.output
    packed = batches.bins(work.rows, config.max_length if config.packing else None)
    os.environ.update(tracking.places(config.report_to, output, os.environ))
    stop, shown = callbacks.StopOnSignal(), progress.Progress(output, work.told)
    trainer = AdapterTrainer(
        settings,
        packed,
        batches.bins(work.validation, None),
        model=work.model,
        args=_arguments(settings, bool(work.validation), *work.pieces),
        data_collator=batches.collate,
        callbacks=[
            stop,
            shown,
            callbacks.AskedSteps(),
            callbacks.SaveByTime(settings.arguments.checkpoint_minutes),
            callbacks.KeepBest(output, settings.arguments.early_stopping_patience),
        ],
    )
    if trainer.args.activation_checkpointing and trainer.args.use_cpu:
        memory.give_back_freed()
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    shown.trainer, trainer.say = trainer, shown.say
    if ranks.rank():
        torch.manual_seed(config.seed + ranks.rank())  # of dropout, which differs between processes
    resumed = checkpoints.latest(output)
    print(f"training: {f'goes on from {resumed.name}' if resumed else 'starts'}", flush=True)
    try:
        result = trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    finally:
        shown.end_line()
        stop.done()
    if stop.stopped and trainer.state.global_step < trainer.state.max_steps:
        raise StoppedError(f"SIGTERM: stopped at step {trainer.state.global_step}; the same command goes on from there")
    return _outcome(trainer, result, settings, output)


def _outcome(trainer: AdapterTrainer, result: Any, settings: Settings, output: Path) -> Outcome:
    measured = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    last = measured[-1] if measured else None
    if measured and settings.config.TrainingArguments.load_best_model_at_end:
        from peft import load_peft_weights, set_peft_model_state_dict

        set_peft_model_state_dict(trainer.model, load_peft_weights(str(output / callbacks.BEST)))
        last = min(measured)
    peak = torch.cuda.max_memory_reserved() if uses_gpu(settings.config) else None
    return Outcome(trainer.state.global_step, result.training_loss, last, result.metrics["train_runtime"], peak)


def _arguments(settings: Settings, evaluated: bool, micro: int, accumulation: int) -> TrainingArguments:
    config = settings.config.TrainingArguments
    given = {name: value for name, value in config.model_dump().items() if name not in OWN | DECIDED}
    gpu = uses_gpu(settings.config)
    given |= {
        "output_dir": str(settings.arguments.output / checkpoints.FOLDER),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulation,
        # its name from transformers 5.2x on
        "activation_checkpointing": gpu if config.gradient_checkpointing is None else config.gradient_checkpointing,
        "activation_checkpointing_kwargs": {"use_reentrant": False},
        "eval_strategy": config.eval_strategy if evaluated else "no",
        "fp16": gpu and choose_precision(settings.config).dtype == torch.float16,  # with a scaler of the loss
        "use_cpu": not gpu,
        # the same sums, without a dozen passes over each matrix
        "optim": "adamw_torch_fused" if config.optim == "adamw_torch" and not gpu else config.optim,
        "ddp_backend": "gloo" if ranks.count() > 1 and not gpu else None,
        "remove_unused_columns": False,
        "dataloader_pin_memory": gpu,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "no",
        "disable_tqdm": True,
    }
    made = TrainingArguments(**given)
    made._n_gpu = min(made.n_gpu, 1)  # --processes 1: transformers would split each batch over all GPUs it sees
    return made
