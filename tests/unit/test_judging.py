"""Strict stacks and accepted warnings: what findings weigh in the end."""

from dataclasses import replace

import pytest

from kaito_components.errors import Finding
from kaito_components.judging import judged, weighed
from kaito_components.spec.model import InferenceSet, Workspace
from tests.unit.spec.workspaces import INFERENCE, accepted, changed, problems
from tests.unit.workspaces import T4, inference, planned, tuning

SHOWN = [("acceptance-of-error", "error"), ("acceptance-unused", "info")]  # by the tests of this file
RETIRED, WHY = "vm-size-retired", "the region still sells it until spring"


def said(spec: Workspace, strict: bool = False) -> list[Finding]:
    return [found for found in judged(planned(spec), strict).findings if found.code.startswith(("vm-", "acceptance"))]


def test_a_warning_is_an_error_in_a_strict_stack_and_says_the_way_out() -> None:
    (found,) = said(tuning(), strict=True)
    assert found.severity == "error" and "because of strict" in found.message
    assert "pulumi.kaito.sh/accept" in found.message and "2025-09-30" in found.message


@pytest.mark.parametrize("strict", [True, False])
def test_an_accepted_warning_is_an_info_with_its_reason(strict: bool) -> None:
    (found,) = said(tuning(accepted={RETIRED: WHY}), strict)
    assert (found.severity, found.code, found.accepted) == ("info", RETIRED, WHY)
    assert str(found).endswith(f"(accepted: {WHY})")


def test_infos_and_errors_stay_what_they_are_in_a_strict_stack() -> None:
    findings = [Finding("info", "context-cut", "", ""), Finding("error", "does-not-fit", "", "")]
    assert [one.severity for one in weighed(findings, inference(), strict=True)] == ["error", "info"]


def test_an_error_cannot_be_accepted() -> None:
    spec = inference("Standard_D2s_v5", accepted={"does-not-fit": "I know better"})
    found = [(one.severity, one.code) for one in judged(planned(spec), strict=False).findings]
    assert ("error", "does-not-fit") in found and ("error", "acceptance-of-error") in found


def test_a_line_for_a_warning_that_does_not_come_is_named() -> None:
    (found,) = said(inference(accepted={RETIRED: WHY}))
    assert (found.severity, found.code) == ("info", "acceptance-unused") and RETIRED in found.message


def test_what_azure_may_say_elsewhere_is_not_said_to_be_unused() -> None:
    assert said(inference(accepted={"quota-short": WHY})) == []


def test_an_unused_line_is_said_of_the_first_replica_alone() -> None:
    replicas = InferenceSet("phi", "default", 2, inference(accepted={RETIRED: WHY})).replicas()
    assert [len(said(one)) for one in replicas] == [1, 0]


def test_several_are_accepted_one_a_line() -> None:
    text = f"{RETIRED}: {WHY}\n\n image-registry-unset : none: it is built in CI\n"
    spec = accepted(changed(INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/accept": text}))
    assert spec.accepted == {RETIRED: WHY, "image-registry-unset": "none: it is built in CI"}
    warned = replace(inference(T4), accepted=spec.accepted)
    found = judged(planned(warned, image_registry=None), strict=True).findings
    assert ("info", "image-registry-unset") in {(one.severity, one.code) for one in found}


WRONG = [
    ("vm-size-retird: because", "did you mean vm-size-retired?"),
    ("vm-size-retired", "has no reason"),
    ("vm-size-retired:  ", "has no reason"),
    ("unknown-preset: because", "is an error"),
    ("context-cut: because", "is no warning"),
    ("vm-size-retired: a\nvm-size-retired: b", "stands twice"),
    (" ", "accepts nothing"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_an_acceptance_that_cannot_be_is_an_error(text: str, words: str) -> None:
    (found,) = problems(changed(INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/accept": text}))
    assert found.code == "acceptance" and words in found.message
