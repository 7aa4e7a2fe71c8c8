"""One process per output folder: the lock goes when its process goes, however it ends. Called by run."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuning_image.errors import TryAgainError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder.

    Raises:
        TryAgainError: If another process has it: a pod that is being taken away lets go of it soon.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise TryAgainError(
                f"--output {folder}: process {owner} is writing here; wait for it or name another folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()} of {socket.gethostname()}")
        file.flush()
        yield
