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
    with live(kubeconfig, context) as cluster:
        from kaito_components.cli.workspace_pods import newest_pod, tunes_now
        from kaito_components.live.cluster import default_namespace

        inside = namespace or default_namespace(kubeconfig, context)
        of_job = tunes_now(cluster, inside, name) if tuning is None else tuning
        pod, container = newest_pod(cluster, inside, name, of_job)
        for line in cluster.log(inside, pod, container, tail, follow):
            print(line, flush=True)
