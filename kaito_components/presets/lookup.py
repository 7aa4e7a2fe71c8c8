"""Finds a preset by name, alias or Hugging Face id; a file is read and checked when it is asked for.

In a checkout the folder lies beside the package; a wheel carries it inside, as `model_presets`. Called by plan and
the command.
"""

import difflib
import re
from functools import cache
from pathlib import Path

from kaito_components.errors import KaitoError
from kaito_components.presets.model import Preset
from kaito_components.units import parse_bytes

_PACKAGE = Path(__file__).parents[1]
_NAMED = re.compile(r"^(?:model: (\S+)|aliases: \[(.*)\])$", re.MULTILINE)  # one line each, a test holds it

_WEIGHTS = re.compile(r'^weights: "?([\d.]+(?:[KMGT]i)?)"?$', re.MULTILINE)


def preset_names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


@cache
def load_preset(name: str) -> Preset:
    """The preset of that name or alias, or of that Hugging Face id; upper and lower case are the same, as for KAITO.

    Raises:
        KaitoError: there is none; the message names the nearest.
    """
    if found := shipped_preset(name):
        return found
    raise KaitoError(f"there is no preset {name!r}; {hint(name)}`kaito models` lists them")


def hint(name: str) -> str:
    """`"did you mean NAME? "`: one that goes on where this one ends, else one that looks like it; else empty."""
    start = name.lower().rsplit("/", 1)[-1]
    longer = [known for known in preset_names() if known.startswith(start)]
    near = longer or difflib.get_close_matches(start, preset_names(), n=1, cutoff=0.5)
    return f"did you mean {near[0]}? " if near else ""


def shipped_preset(name: str) -> Preset | None:
    """The preset of that name that comes with this package, if there is one."""
    path = file_of(name.lower(), shipped_folder())
    return read_file(path) if path else None


def file_of(name: str, folder: Path) -> Path | None:
    """The file in that folder whose stem, alias or Hugging Face id is `name`, in lower case."""
    path = folder / f"{name}.yaml"
    if "/" not in name and path.is_file():
        return path
    return names_in(folder).get(name)


@cache
def presets_by_weight() -> list[tuple[int, str]]:
    """(bytes of weights, name) of all presets, heaviest first. One line of each file tells."""
    texts = {name: (shipped_folder() / f"{name}.yaml").read_text() for name in preset_names()}
    found = [(_WEIGHTS.search(text), name) for name, text in texts.items()]
    return sorted(((parse_bytes(line[1]), name) for line, name in found if line), reverse=True)


@cache
def tunable_presets() -> list[str]:
    """The names of the presets that can be tuned."""
    texts = {name: (shipped_folder() / f"{name}.yaml").read_text() for name in preset_names()}
    return [name for name, text in texts.items() if re.search("^tuning:", text, re.MULTILINE)]


def shipped_folder() -> Path:
    """Where the presets of this package are."""
    inside = _PACKAGE / "model_presets"
    return inside if inside.is_dir() else _PACKAGE.parent / "presets"


@cache
def read_file(path: Path) -> Preset:
    """The preset in that file.

    Raises:
        KaitoError: the file is not a preset; the message says file and fields.
    """
    from kaito_components.presets.schema import parse  # pydantic and YAML, not wanted at import

    return parse(path)


@cache
def names_in(folder: Path) -> dict[str, Path]:
    """Stems, aliases and Hugging Face ids -> file. Two lines tell; parsing all files takes a hundred times as long."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        for model, aliases in _NAMED.findall(path.read_text(encoding="utf-8", errors="replace")):
            for name in filter(None, (path.stem, model, *aliases.split(","))):
                found.setdefault(name.strip().lower(), path)
    return found
