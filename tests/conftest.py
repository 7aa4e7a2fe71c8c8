"""Local clouds for tests: `cloud` is one for all, `own_cloud` one for a test that breaks it."""

import fcntl
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_cloud.cache import cache_root
from local_cloud.instance import Instance
from local_cloud.nodes import core_api

CHECKOUT = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]
SHARED = f"test-{CHECKOUT}"


@contextmanager
def shared_instance(name: str) -> Iterator[Instance]:
    """An instance for every process that asks: the first one starts it afresh, the last one ends it.

    Each user holds a shared lock, which the kernel drops with the process, so a killed test run leaves no count
    behind. Starting and ending happen behind a second lock.
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


def _nobody_else_holds(users: object) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except BlockingIOError:
        return False
    return True


@pytest.fixture(scope="session")
def cloud() -> Iterator[Instance]:
    """A running local cloud, shared by all tests: leave it as you found it."""
    with shared_instance(SHARED) as instance:
        yield instance


@pytest.fixture
def own_cloud() -> Iterator[Instance]:
    """A running local cloud of the test's own."""
    instance = Instance(f"test-{uuid.uuid4().hex[:12]}")
    try:
        instance.up()
        yield instance
    finally:
        instance.down()


@pytest.fixture
def namespace(cloud: Instance) -> Iterator[str]:
    """A new namespace of the shared cloud; its deletion goes on in the background."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    with core_api(cloud.kubeconfig) as api:
        api.create_namespace({"metadata": {"name": name}})
        yield name
        api.delete_namespace(name)
