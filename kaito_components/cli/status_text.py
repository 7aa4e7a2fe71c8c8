"""Workspaces and InferenceSets as tables of `kaito status`, and as JSON. Pure; called by status."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kaito_components.units import duration

if TYPE_CHECKING:
    from kaito_components.live.status import StatusRow


class Format(StrEnum):
    """How the status is printed."""

    text = "text"
    json = "json"


GAP = 3  # columns are apart by as much as kubectl's


class Table:
    """kubectl-like columns, as wide as the first rows need."""

    def __init__(self, found: Sequence["StatusRow"], with_namespace: bool) -> None:
        self._with_namespace = with_namespace
        self._with_jobs = any(row.job_started is not None for row in found)
        cells = [self._header(), *(self._cells(row) for row in found)]
        self._widths = _widths(cells)

    def fits(self, found: Sequence["StatusRow"]) -> bool:
        """Whether the columns are enough for these rows."""
        return self._with_jobs or all(row.job_started is None for row in found)

    def lines(self, found: Sequence["StatusRow"], with_header: bool = True) -> list[str]:
        cells = [*([self._header()] if with_header else []), *(self._cells(row) for row in found)]
        return [self._line(line) for line in cells]

    def _line(self, cells: Sequence[str]) -> str:
        return _line(cells, self._widths)

    def _header(self) -> list[str]:
        job = ["JOBSTARTED"] if self._with_jobs else []
        own = ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", *job, "WORKSPACEREADY", "AGE"]
        return ["NAMESPACE", *own] if self._with_namespace else own

    def _cells(self, row: "StatusRow") -> list[str]:
        job = [_word(row.job_started)] if self._with_jobs else []
        own = [
            row.name, row.instance or "-", _word(row.resource_ready), _word(row.inference_ready), *job,
            _word(row.workspace_ready), duration(age_seconds(row)),
        ]  # fmt: skip
        return [row.namespace, *own] if self._with_namespace else own


def set_lines(found: Sequence["StatusRow"], with_namespace: bool) -> list[str]:
    """KAITO's table of InferenceSets, below the Workspaces: how many replicas there are, and how many serve."""
    sets: dict[tuple[str, str], list[StatusRow]] = {}
    for row in found:
        if row.inference_set:
            sets.setdefault((row.namespace, row.inference_set), []).append(row)
    if not sets:
        return []
    cells = [["NAMESPACE", "INFERENCESET", "REPLICAS", "READYREPLICAS", "AGE"]]
    for (namespace, name), rows in sets.items():
        ready = sum(row.workspace_ready for row in rows)
        cells.append([namespace, name, str(len(rows)), str(ready), duration(max(map(age_seconds, rows)))])
    shown = [line if with_namespace else line[1:] for line in cells]
    return ["", *(_line(line, _widths(shown)) for line in shown)]


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) + GAP for column in zip(*cells, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _word(value: bool | None) -> str:
    return "-" if value is None else str(value)


def trouble_lines(found: Sequence["StatusRow"]) -> list[str]:
    """What is wrong, each with the end of the log that says more."""
    told = ((row, trouble) for row in found for trouble in row.troubles)
    return [line for row, one in told for line in (f"{row.name}: {one}", *(f"  | {said}" for said in one.log))]


def progress_lines(found: Sequence["StatusRow"]) -> list[str]:
    """How far tuning Jobs are."""
    return [f"{row.name}: {row.progress}" for row in found if row.progress]


def as_json(row: "StatusRow") -> dict[str, Any]:
    """The row with the keys that scripts rely on."""
    troubles = [
        {
            "object": one.object,
            "reason": one.reason,
            "message": one.message,
            "wayOut": one.way_out,
            "log": list(one.log),
        }
        for one in row.troubles
    ]
    conditions = [condition.as_dict() for condition in row.conditions]
    more = {"createdAt": row.created, "ageSeconds": age_seconds(row), "conditions": conditions, "troubles": troubles}
    return {**row.as_dict(), **({"progress": row.progress.as_dict()} if row.progress else {}), **more}


def age_seconds(row: "StatusRow") -> int:
    return max(0, int((datetime.now(UTC) - datetime.fromisoformat(row.created)).total_seconds()))
