"""What all tests of the tuning image share: the small real model and data made on the spot."""

import json
import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch: tests run side by side, and sums do not depend on the split

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import small_model
from tuning_image import arguments, settings

ROOT = Path(__file__).parents[2]


def chat(question: str = "Who?", answer: str = "Nobody.", system: str | None = None) -> dict[str, Any]:
    """One row in the shape `messages`."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    """A file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pytest_configure(config: pytest.Config) -> None:
    """peft 0.21 asks transformers 5.23 for an attribute by its former name."""
    config.addinivalue_line("filterwarnings", "ignore:.*is_gradient_checkpointing:FutureWarning")


def read(path: Path, data: Path | str, *flags: str, model: Path | str = "", **environment: str) -> settings.Settings:
    """Settings of a run that writes into `path`."""
    argv = ["--model", str(model or small_model.folder()), "--data", str(data), "--output", str(path), *flags]
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


@pytest.fixture(scope="session")
def tiny_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights and the real tokenizer: for what does not depend on knowledge."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            pad_token_id=2,
        )
    ).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Twelve short chats of different lengths."""
    return jsonl(tmp_path / "chats.jsonl", [chat(f"Number {n}?", "yes " * (n % 5 + 1)) for n in range(12)])
