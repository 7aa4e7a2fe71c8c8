"""The options by which the commands about a live cluster find it. Used by status, chat, logs and events."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaito_components.errors import ClusterError

if TYPE_CHECKING:
    from kaito_components.live.cluster import Cluster

NAMESPACE = Annotated[str | None, typer.Option("-n", "--namespace", help="the context's by default")]
KUBECONFIG = Annotated[Path | None, typer.Option(help="as kubectl's: KUBECONFIG or ~/.kube/config by default")]
CONTEXT = Annotated[str | None, typer.Option(help="the kubeconfig's current one by default")]


@contextmanager
def live(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Iterator[tuple["Cluster", str]]:
    """The cluster, and the namespace that is meant.

    What goes wrong with the cluster is printed, and is exit code 1. An interruption is 130.
    """
    from kaito_components.live.cluster import Cluster, default_namespace

    try:
        cluster = Cluster.from_files(kubeconfig, context)
        try:
            yield cluster, namespace or default_namespace(kubeconfig, context)
        finally:
            cluster.close()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
