"""The checks on a GPU: `.venv-images/bin/python -m benchmarks.gpu_run --help`. Called by gpu.

Each check is a process of its own with a time limit. Those that measure run alone, the others a few at a time.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import gpu_models, gpu_serving, gpu_speed, gpu_tuning
from benchmarks.gpu_models import Place

AT_ONCE = max(1, min(8, (os.cpu_count() or 1) // 2))
LIMIT_SECONDS = 300
Check = Callable[[Place], dict[str, Any]]
TOGETHER: dict[str, Check] = {**gpu_serving.CHECKS, **gpu_tuning.CHECKS}
ALONE: dict[str, Check] = {**gpu_speed.CHECKS}
PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers")


def main() -> int:
    """Run what is chosen; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal, on a tiny model")
    parser.add_argument("--tokenizer", type=Path, help="folder of tokenizer files; default: the small model's")
    parser.add_argument("--output", type=Path, default=Path("gpu-check"))
    parser.add_argument("--only", nargs="+", choices=[*TOGETHER, *ALONE])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        return _one(chosen)
    chosen.output.mkdir(parents=True, exist_ok=True)
    if chosen.tokenizer is None:
        from benchmarks import small_model

        chosen.tokenizer = small_model.folder()
    with TemporaryDirectory() as models:
        chosen.models = Path(models)
        making = multiprocessing.get_context("spawn").Process(target=_prepare, args=(chosen,))
        making.start()  # a process of its own: what it takes of the GPU goes with it
        making.join()
        if making.exitcode:
            return 1
        results = {}
        for name, result in _all(chosen):
            results[name] = result
            (chosen.output / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any("failed" in result for result in results.values()) else 0


def _prepare(chosen: argparse.Namespace) -> None:
    print(about(chosen.device), flush=True)
    for shape in ("tiny",) if chosen.device == "cpu" else ("135m", "1b"):
        gpu_models.make(chosen.models / shape, shape, chosen.tokenizer, chosen.device)


def about(device: str) -> str:
    """The hardware and the versions."""
    import importlib.metadata

    import torch

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    if device == "cpu":
        return f"no GPU; {versions}"
    gpu = torch.cuda.get_device_properties(0)
    return f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}; {versions}"


def _all(chosen: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    wanted = chosen.only or [*TOGETHER, *ALONE]
    with ThreadPoolExecutor(AT_ONCE if chosen.device == "cuda" else 1) as threads:
        together = [name for name in wanted if name in TOGETHER]
        yield from zip(together, threads.map(lambda name: _started(chosen, name), together), strict=True)
    for name in [name for name in wanted if name in ALONE]:
        yield name, _started(chosen, name)


def _started(chosen: argparse.Namespace, name: str) -> dict[str, Any]:
    """One check in its process, and its line."""
    log, began = chosen.output / f"{name}.log", time.monotonic()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu_run", "--one", name, "--device", chosen.device]
    command += ["--models", str(chosen.models), "--output", str(chosen.output)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, start_new_session=True)
        try:
            text, _ = process.communicate(timeout=LIMIT_SECONDS)
            lines = text.decode().splitlines()
            result = json.loads(lines[-1]) if lines else {"failed": f"the process ended with {process.returncode}"}
        except (subprocess.TimeoutExpired, ValueError) as error:
            os.killpg(process.pid, signal.SIGKILL)  # with its servers
            result = {"failed": f"{type(error).__name__}: {str(error)[-200:]}"}
    figures = ", ".join(f"{key} {value}" for key, value in result.items())
    print(
        f"{'FAIL' if 'failed' in result else 'PASS'} {name} ({time.monotonic() - began:.0f} s): {figures}", flush=True
    )
    return dict(result)


def _one(chosen: argparse.Namespace) -> int:
    """In the check's own process: everything but the result goes to the log."""
    with TemporaryDirectory() as folder:
        place = Place(chosen.device, chosen.models, Path(folder))
        try:
            result = {**TOGETHER, **ALONE}[chosen.one](place)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            result = {"failed": f"{type(error).__name__}: {str(error)[-1500:]}"}
    print("\n" + json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
