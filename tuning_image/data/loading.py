"""All `--data` → examples, each row checked, before any model is loaded. Called by __main__."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuning_image.data import rows, shapes, sources
from tuning_image.data.shapes import Example
from tuning_image.errors import UserError
from tuning_image.settings import Settings

SHOWN_BAD_ROWS = 10


@dataclass(frozen=True)
class Dataset:
    """What is learned, what is only measured, and which rows could not be used."""

    train: Sequence[Example]
    validation: Sequence[Example]
    bad: Sequence[rows.BadRow]
    files: Sequence[Path]


def load(settings: Settings, cache: Path) -> Dataset:
    """Reads, checks, weighs, shuffles and splits.

    Raises:
        UserError: If more rows are bad than allowed, if none is good, or if shapes are mixed.
    """
    examples: list[Example] = []
    bad: list[rows.BadRow] = []
    paths: list[Path] = []
    config = settings.config.DatasetConfig
    for text in settings.arguments.data:
        source = sources.parse(text)
        good: list[Example] = []
        for path in sources.files(source, cache, config.dataset_path, settings.arguments.allow_private_data):
            paths.append(path)
            _read(path, settings, good, bad)
        examples += _weighted(good, source.weight, config.shuffle_seed)
    _judge(examples, bad, settings)
    train, validation = _split(examples, settings)
    return Dataset(train, validation, bad, paths)


def _read(path: Path, settings: Settings, good: list[Example], bad: list[rows.BadRow]) -> None:
    config = settings.config.DatasetConfig
    for row in rows.read(path, config.dataset_extension):
        if isinstance(row, rows.BadRow):
            bad.append(row)
            continue
        try:
            good.append(replace(shapes.example(row.values, config), file=row.file, number=row.number))
        except shapes.RowError as error:
            bad.append(rows.BadRow(row.file, row.number, str(error)))


def _weighted(good: list[Example], weight: float, seed: int) -> list[Example]:
    """Weight 2 is every row twice, weight 0.5 a random half."""
    whole = int(weight)
    part = random.Random(seed).sample(good, round(len(good) * (weight - whole)))
    return good * whole + part


def _judge(examples: list[Example], bad: Sequence[rows.BadRow], settings: Settings) -> None:
    total = len(examples) + len(bad)
    share, allowed = len(bad) / total if total else 0.0, settings.arguments.max_bad_rows
    shown = [f"  {b.file}: row {b.number}: {b.reason}" for b in bad[:SHOWN_BAD_ROWS]]
    if not examples or share > allowed:
        head = f"--data: {len(bad)} of {total} rows cannot be used ({share:.1%}; --max-bad-rows allows {allowed:.1%})"
        raise UserError("\n".join([head, *shown]))
    preference = {example.rejected is not None for example in examples}
    if len(preference) == 2:
        raise UserError("--data: preference pairs and other rows are mixed; tune on one of them at a time")
    loss = settings.config.TrainingArguments.loss_type
    if (loss != "nll") != preference.pop():
        raise UserError(
            f"TrainingArguments.loss_type: {loss} does not fit the data: preference pairs (chosen, rejected) need dpo "
            "or orpo, all other rows need nll"
        )


def _split(examples: list[Example], settings: Settings) -> tuple[list[Example], list[Example]]:
    """(train, validation). A row that weights repeat is never in both."""
    config = settings.config.DatasetConfig
    rows_of = sorted({(example.file, example.number) for example in examples})
    shuffled = random.Random(config.shuffle_seed)
    if config.shuffle_dataset:
        shuffled.shuffle(rows_of)
        shuffled.shuffle(examples)
    count = round(len(rows_of) * config.train_test_split)
    if config.train_test_split < 1 and not 0 < count < len(rows_of):
        raise UserError(
            f"DatasetConfig.train_test_split: {config.train_test_split} of {len(rows_of)} rows leaves one side empty"
        )
    kept = set(rows_of[:count])
    train = [example for example in examples if (example.file, example.number) in kept]
    validation = {(e.file, e.number): e for e in examples if (e.file, e.number) not in kept}
    return train, list(validation.values())
