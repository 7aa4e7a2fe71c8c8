"""How the text of one setting becomes its value. Called by settings; a ValueError says what would be right."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SIZE = re.compile(r"(\d+)\s*(Ki|Mi|Gi|)B?")
_FACTORS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class AdapterSpec:
    """A LoRA adapter to load at start."""

    name: str
    folder: Path
    strength: float = 1.0


def text(value: str) -> str:
    """Anything but nothing."""
    if not value.strip():
        raise ValueError("is empty")
    return value


def whole(value: str) -> int:
    """1, 2, 3..."""
    number = nonnegative(value)
    if number < 1:
        raise ValueError("is not a whole number from 1 on")
    return number


def nonnegative(value: str) -> int:
    """0, 1, 2..."""
    if not re.fullmatch(r"\d+", value):
        raise ValueError("is not a whole number from 0 on")
    return int(value)


def optional_whole(value: str) -> int:
    """As `whole`, for a setting whose default is none."""
    return whole(value)


def port(value: str) -> int:
    """A TCP port; 0 lets the system choose one, which the log then names."""
    number = nonnegative(value)
    if number > 65535:
        raise ValueError("is not a port: 0 to 65535")
    return number


def seconds(value: str) -> float:
    """0 or more, with a fraction if need be."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number of seconds") from None
    if not 0 <= number < 1e9:
        raise ValueError("is not a number of seconds from 0 on")
    return number


def optional_bytes(value: str) -> int:
    """`1073741824`, `1Gi`, `512MiB`."""
    found = _SIZE.fullmatch(value.strip())
    if not found or not int(found[1]):
        raise ValueError("is not a size: a whole number of bytes, or with Ki, Mi or Gi")
    return int(found[1]) * _FACTORS[found[2]]


def optional_path(value: str) -> Path:
    """A file that exists."""
    path = Path(text(value))
    if not path.is_file():
        raise ValueError("is not a file that exists")
    return path


def url(value: str) -> str:
    """A whole URL of HTTP, without a password: it stands in the log."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        raise ValueError("is not a whole URL such as http://collector:4318/v1/traces")
    if parts.username or parts.password:
        raise ValueError("holds a password; headers belong into OTEL_EXPORTER_OTLP_TRACES_HEADERS")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"is none of {', '.join(word for word in allowed if word)}")
        return value

    return parse


def adapters(value: str) -> tuple[AdapterSpec, ...]:
    """NAME=FOLDER[:STRENGTH], one a line."""
    found = tuple(_adapter(line) for line in value.splitlines() if line.strip())
    names = [adapter.name for adapter in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"names {', '.join(sorted(twice))} twice")
    return found


def _adapter(value: str) -> AdapterSpec:
    name, _, rest = value.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not rest:
        raise ValueError("is not NAME=FOLDER[:STRENGTH], with a name of letters, digits, '.', '_' and '-'")
    folder, colon, strength = rest.rpartition(":")
    if not colon:
        return AdapterSpec(name, Path(rest))
    try:
        number = float(strength)
    except ValueError:
        raise ValueError(f"has a strength {strength!r} that is no number") from None
    if not 0 <= number <= 100:
        raise ValueError(f"has a strength {strength!r} that is not between 0 and 100")
    return AdapterSpec(name, Path(folder), number)
