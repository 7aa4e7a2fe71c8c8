"""Loss and speed go to TensorBoard's files by switch; what is not in the image is refused before anything is loaded."""

import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import read
from tensorboardX.proto.event_pb2 import Event
from test_training import curve, settings

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
