"""Collections that are kept up to date: list, watch, and again when a watch ends or the API server was away.

Used by `waiting` and `kaito status --watch`.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self

from kaito_components.errors import ClusterError
from kaito_components.live.cluster.client import Cluster, Expired, Listing, Query, Stream
from kaito_components.live.snapshot import Object, uid_of

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


class _News(NamedTuple):
    """What a thread has to say: the whole collection, one change of it, or why there is nothing."""

    name: str
    what: Listing | tuple[str, Object] | Exception


class Watches:
    """Several collections of one cluster, each watched by a thread of its own.

    Use as a context manager; call `wait`, then look at `objects`, `problem` and `is_complete`.
    """

    def __init__(self, cluster: Cluster, queries: Mapping[str, Query]) -> None:
        self._cluster, self._queries = cluster, queries
        self._news: SimpleQueue[_News] = SimpleQueue()
        self._ending = threading.Event()
        self._streams: dict[str, Stream] = {}
        self._objects: dict[str, dict[str, Object]] = {}
        self._problems: dict[str, ClusterError] = {}

    def __enter__(self) -> Self:
        for name, query in self._queries.items():
            threading.Thread(target=self._follow, args=(name, query), name=f"watch-{name}", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ending.set()
        for stream in list(self._streams.values()):
            stream.stop()

    @property
    def is_complete(self) -> bool:
        """Whether every collection has been seen once."""
        return self._objects.keys() == self._queries.keys()

    @property
    def problem(self) -> ClusterError | None:
        """Why what `objects` holds may be old; None: it is as the server says."""
        return next(iter(self._problems.values()), None)

    def objects(self, name: str) -> tuple[Object, ...]:
        """The collection as last seen; empty if it was not."""
        return tuple(self._objects.get(name, {}).values())

    def wait(self, seconds: float) -> bool:
        """Takes in what is new, waiting at most that long for it. False: nothing was."""
        try:
            news = self._news.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        self._take(news)
        while not self._news.empty():
            self._take(self._news.get())
        return True

    def _take(self, news: _News) -> None:
        match news.what:
            case ClusterError() as problem:
                self._problems[news.name] = problem
            case Exception() as error:
                raise error
            case Listing(items, _):
                self._problems.pop(news.name, None)
                self._objects[news.name] = {uid_of(item): item for item in items}
            case ("DELETED", item):
                self._objects[news.name].pop(uid_of(item), None)
            case (_, item):
                self._objects[news.name][uid_of(item)] = item

    def _follow(self, name: str, query: Query) -> None:
        """Runs in a thread of its own until the end."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                self._follow_once(name, query)
            except ClusterError as problem:
                self._news.put(_News(name, problem))
                self._renew(problem)
            except Exception as error:
                self._news.put(_News(name, error))
                return
            pause = FIRST_PAUSE if time.monotonic() - started > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._ending.wait(pause)

    def _renew(self, problem: ClusterError) -> None:
        if isinstance(problem, Expired):
            with suppress(ClusterError):
                self._cluster.renew_credentials()

    def _follow_once(self, name: str, query: Query) -> None:
        listing = self._cluster.get(query)
        self._news.put(_News(name, listing))
        stream = self._streams[name] = self._cluster.watch(query, listing.version)
        if self._ending.is_set():
            stream.stop()
        for change in stream:
            self._news.put(_News(name, change))
