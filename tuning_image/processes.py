"""Processes that do one job together: where one fails, all end, and the cause is told once. Called by tuning.

However this process ends, the others end with it. SIGTERM is handed on to them, which then stop in their own way.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from tuning_image.errors import OutOfMemoryError, StoppedError, TryAgainError, TuningError, UserError

SECONDS_TO_EXPLAIN = 3.0  # after the first failure: the others may know the cause
SECONDS_TO_END = 60.0  # after all work is done: threads of libraries may never end
Told = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Which of the processes this one is, and the file through which they find each other."""

    rank: int
    count: int
    store: str


@dataclass
class _Worker:
    process: Any
    pipe: Any
    failure: TuningError | None = None

    @property
    def failed(self) -> bool:
        return self.process.exitcode not in (None, 0)


def together(work: Callable[..., None], count: int, arguments: Sequence[Any], told: Told) -> None:
    """Runs `work(place, told, *arguments)` in so many processes; what they tell is told here.

    Raises:
        TuningError: What one of them raised, or that one of them died.
    """
    workers: list[_Worker] = []
    with tempfile.TemporaryDirectory() as folder, _handing_on_sigterm(workers) as stopped:
        given = Path(folder, "arguments")
        given.write_bytes(pickle.dumps(arguments))
        try:
            for rank in range(count):
                workers.append(_start(work, Place(rank, count, f"{folder}/store"), given))
            if stopped:  # one may have been started after the signal was handed on
                _terminate(workers)
            first = _watch(workers, told)
        finally:  # whatever happens: Python waits for its processes when it ends, and they would for each other
            for worker in workers:
                worker.process.kill()
                worker.process.join()
    if first:
        raise _cause(workers, first, bool(stopped))


def _start(work: Callable[..., None], place: Place, given: Path) -> _Worker:
    """Takes no time: a process reads its arguments, and imports what they need, beside the others."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_run, args=(work, place, theirs, given), name=f"rank {place.rank}")
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _run(work: Callable[..., None], place: Place, pipe: Any, given: Path) -> None:
    """The life of one process. Only the first one talks to the log."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if place.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # for the life of the process
    try:
        work(place, pipe.send, *pickle.loads(given.read_bytes()))
    except TuningError as error:
        pipe.send(error)
        sys.exit(error.exit_code)
    finally:
        pipe.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _handing_on_sigterm(workers: Sequence[_Worker]) -> Iterator[list[int]]:
    """Yields the list of signals that came."""
    came: list[int] = []

    def hand_on(number: int, _: object) -> None:
        came.append(number)
        _terminate(workers)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()


def _watch(workers: Sequence[_Worker], told: Told) -> _Worker | None:
    """Until all have ended, or one has failed and the others had time to say why; the first that failed."""
    open_pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in workers}
    first, deadline = None, float("inf")
    while open_pipes and time.monotonic() < deadline:
        for ready in connection.wait(list(open_pipes), timeout=0.5):
            try:
                message: Any = ready.recv()  # type: ignore[union-attr, call-arg]  # only pipes are waited for
            except (EOFError, ConnectionResetError):
                _let_end(open_pipes.pop(ready))
                continue
            if isinstance(message, TuningError):
                open_pipes[ready].failure = message
            else:
                told(message)
        if first is None and (first := next((w for w in workers if w.failed or w.failure), None)):
            deadline = time.monotonic() + SECONDS_TO_EXPLAIN
    return first


def _let_end(worker: _Worker) -> None:
    """It has closed its pipe, so its work is done."""
    worker.process.join(SECONDS_TO_END)
    if worker.process.is_alive():
        worker.failure = worker.failure or TryAgainError(
            f"{worker.process.name}: its work was done, and it did not end"
        )
        worker.process.kill()
        worker.process.join()


def _cause(workers: Sequence[_Worker], first: _Worker, stopped: bool) -> TuningError:
    """What no retry mends comes first; a process that lost its neighbour says nothing of use."""
    failures = [worker.failure for worker in workers if worker.failure]
    for kind in (UserError, OutOfMemoryError, StoppedError, TuningError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    if stopped:
        return StoppedError("SIGTERM: stopped outside of training; the same command goes on")
    rank, code = workers.index(first), first.process.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return TryAgainError(f"process {rank + 1} of {len(workers)} {how}; the others were ended")
