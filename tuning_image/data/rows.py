"""Rows of a data file, whatever its format, one at a time. Called by data.loading.

A file that is not what its name says ends the run with a named reason; a row that cannot be read becomes a BadRow.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning_image.errors import UserError

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".arrow": "arrow",
}
MAX_ROW_BYTES = 10_000_000  # a chat of 2.5 million tokens is a mistake in the file, not a chat
BATCH_ROWS = 256


@dataclass(frozen=True)
class Row:
    """One row; `number` counts from 1."""

    file: str
    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    number: int
    reason: str


def read(path: Path, extension: str | None = None) -> Iterator[Row | BadRow]:
    """All rows of a file.

    Raises:
        UserError: If the file is empty, is HTML, is in another encoding or is not what its name says.
    """
    kind = extension or FORMATS.get(path.suffix.lower(), "")
    if not kind:
        raise UserError(f"{path}: its format is not known; rename it or set DatasetConfig.dataset_extension")
    _check_start(path, kind)
    try:
        yield from _READERS[kind](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start} of a read is 0x{error.object[error.start]:02x}); "
                        "convert it: iconv -f LATIN1 -t UTF-8") from None  # fmt: skip
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV file: {error}") from None


def _check_start(path: Path, kind: str) -> None:
    with path.open("rb") as file:
        start = file.read(512)
    if not start.strip():
        raise UserError(f"{path}: the file is empty")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UserError(f"{path}: is an HTML or XML page, not {kind}: the address led to a login or error page")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: is a Git LFS pointer, not the data; run git lfs pull where it comes from")
    if kind == "parquet" and not start.startswith(b"PAR1"):
        raise UserError(f"{path}: is not a parquet file: it does not begin with PAR1")


def _row(path: Path, number: int, values: Any, length: int) -> Row | BadRow:
    if length > MAX_ROW_BYTES:
        return BadRow(str(path), number, f"is {length / 1e6:.1f} MB; the limit is {MAX_ROW_BYTES / 1e6:.0f} MB")
    if not isinstance(values, dict):
        return BadRow(str(path), number, f"is {type(values).__name__}, must be an object with named fields")
    return Row(str(path), number, values)


def _jsonl(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if not text:
                continue
            if len(text) > MAX_ROW_BYTES:
                yield _row(path, number, {}, len(text))
                continue
            try:
                yield _row(path, number, json.loads(text.decode("utf-8")), len(text))
            except json.JSONDecodeError as error:
                yield BadRow(str(path), number, f"is not JSON: {error.msg} at character {error.pos}")
            except RecursionError:
                yield BadRow(str(path), number, "is nested too deeply")
            except UnicodeDecodeError:  # the file's encoding, told by read
                raise
            except ValueError as error:  # Python's own limit on the digits of a number
                yield BadRow(str(path), number, f"cannot be read: {error}")


def _json(path: Path) -> Iterator[Row | BadRow]:
    content = path.read_bytes().decode("utf-8-sig")
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:  # JSON lines under the name .json
            yield from _jsonl(path)
            return
        raise UserError(f"{path}: is not JSON: {error}") from None
    except (RecursionError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else [document]
    for number, values in enumerate(document, 1):
        yield _row(path, number, values, len(json.dumps(values)) if len(content) > MAX_ROW_BYTES else 0)


def _csv(path: Path) -> Iterator[Row | BadRow]:
    csv.field_size_limit(2 * MAX_ROW_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, values in enumerate(csv.DictReader(file, strict=True), 1):
            if None in values or None in values.values():
                yield BadRow(str(path), number, "has more or fewer fields than the header")
                continue
            yield _row(path, number, values, sum(len(value) for value in values.values()))


def _columnar(path: Path) -> Iterator[Row | BadRow]:
    import pyarrow as pa

    try:
        number = 0
        for batch in _batches(path):
            for values in batch.to_pylist():
                number += 1
                yield _row(path, number, values, _length(values))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".arrow":
        yield from pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS)
        return
    with pa.memory_map(str(path)) as source:
        try:
            yield from pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            table = pa.ipc.open_file(source)
            yield from (table.get_batch(i) for i in range(table.num_record_batches))


def _length(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_length(part) for part in value.values())
    if isinstance(value, list):
        return sum(_length(part) for part in value)
    return len(value) if isinstance(value, (str, bytes)) else 8


_READERS = {"parquet": _columnar, "arrow": _columnar, "jsonl": _jsonl, "json": _json, "csv": _csv}
