"""Python args: the same fields, the same rules, and errors that name the Python path."""

from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from pydantic import BaseModel

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import args as typed
from kaito_components.spec import read_documents, schema, workspace_from_args
from tests.unit.spec.workspaces import INFERENCE, TUNING

SERVING: dict[str, Any] = {
    "resource": {"instance_type": "Standard_NC24ads_A100_v4", "label_selector": {"match_labels": {"apps": "phi"}}},
    "inference": {"preset": {"name": "phi-4-mini-instruct"}},
}
FINE_TUNING: dict[str, Any] = {
    "resource": SERVING["resource"],
    "tuning": {
        "preset": {"name": "phi-3-mini-128k-instruct"},
        "method": "qlora",
        "input": {"urls": ("https://example.com/a.parquet",)},
        "output": {"image": "r.example.com/out:1", "image_push_secret": "push"},
    },
}


def problems(args: dict[str, Any]) -> list[Finding]:
    with pytest.raises(InvalidWorkspace) as refused:
        workspace_from_args("phi", args)
    return list(refused.value.findings)


@pytest.mark.parametrize(("args", "file"), [(SERVING, INFERENCE), (FINE_TUNING, TUNING)])
def test_args_say_the_same_as_the_file(args: dict[str, Any], file: dict[str, Any]) -> None:
    (from_file,) = read_documents([file], "Workspace('phi')").workspaces
    assert workspace_from_args("phi", args) == from_file


def test_name_namespace_labels_and_annotations_are_args_of_their_own() -> None:
    head = {"workspace_name": "w", "namespace": "n", "labels": {"a": "b"}, "annotations": {"kaito.sh/runtime": "vllm"}}
    found = workspace_from_args("phi", {**SERVING, **head})
    assert (found.name, found.namespace, found.labels) == ("w", "n", {"a": "b"})
    assert found.annotations == {"kaito.sh/runtime": "vllm"}


# (args that are wrong, the Python path of the error, words of its message)
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"resource": {**SERVING["resource"], "instance_type": 5}}, "args.resource.instance_type", "5 must be text"),
    ({"resource": {"label_selector": {}, "instanceType": "x"}}, "args.resource.instanceType", "mean instance_type?"),
    ({"resource": {"label_selector": {}, "instance_typ": "x"}}, "args.resource.instance_typ", "mean instance_type?"),
    ({"resource": {}}, "args.resource.label_selector", "is missing"),
    ({"resource": None}, "args.resource", "is missing"),
    ({"inference": {}}, "args.inference", "exactly one of preset and template"),
    ({"inference": {"preset": {}}}, "args.inference.preset.name", "is missing"),
    ({"metadata": {}}, "args.metadata", "is not a field"),
    ({"workspace_name": "A_B"}, "args.workspace_name", "cannot be the name"),
    ({"namespace": "A_B"}, "args.namespace", "cannot be the name"),
    ({"annotations": {"kaito.sh/runtime": "tgi"}}, "args.annotations.kaito.sh/runtime", "'tgi' must be"),
    ({"annotations": {"kaito.sh/runtme": "x"}}, "args.annotations.kaito.sh/runtme", "kaito.sh/runtime?"),
    ({"labels": {"a": True}}, "args.labels.a", "put it in quotes"),
    ({"inference": {"preset": {"name": "a"}, "adapters": [{"source": {"name": "a"}}]}},
     "args.inference.adapters[0].source", "image and volume_source"),
    ({"inference": {"preset": {"name": object()}}}, "args.inference.preset.name", "of the type object"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "path", "words"), WRONG)
def test_an_error_names_the_python_path(wrong: dict[str, Any], path: str, words: str) -> None:
    (found,) = problems({**SERVING, **wrong})
    assert (found.field, found.file) == (path, "Workspace('phi')") and words in found.message


def test_all_problems_come_at_once() -> None:
    tuning = {**FINE_TUNING["tuning"], "metod": "x", "method": "full", "output": {"image": "R/P"}}
    found = {finding.field for finding in problems({**FINE_TUNING, "tuning": tuning})}
    assert found == {f"args.tuning.{name}" for name in ("metod", "method", "output.image", "output.image_push_secret")}


def test_a_pulumi_name_that_no_workspace_can_have_is_an_error_about_the_name() -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        workspace_from_args("My Model", SERVING)
    assert refused.value.findings[0].field == "name"


def test_an_output_is_said_to_be_no_plain_value() -> None:
    class Output:
        """Named as Pulumi's."""

    output = {"image": "r.example.com/out:1", "image_push_secret": Output()}
    (found,) = problems({**FINE_TUNING, "tuning": {**FINE_TUNING["tuning"], "output": output}})
    assert found.field == "args.tuning.output.image_push_secret" and "Pulumi Output" in found.message


def test_kubernetes_own_forms_and_labels_keep_their_spelling() -> None:
    volume = {"persistentVolumeClaim": {"claimName": "data"}}
    tuning = {**FINE_TUNING["tuning"], "input": {"volume_source": volume}}
    found = workspace_from_args("phi", {**FINE_TUNING, "tuning": tuning}).tuning
    assert found and found.input.volume_source == volume


def test_an_adapters_strength_may_be_a_number() -> None:
    adapters = [{"source": {"name": "a", "image": "r/a:1"}, "strength": 0.5}]
    inference = {**SERVING["inference"], "adapters": adapters}
    found = workspace_from_args("phi", {**SERVING, "inference": inference}).inference
    assert found and found.adapters[0].strength == 0.5


def test_the_callers_args_are_left_as_they_are() -> None:
    before = repr(FINE_TUNING)
    workspace_from_args("phi", FINE_TUNING)
    assert repr(FINE_TUNING) == before


def held(hint: Any) -> Any:
    """The TypedDict that a hint holds, alone or in a list."""
    if is_typeddict(hint):
        return hint
    return next((found for part in get_args(hint) if get_origin(hint) and (found := held(part))), None)


def pairs(dictionary: Any, model: type[BaseModel]) -> Any:
    """Every TypedDict of args with the model of the file that says the same."""
    yield dictionary, model
    for name, hint in get_type_hints(dictionary).items():
        if inner := held(hint):
            found = schema.model_of(model.model_fields[name].annotation)
            assert found
            yield from pairs(inner, found)


def test_args_have_exactly_the_fields_of_the_file() -> None:
    for name in ("resource", "inference", "tuning"):
        model = schema.model_of(schema.WorkspaceFile.model_fields[name].annotation)
        assert model
        for dictionary, shape in pairs(held(get_type_hints(typed.WorkspaceSpecArgs)[name]), model):
            assert set(get_type_hints(dictionary)) == set(shape.model_fields), dictionary.__name__
