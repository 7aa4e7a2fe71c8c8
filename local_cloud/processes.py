"""Background processes that outlive the command that started them, and are found again by that alone.

A process is recorded as its own line of /proc/PID/stat, written by itself before it becomes the program. Process id
and start time together never name another process, so a recycled id is never ended. Called by control_plane.py.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_DIE = 10.0
SECONDS_TO_START = 5.0
# The shell ends at once, so that the program belongs to init and leaves no zombie behind here.
RECORD_THEN_RUN = '(read -r stat < /proc/self/stat && echo "$stat" > "$1" && shift && exec "$@") &'


@dataclass(frozen=True)
class BackgroundProcess:
    """A program of an instance; `folder` holds its record and its log."""

    name: str
    folder: Path

    @property
    def record(self) -> Path:
        """The file that says which process it is."""
        return self.folder / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"

    def pid(self) -> int | None:
        """Its process id, or None when it does not run (any more)."""
        with suppress(FileNotFoundError, IndexError):
            recorded = self.record.read_text()
            found = int(recorded.split()[0])
            if _identity(recorded) == _identity(Path(f"/proc/{found}/stat").read_text()):
                return found
        return None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts it in a session of its own, unless it runs already."""
        if self.pid() is not None:
            return
        self.record.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            subprocess.run(
                ["/bin/sh", "-c", RECORD_THEN_RUN, "sh", str(self.record), *command],
                cwd=self.folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                check=True,
            )
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._is_recorded() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _is_recorded(self) -> bool:
        return self.record.exists() and self.record.read_text().endswith("\n")

    def end(self) -> None:
        """Kills it and waits until it is gone."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    if self.pid() == pid:  # the handle is of the process that was recorded
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        select.select([handle], [], [], SECONDS_TO_DIE)
                finally:
                    os.close(handle)
        self.record.unlink(missing_ok=True)

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def _identity(stat: str) -> tuple[str, str]:
    """Process id and start time, from a line of /proc/PID/stat; a zombie counts as gone."""
    after_name = stat[stat.rindex(")") + 1 :].split()
    state, start_time = after_name[0], after_name[19]
    return (stat.split()[0], start_time) if state not in "ZX" else ("", "")
