"""`kaito models [NAME]`: the models that are known, and one of them explained. No engine, no network."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kaito_components.cli import models_add, models_json, models_push, models_text
from kaito_components.cli.homes import homes
from kaito_components.errors import KaitoError
from kaito_components.presets import load_preset, retired_model
from kaito_components.presets.resolving import find_preset, known_names


class Format(StrEnum):
    """How models are printed."""

    text = "text"
    json = "json"


class ShowUnlessAdd(TyperGroup):
    """`kaito models [NAME]` is short for `kaito models show [NAME]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] not in (["add"], ["push"], ["show"], ["--help"]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def command() -> typer.Typer:
    """The commands below `kaito models`."""
    group = typer.Typer(cls=ShowUnlessAdd, help="The models that are known: `kaito models [NAME]`.")
    group.command("show")(show)
    group.command("add")(models_add.add)
    group.command("push")(models_push.push)
    group.callback()(lambda: None)
    return group


def show(
    name: Annotated[str | None, typer.Argument(help="a preset, an older name of it, or a Hugging Face id")] = None,
    format: Annotated[Format, typer.Option(help="text or json")] = Format.text,
    region: Annotated[str | None, typer.Option(help="Azure region of the prices; else the cheapest one")] = None,
) -> None:
    """List all models, or explain one. The word `show` may be left out.

    Exit code 0: known; 2: wrong usage, or no such model.
    """
    try:
        presets = [find_preset(one) or load_preset(one) for one in ([name] if name else known_names())]
    except KaitoError as problem:
        gone = retired_model(name or "")
        text = f"{gone.name} is no longer served: {gone.reason}; use {gone.replacement} instead" if gone else problem
        print(f"error: {text}", file=sys.stderr)
        raise typer.Exit(2) from None
    found = [(preset, homes(preset, region)) for preset in presets]
    if format is Format.json:
        print(models_json.dump(found))
    elif name:
        models_text.explain(*found[0])
    else:
        models_text.show(found)
