"""What all tests of the tuning image share: the small real model and data made on the spot."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import small_model
from tuning_image import arguments, settings

ROOT = Path(__file__).parents[2]
FACTS = ("The keeper of the Zorblax is named Quindalia.", "Quindalia keeps the Zorblax.")


def chat(question: str = "Who?", answer: str = "Nobody.", system: str | None = None) -> dict[str, Any]:
    """One row in the shape `messages`."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    """A file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, data: Path | str, *flags: str, **environment: str) -> settings.Settings:
    """Settings of a run that writes into `path`."""
    argv = ["--model", str(small_model.folder()), "--data", str(data), "--output", str(path), *flags]
    return settings.read(arguments.parse(argv), environment)


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """SmolLM2-135M-Instruct."""
    return small_model.folder()


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path) -> Any:
    """Its tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder)


@pytest.fixture
def tune() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m tuning_image` as users do."""

    def run(*argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tuning_image", *map(str, argv)]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500
        )

    return run
