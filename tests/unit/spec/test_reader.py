"""Reading KAITO's files: unchanged, several objects in a file, and every problem at once with file, line and field."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaito_components.errors import InvalidWorkspace
from kaito_components.spec import read_documents, read_files
from tests.unit.spec.workspaces import INFERENCE, TUNING, accepted, changed, problems, problems_of_text

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
ALL_AT_ONCE = """\
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata:
  name: Tuning_Phi
resource:
  instancetype: Standard_NC24ads_A100_v4
  labelSelector: {}
  count: "2"
tuning:
  preset:
    name: phi-3-mini-128k-instruct
  method: full
  input:
    urls:
      - https://example.com/a.parquet
      - ftp://example.com/b.parquet
  output:
    image: registry.example.com/Phi:1
"""


def test_the_quick_start_with_its_placeholders_filled_is_accepted(tmp_path: Path) -> None:
    text = (QUICKSTART / "workspace-tuning-phi-3.yaml").read_text()
    text = text.replace("ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE", "demo.azurecr.io/phi")
    (tmp_path / "w.yaml").write_text(text.replace("ACR_REGISTRY_SECRET_HERE", "acr-push"))
    (found,) = read_files([tmp_path / "w.yaml"]).workspaces
    assert found.tuning and found.tuning.method == "qlora" and found.tuning.output.image_push_secret == "acr-push"
    assert found.findings == () and found.resource.instance_type == "Standard_NC6s_v3"


def test_unfilled_placeholders_are_said_with_their_lines_and_what_to_put_there() -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([QUICKSTART / "workspace-tuning-phi-3.yaml"])
    image, push = refused.value.findings
    assert (image.code, image.field, image.line) == ("placeholder", "tuning.output.image", 18)
    assert (push.code, push.field, push.line) == ("placeholder", "tuning.output.imagePushSecret", 19)
    assert "registry, repository and tag" in image.message and "name of your Secret" in push.message


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    found = [(f.line, f.field, f.code) for f in problems_of_text(tmp_path, ALL_AT_ONCE)]
    assert found == [
        (4, "metadata.name", "invalid-name"),
        (6, "resource.instancetype", "unknown-field"),
        (8, "resource.count", "wrong-type"),
        (12, "tuning.method", "tuning-method"),
        (16, "tuning.input.urls[1]", "invalid-url"),
        (17, "tuning.output.imagePushSecret", "missing-field"),
        (18, "tuning.output.image", "invalid-image"),
    ]


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Workspace\nkind: Workspace\n")
    (tmp_path / "b.yaml").write_text("kind: Pod\n---\nkind: RAGEngine\n")
    (tmp_path / "c.yaml").write_text("# nothing\n")
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml", "missing.yaml")])
    codes = {(Path(f.file).name, f.line, f.code) for f in refused.value.findings}
    assert codes >= {("a.yaml", 2, "duplicate-key"), ("a.yaml", 1, "missing-field"), ("b.yaml", 1, "unsupported-kind")}
    assert codes >= {("b.yaml", 3, "unsupported-kind"), ("c.yaml", None, "no-object")}
    assert ("missing.yaml", None, "unreadable-file") in codes


def test_a_wrong_part_hides_no_rule_and_breaks_no_other() -> None:
    wrong = changed(changed(TUNING, "tuning/input/urls", "https://example.com/a"), "tuning/preset", None)
    assert {finding.field for finding in problems(wrong)} == {"tuning.input.urls", "tuning.preset"}


@pytest.mark.parametrize("part", ["metadata", "resource", "inference"])
@pytest.mark.parametrize("value", ["x", [], 1, {"x": 1}])
def test_a_part_of_the_wrong_type_is_one_error_for_each_wrong_field(part: str, value: Any) -> None:
    found = problems(changed(INFERENCE, part, value))
    assert {finding.code for finding in found} <= {"wrong-type", "unknown-field", "missing-field", "one-of"}
    assert all(finding.field.startswith(part) for finding in found)


def test_several_objects_stand_in_one_file(tmp_path: Path) -> None:
    text = (
        "---\n# first\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: b}}\ndata: {k: v}\n---\n---\n"
    )
    (tmp_path / "w.yaml").write_text(
        f"{text}apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: v}}\n...\n"
    )
    found = read_files([tmp_path / "w.yaml"])
    assert found.config_maps[0].labels == {"a": "b"} and found.secrets[0].string_data == {"k": "v"}


def test_a_list_of_kubectl_is_its_items_with_their_lines(tmp_path: Path) -> None:
    (found,) = problems_of_text(tmp_path, "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n")
    assert (found.code, found.line, found.field) == ("unsupported-kind", 5, "kind")
    listed = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": [INFERENCE]}
    assert accepted(listed).name == "phi"


@pytest.mark.parametrize("kind", ["RAGEngine", "MultiRoleInference", "ModelMirror"])
def test_kaitos_other_kinds_are_said_to_be_missing_still(kind: str) -> None:
    (found,) = problems(changed(INFERENCE, "kind", kind))
    assert (found.code, found.field) == (
        "unsupported-kind",
        "kind",
    ) and f"KAITO's {kind} is not supported yet" in found.message


@pytest.mark.parametrize("document", [{"apiVersion": "v1"}, {"kind": ["Pod"]}, {"kind": "Pod"}, "text", 7, None, []])
def test_what_is_no_object_of_ours_is_a_named_error(document: Any) -> None:
    (found,) = problems(document)
    assert found.code in ("unsupported-kind", "not-an-object")


def test_an_unknown_version_is_met_with_the_known_ones() -> None:
    (found,) = problems(changed(INFERENCE, "apiVersion", "kaito.sh/v2"))
    assert "'kaito.sh/v1alpha1' or 'kaito.sh/v1beta1'" in found.message


@pytest.mark.parametrize(
    ("wrong", "right"), [("instanceTyp", "instanceType"), ("instance_type", "instanceType"), ("cuont", "count")]
)
def test_a_misspelt_field_is_met_with_the_right_one(wrong: str, right: str) -> None:
    (found,) = problems(changed(INFERENCE, f"resource/{wrong}", "x"))
    assert f"did you mean {right}?" in found.message


def test_a_workspace_written_with_spec_is_told_where_its_fields_belong() -> None:
    wrapped = {"resource": INFERENCE["resource"], "inference": INFERENCE["inference"]}
    (found,) = problems({**{key: INFERENCE[key] for key in ("apiVersion", "kind", "metadata")}, "spec": wrapped})
    assert found.field == "spec" and "to the top" in found.message


def test_two_objects_of_one_name_are_an_error_that_names_both() -> None:
    (found,) = problems(INFERENCE, {**TUNING, "metadata": {"name": "phi"}})
    assert found.code == "duplicate-name" and "'phi'" in found.message
    other = read_documents([INFERENCE, changed(INFERENCE, "metadata/namespace", "other")])
    assert [one.namespace for one in other.workspaces] == ["default", "other"]


DEPRECATED: list[tuple[str, Any, str]] = [
    ("resource/count", 1, "info"),
    ("resource/count", 2, "warning"),
    ("resource/preferredNodes", ["n"], "warning"),
    ("inference/preset/accessMode", "public", "info"),
    ("inference/preset/accessMode", "private", "warning"),
    ("inference/preset/presetOptions", {"image": "r.example.com/phi:1"}, "warning"),
]


@pytest.mark.parametrize(("path", "value", "severity"), DEPRECATED)
def test_deprecated_fields_are_accepted_with_a_finding(path: str, value: Any, severity: str) -> None:
    (found,) = accepted(changed(INFERENCE, path, value)).findings
    assert (found.severity, found.code) == (severity, "deprecated-field")


def test_what_kubectl_prints_is_accepted_and_said_not_to_be_used() -> None:
    head = {
        "name": "phi",
        "uid": "1",
        "resourceVersion": "2",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "workspace.kaito.io/revision": "3"}
    more = {
        "finalizers": ["workspace.finalizer.kaito.sh"],
        "managedFields": [],
        "ownerReferences": [],
        "annotations": applied,
    }
    found = accepted({**INFERENCE, "metadata": {**head, **more}, "status": {"state": "Ready"}})
    assert {finding.code for finding in found.findings} == {"server-field"} and len(found.findings) == 10
    assert found.annotations == {}


def test_null_is_the_same_as_left_out() -> None:
    document = changed(changed(INFERENCE, "tuning", {}), "inference/config", "")
    document |= {"tuning": None, "status": None}
    assert accepted(document).tuning is None
    document["metadata"] = {"name": None}
    assert [finding.field for finding in problems(document)] == ["metadata.name"]


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path: Path) -> None:
    text = "\ufeff" + ALL_AT_ONCE.replace("\n", "\r\n")
    (tmp_path / "w.yaml").write_bytes(text.encode())
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([tmp_path / "w.yaml"])
    assert refused.value.findings[0].line == 4


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", "a: \ud800".encode("utf-8", "surrogatepass")])
def test_a_file_that_is_no_text_is_a_named_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.yaml").write_bytes(content)
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([tmp_path / "w.yaml"])
    assert refused.value.findings[0].code in ("unreadable-file", "not-yaml")


def test_a_folder_and_an_impossible_path_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([tmp_path, "a\0b"])
    assert [finding.code for finding in refused.value.findings] == ["unreadable-file"] * 2


def test_the_model_and_the_args_are_imported_without_pydantic_and_yaml() -> None:
    program = "import sys, kaito_components.spec.model, kaito_components.spec.args; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "kaito_components.spec.args" in loaded and not {"pydantic", "ruamel.yaml"} & set(loaded)
