"""How far a download is, how fast, how long still. Filled by download.py, told by health, metrics and the log.

What lies on the disk is what is done, so that nothing counts along while bytes arrive.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

SAMPLES = 12  # that a rate is taken over; one is taken with each line of the log


class Arriving(Protocol):
    """A file that is downloaded."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    @property
    def held_bytes(self) -> int:
        """Of these, on the disk."""


class Progress:
    """Of all files together; zero where nothing is downloaded."""

    def __init__(self) -> None:
        self._files: Sequence[Arriving] = ()
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def begin(self, files: Sequence[Arriving]) -> None:
        """These are on their way."""
        self._files = files
        self.sample()

    def sample(self) -> None:
        """Note where it stands, for the rate."""
        self._samples.append((time.monotonic(), self.done_bytes))

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self._files)

    @property
    def done_bytes(self) -> int:
        """Of these, on the disk, those of earlier tries included."""
        return sum(file.held_bytes for file in self._files)

    @property
    def bytes_per_second(self) -> float:
        """Over the last samples; 0 before the second one."""
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return max(0, last - first) / (ended - began) if ended > began else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At that rate; None where nothing moves."""
        left, rate = self.total_bytes - self.done_bytes, self.bytes_per_second
        return 0.0 if not left else left / rate if rate else None

    def fields(self) -> dict[str, float | None]:
        """For the log and health; nothing where nothing is downloaded."""
        if not self._files:
            return {}
        left = self.seconds_left
        return {
            "bytes_done": self.done_bytes,
            "bytes_total": self.total_bytes,
            "mb_per_second": round(self.bytes_per_second / 1e6, 1),
            "seconds_left": None if left is None else round(left),
        }

    def text(self) -> str:
        """`1.2 of 140 GB, 85.0 MB/s, 27 min left`; nothing where nothing is downloaded."""
        if not self._files:
            return ""
        done, total, rate = self.done_bytes, self.total_bytes, self.bytes_per_second
        return f"{done / 1e9:.3g} of {total / 1e9:.3g} GB, {rate / 1e6:.1f} MB/s, {_duration(self.seconds_left)} left"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
