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
def live(kubeconfig: Path | None, context: str | None) -> Iterator["Cluster"]:
    """The cluster; what goes wrong with it is printed, and is exit code 1. An interruption is 130."""
    from kaito_components.live.cluster import Cluster

    try:
        cluster = Cluster.from_files(kubeconfig, context)
        try:
            yield cluster
        finally:
            cluster.close()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
