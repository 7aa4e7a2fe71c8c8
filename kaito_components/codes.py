"""Every code that a finding can have: from `data/findings.csv`, read once on first use.

Read by spec (an acceptance names codes) and by the tests, which hold every finding to it.
`python -m kaito_components.codes docs/findings.md` writes the table of that file.
"""

import csv
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

_MARKED = re.compile(r"(<!-- made: codes -->\n).*(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Code:
    """What a code means. `found_in`: file, plan, Azure, cluster or stack; `way_out`: a finding says its own."""

    name: str
    found_in: str
    severities: tuple[str, ...]
    comes_when: str
    way_out: str


@cache
def codes() -> Mapping[str, Code]:
    """All of them by name."""
    text = resources.files("kaito_components").joinpath("data/findings.csv").read_text(encoding="utf-8")
    return {row["code"]: _code(row) for row in csv.DictReader(text.splitlines())}


def _code(row: Mapping[str, str]) -> Code:
    return Code(row["code"], row["found_in"], tuple(row["severities"].split(", ")), row["comes_when"], row["way_out"])


def with_table(text: str) -> str:
    """The text with the table between its marks made anew."""
    head = "| Code | Severity | Found in | Comes when | Way out |\n| --- | --- | --- | --- | --- |\n"
    return _MARKED.sub(lambda found: f"{found[1]}{head}{''.join(map(_row, codes().values()))}{found[2]}", text)


def _row(code: Code) -> str:
    cells = (f"`{code.name}`", ", ".join(code.severities), code.found_in, code.comes_when, code.way_out)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        file.write_text(with_table(file.read_text()))
