"""An API server that is gone before or during `pulumi up`: a cloud of the test's own, which it may break."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.workspaces import inference


@pytest.fixture
def own_stack(own_cloud: Instance, tmp_path: Path) -> Callable[[dict[str, Any]], Stack]:
    """A stack of one Workspace on a cloud of its own; both go away together."""

    def make(workspace: dict[str, Any]) -> Stack:
        path = tmp_path / "workspace.yaml"
        path.write_text(yaml.safe_dump(workspace))
        config = {
            "kaito:cluster": {"resourceGroup": "local", "name": "local"},
            "kaito:workspaces": [str(path)],
        }
        return Stack(own_cloud.env(), tmp_path, config)

    return make


def test_an_api_server_gone_before_up_is_said_and_up_converges_when_it_is_back(
    own_cloud: Instance, own_stack: Callable[[dict[str, Any]], Stack]
) -> None:
    stack = own_stack(inference())
    own_cloud.stop_api_server()
    assert "unreachable" in stack.preview().text
    refused = stack.up(check=False)
    assert refused.code != 0 and "unreachable" in refused.text
    own_cloud.start_api_server()
    stack.up()
    assert stack.preview("--expect-no-changes").ops == {}


def test_a_wait_survives_an_api_server_that_comes_back(
    own_cloud: Instance, own_stack: Callable[[dict[str, Any]], Stack]
) -> None:
    stack = own_stack(inference())
    process = stack.start_up()
    assert process.stdout
    for line in process.stdout:
        if "phi-ready creating" in line:
            break
    own_cloud.stop_api_server()
    own_cloud.start_api_server()
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
