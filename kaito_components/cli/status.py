"""`kaito status`: how the Workspaces in the cluster are, as KAITO's table."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaito_components.errors import ClusterError

if TYPE_CHECKING:
    from kaito_components.live.cluster import Cluster
    from kaito_components.live.status import StatusRow

GAP = 3  # columns are apart by as much as kubectl's


class Format(StrEnum):
    """How the status is printed."""

    text = "text"
    json = "json"


def status(
    names: Annotated[list[str] | None, typer.Argument(help="Workspaces; none: all", metavar="NAME")] = None,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="the context's by default")] = None,
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="of all namespaces")] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="go on, with a line for each change")] = False,
    format: Annotated[Format, typer.Option(help="text or json")] = Format.text,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="as kubectl's: KUBECONFIG or ~/.kube/config by default")
    ] = None,
    context: Annotated[str | None, typer.Option(help="the kubeconfig's current one by default")] = None,
) -> None:
    """Say how the Workspaces in the cluster are."""
    from kaito_components.live.cluster import Cluster, default_namespace

    if namespace and all_namespaces:
        raise typer.BadParameter("choose one of --namespace and --all-namespaces")
    try:
        cluster = Cluster.from_files(kubeconfig, context)
        inside = None if all_namespaces else namespace or default_namespace(kubeconfig, context)
        show = _watch if watch else _show_once
        raise typer.Exit(show(cluster, inside, names or [], format))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _show_once(cluster: "Cluster", namespace: str | None, names: Sequence[str], format: Format) -> int:
    from kaito_components.cli.overview import queries, rows

    seen = {name: cluster.get(query).items for name, query in queries(namespace).items()}
    cluster.close()
    found = rows(seen.__getitem__, names)
    if format is Format.json:
        print(json.dumps([as_json(row) for row in found], indent=2))
    elif found:
        print("\n".join([*Table(found, with_namespace=namespace is None).lines(found), *_trouble_lines(found)]))
    missing = [name for name in names if name not in {row.name for row in found}]
    where = f"namespace {namespace}" if namespace else "any namespace"
    for name in missing:
        print(f"error: there is no Workspace {name!r} in {where}", file=sys.stderr)
    if not found and not missing:
        print(f"There are no Workspaces in {where}.", file=sys.stderr)
    return 1 if missing else 0


def _watch(cluster: "Cluster", namespace: str | None, names: Sequence[str], format: Format) -> int:
    """Until it is interrupted. Raises ClusterError if the cluster does not answer at first."""
    from kaito_components.cli.overview import queries, rows
    from kaito_components.live.cluster import Watches

    printed: dict[tuple[str, str], Any] = {}
    table: Table | None = None
    with Watches(cluster, queries(namespace)) as watches:
        while True:
            watches.wait(60)
            if watches.problem and not watches.is_complete:
                raise watches.problem
            if not watches.is_complete or watches.problem:
                continue
            found = rows(watches.objects, names)
            changed = [row for row in found if printed.get((row.namespace, row.name)) != _appearance(row)]
            for key in printed.keys() - {(row.namespace, row.name) for row in found}:
                print(f"Workspace {'/'.join(key)} is gone", file=sys.stderr)
            printed = {(row.namespace, row.name): _appearance(row) for row in found}
            if format is Format.json:
                print(*(json.dumps(as_json(row)) for row in changed), sep="\n", end="\n" if changed else "", flush=True)
            elif changed:
                with_header = table is None or not table.fits(changed)
                table = Table(found, with_namespace=namespace is None) if with_header or not table else table
                lines = table.lines(changed, with_header=with_header)
                print("\n".join([*lines, *_trouble_lines(changed)]), flush=True)


def _appearance(row: "StatusRow") -> tuple[Any, ...]:
    """What of a row is worth a new line when it changes."""
    reasons = tuple(trouble.key for trouble in row.troubles)
    return row.resource_ready, row.inference_ready, row.job_started, row.workspace_ready, row.created, reasons


class Table:
    """kubectl-like columns, as wide as the first rows need."""

    def __init__(self, found: Sequence["StatusRow"], with_namespace: bool) -> None:
        self._with_namespace = with_namespace
        self._with_jobs = any(row.job_started is not None for row in found)
        cells = [self._header(), *(self._cells(row) for row in found)]
        self._widths = [max(map(len, column)) + GAP for column in zip(*cells, strict=True)]

    def fits(self, found: Sequence["StatusRow"]) -> bool:
        """Whether the columns are enough for these rows."""
        return self._with_jobs or all(row.job_started is None for row in found)

    def lines(self, found: Sequence["StatusRow"], with_header: bool = True) -> list[str]:
        cells = [*([self._header()] if with_header else []), *(self._cells(row) for row in found)]
        return [self._line(line) for line in cells]

    def _line(self, cells: Sequence[str]) -> str:
        return "".join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)).rstrip()

    def _header(self) -> list[str]:
        job = ["JOBSTARTED"] if self._with_jobs else []
        own = ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", *job, "WORKSPACEREADY", "AGE"]
        return ["NAMESPACE", *own] if self._with_namespace else own

    def _cells(self, row: "StatusRow") -> list[str]:
        job = [_word(row.job_started)] if self._with_jobs else []
        own = [
            row.name, row.instance or "-", _word(row.resource_ready), _word(row.inference_ready), *job,
            _word(row.workspace_ready), human(age_seconds(row)),
        ]  # fmt: skip
        return [row.namespace, *own] if self._with_namespace else own


def _word(value: bool | None) -> str:
    return "-" if value is None else str(value)


def _trouble_lines(found: Sequence["StatusRow"]) -> list[str]:
    return [f"{row.name}: {trouble}" for row in found for trouble in row.troubles]


def as_json(row: "StatusRow") -> dict[str, Any]:
    """The row with the keys that scripts rely on."""
    troubles = [
        {"object": one.object, "reason": one.reason, "message": one.message, "wayOut": one.way_out}
        for one in row.troubles
    ]
    conditions = [condition.as_dict() for condition in row.conditions]
    more = {"createdAt": row.created, "ageSeconds": age_seconds(row), "conditions": conditions, "troubles": troubles}
    return {**row.as_dict(), **more}


def age_seconds(row: "StatusRow") -> int:
    return max(0, int((datetime.now(UTC) - datetime.fromisoformat(row.created)).total_seconds()))


def human(seconds: int) -> str:
    """An age as kubectl prints it: `45s`, `3m20s`, `2h5m`, `3d`. Source: k8s.io/apimachinery duration.HumanDuration."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d" if days < 730 else _two(days // 365, "y", days % 365, "d")


def _two(large: int, unit: str, small: int, smaller_unit: str) -> str:
    return f"{large}{unit}{small}{smaller_unit}" if small else f"{large}{unit}"
