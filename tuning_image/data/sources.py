"""What `--data` names → files on this disk. Called by data.loading.

`PATH_OR_URL#sha256=HEX&weight=2`: the checksum is compared, the weight says how often its rows count. `hf://` is the
Hugging Face Hub.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from tuning_image.data import download, hub
from tuning_image.data.rows import FORMATS
from tuning_image.errors import UserError


@dataclass(frozen=True)
class Source:
    """One `--data`, taken apart."""

    place: str
    sha256: str | None = None
    weight: float = 1.0


def parse(text: str) -> Source:
    """`PLACE#sha256=…&weight=…` → Source.

    Raises:
        UserError: If an option is not known or a weight is no positive number.
    """
    place, _, fragment = text.partition("#")
    options = dict(parse_qsl(fragment, keep_blank_values=True))
    if unknown := set(options) - {"sha256", "weight"}:
        raise UserError(f"--data {text}: #{', '.join(sorted(unknown))} is not known; there are sha256 and weight")
    try:
        weight = float(options.get("weight", "1"))
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(f"--data {text}: weight must be a number above 0")
    return Source(place, options.get("sha256"), weight)


def shown(place: str) -> str:
    """A place without the login and the query of its address."""
    return download.shown(place) if "://" in place else place


def files(source: Source, cache: Path, wanted: str | None, allow_private: bool) -> Sequence[Path]:
    """The data files of a source, by name; a URL is fetched first.

    Raises:
        UserError: If there is none.
    """
    if source.place.startswith(hub.PREFIX):
        path = hub.fetch(source.place, cache)
    elif "://" in source.place:
        return [download.fetch(source.place, cache, source.sha256, allow_private)]
    else:
        path = Path(source.place)
    if wanted:
        path = path / wanted
    if path.is_file():
        download.check_sha256(path, source.sha256, source.place)
        return [path]
    if not path.is_dir():
        raise UserError(f"--data {path}: there is no such file or folder")
    if source.sha256:
        raise UserError(f"--data {path}: is a folder, and #sha256 is of one file; name the file")
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in FORMATS and p.is_file())
    found = [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]
    if not found:
        raise UserError(f"--data {path}: no file ends with {', '.join(sorted(FORMATS))}")
    return found
