"""Checkpoints that are complete or absent, and the one to go on from. Called by training.trainer and run."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tuning_image.errors import TryAgainError

FOLDER = "checkpoints"
WRITING = ".writing"
NAME = re.compile(r"checkpoint-(\d+)")
SLACK_BYTES = 4 << 20  # trainer state, RNG states


def latest(output: Path) -> Path | None:
    """The newest complete checkpoint; what a killed process left half written is removed."""
    folder = output / FOLDER
    shutil.rmtree(folder / WRITING, ignore_errors=True)
    return max(_complete(folder), key=_step, default=None)


def being_written(output: Path) -> Path:
    """The folder aside that the next checkpoint is written into."""
    return output / FOLDER / WRITING


def write(output: Path, step: int, needed_bytes: int, keep: int, save: Callable[[Path], None]) -> None:
    """Lets `save` write into a folder aside, makes it durable, gives it its name and removes the oldest.

    Raises:
        TryAgainError: If the disk is full; earlier checkpoints stay.
    """
    folder = output / FOLDER
    staging, target = being_written(output), folder / f"checkpoint-{step}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    _check_space(folder, needed_bytes)
    try:
        save(staging)
        _sync(staging)
    except (OSError, RuntimeError) as error:  # torch.save says RuntimeError, safetensors its own OSError
        shutil.rmtree(staging, ignore_errors=True)
        if getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(folder).free < needed_bytes:
            _check_space(folder, needed_bytes)
        raise TryAgainError(f"{target}: cannot be written: {error}; the last good checkpoint is kept") from None
    if target.exists():
        shutil.rmtree(target)
    staging.rename(target)
    _sync_folder(folder)
    for old in sorted(_complete(folder), key=_step)[:-keep]:
        shutil.rmtree(old)


def _check_space(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        kept = max(_complete(folder), key=_step, default=None)
        raise TryAgainError(
            f"{folder}: a checkpoint needs {needed_bytes / 1e9:.3f} GB, {free / 1e9:.3f} GB are free: "
            f"{(needed_bytes - free) / 1e9:.3f} GB are missing; {kept.name if kept else 'none'} is kept"
        )


def _complete(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if NAME.fullmatch(path.name)] if folder.is_dir() else []


def _step(path: Path) -> int:
    found = NAME.fullmatch(path.name)
    assert found
    return int(found[1])


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
