"""What a person reads: the table of memory, its bar, and what it costs, on any screen."""

import io
import re

import pytest
from rich.console import Console

from kaito_components.cli.memory_text import MemoryTable, size
from kaito_components.cli.plan_text import rows
from kaito_components.plan import Memory, Plan, WaitOptions
from kaito_components.sizing.terms import Term, exact
from kaito_components.spec.model import Workspace
from kaito_components.units import GIB
from tests.unit.workspaces import A100, CPU, T4, inference, planned, tuning

OFF = {"pulumi.kaito.sh/serve": "false"}
PARTS = (
    exact("kept free", 2 * GIB, "a rule"),
    Term("weights", 4 * GIB, 4 * GIB, 5 * GIB, "files"),
    exact("runtime", GIB, "a rule"),
)


def drawn(parts: tuple[Term, ...] = PARTS, width: int = 80, **options: object) -> str:
    table = MemoryTable(Memory(0, 0, 0, 0, 10 * GIB, parts), "the GPU", "free for context")
    console = Console(file=io.StringIO(), width=width, **options)  # type: ignore[arg-type]
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def text_of(made: Plan) -> dict[str, str]:
    return {label: value if isinstance(value, str) else "" for label, value in rows(made)}


def test_the_bar_is_as_long_as_each_part_and_what_is_kept_comes_last() -> None:
    assert "[" + 12 * "█" + 3 * "▓" + 6 * "░" + 9 * "·" + "] 10.0 GiB of the GPU" in drawn()


def test_bounds_stand_where_they_say_something() -> None:
    lines = drawn().splitlines()
    assert "4.0 to 5.0 GiB" in lines[0] and " to " not in "".join(lines[1:])


def test_what_is_missing_takes_the_place_of_what_is_free() -> None:
    text = drawn((exact("weights", 12 * GIB, "files"),))
    assert "! missing" in text and "2.0 GiB" in text and "free" not in text and 30 * "█" in text


@pytest.mark.parametrize(("width", "is_there"), [(80, False), (120, True)])
def test_sources_stand_beside_where_there_is_room(width: int, is_there: bool) -> None:
    assert ("a rule" in drawn(width=width)) == is_there


def test_a_screen_without_more_gets_ascii_and_no_colours() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    Console(file=raw, width=80).print(MemoryTable(Memory(0, 0, 0, 0, 10 * GIB, PARTS), "the GPU", "free"))
    text = raw.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "[############+++......---------]" in text and "\x1b" not in text


@pytest.mark.parametrize(("count", "text"), [(7 * GIB, "7.0 GiB"), (48 * 2**20, "48 MiB"), (0, "0")])
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text


def test_context_and_concurrency_are_said() -> None:
    text = text_of(planned(inference(A100)))["context"]
    assert text.startswith("131,072 tokens, 3 requests at once") and text.endswith("128 KiB each")


@pytest.mark.parametrize("made", [inference(A100), inference(T4), inference(CPU, "smollm2-135m-instruct"), tuning()])
def test_the_largest_preset_for_the_size_is_named(made: object) -> None:
    assert "is the largest preset" in text_of(planned(made))["largest"]  # type: ignore[arg-type]


def test_a_model_that_does_not_fit_has_no_context() -> None:
    assert "context" not in text_of(planned(inference(T4, "phi-4")))


def test_the_cost_says_what_is_not_in_it_or_what_to_do() -> None:
    assert "--region" in text_of(planned(inference()))["cost"]
    known = text_of(planned(inference(), region="eastus"))["cost"]
    assert known.startswith("3.67 USD an hour, 2,681 a month") and "without OS disks" in known
    assert text_of(planned(inference(), region="australiacentral"))["cost"] == "unknown in australiacentral"


@pytest.mark.parametrize(
    ("made", "wait", "text"),
    [
        (inference(), None, r"until it answers, at most \d+ min"),
        (tuning(), None, r"until its Job runs, at most \d+ min\nwith `wait: {until: ready}` .* what it tuned answers"),
        (tuning(annotations=OFF), None, r"until its Job runs, at most \d+ min"),
        (tuning(), WaitOptions("ready"), r"until what it tuned answers, at most \d+ h \d+ min"),
        (tuning(annotations=OFF), WaitOptions("ready"), r"until its Job is complete, at most \d+ h \d+ min"),
        (inference(), WaitOptions("none"), "for nothing"),
    ],
)
def test_what_up_waits_for_is_said_in_words(made: Workspace, wait: WaitOptions | None, text: str) -> None:
    assert re.fullmatch(text, text_of(planned(made, wait=wait))["waits"])
