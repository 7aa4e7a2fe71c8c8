"""Both images on this machine's GPU: is all as on a CPU, how fast is it, how much memory does it take.

Called by `python -m benchmarks gpu`, which needs .venv-images (`make setup-images`) and an NVIDIA GPU; not one of the
measurements that run without a name. The checks are in gpu_serving and gpu_tuning, one process each.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Prints a line for each check; figures and logs go to the folder gpu-check in the current one."""
    python = Path(os.environ.get("IMAGES_PYTHON") or ROOT / ".venv-images" / "bin" / "python")
    if not python.exists():
        sys.exit("benchmarks: gpu needs .venv-images; run make setup-images first")
    command = [str(python), "-W", "ignore", "-m", "benchmarks.gpu_run", "--output", str(Path.cwd() / "gpu-check")]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit("benchmarks: gpu: a check failed; its log is in gpu-check")
