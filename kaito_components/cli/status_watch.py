"""`kaito status --watch`: a line for each change, and how far tuning Jobs are. Called by status."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from kaito_components.cli.overview import queries, rows
from kaito_components.cli.status_text import Format, Table, as_json, progress_lines, trouble_lines
from kaito_components.live.cluster import Cluster, Watches
from kaito_components.live.logs import told
from kaito_components.live.status import StatusRow
from kaito_components.live.tuning_progress import TuningProgress

SECONDS_BETWEEN_LOGS = 5.0  # between two looks into the log of a Job that trains
SECONDS_OF_SILENCE = 60.0
Key = tuple[str, str]


def watch_rows(cluster: Cluster, namespace: str | None, names: Sequence[str], format: Format) -> NoReturn:
    """Until it is interrupted. Raises ClusterError if the cluster does not answer at first."""
    screen = _Screen(cluster, with_namespace=namespace is None, format=format)
    with Watches(cluster, queries(namespace)) as watches:
        while True:
            watches.wait(SECONDS_BETWEEN_LOGS if screen.trains else SECONDS_OF_SILENCE)
            if watches.problem and not watches.is_complete:
                raise watches.problem
            if watches.is_complete and not watches.problem:
                screen.show(rows(watches.objects, names), time.monotonic())


class _Screen:
    """What has been printed, so that only what is new follows."""

    def __init__(self, cluster: Cluster, with_namespace: bool, format: Format) -> None:
        self._cluster, self._with_namespace, self._format = cluster, with_namespace, format
        self._printed: dict[Key, Any] = {}
        self._progress: dict[Key, TuningProgress | None] = {}
        self._table: Table | None = None
        self._looked = float("-inf")
        self.trains = False  # whether a log tells more from time to time

    def show(self, found: Sequence[StatusRow], now: float) -> None:
        """Prints the rows that changed, and how far Jobs are that trained on."""
        changed = [told(self._cluster, row) for row in found if self._printed.get(_key(row)) != _appearance(row)]
        for key in self._printed.keys() - set(map(_key, found)):
            print(f"Workspace {'/'.join(key)} is gone", file=sys.stderr)
        self._printed = {_key(row): _appearance(row) for row in found}
        if changed:
            self._print(changed, found)
        self.trains = any(row.tuning_log for row in found)
        if self.trains and now - self._looked >= SECONDS_BETWEEN_LOGS:
            self._looked = now
            self._show_progress([row for row in found if row.tuning_log])

    def _print(self, changed: Sequence[StatusRow], found: Sequence[StatusRow]) -> None:
        self._progress |= {_key(row): row.progress for row in changed}
        if self._format is Format.json:
            print(*(json.dumps(as_json(row)) for row in changed), sep="\n", flush=True)
            return
        with_header = self._table is None or not self._table.fits(changed)
        if with_header or not self._table:
            self._table = Table(found, self._with_namespace)
        lines = self._table.lines(changed, with_header=with_header)
        print("\n".join([*lines, *progress_lines(changed), *trouble_lines(changed)]), flush=True)

    def _show_progress(self, training: Sequence[StatusRow]) -> None:
        for row in training:
            now = told(self._cluster, row)
            if now.progress is None or now.progress == self._progress.get(_key(row)):
                continue
            self._progress[_key(row)] = now.progress
            is_json = self._format is Format.json
            print(json.dumps(as_json(now)) if is_json else "\n".join(progress_lines([now])), flush=True)


def _key(row: StatusRow) -> Key:
    return row.namespace, row.name


def _appearance(row: StatusRow) -> tuple[Any, ...]:
    """What of a row is worth a new line when it changes."""
    reasons = tuple(trouble.key for trouble in row.troubles)
    return row.resource_ready, row.inference_ready, row.job_started, row.workspace_ready, row.created, reasons
