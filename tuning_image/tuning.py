"""From prepared data to the adapter folder, in this process or in one for each GPU. Called by run."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from tuning_image import fingerprint, gauges, processes
from tuning_image.errors import OutOfMemoryError, UserError
from tuning_image.output import result
from tuning_image.preparing import Prepared
from tuning_image.settings import Settings
from tuning_image.training import fitting, memory, model, ranks, samples, train

Told = Callable[[dict[str, Any]], None]


def tune(settings: Settings, prepared: Prepared) -> None:
    """Trains and writes the adapter."""
    training, count = settings.config.TrainingArguments, ranks.wanted(settings)
    pieces = (training.per_device_train_batch_size, training.gradient_accumulation_steps)
    fingerprint.refuse_other_rows_a_step(settings, math.prod(pieces) * count)
    if count == 1:
        _learn(settings, prepared, pieces, gauges.show)
    else:
        _tune_together(settings, prepared, pieces, count)


def _tune_together(settings: Settings, prepared: Prepared, pieces: tuple[int, int], count: int) -> None:
    """Running out of memory in one process leaves the others in mid-step, so all are started anew."""
    while True:
        micro, accumulation = pieces
        print(f"processes: {count}, each {micro} rows at a time, {accumulation} times a step", flush=True)
        try:
            processes.together(_share, count, (settings, prepared, pieces), gauges.show)
            return
        except OutOfMemoryError:
            if micro == 1:
                raise UserError(memory.too_little(settings.arguments.model)) from None
        pieces = memory.halved(micro, accumulation)
        print(memory.goes_on(*pieces), flush=True)


def _share(place: processes.Place, told: Told, settings: Settings, prepared: Prepared, pieces: tuple[int, int]) -> None:
    """What each of several processes does."""
    with ranks.patient():
        ranks.join(place.rank, place.count, place.store, model.uses_gpu(settings.config))
        _learn(settings, prepared, pieces, told)


def _learn(settings: Settings, prepared: Prepared, pieces: tuple[int, int], told: Told) -> None:
    precision = model.choose_precision(settings.config)
    print(f"precision: {precision.dtype} ({precision.reason})", flush=True)
    fitting.check(settings, precision, prepared.train, prepared.validation, pieces[0])
    adapted = model.load(settings, precision)
    work = train.Work(settings, adapted, prepared.train, prepared.validation, pieces, told)
    outcome = train.train(work)
    is_main = ranks.is_main()
    ranks.leave()
    if not is_main:
        return
    metrics = dataclasses.asdict(outcome)
    if outcome.eval_loss is not None:
        metrics["eval_perplexity"] = math.exp(min(outcome.eval_loss, 50.0))
    table = _samples(settings, adapted, prepared)
    result.write(settings, adapted, prepared.tokenizer, prepared.report, metrics, table)


def _samples(settings: Settings, adapted: Any, prepared: Prepared) -> str:
    """Written and printed, if there are rows to ask about; the table for the model card."""
    arguments = settings.arguments
    if not prepared.validation or not arguments.samples:
        return ""
    found = samples.compare(adapted, prepared.tokenizer, prepared.validation, arguments.samples)
    table = samples.write(arguments.output, found) if found else ""
    print(table, flush=True)
    return table
