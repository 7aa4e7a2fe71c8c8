"""One process per output folder: the lock goes when its process goes, however it ends. Called by __main__."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuning_image.errors import UserError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder.

    Raises:
        UserError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise UserError(
                f"--output {folder}: process {owner} is writing here; wait for it or name another"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
