"""The rules of the policy pack over what the plans of real Workspaces would register."""

from dataclasses import replace
from typing import Any

import pytest
import rules
from resources import Resource

from kaito_components.manifests import agent_pool, workload_objects
from kaito_components.plan import NodeOptions, Plan
from tests.unit.workspaces import A100, CPU, T4, inference, planned, template, tuning

SPOT = NodeOptions(spot=True)
PUBLIC = {"kaito.sh/enablelb": "True"}


def made(plan: Plan) -> list[Resource]:
    """The resources of one Workspace."""
    found = [Resource("pool", "azure-native:containerservice:AgentPool", "phi-pool", agent_pool(plan))]
    for one in workload_objects(plan):
        found.append(Resource(one["kind"], f"kubernetes:{one['apiVersion']}:{one['kind']}", plan.name, one))
    return found


def said(rule: Any, plan: Plan, **config: Any) -> list[str]:
    return [message for _, message in rule(made(plan), config)]


def image(name: str) -> Plan:
    containers = [{"name": "c", "image": name, "command": ["serve", "--api-key-file", "/keys"]}]
    spec = template()
    assert spec.inference
    return planned(replace(spec, inference=replace(spec.inference, template={"spec": {"containers": containers}})))


ALLOWED = {"allowed": ["mit", "apache-2.0"]}
BROKEN: list[tuple[str, Any, Plan, dict[str, Any], str]] = [
    ("cost", rules.cost_per_hour, planned(inference()), {"maxPerHour": 1, "region": "eastus"}, "more than 1"),
    ("unknown cost", rules.cost_per_hour, planned(inference()), {"maxPerHour": 9}, "an unnamed region is not known"),
    (
        "spot cost",
        rules.cost_per_hour,
        planned(inference(), nodes=SPOT),
        {"maxPerHour": 9, "region": "eastus"},
        "not known",
    ),
    ("size", rules.vm_sizes, planned(inference()), {"allowed": ["Standard_NV*"]}, "use Standard_NV*"),
    ("untagged", rules.pinned_images, image("r.example.com:5000/web"), {}, "r.example.com:5000/web is another one"),
    ("latest", rules.pinned_images, image("web:latest"), {}, "web:latest is another one"),
    ("public", rules.endpoints, planned(inference(annotations=PUBLIC)), {}, "asks for no API key"),
    ("spot", rules.spot, planned(inference(), nodes=SPOT), {}, "serves on them"),
    ("spot for what is tuned", rules.spot, planned(tuning(A100), nodes=SPOT), {}, "serves on them"),
    ("licence", rules.licenses, planned(inference()), {"allowed": ["apache-2.0"]}, "has the licence mit"),
]
KEPT: list[tuple[str, Any, Plan, dict[str, Any]]] = [
    ("cost", rules.cost_per_hour, planned(inference()), {"maxPerHour": 9, "region": "West US 2"}),
    ("no limit", rules.cost_per_hour, planned(inference()), {}),
    ("size", rules.vm_sizes, planned(inference()), {"allowed": [A100.lower()]}),
    ("any size", rules.vm_sizes, planned(inference()), {}),
    ("tag", rules.pinned_images, image("r.example.com:5000/web:1"), {}),
    ("digest", rules.pinned_images, image("web@sha256:" + "0" * 64), {}),
    ("private", rules.endpoints, planned(inference()), {}),
    ("revision", rules.pinned_revisions, planned(inference()), {}),
    ("spot", rules.spot, planned(tuning(A100, annotations={"pulumi.kaito.sh/serve": "false"}), nodes=SPOT), {}),
    ("taints", rules.taints, planned(inference(), nodes=SPOT), {}),
    ("licence", rules.licenses, planned(inference(T4)), ALLOWED),
    ("any licence", rules.licenses, planned(inference()), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "plan", "config", "words"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN]
)
def test_a_broken_rule_is_one_sentence(rule: Any, plan: Plan, config: dict[str, Any], words: str) -> None:
    (message,) = said(rule, plan, **config)
    assert words in message


@pytest.mark.parametrize(("rule", "plan", "config"), [one[1:] for one in KEPT], ids=[one[0] for one in KEPT])
def test_a_kept_rule_is_silent(rule: Any, plan: Plan, config: dict[str, Any]) -> None:
    assert said(rule, plan, **config) == []


def test_a_model_without_a_revision_is_named_also_in_a_shells_script() -> None:
    container = {"command": ["/bin/sh", "-c", "serve --model=org/name --port=1"]}
    pod = {"metadata": {"labels": {}}, "spec": {"containers": [container]}}
    workload = Resource("u", "kubernetes:apps/v1:StatefulSet", "w", {"spec": {"template": pod}})
    ((urn, message),) = rules.pinned_revisions([workload], {})
    assert urn == "u" and "org/name has no revision" in message


def test_a_public_server_with_a_key_is_fine_and_so_is_an_internal_load_balancer() -> None:
    with_key = planned(replace(image("web:1").spec, annotations=PUBLIC))
    assert said(rules.endpoints, with_key) == []
    service, *others = [one for one in made(planned(inference(annotations=PUBLIC))) if one.kind != "AgentPool"]
    metadata = {**service.properties["metadata"], "annotations": {rules.INTERNAL: "true"}}
    inside = replace(service, properties={**service.properties, "metadata": metadata})
    assert list(rules.endpoints([inside, *others], {})) == []


def test_a_workload_that_does_not_tolerate_its_pool_is_named() -> None:
    pool, *others = made(planned(inference(CPU, "smollm2-135m-instruct")))
    tainted = replace(pool, properties={**pool.properties, "nodeTaints": ["team=a:NoSchedule"]})
    ((_, message),) = rules.taints([tainted, *others], {})
    assert "does not tolerate team=a:NoSchedule" in message


def test_a_region_is_compared_as_azure_does() -> None:
    group = Resource("g", "azure-native:resources:ResourceGroup", "g", {"location": "West Europe"})
    assert list(rules.regions([group], {"allowed": ["westeurope"]})) == []
    ((_, message),) = rules.regions([group], {"allowed": ["eastus"]})
    assert message == "ResourceGroup g: West Europe is not allowed; use eastus"
