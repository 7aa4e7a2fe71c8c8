"""The run: data, model, training, adapter. Called by __main__."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuning_image import lock, monitor, tokenizing
from tuning_image.data import loading, report
from tuning_image.data.tokens import Masking, Tokens, tokenize
from tuning_image.errors import UserError
from tuning_image.output import handover, push, result
from tuning_image.servers import servers
from tuning_image.settings import Settings

FINGERPRINT = "run.json"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is known before the model is loaded."""

    tokenizer: Any
    train: Sequence[Tokens]
    validation: Sequence[Tokens]
    report: dict[str, Any]


def run(settings: Settings) -> None:
    """Everything, in order; nothing expensive before what can be refused."""
    output, image = settings.arguments.output, settings.arguments.push_image
    if image:
        push.check(image)
    if settings.arguments.then_serve:
        handover.check(settings.arguments.then_serve, handover.in_cluster(os.environ))
    with lock.held(output), monitor.serving(_port(settings)):
        if settings.config.DataCollator.mlm:
            print(
                "DataCollator.mlm: without effect, as in KAITO: a causal model has no mask token to learn", flush=True
            )
        for server, answer in servers(settings.config.LoraConfig).items():
            print(f"adapter loads in {server}: {answer}", flush=True)
        prepared = prepare(settings)
        if settings.arguments.only_check:
            return
        _refuse_another_run(output, settings, prepared)
        if not (output / result.FOLDER).is_dir():
            _train(settings, prepared)
        print(f"adapter: {output / result.FOLDER}", flush=True)
        if image:
            _push(settings, image)
        if settings.arguments.then_serve:
            print(handover.serve(settings.arguments.then_serve, handover.in_cluster(os.environ)), flush=True)


def _port(settings: Settings) -> int | None:
    """--port, else the container's TUNING_PORT, else none."""
    text = os.environ.get("TUNING_PORT", "")
    if settings.arguments.port is not None or not text:
        return settings.arguments.port
    if not text.isdigit():
        raise UserError(f"TUNING_PORT: {text!r} must be a port number")
    return int(text)


def _push(settings: Settings, image: str) -> None:
    arguments = settings.arguments
    folder = arguments.output / result.FOLDER
    digest = push.push(folder, image, arguments.model, os.environ, arguments.plain_http)
    print(f"pushed: {image} ({digest})", flush=True)


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


def _refuse_another_run(output: Path, settings: Settings, prepared: Prepared) -> None:
    """Checkpoints of other data or settings are not gone on from."""
    described = json.dumps([settings.config.model_dump(), settings.arguments.model, settings.arguments.revision])
    rows = repr([(row.ids, row.labels) for row in [*prepared.train, *prepared.validation]])
    found = {"settings": _digest(described), "data": _digest(rows)}
    path = output / FINGERPRINT
    before = json.loads(path.read_text()) if path.exists() else found
    if other := [name for name in found if before.get(name) != found[name]]:
        raise UserError(
            f"--output {output}: holds a run with other {' and '.join(other)}; name another folder, or remove this one"
        )
    path.write_text(json.dumps(found) + "\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _train(settings: Settings, prepared: Prepared) -> None:
    from tuning_image.training import model, train  # seconds of imports, wasted on what is refused above

    precision = model.choose_precision(settings.config)
    print(f"precision: {precision.dtype} ({precision.reason})", flush=True)
    adapted = model.load(settings, precision)
    outcome = train.train(settings, adapted, prepared.train, prepared.validation)
    metrics = dataclasses.asdict(outcome)
    if outcome.eval_loss is not None:
        metrics["eval_perplexity"] = math.exp(min(outcome.eval_loss, 50.0))
    result.write(settings, adapted, prepared.tokenizer, prepared.report, metrics)
