"""The annotation by which a user accepts findings: `CODE: REASON`, one a line. Called by annotations and freezing."""

import difflib
from collections.abc import Iterator

from kaito_components.codes import codes

FORM = "write CODE: REASON, one a line"


def accepted(text: str) -> dict[str, str]:
    """The reasons by code, as far as the text has the right form."""
    pairs = [(code, reason) for line in _lines(text) if not _problem(line) for code, _, reason in [_split(line)]]
    return dict(pairs)


def problems(text: str) -> Iterator[str]:
    """What is wrong with each line."""
    lines = _lines(text)
    if not lines:
        yield f"accepts nothing; {FORM}"
    for line in lines:
        if problem := _problem(line):
            yield problem
    named = [_split(line)[0] for line in lines]
    for code in sorted({code for code in named if named.count(code) > 1}):
        yield f"{code!r} stands twice; keep one line"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _split(line: str) -> tuple[str, str, str]:
    code, colon, reason = line.partition(":")
    return code.strip(), colon, reason.strip()


def _problem(line: str) -> str:
    code, _, reason = _split(line)
    known = codes().get(code)
    if known is None:
        near = difflib.get_close_matches(code, codes(), n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/findings.md lists them"
        return f"{ascii(code)[:80]} is no finding's code; {hint}"
    if "warning" not in known.severities:
        why = "an error: put right what it says" if "error" in known.severities else "no warning: nothing to accept"
        return f"{code} is {why}, and remove the line"
    return "" if reason else f"{code} has no reason; {FORM}"
