"""The run: data, model, training, adapter. Called by __main__."""

import os

from tuning_image import fingerprint, lock, monitor
from tuning_image.errors import UserError
from tuning_image.output import handover, merging, push, result
from tuning_image.preparing import prepare
from tuning_image.servers import servers
from tuning_image.settings import Settings


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
        fingerprint.refuse_another_run(settings, prepared)
        if not (output / result.FOLDER).is_dir():
            from tuning_image import tuning  # seconds of imports, wasted on what is refused above

            tuning.tune(settings, prepared)
        print(f"adapter: {output / result.FOLDER}", flush=True)
        if settings.arguments.merge and not (output / merging.FOLDER).is_dir():
            merging.write(settings, prepared.tokenizer)
            print(f"merged: {output / merging.FOLDER}", flush=True)
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
