"""What containers' logs add to what the API server says of a Workspace. Called by waiting, cli.status and cli.events.

Logs help and are never needed: where one cannot be had, what is known without it is shown.
"""

from contextlib import suppress
from dataclasses import replace

from kaito_components.errors import ClusterError
from kaito_components.live.cluster import Cluster
from kaito_components.live.diagnosis import LastWords, Trouble
from kaito_components.live.status import StatusRow
from kaito_components.live.tuning_progress import TuningProgress, progress_of

LAST_LINES = 8
LINES_OF_PROGRESS = 40  # one a step, with others in between


def last_lines(cluster: Cluster, namespace: str, where: LastWords, count: int = LAST_LINES) -> tuple[str, ...]:
    """The end of a container's log; empty if it cannot be had."""
    lines: list[str] = []
    with suppress(ClusterError):
        lines += cluster.log(namespace, where.pod, where.container, count, previous=where.previous)
    return tuple(lines)


def tuning_progress(cluster: Cluster, namespace: str, where: LastWords | None) -> TuningProgress | None:
    """How far the Job is whose container that is."""
    return progress_of(last_lines(cluster, namespace, where, LINES_OF_PROGRESS)) if where else None


def told(cluster: Cluster, row: StatusRow) -> StatusRow:
    """The row with how far its tuning Job is, and with the last words of what failed."""
    troubles = tuple(_told(cluster, row.namespace, trouble) for trouble in row.troubles)
    return replace(row, troubles=troubles, progress=tuning_progress(cluster, row.namespace, row.tuning_log))


def _told(cluster: Cluster, namespace: str, trouble: Trouble) -> Trouble:
    if not trouble.last_words:
        return trouble
    return replace(trouble, log=last_lines(cluster, namespace, trouble.last_words))
