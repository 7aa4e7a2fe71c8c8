"""A mocked engine for each test, once at preview and once at up."""

from collections.abc import Iterator

import pulumi
import pytest

from tests.unit.components.mocked_engine import Cloud, Mocked


@pytest.fixture(params=[True, False], ids=["preview", "up"])
def mocked(request: pytest.FixtureRequest) -> Iterator[Mocked]:
    """At preview and at up: what the cloud computes is unknown at preview."""
    yield Mocked(Cloud(request.param))
    pulumi.runtime.set_all_config({})
