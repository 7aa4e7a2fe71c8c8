"""Whatever is written: a Bundle, or our error with readable findings. Never another exception."""

import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kaito_components.codes import codes
from kaito_components.errors import InvalidWorkspace
from kaito_components.spec import read_documents, read_files, workspace_from_args
from tests.unit.spec.workspaces import EXISTING, INFERENCE, TEMPLATE, TUNING, config_map, secret

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WHOLE = [
    INFERENCE, TUNING, TEMPLATE, EXISTING, config_map("training_config: {}"), secret(stringData={"a": "b"}),
    {**INFERENCE, "resource": {**INFERENCE["resource"], "partition": {"mode": "mig", "profile": "x", "count": 2}}},
    {**INFERENCE, "inference": {**INFERENCE["inference"], "config": "c", "adapters": [{"source": {"name": "a"}}]}},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in places(item, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], junk: Any, key: Any) -> Any:
    """A copy with junk at `path`; under a new key if one is given."""
    if not path:
        return {**value, key: junk} if key is not None and isinstance(value, dict) else junk
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = put(value[path[0]], path[1:], junk, key)
    return copied


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """A whole document with junk at one to three of its places."""
    document = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        document = put(document, path, draw(JUNK), draw(st.none() | st.text(max_size=5)))
    return document


def is_readable(refused: InvalidWorkspace) -> bool:
    """Every finding is of a known code, on one line, and can be printed."""
    for finding in refused.findings:
        assert finding.code in codes() and finding.message and finding.severity == "error"
        assert "\n" not in str(finding).encode().decode() and "pydantic" not in str(finding).lower()
    return bool(refused.findings)


@settings(max_examples=500, deadline=None)
@given(st.lists(broken(), min_size=1, max_size=2))
def test_documents_with_junk_give_a_bundle_or_our_error(documents: list[Any]) -> None:
    try:
        read_documents(documents)
    except InvalidWorkspace as refused:
        assert is_readable(refused)


@settings(max_examples=100, deadline=None)
@given(JUNK)
def test_junk_alone_is_our_error(value: Any) -> None:
    try:
        read_documents([value])
    except InvalidWorkspace as refused:
        assert is_readable(refused)
    else:
        raise AssertionError("junk was accepted")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["resource", "inference", "tuning", "labels", "namespace", "x"]), JUNK))
def test_args_with_junk_give_a_workspace_or_our_error(args: dict[str, Any]) -> None:
    try:
        workspace_from_args("phi", args)
    except InvalidWorkspace as refused:
        assert is_readable(refused)


YAML_PARTS = st.sampled_from(
    [
        "a",
        ":",
        " ",
        "\n",
        "-",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "!",
        "!!int",
        "<<",
        "'",
        '"',
        "|",
        ">",
        "#",
        "%",
        "---",
        "?",
    ]
)
TEXT = st.lists(YAML_PARTS | st.characters(), max_size=30).map(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
)


@settings(max_examples=300, deadline=None)
@given(TEXT | st.binary(max_size=60), st.randoms(use_true_random=False))
def test_a_file_of_any_bytes_gives_a_bundle_or_our_error(
    tmp_path_factory: Any, junk: bytes, order: random.Random
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / f"junk-{order.randrange(10**9)}.yaml"
    file.write_bytes(junk)
    try:
        read_files([file])
    except InvalidWorkspace as refused:
        assert is_readable(refused)
    finally:
        file.unlink()


def test_values_that_hold_themselves_are_our_error() -> None:
    circle: dict[str, Any] = {"kind": "Workspace"}
    circle |= {"a": circle, "b": [circle, circle]}
    for call in (lambda: read_documents([circle]), lambda: workspace_from_args("phi", {"resource": circle})):
        try:
            call()
        except InvalidWorkspace as refused:
            assert is_readable(refused)
