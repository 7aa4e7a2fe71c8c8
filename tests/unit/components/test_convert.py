"""`kaito convert`: the program that it writes makes what the files make."""

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from kaito_components import Workspace, workspaces_from_files
from kaito_components.cli.convert import not_carried, program
from kaito_components.names import OWN_LABELS
from kaito_components.spec import read_documents, read_files
from tests.unit.components.mocked_engine import Mocked, Registered
from tests.unit.spec.test_spec_sets import SET
from tests.unit.spec.workspaces import EXISTING, INFERENCE, TEMPLATE, TUNING, changed, config_map, secret

ROOT = Path(__file__).parents[3]


def _converts(path: Path) -> bool:
    """The quick start's tuning file has placeholders; other YAML is of Pulumi."""
    words = path.read_text()
    return "kaito.sh/" in words and "_HERE" not in words


EXAMPLES = [path for path in sorted(ROOT.glob("examples/**/*.yaml")) if _converts(path)]
AKS: Any = {"resource_group": "g", "name": "c"}
SETTINGS = config_map("vllm: {max-num-seqs: 8}", "inference_config.yaml")
ADAPTERS = [
    {"source": {"name": "a", "image": "r.example.com/a:1", "imagePullSecrets": ["pull"]}, "strength": "0.5"},
    {"source": {"name": "b", "volumeSource": {"persistentVolumeClaim": {"claimName": "b"}}}},
]
VOLUME = {"volumeSource": {"persistentVolumeClaim": {"claimName": "o"}}}
OTHER = changed(changed(INFERENCE, "metadata/name", "second"), "inference/config", "c")
LOOSE = config_map("a: 1", "a.yaml", labels={"team": "ml"}, annotations={"why": "read by the container"})
AB = {"name": "b", "namespace": "a"}
KUBECONFIG = "apiVersion: v1\nkind: Config\n"
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
    "two with the same settings": [changed(INFERENCE, "inference/config", "c"), OTHER, SETTINGS],
    "template and a ConfigMap of its own": [TEMPLATE, LOOSE],
    "existing nodes": [EXISTING],
    "names that look alike": [changed(INFERENCE, "metadata/name", "a-b"), changed(INFERENCE, "metadata", AB)],
}
LOGIN = secret(type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": '{"auths": {"r": "hunter2"}}'})


def registered(mocked: Mocked) -> dict[tuple[str, str], Any]:
    """Type and name of what was registered -> its inputs and what it depends on; the provider is the program's own.

    ConfigMaps and Secrets that stand by themselves bear no labels of ours in a program.
    """
    found = [one for one in mocked.registered if "providers" not in one.type]
    assert len({one.urn for one in found}) == len(found)
    return {(one.type, one.name): (_unmarked(one.inputs), _after(one, found)) for one in found}


def _unmarked(inputs: dict[str, Any]) -> dict[str, Any]:
    metadata = inputs.get("metadata")
    if not metadata:
        return inputs
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key not in OWN_LABELS}
    rest = {key: value for key, value in metadata.items() if key not in ("labels", "annotations")}
    annotations = metadata.get("annotations") or {}
    return inputs | {"metadata": {**rest, "labels": labels, "annotations": annotations}}


def _after(one: Registered, found: list[Registered]) -> set[str]:
    """What it depends on, but for what stands beside: in a program its component depends on that."""
    beside = {other.urn for other in found if other.type.endswith((":ConfigMap", ":Secret"))}
    return set(one.depends_on) - beside


def run(mocked: Mocked, text: str) -> dict[tuple[str, str], Any]:
    config = {f"kaito:{key}": "from-config" for key in re.findall(r"config set --secret (\S+) ", text)}
    config |= {"kaito:resourceGroup": "g", "kaito:cluster": "c", "kaito:kubeconfig": KUBECONFIG}
    mocked.run(lambda: exec(compile(text, "converted", "exec"), {}), config)
    return registered(mocked)


def made(mocked: Mocked, path: Path) -> dict[tuple[str, str], Any]:
    """What is made of the file itself."""
    on_aks = "instanceType" in path.read_text()
    cluster: Any = AKS if on_aks else {"kubeconfig": KUBECONFIG}
    mocked.run(lambda: workspaces_from_files([path], cluster, None if on_aks else {"provider": "existing"}) and None)
    return registered(mocked)


@pytest.mark.parametrize("name", SHAPES)
def test_the_program_registers_what_the_file_does(mocked: Mocked, tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump_all(SHAPES[name]))
    expected = made(mocked, path)
    assert run(mocked, program(read_files([path]), "w.yaml")) == expected and expected


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_program_of_every_example_registers_what_the_example_does(mocked: Mocked, path: Path) -> None:
    expected = made(mocked, path)
    assert run(mocked, program(read_files([path]), path.name)) == expected and expected


def test_a_secrets_value_is_not_in_the_program_but_in_the_stacks_configuration(mocked: Mocked) -> None:
    text = program(read_documents([TUNING, LOGIN]), "w.yaml")
    assert "hunter2" not in text and "pulumi config set --secret default-push-dockerconfigjson  " in text
    run(mocked, text)
    component, secret = mocked.one("kaito:index:Workspace"), mocked.one(":Secret")
    assert secret.urn in component.depends_on and secret.inputs["stringData"]["value"] == {
        ".dockerconfigjson": "from-config"
    }


def test_a_binary_value_is_asked_for_in_base64(mocked: Mocked) -> None:
    text = program(read_documents([TUNING, LOGIN, secret("other", data={"key": "/w==", "text": "YQ=="})]), "w.yaml")
    assert "key of other, in base64" in text and "text of other, as plain text" in text
    run(mocked, text)
    other = next(one for one in mocked.of(":Secret") if one.inputs["metadata"]["name"] == "other")
    assert set(other.inputs["data"]["value"]) == {"key"} and set(other.inputs["stringData"]["value"]) == {"text"}


def test_values_of_like_names_have_settings_of_their_own() -> None:
    like = secret("other", stringData={".a.b": "1", "a.b": "2"})
    text = program(read_documents([TUNING, like]), "w.yaml")
    assert 'require_secret("default-other-a.b")' in text and 'require_secret("default-other-a.b-2")' in text


def test_labels_of_settings_are_said_to_be_left_out() -> None:
    labelled = {**SETTINGS, "metadata": {"name": "c", "labels": {"team": "ml"}}}
    bundle = read_documents([changed(INFERENCE, "inference/config", "c"), labelled])
    assert [line for line in not_carried(bundle) if "team" in line and "ConfigMap c" in line]


def test_settings_of_one_name_and_two_contents_are_refused(mocked: Mocked) -> None:
    def both() -> None:
        for name, size in (("a", 8), ("b", 9)):
            maps = {"c": {"inference_config.yaml": f"vllm: {{max-num-seqs: {size}}}"}}
            inference: Any = {"preset": {"name": "phi-4-mini-instruct"}, "config": "c"}
            resource: Any = {
                "instance_type": "Standard_NC24ads_A100_v4",
                "label_selector": {"match_labels": {"a": "b"}},
            }
            Workspace(name, {"cluster": AKS, "resource": resource, "inference": inference, "config_maps": maps})

    with pytest.raises(pulumi.RunError, match="ConfigMap c in namespace default stands beside two Workspaces"):
        mocked.run(both)


def test_there_are_examples_to_convert() -> None:
    assert len(EXAMPLES) >= 3


def test_the_program_is_formatted_python() -> None:
    text = program(read_documents([INFERENCE, TUNING | {"metadata": {"name": "tune"}}]), "w.yaml")
    assert max(map(len, text.splitlines())) <= 120 and "'" not in text.replace("`", "")
    compile(text, "converted", "exec")
