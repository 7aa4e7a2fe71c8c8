"""`kaito logs NAME`: the log of a Workspace's server or tuning Job."""

from typing import Annotated

import typer

from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live


def logs(
    name: Annotated[str, typer.Argument(help="the Workspace")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on as lines come")] = False,
    tail: Annotated[int, typer.Option(min=0, help="how many lines at first")] = 100,
    tuning: Annotated[
        bool | None, typer.Option("--tuning/--serving", help="of the Job, or of the server; the newer by default")
    ] = None,
    namespace: NAMESPACE = None,
    kubeconfig: KUBECONFIG = None,
    context: CONTEXT = None,
) -> None:
    """Print the log of a Workspace: of its server, or of its tuning Job."""
    with live(kubeconfig, context, namespace) as (cluster, inside):
        from kaito_components.cli.workspace_pods import newest_pod

        pod, container = newest_pod(cluster, inside, name, tuning)
        for line in cluster.log(inside, pod, container, tail, follow=follow):
            print(line, flush=True)
