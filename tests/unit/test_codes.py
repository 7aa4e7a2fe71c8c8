"""The register of findings: each code is documented, and shown by a test with its severities."""

from pathlib import Path
from typing import Any

import pytest

from kaito_components.codes import codes, with_table
from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import read_files
from tests.unit.components.test_monitoring_component import SHOWN as SHOWN_OF_MONITORING
from tests.unit.spec.test_spec_beside import REFUSED as REFUSED_BESIDE
from tests.unit.spec.test_spec_beside import TRAINING_RULES
from tests.unit.spec.test_spec_rules import ANNOTATIONS, RULES, WEIGHTS
from tests.unit.test_capacity import SHOWN as SHOWN_OF_AZURE
from tests.unit.test_judging import SHOWN as SHOWN_OF_ACCEPTANCE
from tests.unit.test_plan_findings import FOUND, REFUSED

DOCS = Path(__file__).parents[2] / "docs" / "findings.md"
HEAD = "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w"
RESOURCE = "resource: {instanceType: Standard_NC24ads_A100_v4, labelSelector: {matchLabels: {a: b}}"
SERVE = f"{HEAD}}}\n{RESOURCE}}}\ninference: {{preset: {{name: phi-4-mini-instruct}}}}\n"
TUNE = (
    f"{HEAD}}}\n{RESOURCE}}}\ntuning: {{preset: {{name: phi-4-mini-instruct}}, method: lora, config: c, "
    "input: {urls: ['https://e/a']}, output: {image: 'r/a:1', imagePushSecret: push}}\n"
)
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c"
CLAIM = "{persistentVolumeClaim: {claimName: a}}"
ADAPTERS = ", ".join(f"{{source: {{name: a{number}, image: 'r/a:1'}}}}" for number in range(11))

# What no table of another test holds: (code, severity, text of a file).
FILES: list[tuple[str, str, str]] = [
    ("not-yaml", "error", "a: ["),
    ("duplicate-key", "error", "kind: Pod\nkind: Pod\n"),
    ("too-large", "error", "a: " + "[" * 5000 + "]" * 5000),
    ("no-object", "error", "# nothing\n"),
    ("not-an-object", "error", "7\n"),
    ("unsupported-kind", "error", "kind: Pod\n"),
    ("duplicate-name", "error", f"{SERVE}---\n{SERVE}"),
    ("unknown-annotation", "error", SERVE.replace("{name: w}", "{name: w, annotations: {kaito.sh/x: z}}")),
    ("acceptance", "error", SERVE.replace("{name: w}", "{name: w, annotations: {pulumi.kaito.sh/accept: 'x: z'}}")),
    ("too-many-adapters", "error", SERVE.replace("}}\n", f"}}, adapters: [{ADAPTERS}]}}\n")),
    ("selector", "error", SERVE.replace("matchLabels: {a: b}", "matchExpressions: [{key: a, operator: Exists}]")),
    ("invalid-url", "error", TUNE.replace("https://e/a", "ftp://e/a")),
    ("private-url", "error", TUNE.replace("https://e/a", "http://169.254.169.254/a")),
    ("config-key", "error", f"{TUNE}---\n{CONFIG}}}\ndata: {{other: x}}\n"),
    ("deprecated-field", "info", SERVE.replace("resource: {", "resource: {count: 1, ")),
    ("deprecated-field", "warning", SERVE.replace("resource: {", "resource: {count: 2, ")),
    ("unused-field", "warning", TUNE.replace("image: 'r/a:1'", f"volumeSource: {CLAIM}")),
    ("unused-field", "info",
     "apiVersion: kaito.sh/v1beta1\nkind: InferenceSet\nmetadata: {name: s}\nspec: {nodeCountLimit: 5, labelSelector: "
     "{matchLabels: {a: b}}, template: {resource: {instanceType: Standard_NC24ads_A100_v4}, inference: {preset: "
     "{name: phi-4-mini-instruct}}}}\n"),
    ("server-field", "info", f"{SERVE}status: {{}}\n"),
    ("unused-metadata", "info", SERVE.replace("{name: w}", "{name: w, labels: {a: b}}")),
    ("ignored-annotation", "warning", SERVE.replace("w}", "w, annotations: {kaito.sh/disable-benchmark: 'true'}}")),
    ("volume-lost", "warning", TUNE.replace("image: 'r/a:1', imagePushSecret: push", "volumeSource: {emptyDir: {}}")),
    ("other-namespace", "warning", f"{TUNE}---\n{CONFIG}, namespace: other}}\ndata: {{training_config.yaml: x}}\n"),
    ("config-section", "warning",
     SERVE.replace("ct}", "ct}, config: c") + f"---\n{CONFIG}}}\ndata: {{inference_config.yaml: 'a: 1'}}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "severity", "text"), FILES, ids=[f"{one[0]} {one[1]}" for one in FILES])
def test_reading_says_it(code: str, severity: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(text)
    assert (code, severity) in {(found.code, found.severity) for found in read([tmp_path / "w.yaml"])}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert [(one.code, one.severity) for one in read([tmp_path / "none.yaml"])] == [("unreadable-file", "error")]


def read(files: list[Path]) -> list[Finding]:
    try:
        bundle = read_files(files)
    except InvalidWorkspace as refused:
        return list(refused.findings)
    return [*bundle.findings, *(found for one in bundle.workspaces for found in one.findings)]


def shown() -> set[tuple[str, str]]:
    """(code, severity) of every table of tests that holds findings by their code."""
    errors: list[Any] = [code for *_, code, _ in RULES] + [code for _, code, _ in TRAINING_RULES]
    errors += [code for _, code in REFUSED_BESIDE] + [code for _, code in WEIGHTS if code]
    errors += [code for *_, code in ANNOTATIONS if code] + [code for code, _, _ in REFUSED]
    errors += ["unreadable-file", "configuration"]  # the latter in tests/unit/components/test_stack_configuration.py
    tables = [(code, severity) for severity, code, _, _ in FOUND] + [(code, severity) for code, severity, _ in FILES]
    return {*((code, "error") for code in errors), *tables, *SHOWN_OF_AZURE, *SHOWN_OF_ACCEPTANCE, *SHOWN_OF_MONITORING}


def test_every_code_is_shown_by_a_test_with_each_of_its_severities() -> None:
    registered = {(code.name, severity) for code in codes().values() for severity in code.severities}
    assert shown() == registered


def test_every_code_has_a_meaning_and_a_way_out() -> None:
    for code in codes().values():
        assert code.comes_when and code.way_out and code.found_in in ("file", "plan", "Azure", "cluster", "stack")


def test_the_documentation_is_the_register() -> None:
    text = DOCS.read_text()
    assert with_table(text) == text, "run: python -m kaito_components.codes docs/findings.md"
    assert text.count("\n| `") == len(codes()) > 100
