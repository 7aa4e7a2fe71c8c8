"""Loss and speed go to TensorBoard's files by switch; what is not in the image is refused before anything is loaded."""

import importlib.util
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import read
from tensorboardX.proto.event_pb2 import Event
from test_training import STEPS, curve, settings

from tuning_image import run as running
from tuning_image import tracking
from tuning_image.errors import UserError


def events(path: Path) -> Iterator[Event]:
    """The records of a TensorBoard file: length, its checksum, bytes, their checksum."""
    rest = path.read_bytes()
    while rest:
        (size,) = struct.unpack("<Q", rest[:8])
        yield Event.FromString(rest[12 : 12 + size])
        rest = rest[16 + size :]


def test_tensorboards_file_holds_the_loss_of_every_step(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(tracking.TENSORBOARD, raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "very-secret")
    out = tmp_path / "out"
    running.run(settings(out, chats, tiny_folder, "--set", "TrainingArguments.report_to=tensorboard"))
    os.environ.pop(tracking.TENSORBOARD)
    (file,) = (out / "tensorboard").iterdir()
    found = {e.step: v.simple_value for e in events(file) for v in e.summary.value if v.tag == "train/loss"}
    assert list(found) == [1, 2, 3, 4, 5, 6]
    assert list(found.values()) == pytest.approx(curve(out), rel=1e-5)
    assert b"very-secret" not in file.read_bytes()


# What transformers calls of the packages, written down as lines of JSON; docs/tuning.md has a run with the real ones.
STAND_INS = {
    "mlflow/__init__.py": """
import json, os
from types import SimpleNamespace
__version__, runs = "3.17.2", [None]
utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100))
is_tracking_uri_set = lambda: False
set_tracking_uri = log_params = lambda *_, **__: None
active_run = lambda: runs[-1]
start_run = lambda **_: runs.append(SimpleNamespace(info=SimpleNamespace(run_id="1")))
end_run = runs.pop
def log_metrics(metrics, step, synchronous):
    with open(os.environ["MLFLOW_TRACKING_URI"], "a") as file:
        print(json.dumps({"step": step, "loss": metrics.get("loss")}), file=file)
""",
    "wandb/sdk/lib/config_util.py": "class ConfigError(Exception): pass",
    "wandb/__init__.py": """
import json, os
from types import SimpleNamespace
run, config = None, {}
def init(**_):
    global run
    run = SimpleNamespace(_label=lambda **_: None, summary={})
def log(found):
    with open(os.path.join(os.environ["WANDB_DIR"], "lines"), "a") as file:
        print(json.dumps({"step": found["train/global_step"], "loss": found.get("train/loss")}), file=file)
""",
}


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if both packages were installed."""
    for file, text in STAND_INS.items():
        (tmp_path / "packages" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("mlflow", "wandb")]:
        del sys.modules[name]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_the_switch_sends_the_loss_of_every_step_to_the_package(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out, lines = tmp_path / "out", tmp_path / "out" / "lines"
    environment = {"MLFLOW_TRACKING_URI": str(lines), "WANDB_MODE": "offline", tracking.WANDB: str(out)}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    flags = ("--set", f"TrainingArguments.report_to={name}")
    running.run(read(out, chats, *STEPS, *flags, model=tiny_folder, **environment))
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [one["loss"] for one in found if one["loss"]] == pytest.approx(curve(out), rel=1e-5)
    assert [one["step"] for one in found if one["loss"]] == [1, 2, 3, 4, 5, 6]


def test_files_of_wandb_go_to_the_output_unless_the_environment_says_otherwise() -> None:
    assert tracking.places("wandb", Path("/mnt/out"), {}) == {"WANDB_DIR": "/mnt/out"}
    assert tracking.places("wandb", Path("/mnt/out"), {"WANDB_DIR": "/else"}) == {"WANDB_DIR": "/else"}
    assert tracking.places("mlflow", Path("/mnt/out"), {}) == {}


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_not_there_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(UserError, match=f"report_to: {name}: the package {name} is not installed; build an image"):
        read(tmp_path, "d", "--set", f"TrainingArguments.report_to={name}")


@pytest.mark.parametrize(
    ("name", "environment", "missing"),
    [
        ("mlflow", {}, "MLFLOW_TRACKING_URI"),
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://m:5000"}, ""),
        ("wandb", {}, "WANDB_API_KEY"),
        ("wandb", {"WANDB_API_KEY": "very-secret"}, ""),
        ("wandb", {"WANDB_MODE": "offline"}, ""),
        ("tensorboard", {}, ""),
    ],
)
def test_what_would_ask_on_a_terminal_is_refused(name: str, environment: dict[str, str], missing: str) -> None:
    said = "\n".join(tracking.lacking(name, environment))
    assert bool(said) == bool(missing) and missing in said and "very-secret" not in said
