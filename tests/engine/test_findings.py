"""Findings as the engine shows them: errors stop everything, warnings are diagnostics of the Workspace."""

from collections.abc import Callable
from typing import Any

from local_cloud.stack import Result, Stack
from tests.engine.conftest import Azure
from tests.engine.workspaces import tuning

MakeStack = Callable[..., Stack]
ACCEPTED = "vm-size-retired: the region still sells it until spring"


def said(result: Result, code: str) -> list[tuple[str, str]]:
    """(severity, type and name of the resource) of the diagnostics that hold the code."""
    events = [event["diagnosticEvent"] for event in result.events if "diagnosticEvent" in event]
    return [(one["severity"], one.get("urn", "").split("$")[-1]) for one in events if code in one["message"]]


def test_a_warning_is_a_diagnostic_of_its_workspace(make_stack: MakeStack, namespace: str) -> None:
    (found,) = said(make_stack(tuning()).preview(), "vm-size-retired")
    assert found[0] == "warning" and found[1].endswith(f"kaito:index:Workspace::{namespace}/tune")


def test_a_strict_stack_stops_at_a_warning_before_anything_is_made(make_stack: MakeStack, azure: Azure) -> None:
    stack = make_stack(tuning(), strict=True)
    for refused in (stack.preview(check=False), stack.up(check=False)):
        assert refused.code != 0 and refused.ops == {} and "Traceback" not in refused.text
        assert "tune-workspace.yaml:" in refused.text and "because of strict" in refused.text
    assert azure.pools == set()


def test_an_accepted_warning_is_an_info_with_its_reason_in_a_strict_stack(make_stack: MakeStack) -> None:
    workspace: dict[str, Any] = tuning()
    workspace["metadata"]["annotations"] = {"pulumi.kaito.sh/accept": ACCEPTED}
    shown = make_stack(workspace, strict=True).preview()
    assert [severity for severity, _ in said(shown, "vm-size-retired")] == ["info"]
    assert "(accepted: the region still sells it until spring)" in shown.text
