"""`kaito models add`: presets from files on this machine, and from Hugging Face."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaito_components.presets.lookup import read_file
from tests.unit.hugging_face import COMMIT, CONFIG, Hub, hugging_face

LOCAL = ("--config", "config.json", "--config", "model.safetensors.index.json")


def kaito(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaito_components.cli", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    home = {"HF_HOME": str(folder / "hf"), **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env={**clean, **home})


def add(folder: Path, hub: Hub, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return kaito(folder, "models", "add", *(arguments or (hub.model,)), HF_ENDPOINT=hub.url, **environment)


def files(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    (folder / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 269060552}, "weight_map": {}}')


def test_a_preset_is_written_from_local_files_and_found_by_plan(tmp_path: Path) -> None:
    files(tmp_path)
    done = kaito(tmp_path, "models", "add", "org/tiny", *LOCAL, "--license", "mit", HF_HUB_OFFLINE="1")
    assert done.returncode == 0 and "not known: revision" in done.stdout
    preset = read_file(tmp_path / "presets" / "tiny.yaml")
    assert (preset.layers, preset.kv_bytes_per_token, preset.parameters) == (30, 23040, 134530276)
    listed = json.loads(kaito(tmp_path, "models", "org/tiny", "--format", "json").stdout)
    assert listed[0]["name"] == "tiny" and listed[0]["redistributable"] is True and listed[0]["tunable"]


def test_a_preset_is_written_from_hugging_face_at_todays_commit(tmp_path: Path) -> None:
    with hugging_face(Hub()) as hub:
        done = add(tmp_path, hub)
    assert done.returncode == 0, done.stderr
    preset = read_file(tmp_path / "presets" / "tiny.yaml")
    assert (preset.revision, preset.license, preset.parameters) == (COMMIT, "apache-2.0", 134515008)
    assert preset.weights_bytes == 269060552 and not preset.gated
    assert not any("safetensors" in path for path in hub.asked)  # no weights are fetched


def test_a_revision_is_asked_for_and_pinned(tmp_path: Path) -> None:
    with hugging_face(Hub()) as hub:
        add(tmp_path, hub, hub.model, "--revision", "v1.0")
    assert any(path.startswith("/api/models/org/tiny/revision/v1.0") for path in hub.asked)
    assert read_file(tmp_path / "presets" / "tiny.yaml").revision == COMMIT


def test_a_gated_model_is_read_with_the_users_token_which_is_never_shown(tmp_path: Path) -> None:
    with hugging_face(Hub(gate=True)) as hub:
        done = add(tmp_path, hub, HF_TOKEN=hub.token)
    assert done.returncode == 0 and "presetOptions.modelAccessSecret" in done.stdout
    assert read_file(tmp_path / "presets" / "tiny.yaml").gated
    assert hub.token not in done.stdout + done.stderr + (tmp_path / "presets" / "tiny.yaml").read_text()


REFUSED: dict[str, tuple[Hub, tuple[str, ...], dict[str, str], str]] = {
    "gated": (Hub(gate=True), (), {}, "gated on Hugging Face: accept its licence"),
    "gated, another's token": (Hub(gate=True), (), {"HF_TOKEN": "hf_other"}, "gated on Hugging Face"),
    "unknown": (Hub(), ("org/tyny",), {}, "is not on Hugging Face, or is private"),
    "server error": (Hub(status=500), (), {}, "answered 500 for org/tiny; try again"),
    "offline": (Hub(), (), {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    "cut off": (Hub(config=json.dumps(CONFIG).encode()[:90]), (), {}, "is not whole JSON"),
    "the API's answer cut off": (Hub(cut_api=True), (), {}, "answer about org/tiny cannot be read"),
    "a transfer that breaks off": (Hub(short=20), (), {}, "cannot be reached for org/tiny"),
    "a list": (Hub(config=b"[1]"), (), {}, "holds no JSON object"),
    "no weights": (Hub(info={"siblings": [{"rfilename": "config.json"}]}), (), {}, "has no weights in safetensors"),
    "not served": (Hub(config=json.dumps({**CONFIG, "architectures": ["BertModel"]}).encode()), (), {}, "is BertModel"),
    "no layers": (Hub(config=b'{"hidden_size": 8}'), (), {}, "does not say context_length (max_position_embeddings or"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_had_is_said_with_a_way_out_and_nothing_is_written(case: str, tmp_path: Path) -> None:
    hub, arguments, environment, words = REFUSED[case]
    with hugging_face(hub):
        done = add(tmp_path, hub, *arguments, **environment)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "hf_other" not in done.stderr and not (tmp_path / "presets").exists()


def test_a_hub_that_nobody_answers_for_is_said(tmp_path: Path) -> None:
    done = kaito(tmp_path, "models", "add", "org/tiny", HF_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 1 and "cannot be reached for org/tiny" in done.stderr and "--config" in done.stderr


def test_a_preset_that_is_there_is_not_overwritten_unasked(tmp_path: Path) -> None:
    files(tmp_path)
    first = kaito(tmp_path, "models", "add", "org/tiny", *LOCAL)
    second = kaito(tmp_path, "models", "add", "org/tiny", *LOCAL)
    third = kaito(tmp_path, "models", "add", "org/tiny", *LOCAL, "--force")
    assert (first.returncode, second.returncode, third.returncode) == (0, 1, 0) and "--force" in second.stderr


@pytest.mark.parametrize("arguments", [("tiny",), ("a/b/c",), ()])
def test_what_is_no_id_is_wrong_usage(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert kaito(tmp_path, "models", "add", *arguments).returncode == 2


def test_without_the_size_of_the_weights_the_index_is_asked_for(tmp_path: Path) -> None:
    files(tmp_path)
    done = kaito(tmp_path, "models", "add", "org/tiny", "--config", "config.json")
    assert done.returncode == 1 and "model.safetensors.index.json" in done.stderr


def test_a_folder_is_looked_into_and_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# Tiny\n")
    assert kaito(tmp_path, "models", "add", "org/tiny", "--config", ".").returncode == 0
    assert read_file(tmp_path / "presets" / "tiny.yaml").license == "mit"
    assert kaito(tmp_path, "models", "add", "org/tiny", "--config", "missing.json").returncode == 2


WORKSPACE = """apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: w}
resource: {instanceType: Standard_NC24ads_A100_v4, labelSelector: {matchLabels: {a: b}}}
inference: {preset: {name: %s}}
"""


def planned(folder: Path, name: str, **environment: str) -> tuple[int, Any]:
    (folder / "w.yaml").write_text(WORKSPACE % name)
    done = kaito(folder, "plan", "w.yaml", "--format", "json", **environment)
    (found,) = json.loads(done.stdout)
    return done.returncode, found


def test_an_id_without_a_preset_is_looked_up_for_a_plan_and_its_revision_stays_open(tmp_path: Path) -> None:
    with hugging_face(Hub()) as hub:
        code, found = planned(tmp_path, hub.model, HF_ENDPOINT=hub.url)
    assert (code, found["preset"], found["runtime"], found["nodeCount"]) == (0, "tiny", "vllm", 1)
    assert found["weights"] == {"kind": "huggingface", "reference": "org/tiny", "revision": None}
    assert [one["code"] for one in found["findings"]] == ["revision-unpinned"]


def test_a_gated_id_without_a_preset_needs_a_secret(tmp_path: Path) -> None:
    with hugging_face(Hub(gate=True)) as hub:
        code, found = planned(tmp_path, hub.model, HF_ENDPOINT=hub.url, HF_TOKEN=hub.token)
    assert code == 1 and found["findings"][0]["code"] == "gated-without-secret"


def test_an_id_that_cannot_be_looked_up_names_the_command_that_helps(tmp_path: Path) -> None:
    code, found = planned(tmp_path, "org/tiny", HF_ENDPOINT="http://127.0.0.1:1")
    (one,) = found["findings"]
    assert code == 1 and (one["code"], one["field"]) == ("model-unresolved", "inference.preset.name")
    assert "cannot be reached" in one["message"] and "did you mean" not in one["message"]
    assert "kaito models add ORG/NAME --config" in one["message"]


def test_an_own_preset_goes_before_the_shipped_one_and_keeps_its_flags_for_the_server(tmp_path: Path) -> None:
    files(tmp_path)
    kaito(tmp_path, "models", "add", "ibm-granite/granite-4.1-8b", *LOCAL, "--revision", COMMIT)
    code, found = planned(tmp_path, "granite-4.1-8b")
    assert code == 0 and found["weights"]["revision"] == COMMIT and not found["findings"]
    assert "--tool-call-parser=granite4" in found["command"]


def test_a_wrong_file_of_ones_own_is_said_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.yaml").write_text("model: org/mine\nlayers: many\n")
    code, found = planned(tmp_path, "org/mine", HF_HUB_OFFLINE="1")
    assert code == 1 and "mine.yaml: layers: Input should be" in found["findings"][0]["message"]


def test_a_slip_in_a_known_id_is_told_by_the_nearest_name(tmp_path: Path) -> None:
    _, found = planned(tmp_path, "microsoft/phi-4-mini", HF_HUB_OFFLINE="1")
    assert "did you mean phi-4-mini-instruct?" in found["findings"][0]["message"]


def test_presets_of_ones_own_are_listed_whatever_else_lies_there(tmp_path: Path) -> None:
    files(tmp_path)
    kaito(tmp_path, "models", "add", "org/tiny", *LOCAL)
    (tmp_path / "presets" / "build.yaml").write_bytes(b"version: 3\n\xff\n")
    listed = kaito(tmp_path, "models")
    assert listed.returncode == 0 and "\ntiny " in listed.stdout and "build" not in listed.stdout
