"""The memory of one GPU as a table of terms and a bar. Called by plan_text.

Each kind of term has a sign of its own, so that the bar can be read without colours too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaito_components.plan import Memory
from kaito_components.sizing.terms import Term
from kaito_components.units import GIB, gib

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

MIB = 1024**2
CELLS = 30
SOURCES_FROM = 100  # columns; narrower screens show the numbers alone


@dataclass(frozen=True)
class Sign:
    """How a kind of term is drawn; `ascii` where a screen has no more."""

    block: str
    ascii: str
    style: str


WEIGHTS, USED = Sign("█", "#", "blue"), Sign("▓", "+", "cyan")
KEPT, FREE, MISSING = Sign("░", ".", "dim"), Sign("·", "-", "green"), Sign("!", "!", "bold red")
KEPT_TERMS = {"kept free", "driver", "node"}


@dataclass(frozen=True)
class MemoryTable:
    """Draws itself as wide as it is given. `place`: whose memory it is; `free_name`: what is left is for what."""

    memory: Memory
    place: str
    free_name: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        is_ascii = options.ascii_only or options.legacy_windows
        yield self._table(is_ascii, has_sources=options.max_width >= SOURCES_FROM)
        yield self._bar(is_ascii)

    def _table(self, is_ascii: bool, has_sources: bool) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(style="dim", overflow="fold")
        for sign, term in [*self._signed(), self._rest()]:
            name = Text.assemble((sign.ascii if is_ascii else sign.block, sign.style), f" {term.name}")
            table.add_row(name, size(term.likely), _bounds(term), term.source if has_sources else "")
        return table

    def _bar(self, is_ascii: bool) -> "Text":
        from rich.text import Text

        bar, counted, drawn = Text("["), 0, 0
        for sign, term in self._signed():
            counted += term.likely
            upto = min(CELLS, round(CELLS * counted / self.memory.gpu))
            bar.append((sign.ascii if is_ascii else sign.block) * (upto - drawn), sign.style)
            drawn = upto
        bar.append((FREE.ascii if is_ascii else FREE.block) * (CELLS - drawn), FREE.style)
        return bar.append(f"] {gib(self.memory.gpu)} of {self.place}")

    def _signed(self) -> list[tuple[Sign, Term]]:
        """What is used first, what is kept free last."""
        found = [(_sign(term), term) for term in self.memory.terms]
        return sorted(found, key=lambda one: one[0] == KEPT)

    def _rest(self) -> tuple[Sign, Term]:
        free = self.memory.free
        if free < 0:
            return MISSING, Term("missing", -free, -free, -free, "does not fit")
        return FREE, Term(self.free_name, free, free, free, "what is left")


def _sign(term: Term) -> Sign:
    return WEIGHTS if term.name == "weights" else KEPT if term.name in KEPT_TERMS else USED


def _bounds(term: Term) -> str:
    """`2.1 to 2.6 GiB`; nothing where they look the same."""
    low, high = size(term.low), size(term.high)
    if low == high:
        return ""
    return f"{low.split()[0]} to {high}" if low.split()[-1] == high.split()[-1] else f"{low} to {high}"


def size(count: int) -> str:
    """Bytes for people, small ones too: `7.1 GiB`, `48 MiB`, `0`."""
    if count < MIB / 2:
        return "0"
    return gib(count) if count >= GIB / 10 else f"{count / MIB:.0f} MiB"
