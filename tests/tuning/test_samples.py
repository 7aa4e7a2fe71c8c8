"""At the end, base and tuned model answer the same prompts, greedily, side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import chat, jsonl, read

from tuning_image import run as running
from tuning_image.errors import UserError
from tuning_image.training import samples

FLAGS = ("--set", "DatasetConfig.train_test_split=0.7", "--set", "TrainingArguments.learning_rate=2e-2")


def test_the_table_shows_what_tuning_changed(tmp_path: Path, tiny_folder: Path, capsys: Any) -> None:
    data = jsonl(tmp_path / "chats.jsonl", [chat(f"Number {n}?", "yes yes yes yes") for n in range(12)])
    running.run(read(tmp_path / "out", data, *FLAGS, "--samples", "2", model=tiny_folder))
    found = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert len(found) == 2 and all("Number" in one["prompt"] for one in found)
    assert all(one["expected"] == "yes yes yes yes" for one in found)
    assert all("yes yes" in one["tuned"] and "yes yes" not in one["base"] for one in found)
    table = (tmp_path / "out" / "samples.md").read_text()
    assert table in capsys.readouterr().out and table in (tmp_path / "out" / "adapter" / "README.md").read_text()


def test_none_are_made_where_none_are_asked_for(tmp_path: Path, tiny_folder: Path, chats: Path) -> None:
    running.run(
        read(
            tmp_path / "out",
            chats,
            *FLAGS,
            "--samples",
            "0",
            "--set",
            "TrainingArguments.max_steps=1",
            model=tiny_folder,
        )
    )
    assert not list((tmp_path / "out").glob("samples.*")) and (tmp_path / "out" / "adapter").is_dir()
    with pytest.raises(UserError, match="'-1' must be 0 or more"):
        read(tmp_path / "out", chats, "--samples", "-1")


def test_a_cell_keeps_to_its_line_and_column(tmp_path: Path) -> None:
    table = samples.write(tmp_path, [samples.Sample("a|b", "two\nlines", "x" * 1000, "")])
    assert table.splitlines()[2].startswith("| a\\|b | two lines | xxx") and len(table) < 500
