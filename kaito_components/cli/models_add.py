"""`kaito models add ORG/NAME`: writes a preset for a model that has none. Called by cli.models."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kaito_components.errors import KaitoError
from kaito_components.presets import Preset
from kaito_components.presets.resolving import OWN_FOLDER

WAYS = {
    "revision": "the weights may change between two starts; --revision pins a commit",
    "redistributable": "the table of licences has not this one; read it before you publish weights",
    "parameters": "config.json tells only how packed weights are",
    "chat_template": "the model's own is used; KAITO's image has files for tool calls in some families",
    "tool_call_parser": "tool calls stay text; vLLM's documentation lists its parsers",
    "reasoning_parser": "reasoning stays in the answer; vLLM's documentation lists its parsers",
    "head_size": "latent attention does without",
}


def add(
    model: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Hugging Face id")],
    config: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, help="config.json, model.safetensors.index.json or the model's folder; then nothing is fetched"
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="commit to pin; else the latest")] = None,
    license: Annotated[str | None, typer.Option(help="where the files do not tell: apache-2.0, mit, …")] = None,
    folder: Annotated[Path, typer.Option(help="where presets of your own are")] = OWN_FOLDER,
    force: Annotated[bool, typer.Option(help="write over a file that is there")] = False,
) -> None:
    """Write a preset from a model's own config.json and list of weight files.

    Exit code 0: written; 1: it cannot be; 2: wrong usage.
    """
    if len(model.split("/")) != 2:
        raise typer.BadParameter(f"{model!r} is not ORG/NAME", param_hint="ORG/NAME")
    try:
        path, preset = _write(model, config or [], revision, license, folder, force)
    except KaitoError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"wrote {path}: a Workspace finds it by the name {preset.name} or {preset.model}")
    for name in preset.unknown:
        print(f"  not known: {name} ({WAYS.get(name, 'no source tells')})")
    if preset.gated:
        print("  gated: name a Secret with your token under HF_TOKEN in presetOptions.modelAccessSecret")


def _write(
    model: str, config: list[Path], revision: str | None, license: str | None, folder: Path, force: bool
) -> tuple[Path, Preset]:
    from kaito_components.presets.adding import as_yaml, name_of, preset_values
    from kaito_components.presets.folder import read_local
    from kaito_components.presets.hub import fetch
    from kaito_components.presets.lookup import shipped_preset
    from kaito_components.presets.schema import check

    path = folder / f"{name_of(model)}.yaml"
    if path.exists() and not force:
        raise KaitoError(f"{path} is there already; --force writes over it")
    found = read_local(model, config, revision) if config else fetch(model, revision)
    found = replace(found, license=license or found.license)
    values = preset_values(found, shipped_preset(model))
    preset = check(path.stem, values, str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(as_yaml(values), encoding="utf-8")
    except OSError as problem:
        raise KaitoError(f"{path}: cannot be written: {problem.strerror}") from None
    return path, preset
