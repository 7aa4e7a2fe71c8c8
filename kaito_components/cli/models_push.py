"""`kaito models push NAME --from FOLDER --to REFERENCE`: weights as an OCI artefact. Called by cli.models."""

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from kaito_components.errors import KaitoError
from kaito_components.presets import Preset, load_preset
from kaito_components.presets.resolving import find_preset


def push(
    name: Annotated[str, typer.Argument(help="preset whose weights they are")],
    source: Annotated[Path, typer.Option("--from", help="the model's folder, or a .gguf file")],
    to: Annotated[str, typer.Option(metavar="REGISTRY/REPOSITORY:TAG", help="where they go")],
    private_registry: Annotated[
        bool, typer.Option("--private-registry", help="nobody but you can pull there: the licence is not asked")
    ] = False,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="no TLS; on this machine alone")] = False,
) -> None:
    """Push a model's weights to a registry, from where Workspaces fetch them.

    Exit code 0: pushed; 1: it cannot be; 2: wrong usage, or no such model.
    """
    try:
        preset = find_preset(name) or load_preset(name)
    except KaitoError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None
    try:
        _push(preset, source, to, private_registry, plain_http)
    except KaitoError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as problem:
        print(f"error: {problem.filename or source}: {problem.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


def _push(preset: Preset, source: Path, to: str, is_private: bool, plain_http: bool) -> None:
    from kaito_components.packing import checks, files, login, reference
    from kaito_components.packing.artefact import Artefact, describe
    from kaito_components.packing.progress import Progress
    from kaito_components.packing.registry import Registry

    target = reference.parse(to)
    if plain_http and not target.is_loopback:
        raise KaitoError(f"--plain-http: {target.host} is not this machine; login and weights would go in the clear")
    checks.check_license(preset, is_private)
    chosen = files.choose(source, preset.load_format)
    checks.check_files(chosen.files, preset)
    for path in chosen.files:
        _say(f"  {path.name}")
    if chosen.left_out:
        _say(f"not packed: {', '.join(chosen.left_out)}")
    size = sum(path.stat().st_size for path in chosen.files)
    made: Artefact = describe(chosen.files, preset, Progress("reading", size, _say))
    found = login.find_login(target.login_name, os.environ)
    with closing(Registry(target, found, plain_http)) as registry:
        missing = [blob for blob in made.blobs if not registry.has(blob)]
        if there := len(made.blobs) - len(missing):
            _say(f"{there} of {len(made.blobs)} blobs are there already")
        progress = Progress("pushing", sum(blob.size for blob in missing), _say)
        for blob in missing:
            registry.send(blob, progress)
        registry.tag(made.manifest)
    _say(progress.line())
    print(f"{target}\n{made.digest}")
    _say(f"a Workspace takes it with the annotation pulumi.kaito.sh/weights: image:{target}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
