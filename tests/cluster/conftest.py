"""Workspaces without Pulumi in the shared local cloud, each with nodes of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from live_workspace import LiveWorkspace

from local_cloud.instance import Instance

MakeWorkspace = Callable[..., LiveWorkspace]


@pytest.fixture
def make_workspace(cloud: Instance, namespace: str) -> Iterator[MakeWorkspace]:
    """Makes a Workspace of the given kind, with nothing in the cluster yet."""
    made: list[LiveWorkspace] = []

    def make(kind: str = "Deployment") -> LiveWorkspace:
        made.append(LiveWorkspace(cloud, namespace, kind))
        return made[-1]

    yield make
    for workspace in made:
        workspace.remove()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """For waits that go on while the test changes the cluster."""
    with ThreadPoolExecutor(max_workers=4) as threads:
        yield threads
