"""The run from settings to the report of its data. Called by __main__."""

from tuning_image import lock, tokenizing
from tuning_image.data import loading, report
from tuning_image.data.tokens import Masking, tokenize
from tuning_image.errors import UserError
from tuning_image.settings import Settings


def run(settings: Settings) -> None:
    """Everything, in order; nothing expensive before what can be refused."""
    output = settings.arguments.output
    with lock.held(output):
        data = loading.load(settings, output / ".downloads")
        tokenizer = tokenizing.load(settings)
        training = settings.config.TrainingArguments
        masking = Masking(training.max_length, training.assistant_only_loss, training.completion_only_loss)
        train, cut = tokenize(tokenizer, data.train, masking)
        validation, _ = tokenize(tokenizer, data.validation, masking)
        if not train:
            raise UserError(f"--data: no row is left to learn: {cut[0].file}: row {cut[0].number}: {cut[0].reason}")
        summary = report.summary(train, validation, [*data.bad, *cut])
        report.write(output, summary, train, training.max_length)
        print(report.line(summary), flush=True)
        if settings.arguments.only_check:
            return
        raise UserError("training: this version checks data only; add --only-check")
