"""One thing that is wrong in the cluster."""

from dataclasses import dataclass, field
from typing import NamedTuple

SHORT = 300  # characters of a message that came from elsewhere


class LastWords(NamedTuple):
    """Where the log lines are that tell more."""

    pod: str
    container: str
    previous: bool  # of the container's run before this one


@dataclass(frozen=True)
class Trouble:
    """What is wrong with which object, and what to do.

    `reason` is KAITO's name where it has one. A trouble that lasts longer than `grace_seconds` will not pass by
    itself; None: it may, so only the deadline ends the wait.
    """

    object: str
    reason: str
    message: str
    way_out: str
    grace_seconds: float | None = None
    last_words: LastWords | None = None
    log: tuple[str, ...] = field(default=(), compare=False)  # those words, once they are fetched

    @property
    def key(self) -> tuple[str, str, bool]:
        """What stays the same while the trouble lasts. One that becomes serious starts its grace then."""
        return self.object, self.reason, self.terminal

    @property
    def terminal(self) -> bool:
        """Whether it ends a wait, after its grace."""
        return self.grace_seconds is not None

    def __str__(self) -> str:
        return f"{self.object}: {self.reason}: {self.message.rstrip('.')}. {self.way_out}"


def short(text: str) -> str:
    """One line of a message that came from elsewhere."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."
