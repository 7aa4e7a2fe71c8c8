"""One real server for all tests of a worker that leave it as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import tiny
from tests.serving.servers import Running, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The small real model in float32."""
    with running(tmp_path_factory.mktemp("server"), "--dtype", "float32") as started:
        yield started


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights."""
    return tiny.make(tmp_path_factory.mktemp("tiny") / "tiny")


def pytest_configure(config: pytest.Config) -> None:
    """peft still asks transformers by an older name; only the tests load adapters with peft."""
    config.addinivalue_line("filterwarnings", "ignore:`is_gradient_checkpointing`:FutureWarning")
