"""Models that have no shipped preset, in a Pulumi program: a preset beside it, or Hugging Face."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kaito_components.errors import InvalidWorkspace
from kaito_components.plan import NodeOptions, Plan, WaitOptions
from kaito_components.spec.model import Bundle
from kaito_components.workspace import plan_bundle
from tests.unit.hugging_face import Hub, hugging_face
from tests.unit.workspaces import A100, inference

SHIPPED = Path(__file__).parents[3] / "presets" / "phi-4-mini-instruct.yaml"


def planned(preset: str) -> Plan:
    (made,) = plan_bundle(Bundle((inference(A100, preset),)), [(NodeOptions(), WaitOptions())], None)
    return made


def test_a_preset_beside_the_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "presets").mkdir()
    text = SHIPPED.read_text().replace("microsoft/Phi-4-mini-instruct", "org/mine")
    (tmp_path / "presets" / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert planned("mine").weights.reference == planned("org/Mine").weights.reference == "org/mine"


TWICE = """
from tests.unit.components.test_models_of_ones_own import planned
first, second = planned("org/looked-up"), planned("org/looked-up")
assert first.preset is second.preset and first.node_count == 1
"""


def test_an_id_is_looked_up_once_for_all_workspaces(tmp_path: Path) -> None:
    with hugging_face(Hub(model="org/looked-up")) as hub:
        settings = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        subprocess.run([sys.executable, "-c", TWICE], check=True, timeout=60, cwd=SHIPPED.parents[1], env=settings)
    assert len([path for path in hub.asked if path.startswith("/api/models/")]) == 1


def test_an_id_that_cannot_be_looked_up_stops_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(InvalidWorkspace, match=r"cannot be reached for org/nowhere.*kaito models add"):
        planned("org/nowhere")
