"""What is known before a model is loaded: data read, checked and tokenized. Called by run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning_image import tokenizing
from tuning_image.data import loading, report
from tuning_image.data.tokens import Masking, Tokens, tokenize
from tuning_image.errors import UserError
from tuning_image.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """Rows to learn and to evaluate, and the report on them."""

    tokenizer: Any
    train: Sequence[Tokens]
    validation: Sequence[Tokens]
    report: dict[str, Any]


def prepare(settings: Settings) -> Prepared:
    """Data read, checked and tokenized; the report written."""
    output, training = settings.arguments.output, settings.config.TrainingArguments
    data = loading.load(settings, output / ".downloads")
    tokenizer = tokenizing.load(settings)
    masking = Masking(training.max_length, training.assistant_only_loss, training.completion_only_loss)
    train, cut = tokenize(tokenizer, data.train, masking)
    validation, also_cut = tokenize(tokenizer, data.validation, masking)
    if not train or (data.validation and not validation):
        first = (cut or also_cut)[0]
        raise UserError(
            f"--data: no row is left to learn or to evaluate: {first.file}: row {first.number}: {first.reason}"
        )
    summary = report.summary(train, validation, [*data.bad, *cut, *also_cut])
    report.write(output, summary, train, training.max_length)
    print(report.line(summary), flush=True)
    return Prepared(tokenizer, train, validation, summary)
