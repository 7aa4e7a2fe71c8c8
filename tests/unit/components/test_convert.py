"""`kaito convert`: the program that it writes makes what the files make."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kaito_components import workspaces_from_files
from kaito_components.cli.convert import program
from kaito_components.spec import read_documents, read_files
from tests.unit.components.mocked_engine import Mocked
from tests.unit.spec.test_spec_sets import SET
from tests.unit.spec.workspaces import INFERENCE, TEMPLATE, TUNING, changed, config_map, secret

ROOT = Path(__file__).parents[3]
# The quick start's tuning file has placeholders, and the program names an AKS cluster, so it is not for existing nodes.
EXAMPLES = [path for path in sorted(ROOT.glob("examples/**/*phi-4-mini.yaml")) if "instanceType" in path.read_text()]
AKS: Any = {"resource_group": "g", "name": "c"}
SETTINGS = config_map("vllm: {max-num-seqs: 8}", "inference_config.yaml")
ADAPTERS = [
    {"source": {"name": "a", "image": "r.example.com/a:1", "imagePullSecrets": ["pull"]}, "strength": "0.5"},
    {"source": {"name": "b", "volumeSource": {"persistentVolumeClaim": {"claimName": "b"}}}},
]
VOLUME = {"volumeSource": {"persistentVolumeClaim": {"claimName": "o"}}}
TRANSFORMERS = {"kaito.sh/runtime": "transformers"}
SHAPES: dict[str, list[dict[str, Any]]] = {
    "preset": [INFERENCE],
    "other namespace": [changed(INFERENCE, "metadata/namespace", "ml")],
    "settings": [changed(INFERENCE, "inference/config", "c"), SETTINGS],
    "adapters": [changed(changed(INFERENCE, "inference/adapters", ADAPTERS), "metadata/annotations", TRANSFORMERS)],
    "template": [changed(TEMPLATE, "resource/count", 2)],
    "tuning": [TUNING],
    "tuning to a volume": [
        changed(TUNING, "tuning/output", {"volumeSource": {"persistentVolumeClaim": {"claimName": "o"}}})
    ],
    "set": [SET],
}
LOGIN = secret(type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": '{"auths": {"r": "hunter2"}}'})


def registered(mocked: Mocked) -> dict[tuple[str, str], Any]:
    """Type and name of what was registered -> its inputs; the provider and its name are the program's own."""
    return {(one.type, one.name): one.inputs for one in mocked.registered if "providers" not in one.type}


def run(mocked: Mocked, text: str) -> dict[tuple[str, str], Any]:
    config = {"kaito:resourceGroup": "g", "kaito:cluster": "c", "kaito:default-push-dockerconfigjson": "from-config"}
    mocked.run(lambda: exec(compile(text, "converted", "exec"), {}), config)
    return registered(mocked)


@pytest.mark.parametrize("name", SHAPES)
def test_the_program_registers_what_the_file_does(mocked: Mocked, tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump_all(SHAPES[name]))
    mocked.run(lambda: workspaces_from_files([path], AKS) and None)
    expected = registered(mocked)
    assert run(mocked, program(read_files([path]), "w.yaml")) == expected and expected


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_becomes_a_program_that_runs(mocked: Mocked, path: Path) -> None:
    assert run(mocked, program(read_files([path]), path.name))


def test_a_secrets_value_is_not_in_the_program_but_in_the_stacks_configuration(mocked: Mocked) -> None:
    text = program(read_documents([TUNING, LOGIN]), "w.yaml")
    assert "hunter2" not in text and "pulumi config set --secret default-push-dockerconfigjson VALUE" in text
    made = run(mocked, text)
    assert ("kubernetes:core/v1:Secret", "push-secret") in made


def test_there_are_examples_to_convert() -> None:
    assert len(EXAMPLES) >= 2


def test_the_program_is_formatted_python() -> None:
    text = program(read_documents([INFERENCE, TUNING | {"metadata": {"name": "tune"}}]), "w.yaml")
    assert max(map(len, text.splitlines())) <= 120 and "'" not in text.replace("`", "")
    compile(text, "converted", "exec")
