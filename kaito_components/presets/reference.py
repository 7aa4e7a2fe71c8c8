"""The tables of docs/presets.md, made from the schema, the licences and the presets.

`python -m kaito_components.presets.reference docs/presets.md` writes them between that file's marks, where a test
holds them up to date.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kaito_components.presets.licenses import known_licenses
from kaito_components.presets.lookup import load_preset, preset_names
from kaito_components.presets.schema import PresetFile, TuningPart
from kaito_components.presets.sources import SOURCES

Row = tuple[str, ...]

_MARKED = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SAID = {True: "yes", False: "no", None: "not known"}


def with_tables(text: str) -> str:
    """The text with every table between its marks made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2])}{found[3]}", text)


def _table(name: str) -> str:
    match name:
        case "fields":
            return _markdown(("Field", "Meaning"), _fields())
        case "sources":
            return _markdown(("Short name", "What it is"), [(f"`{name}`", what) for name, what in SOURCES.items()])
        case "licenses":
            return _markdown(("Licence", "Pass on", "Commercial use", "Keep", "Source"), _licenses())
        case "presets":
            return _markdown(("Preset", "Also", "Hugging Face"), _presets())
    raise ValueError(f"there is no table {name}")


def _markdown(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _fields() -> Iterator[Row]:
    for shape, path in ((PresetFile, ""), (TuningPart, "tuning.")):
        for name, field in shape.model_fields.items():
            needed = " (needed)" if field.is_required() else ""
            yield f"`{path}{name}`{needed}", str(field.description)


def _licenses() -> Iterator[Row]:
    for one in known_licenses():
        yield f"`{one.name}`", _SAID[one.redistributable], _SAID[one.commercial], one.terms, one.source


def _presets() -> Iterator[Row]:
    for preset in map(load_preset, preset_names()):
        yield f"`{preset.name}`", ", ".join(f"`{alias}`" for alias in preset.aliases), preset.model


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        file.write_text(with_tables(file.read_text()))
