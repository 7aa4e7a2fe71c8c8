"""Processes for dynamic providers: one for the tests that leave it as it is, one for each that does not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dynamic_process import DynamicProcess


@pytest.fixture(scope="module")
def process() -> Iterator[DynamicProcess]:
    started = DynamicProcess()
    yield started
    started.end()


@pytest.fixture
def own_process() -> Iterator[DynamicProcess]:
    started = DynamicProcess()
    yield started
    started.end()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Calls at the same time, as the engine makes them."""
    with ThreadPoolExecutor(max_workers=64) as calls:
        yield calls
