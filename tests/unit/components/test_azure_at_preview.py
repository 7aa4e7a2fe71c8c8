"""A program that has Azure asked: what reaches the user, and what stops it before anything is registered."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from kaito_components import Cluster, Workspace
from local_cloud.azure_http import AzureHttp, Fault, sku
from tests.azure_market import A100, A100_FAMILY
from tests.unit.components.mocked_engine import CLUSTER_ID, Mocked

WITHOUT_PRICES = "public addresses and traffic"


@pytest.fixture(autouse=True)
def cluster_of_this_subscription(azure_http: AzureHttp) -> None:
    azure_http.market.subscription = CLUSTER_ID.split("/")[2]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the program says to the user, in order."""
    texts: list[str] = []
    for severity in ("info", "warn"):
        monkeypatch.setattr(pulumi.log, severity, lambda text, *_: texts.append(text))
    return texts


def args(name: str = "phi", **nodes: Any) -> Any:
    return {
        "resource": {"instance_type": A100, "label_selector": {"match_labels": {"apps": name}}},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}},
        "nodes": nodes,
    }


def declare(*names: str, azure: Mapping[str, Any] | None = None, **nodes: Any) -> list[Workspace]:
    given: Any = {"resource_group": "g", "name": "c", "azure": {"checks": True} if azure is None else azure}
    there = Cluster(given)
    return [Workspace(name, {**args(name, **nodes), "cluster": there}) for name in names]


def refusal(mocked: Mocked, *names: str, **options: Any) -> str:
    """What the program is refused with."""
    texts: list[str] = []

    def program() -> None:
        with pytest.raises(pulumi.RunError) as refused:
            declare(*names, **options)
        texts.append(str(refused.value))

    mocked.run(program)
    return texts[0]


def test_quota_is_summed_over_workspaces_that_are_declared_one_after_the_other(mocked: Mocked) -> None:
    text = refusal(mocked, "a", "b")
    assert f"48 more {A100_FAMILY} vCPUs are needed in eastus (default/a, default/b), and 24 are left" in text
    assert [one.name for one in mocked.of("Workspace")] == ["a"]


def test_quota_and_sizes_are_asked_for_once_a_run(mocked: Mocked, azure_http: AzureHttp) -> None:
    azure_http.market.usages["eastus"][A100_FAMILY] = (0, 1000)
    azure_http.market.page = 100
    mocked.run(lambda: declare("a", "b", "c"))
    assert len(azure_http.asked("usages")) == len(azure_http.asked("skus")) == 1
    assert len(azure_http.asked("prices")) == 2  # of the size, and of its disk


def test_the_pools_of_this_stack_are_used_already_and_need_nothing(mocked: Mocked, azure_http: AzureHttp) -> None:
    mocked.run(lambda: declare("phi"))
    pool = mocked.one("AgentPool").inputs
    azure_http.market.usages["eastus"][A100_FAMILY] = (48, 48)
    assert "24 more" in refusal(mocked, "phi")
    mocked.cloud.pools = [{"name": pool["agentPoolName"], "vmSize": A100, "count": 1, "tags": pool["tags"]}]
    mocked.run(lambda: declare("phi"))
    assert mocked.one("AgentPool").import_id


def test_a_restricted_size_is_refused_before_anything_is_registered(mocked: Mocked, azure_http: AzureHttp) -> None:
    azure_http.market.skus[0] = sku(A100, "eastus", restricted={"NotAvailableForSubscription": ()})
    assert "is restricted in eastus (NotAvailableForSubscription)" in refusal(mocked, "phi")
    assert mocked.of("Workspace") == []


def test_what_cannot_be_checked_is_a_warning_and_the_rest_goes_on(
    mocked: Mocked, azure_http: AzureHttp, said: list[str]
) -> None:
    azure_http.arm(Fault("usages", 403, "AuthorizationFailed", times=99))
    mocked.run(lambda: declare("a", "b"))
    (warning,) = [text for text in said if text.startswith("azure-check-failed")]
    assert "quota in eastus not checked" in warning and "role Reader" in warning
    assert len(mocked.of("Workspace")) == 2


def test_the_cost_is_said_with_its_source_and_is_an_output(mocked: Mocked, said: list[str]) -> None:
    costs: list[Any] = []
    mocked.run(lambda: declare("phi")[0].cost.apply(costs.append))
    (text,) = [text for text in said if text.startswith("cost: ")]
    assert text.startswith("cost: 3.70 USD an hour, 2,699 a month of 730 hours; an hour: Standard_NC24ads_A100_v4 3.67")
    assert f"P10 disk 0.027; without {WITHOUT_PRICES}; Azure Retail Prices API, 20" in text
    assert costs[0]["per_hour"] == pytest.approx(3.67 + 19.71 / 730, abs=1e-4) and costs[0]["currency"] == "USD"


def test_spot_nodes_have_the_spot_price(mocked: Mocked, said: list[str]) -> None:
    mocked.run(lambda: declare("phi", spot=True))
    assert any(text.startswith("cost: 1.13 USD an hour") for text in said)


def test_without_checks_nothing_is_asked_and_the_table_is_used(
    mocked: Mocked, azure_http: AzureHttp, said: list[str]
) -> None:
    mocked.run(lambda: declare("a", "b", "c", azure={}))
    assert azure_http.seen == []
    assert any("2026-06-18" in text and "OS disks" in text for text in said)


def test_a_cluster_of_the_same_program_needs_region_and_subscription(
    mocked: Mocked, azure_http: AzureHttp, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(**azure: Any) -> None:
        made = pulumi.CustomResource("azure-native:containerservice:ManagedCluster", "aks", {})
        name = made.urn.apply(lambda urn: "mine")
        given: Any = {"resource_group": "g", "name": name, "azure": {"checks": True, **azure}}
        Workspace("phi", {**args(), "cluster": Cluster(given)})

    mocked.run(program)
    assert any("the region is not known; set region of kaito:azure" in text for text in said)
    mocked.run(lambda: program(region="eastus"))
    assert any("the subscription is not known" in text for text in said) and not azure_http.asked("usages")
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", azure_http.market.subscription)
    mocked.run(lambda: program(region="East US"))
    assert azure_http.asked("usages")


@pytest.mark.parametrize(
    ("azure", "words"),
    [
        ({"region": "westus"}, "AKS cluster g/c: azure: region is westus, but the cluster is in eastus; remove it"),
        ({"subscription": "other"}, "subscription is other, but the cluster is in s; remove it"),
        ({"chekcs": True}, "args.azure.chekcs: is not a key; keys are checks, subscription, region, currency"),
    ],
)
def test_args_that_contradict_are_said(mocked: Mocked, azure: dict[str, Any], words: str) -> None:
    assert words in refusal(mocked, "phi", azure=azure)


def test_no_credential_reaches_the_engine(mocked: Mocked, azure_http: AzureHttp, said: list[str]) -> None:
    mocked.run(lambda: declare("phi"))
    shown = str(said) + str([one.request for one in mocked.registered])
    assert azure_http.market.client_secret not in shown and "stand-in-token" not in shown
