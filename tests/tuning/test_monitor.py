"""/health and /metrics tell how far a run is, while it runs."""

import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from test_training import curve, settings

from tuning_image import gauges
from tuning_image import run as running

SPEED = ("tokens_per_second", "seconds_left")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_each_step_is_in_the_metrics_while_the_run_goes_on(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, told, show = free_port(), [], gauges.show

    def ask(entry: dict[str, Any]) -> None:
        show(entry)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            values = dict(re.findall(r"^tuning_(\w+) (\S+)$", answer.read().decode(), re.MULTILINE))
        told.append(tuple(float(values[name]) for name in ("step", "steps_total", "loss")))
        assert {name: float(values[name]) for name in SPEED} == {name: entry[name] for name in SPEED}

    monkeypatch.setattr(gauges, "show", ask)
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--port", str(port)))
    assert told == [(step, 6.0, loss) for step, loss in enumerate(curve(tmp_path / "out"), 1)]
