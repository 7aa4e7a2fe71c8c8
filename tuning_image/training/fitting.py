"""Whether a training fits, before its model is loaded: the estimate, printed; refused where nothing helps.

Called by tuning. Running out of memory halves the rows at a time, so what fits with one row is at most a warning.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tuning_image.data.tokens import NOT_LEARNED, Tokens
from tuning_image.errors import TryAgainError, TuningError, UserError
from tuning_image.settings import Settings
from tuning_image.training import fused, model, ranks, room, shape
from tuning_image.training.estimate import Shape, Term, Training, least, likely, terms
from tuning_image.training.room import Room

GB = 1e9


def check(
    settings: Settings, precision: model.Precision, rows: Sequence[Tokens], validation: Sequence[Tokens], micro: int
) -> None:
    """Prints the terms, and what to do where they may not fit.

    Raises:
        UserError: If not even one row at a time fits.
        TryAgainError: If it would, were not others using the memory.
    """
    on_gpu = model.uses_gpu(settings.config)
    try:
        found, in_pieces = shape.measure(settings, precision)
    except shape.UnknownShapeError as error:
        print(f"memory: no estimate for {settings.arguments.model}: {error}", flush=True)
        return
    training = evaluating(training_of(settings, precision, rows, micro, in_pieces), settings, validation)
    copies = 1 if on_gpu else ranks.count()
    there = room.on_gpu() if on_gpu else room.in_ram()
    ranks.wait()  # until all have looked: the first to load takes memory
    print("\n".join(table(terms(found, training), there, copies)), flush=True)
    if refused := judged(found, training, there, copies):
        raise refused
    if settings.arguments.merge:
        check_merge(shape.file_bytes(settings, found.numbers), room.in_ram())


def check_merge(needed: int, there: Room) -> None:
    """The model that `--merge` loads when the trained one is gone.

    Raises:
        UserError: If it would not fit even then.
    """
    print(f"memory: --merge takes about {_gb(needed)} of {there.place} when training is done", flush=True)
    if needed > there.total:
        raise UserError(
            f"memory: --merge takes about {_gb(needed)} when training is done, and {there.place} has "
            f"{_gb(there.total)}; leave it out, and merge the adapter where there is more memory"
        )


def training_of(
    settings: Settings, precision: model.Precision, rows: Sequence[Tokens], micro: int, in_pieces: bool
) -> Training:
    """What decides memory. Packed rows are as long as they may be."""
    config, quantization = settings.config.TrainingArguments, settings.config.QuantizationConfig
    on_gpu, value_bytes = model.uses_gpu(settings.config), precision.dtype.itemsize
    bits = 4 if quantization.load_in_4bit else 8 if quantization.load_in_8bit else 8 * value_bytes
    longest, learned = _longest(rows)
    if config.packing:
        packed = min(config.max_length, sum(len(row.ids) for row in rows))
        longest, learned = max(longest, packed), max(learned, packed)
    return Training(
        weight_bits=bits,
        value_bytes=value_bytes,
        row_tokens=longest,
        row_learned=learned,
        rows=min(micro, len(rows)),
        checkpointing=on_gpu if config.gradient_checkpointing is None else config.gradient_checkpointing,
        double_quantized=quantization.bnb_4bit_use_double_quant,
        optimizer=config.optim,
        piece_logits=fused.PIECE_BYTES // 4 if in_pieces else None,
        device="cuda" if on_gpu else "cpu",
    )


def evaluating(training: Training, settings: Settings, validation: Sequence[Tokens]) -> Training:
    """With the rows that are evaluated at a time; they are never packed."""
    if not validation:
        return training
    rows = min(settings.config.TrainingArguments.per_device_eval_batch_size, len(validation))
    longest, learned = _longest(validation)
    return replace(training, eval_rows=rows, eval_tokens=longest, eval_learned=learned)


def _longest(rows: Sequence[Tokens]) -> tuple[int, int]:
    """The most tokens of a row, and the most that are learned of one."""
    whole = [_with_rejected(row) for row in rows]
    return max(len(one.ids) for one in whole), max(sum(x != NOT_LEARNED for x in one.labels) for one in whole)


def _with_rejected(row: Tokens) -> Tokens:
    """Both rows of a pair go through the model at once."""
    if row.rejected is None:
        return row
    return Tokens([*row.ids, *row.rejected.ids], [*row.labels, *row.rejected.labels])


def table(parts: tuple[Term, ...], there: Room, copies: int) -> Iterator[str]:
    """The sum, and a line for each term."""
    times = f" in each of {copies} processes" if copies > 1 else ""
    yield f"memory: about {_gb(likely(parts))}{times}, of {_gb(there.free)} free on {there.place}"
    for one in parts:
        yield f"  {one.name:<14}{_gb(one.likely):>9}  {one.how}"
    if likely(parts) * copies > there.free:
        yield "memory: it may run out; then fewer rows go through the model at a time, and a step learns as many"


def judged(found: Shape, training: Training, there: Room, copies: int) -> TuningError | None:
    """Why it is not even tried; None where it is."""
    single = replace(training, rows=1)
    parts = terms(found, single)
    needed = least(parts) * copies
    if needed <= there.free:
        return None
    largest = max(parts, key=lambda one: one.least)
    head = (
        f"memory: with one row at a time this takes at least {_gb(needed)} (most of it {largest.name}, "
        f"{_gb(largest.least * copies)}: {largest.how}), and {there.place} has {_gb(there.free)} free "
        f"of {_gb(there.total)}; "
    )
    if needed <= there.total:
        return TryAgainError(f"{head}something else has the rest: end it, or start again when it has ended")
    ways = [f"{text} ({_gb(least(terms(found, way)) * copies)})" for text, way in _ways(single)]
    smaller = [f"{', or '.join(ways)}; or "] if ways else []
    return UserError(f"{head}{''.join(smaller)}take a smaller model or a larger instanceType")


def _ways(training: Training) -> Iterator[tuple[str, Training]]:
    """What a user can change, and the training that it makes."""
    if not training.checkpointing:
        yield "TrainingArguments.gradient_checkpointing: true", replace(training, checkpointing=True)
    if training.weight_bits > 4:
        yield "--method qlora", replace(training, weight_bits=4)
    if training.row_tokens > 512:
        share = training.row_learned / training.row_tokens
        shorter = replace(training, row_tokens=512, row_learned=round(512 * share))
        yield "TrainingArguments.max_length: 512", shorter


def _gb(count: float) -> str:
    return f"{count / GB:.2f} GB"
