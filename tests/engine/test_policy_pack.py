"""The policy pack on the real engine: `pulumi preview --policy-pack policy`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.instance import Instance
from local_cloud.stack import PROJECT, Stack
from tests.engine.workspaces import inference, template

MakeStack = Callable[..., Stack]
LIMITS = {
    "cost-per-hour": {"maxPerHour": 10, "region": "eastus"},
    "vm-sizes": {"allowed": ["Standard_NC*"]},
    "regions": {"allowed": ["eastus"]},
    "licenses": {"allowed": ["mit"]},
}


def public() -> dict[str, Any]:
    return inference() | {"metadata": {"name": "phi", "annotations": {"kaito.sh/enablelb": "True"}}}


def unpinned() -> dict[str, Any]:
    return template("web", command=["serve", "--model", "org/name"], image="r.example.com/server")


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "cost-per-hour": (inference(), {"cost-per-hour": {"maxPerHour": 1, "region": "eastus"}}, {}),
    "vm-sizes": (inference(), {"vm-sizes": {"allowed": ["Standard_NV*"]}}, {}),
    "pinned-images": (unpinned(), {}, {}),
    "endpoints": (public(), {}, {}),
    "pinned-revisions": (unpinned(), {}, {}),
    "spot": (inference(), {}, {"nodes": {"spot": True}}),
    "licenses": (inference(), {"licenses": {"allowed": ["apache-2.0"]}}, {}),
}


@pytest.fixture
def preview(make_stack: MakeStack, tmp_path: Path) -> Callable[..., Any]:
    """`pulumi preview` of one Workspace with the pack, and with these limits."""

    def run(workspace: dict[str, Any], limits: dict[str, Any], options: dict[str, Any]) -> Any:
        (tmp_path / "limits.json").write_text(json.dumps(limits))
        pack = ["--policy-pack", str(PROJECT / "policy"), "--policy-pack-config", str(tmp_path / "limits.json")]
        return make_stack(workspace, **options).preview(*pack, check=False)

    return run


def test_an_ordinary_workspace_within_all_limits_passes(preview: Callable[..., Any]) -> None:
    done = preview(inference(), LIMITS, {})
    assert done.code == 0 and "kaito" in done.text, done.text


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_fails_the_preview_and_is_named(preview: Callable[..., Any], rule: str) -> None:
    done = preview(*BROKEN[rule])
    assert done.code != 0 and rule in done.text, done.text


def test_the_pack_judges_any_program(cloud: Instance, tmp_path: Path) -> None:
    """Taints and regions: what this package declares cannot break them."""
    (tmp_path / "limits.json").write_text(json.dumps({"regions": {"allowed": ["eastus"]}}))
    stack = Stack(cloud.env(), tmp_path, {}, project=PROJECT / "tests/engine/policy_program")
    pack = ["--policy-pack", str(PROJECT / "policy"), "--policy-pack-config", str(tmp_path / "limits.json")]
    try:
        done = stack.preview(*pack, check=False)
        assert done.code != 0 and "does not tolerate team=a:NoSchedule" in done.text, done.text
        assert "ResourceGroup g: westeurope is not allowed; use eastus" in done.text
    finally:
        stack.remove()
