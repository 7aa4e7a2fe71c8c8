"""Real servers for all tests of a worker that leave them as they were."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import tiny
from tests.serving.servers import Running, running

TEMPLATE = (
    "{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}{{ (m.tool_calls | tojson) if m.tool_calls }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The small real model in float32."""
    with running(tmp_path_factory.mktemp("server"), "--dtype", "float32") as started:
        yield started


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights."""
    return tiny.make(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def tooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same with a chat template that knows tools."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "template.jinja").write_text(TEMPLATE)
    flags = ("--chat-template", str(folder / "template.jinja"), "--tool-call-parser", "hermes")
    with running(folder, "--dtype", "float32", *flags) as started:
        yield started


def pytest_configure(config: pytest.Config) -> None:
    """peft still asks transformers by an older name; only the tests load adapters with peft."""
    config.addinivalue_line("filterwarnings", "ignore:`is_gradient_checkpointing`:FutureWarning")
