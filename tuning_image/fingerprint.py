"""Whether an output folder holds this run or another one. Called by run and tuning.

A run is known by what decides its numbers. How often it talks, saves or evaluates, and over how many rows at a time,
processes and pieces a step is spread, may change from one start to the next. Evaluations that choose the result
may not.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tuning_image.errors import UserError
from tuning_image.preparing import Prepared
from tuning_image.settings import Settings

FILE = "run.json"
WITHOUT_EFFECT = {
    "output_dir", "logging_steps", "report_to", "save_strategy", "save_steps", "save_total_limit",
    "gradient_checkpointing", "per_device_train_batch_size", "per_device_eval_batch_size",
    "gradient_accumulation_steps",
}  # fmt: skip
EVALUATIONS = {"eval_strategy", "eval_steps"}


def refuse_another_run(settings: Settings, prepared: Prepared) -> None:
    """Checkpoints and adapters of other data or settings are not gone on from.

    Raises:
        UserError: If the folder holds another run.
    """
    config, arguments = settings.config.model_dump(), settings.arguments
    training = config["TrainingArguments"]
    passed_over = WITHOUT_EFFECT if training["load_best_model_at_end"] else WITHOUT_EFFECT | EVALUATIONS
    config["TrainingArguments"] = {name: value for name, value in training.items() if name not in passed_over}
    described = json.dumps([config, arguments.model, arguments.revision])
    rows = repr([(row.ids, row.labels) for row in [*prepared.train, *prepared.validation]])
    found = {"settings": _digest(described), "data": _digest(rows)}
    before = _read(settings)
    if other := [name for name in found if before.get(name, found[name]) != found[name]]:
        raise UserError(
            f"--output {arguments.output}: holds a run with other {' and '.join(other)}; name another folder, or "
            "remove this one"
        )
    _write(settings, {**before, **found})


def refuse_other_rows_a_step(settings: Settings, rows: int) -> None:
    """As many rows in each optimizer step as before, over however many processes.

    Raises:
        UserError: If there were more or fewer.
    """
    before = _read(settings)
    if before.get("rows_a_step", rows) != rows:
        raise UserError(
            f"--output {settings.arguments.output}: holds a run of {before['rows_a_step']} rows a step, and this one "
            f"makes {rows}; per_device_train_batch_size x gradient_accumulation_steps x processes (one for each GPU) "
            f"must be {before['rows_a_step']}, or name another folder"
        )
    _write(settings, {**before, "rows_a_step": rows})


def _read(settings: Settings) -> dict[str, Any]:
    path = settings.arguments.output / FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _write(settings: Settings, found: Mapping[str, Any]) -> None:
    (settings.arguments.output / FILE).write_text(json.dumps(found) + "\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
