"""What can be wrong, and how it is said.

    KaitoError              every error this package raises on purpose
    ├── InvalidWorkspace    findings of severity error in what the user wrote; carries all of them
    └── ClusterError        the cluster cannot be reached, or refuses

A Finding is one sentence about one field; it is what `kaito plan`, the preview's diagnostics and the
error messages all print. Used by every layer; imports nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing to know about one field of one file.

    `message` states value, reason and way out. `code` is stable and documented; `line` counts from 1. `accepted` is
    the user's reason why a warning may stand; it is then an info.
    """

    severity: Severity
    code: str
    field: str
    message: str
    file: str = ""
    line: int | None = None
    accepted: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.field, self.text) if part)

    @property
    def text(self) -> str:
        """The message, and why it is accepted."""
        return f"{self.message} (accepted: {self.accepted})" if self.accepted else self.message


class KaitoError(Exception):
    """Every error that this package raises on purpose. Its text is meant for the user as it is."""


class ClusterError(KaitoError):
    """The Kubernetes cluster cannot be reached, or refuses what was asked."""


class InvalidWorkspace(KaitoError):
    """What the user wrote cannot be used; `findings` holds every problem, not only the first."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))
