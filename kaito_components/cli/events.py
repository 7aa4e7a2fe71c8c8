"""`kaito events [NAME]...`: what went wrong with Workspaces, in one place."""

from typing import TYPE_CHECKING, Annotated

import typer

from kaito_components.cli.status_text import trouble_lines
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
    with live(kubeconfig, context, namespace) as (cluster, inside):
        from kaito_components.cli.overview import fetched, rows, warnings
        from kaito_components.live.logs import told

        seen = fetched(cluster, inside)
        lines = trouble_lines([told(cluster, row) for row in rows(seen, names or [])])
        lines += [_line(workspace, event) for workspace, event in warnings(seen, names or [])]
        print("\n".join(lines) or "Nothing is wrong.")


def _line(workspace: str, event: "Object") -> str:
    about, count = event.get("involvedObject") or {}, int(event.get("count") or 1)
    last = event.get("lastTimestamp") or event.get("eventTime") or ""
    text = f"{workspace}: {last} {about.get('kind')} {about.get('name')}: {event.get('reason')}: {event.get('message')}"
    return f"{text} ({count} times)" if count > 1 else text
