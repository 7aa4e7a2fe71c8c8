"""One instance for several users: who starts it, who ends it."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cache import cache_root
from local_cloud.instance import Instance, instance_names
from local_cloud.shared import shared_instance

CHECKOUT = Path(__file__).parents[2]
USER = "from local_cloud.shared import shared_instance\nwith shared_instance({name!r}):\n    input()\n"
GUARDED = """
from local_cloud.guarded import guarded
from local_cloud.instance import Instance
with guarded(Instance({name!r})) as instance:
    instance.up()
    input()
"""


@pytest.fixture
def name() -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    Instance(name).down()
    for lock in (cache_root() / "instances").glob(f".{name}.*"):
        lock.unlink()


def other_user(name: str, program: str = USER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program.format(name=name)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_last_user_ends_what_the_first_has_started(name: str) -> None:
    with other_user(name) as other:
        assert other.stdout is not None
        assert "ready in" in other.stdout.readline()
        with shared_instance(name) as instance:
            before = instance.status().processes
            other.communicate("leave\n")
            assert instance.status().processes == before
    assert name not in instance_names()


def test_a_killed_user_counts_no_more_and_its_instance_is_started_afresh(name: str) -> None:
    with other_user(name) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
    left = Instance(name).status()
    with shared_instance(name) as instance:
        assert set(instance.status().processes.values()).isdisjoint(left.processes.values())
    assert name not in instance_names()


def test_a_guarded_instance_ends_when_its_user_is_killed(name: str) -> None:
    with other_user(name, GUARDED) as user:
        assert user.stdout is not None
        while "ready in" not in user.stdout.readline():
            assert user.poll() is None
        user.kill()
    deadline = time.monotonic() + 60
    while name in instance_names():
        assert time.monotonic() < deadline, "still there after a minute"
        time.sleep(0.1)
