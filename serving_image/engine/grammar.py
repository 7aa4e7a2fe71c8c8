"""Which tokens a grammar allows next. Called by the sequences; the grammars come from the API as text."""

from typing import Any, Protocol


class Matcher(Protocol):
    """The state of one answer under its grammar."""

    def mask(self, logits: Any) -> None:
        """Set what is not allowed to minus infinity, in place; logits of shape (V,)."""

    def accept(self, token: int) -> bool:
        """Go on; False where the answer is complete."""
