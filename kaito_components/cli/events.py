"""`kaito events [NAME]...`: what went wrong with Workspaces, in one place."""

from typing import TYPE_CHECKING, Annotated

import typer

from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live

if TYPE_CHECKING:
    from kaito_components.live.snapshot import Object


def events(
    names: Annotated[list[str] | None, typer.Argument(help="Workspaces; none: all", metavar="NAME")] = None,
    namespace: NAMESPACE = None,
    kubeconfig: KUBECONFIG = None,
    context: CONTEXT = None,
) -> None:
    """Print what is wrong with Workspaces now, and the warnings of Kubernetes about their pods, workloads and nodes."""
    with live(kubeconfig, context) as cluster:
        from kaito_components.cli.overview import queries, rows, warnings
        from kaito_components.live.cluster import default_namespace

        inside = namespace or default_namespace(kubeconfig, context)
        seen = {name: cluster.get(query).items for name, query in queries(inside).items()}
        found = rows(seen.__getitem__, names or [])
        lines = [f"{row.name}: {trouble}" for row in found for trouble in row.troubles]
        lines += [_line(workspace, event) for workspace, event in warnings(seen.__getitem__, names or [])]
        print("\n".join(lines) or "Nothing is wrong.")


def _line(workspace: str, event: "Object") -> str:
    about, count = event.get("involvedObject") or {}, int(event.get("count") or 1)
    last = event.get("lastTimestamp") or event.get("eventTime") or ""
    text = f"{workspace}: {last} {about.get('kind')} {about.get('name')}: {event.get('reason')}: {event.get('message')}"
    return f"{text} ({count} times)" if count > 1 else text
