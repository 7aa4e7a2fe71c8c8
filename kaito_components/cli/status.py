"""`kaito status`: how the Workspaces in the cluster are, as KAITO's table."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaito_components.cli.status_text import Table, as_json, set_lines, trouble_lines
from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live

if TYPE_CHECKING:
    from kaito_components.live.cluster import Cluster
    from kaito_components.live.status import StatusRow


class Format(StrEnum):
    """How the status is printed."""

    text = "text"
    json = "json"


def status(
    names: Annotated[
        list[str] | None, typer.Argument(help="Workspaces or InferenceSets; none: all", metavar="NAME")
    ] = None,
    namespace: NAMESPACE = None,
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="of all namespaces")] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="go on, with a line for each change")] = False,
    format: Annotated[Format, typer.Option(help="text or json")] = Format.text,
    kubeconfig: KUBECONFIG = None,
    context: CONTEXT = None,
) -> None:
    """Say how the Workspaces in the cluster are."""
    if namespace and all_namespaces:
        raise typer.BadParameter("choose one of --namespace and --all-namespaces")
    with live(kubeconfig, context, namespace) as (cluster, inside):
        show = _watch if watch else _show_once
        raise typer.Exit(show(cluster, None if all_namespaces else inside, names or [], format))


def _show_once(cluster: "Cluster", namespace: str | None, names: Sequence[str], format: Format) -> int:
    from kaito_components.cli.overview import fetched, rows

    found = rows(fetched(cluster, namespace), names)
    if format is Format.json:
        print(json.dumps([as_json(row) for row in found], indent=2))
    elif found:
        table = Table(found, with_namespace=namespace is None).lines(found)
        whole = [row for row in found if not names or row.inference_set in names]
        print("\n".join([*table, *set_lines(whole, with_namespace=namespace is None), *trouble_lines(found)]))
    missing = [name for name in names if not any(name in (row.name, row.inference_set) for row in found)]
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
                print("\n".join([*lines, *trouble_lines(changed)]), flush=True)


def _appearance(row: "StatusRow") -> tuple[Any, ...]:
    """What of a row is worth a new line when it changes."""
    reasons = tuple(trouble.key for trouble in row.troubles)
    return row.resource_ready, row.inference_ready, row.job_started, row.workspace_ready, row.created, reasons
