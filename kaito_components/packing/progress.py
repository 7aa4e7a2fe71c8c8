"""How far it is, in lines: a log in CI reads like a terminal. Called by artefact and registry."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from kaito_components.units import duration

GB = 10**9
SECONDS = 3.0  # between two lines


@dataclass
class Progress:
    """Bytes of `total` that are through; says so now and then, with speed and time left."""

    what: str
    total: int
    say: Callable[[str], None]
    clock: Callable[[], float] = monotonic
    done: int = 0
    _began: float = field(init=False)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()

    def add(self, count: int) -> None:
        """More bytes are through; fewer, where they must be sent again."""
        self.done += count
        now = self.clock()
        if now - self._said >= SECONDS:
            self._said = now
            self.say(self.line())

    def line(self) -> str:
        """Where it stands."""
        seconds = max(self.clock() - self._began, 1e-3)
        speed = self.done / seconds
        left = f", {duration(round((self.total - self.done) / speed))} left" if 0 < self.done < self.total else ""
        return f"{self.what}: {self.done / GB:.2f} of {self.total / GB:.2f} GB, {speed / 1e6:.0f} MB/s{left}"
