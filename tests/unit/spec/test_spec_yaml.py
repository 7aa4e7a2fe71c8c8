"""YAML is read as kubectl reads it, and every field knows its line."""

from pathlib import Path
from typing import Any

import pytest

from kaito_components.errors import Finding
from kaito_components.spec.document import parse
from tests.unit.spec.workspaces import problems_of_text

# Values that a YAML 1.1 reader such as kubectl's and a YAML 1.2 reader see differently, and those around them.
WORDS: list[tuple[str, Any]] = [
    ("yes", True), ("Off", False), ("n", False), ("true", True), ("'yes'", "yes"), ("yEs", "yEs"), ("~", None),
    ("", None), ("null", None), ("0644", 420), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("-017", -15), ("089", 89.0),
    ("1_000", 1000), ("12:30:45", "12:30:45"), ("2024-01-01", "2024-01-01"), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0),
    ("+7", 7), ("0", 0), ("1.2.3", "1.2.3"), ("18446744073709551616", 18446744073709551616.0), ("!!str 5", "5"),
    ("!!int '5'", 5), ("! 5", "5"), ("é", "é"),
]  # fmt: skip


def read(text: str) -> tuple[list[Any], list[Finding]]:
    documents, problems = parse(text, "w.yaml")
    return [document.values for document in documents], problems


@pytest.mark.parametrize(("word", "value"), WORDS)
def test_a_word_is_what_kubectl_reads(word: str, value: Any) -> None:
    found = read(f"a: {word}\n")
    assert found == ([{"a": value}], []) and type(found[0][0]["a"]) is type(value)


BROKEN = [
    ("a: .inf", "not-yaml"), ("a: 1e999", "not-yaml"), ("a: !!binary YQ==", "not-yaml"), ("a: !mine b", "not-yaml"),
    ("a: !!int b", "not-yaml"), ("a: !!set {b}", "not-yaml"), ("? [a]\n: b", "not-yaml"), ("a: *b", "not-yaml"),
    ("a: &a [*a]", "not-yaml"), ("a: [", "not-yaml"), ("\ta: b", "not-yaml"), ("a: b: c", "not-yaml"),
    ("<<: 5", "not-yaml"),
    ('a: "\\ud800"', "not-yaml"), ("a: \x01", "not-yaml"), ("[" * 1000, "too-large"), ("- " * 200 + "a", "too-large"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), BROKEN)
def test_text_that_kubernetes_has_no_place_for_is_a_finding_with_its_line(text: str, code: str) -> None:
    _, (found,) = read(f"# first line\n{text}")
    assert found.code == code and found.line and found.line >= 2


def test_what_stands_before_a_mistake_is_still_read() -> None:
    values, problems = read("a: 1\n---\nb: [\n")
    assert values == [{"a": 1}] and [problem.code for problem in problems] == ["not-yaml"]


def test_every_double_key_is_said_and_the_first_one_counts() -> None:
    values, problems = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert values == [{"a": 1, "b": {"c": 1}}]
    assert [(p.line, p.field, p.code) for p in problems] == [(2, "b.c", "duplicate-key"), (3, "a", "duplicate-key")]


def test_anchors_aliases_and_merge_keys_are_followed() -> None:
    text = "base: &base {x: 1, y: [2]}\none: *base\ntwo: {<<: *base, x: 3}\nthree: {<<: [{z: 4}, *base]}\n"
    assert read(text)[0][0] == {
        "base": {"x": 1, "y": [2]},
        "one": {"x": 1, "y": [2]},
        "two": {"x": 3, "y": [2]},
        "three": {"z": 4, "x": 1, "y": [2]},
    }


def test_aliases_that_would_fill_the_memory_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, (found,) = read("\n".join(lines))
    assert found.code == "too-large"


def test_a_chain_of_aliases_is_not_too_deep_for_us() -> None:
    text = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
    assert [problem.code for problem in read(text)[1]] == ["too-large"]


def test_every_field_knows_its_line() -> None:
    (document,), _ = parse("# a\na:\n  b:\n  - x\n  - c: &c y\nd: *c\n'e f': {}\n", "w.yaml")
    assert document.lines == {
        "": 2, "a": 2, "a.b": 3, "a.b[0]": 4, "a.b[1]": 5, "a.b[1].c": 5, "d": 6, "e f": 7,
    }  # fmt: skip


def test_a_problem_inside_an_anchor_has_its_line(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  labels: &l {a: ' '}\n  annotations: *l\n"
    (found,) = problems_of_text(tmp_path, text)
    assert (found.line, found.field) == (5, "metadata.labels.a")
