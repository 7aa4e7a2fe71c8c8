"""`kaito status`: how the Workspaces in the cluster are, as KAITO's table."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kaito_components.cli.status_text import Format, Table, as_json, progress_lines, set_lines, trouble_lines
from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live

if TYPE_CHECKING:
    from kaito_components.live.cluster import Cluster


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
        where = None if all_namespaces else inside
        if watch:
            from kaito_components.cli.status_watch import watch_rows

            watch_rows(cluster, where, names or [], format)
        raise typer.Exit(_show_once(cluster, where, names or [], format))


def _show_once(cluster: "Cluster", namespace: str | None, names: Sequence[str], format: Format) -> int:
    from kaito_components.cli.overview import fetched, rows
    from kaito_components.live.logs import told

    found = [told(cluster, row) for row in rows(fetched(cluster, namespace), names)]
    if format is Format.json:
        print(json.dumps([as_json(row) for row in found], indent=2))
    elif found:
        table = Table(found, with_namespace=namespace is None).lines(found)
        whole = [row for row in found if not names or row.inference_set in names]
        sets = set_lines(whole, with_namespace=namespace is None)
        print("\n".join([*table, *sets, *progress_lines(found), *trouble_lines(found)]))
    missing = [name for name in names if not any(name in (row.name, row.inference_set) for row in found)]
    where = f"namespace {namespace}" if namespace else "any namespace"
    for name in missing:
        print(f"error: there is no Workspace {name!r} in {where}", file=sys.stderr)
    if not found and not missing:
        print(f"There are no Workspaces in {where}.", file=sys.stderr)
    return 1 if missing else 0
