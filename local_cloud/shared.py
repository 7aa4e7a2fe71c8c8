"""An instance for several processes that know nothing of each other. Called by tests/conftest.py."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from local_cloud.cache import cache_root
from local_cloud.instance import Instance


@contextmanager
def shared_instance(name: str) -> Iterator[Instance]:
    """The first user starts the instance afresh, the last one ends it.

    Each user holds a shared lock, which the kernel drops with the process: a killed user leaves no count behind.
    Starting and ending happen behind a second lock.
    """
    instance = Instance(name)
    locks = cache_root() / "instances"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f".{name}.users").open("w") as users, (locks / f".{name}.gate").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if _nobody_else_holds(users):
            instance.down()
        fcntl.flock(users, fcntl.LOCK_SH)
        instance.up()
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield instance
        finally:
            fcntl.flock(gate, fcntl.LOCK_EX)
            if _nobody_else_holds(users):
                instance.down()


def _nobody_else_holds(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
