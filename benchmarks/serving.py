"""The serving image against `transformers serve`, plain and with --continuous-batching, over HTTP, in one run.

Called by `python -m benchmarks serving`, which needs .venv-images (`make setup-images`).
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Prints the tables; figures and picture go to serving.json and serving.png in the current folder."""
    python = Path(os.environ.get("IMAGES_PYTHON") or ROOT / ".venv-images" / "bin" / "python")
    if not python.exists():
        sys.exit("benchmarks: serving needs .venv-images; run make setup-images first")
    here = Path.cwd()
    outputs = ["--json", str(here / "serving.json"), "--png", str(here / "serving.png")]
    done = subprocess.run([str(python), "-W", "ignore", "-m", "benchmarks.serving_run", *outputs], cwd=ROOT)
    if done.returncode:
        sys.exit("benchmarks: serving failed; the reason stands above")
