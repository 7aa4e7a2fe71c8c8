"""What is asked of Azure and how its answers are read, over HTTPS on loopback."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kaito_components.azure import price_cache
from kaito_components.azure.patience import Patience
from kaito_components.azure.survey import Survey
from kaito_components.capacity import Quota, Restriction
from local_cloud.azure_http import AzureHttp, Fault, sku
from tests.azure_market import A100, A100_FAMILY, T4
from tests.unit.azure.conftest import QUICK

Ask = Callable[..., Survey]


def test_quotas_of_all_pages_are_read(ask: Ask, azure_http: AzureHttp) -> None:
    found = ask().region
    assert found.troubles == () and len(azure_http.asked("usages")) == 2
    assert found.quotas and found.quotas[A100_FAMILY.lower()] == Quota(A100_FAMILY, 24, 48)
    assert set(found.quotas) == {A100_FAMILY.lower(), "cores", "lowprioritycores", "a"}


def test_vm_sizes_of_the_region_are_read_with_their_zones(ask: Ask) -> None:
    offers = ask().region.offers
    assert offers and set(offers) == {A100.lower(), T4.lower(), "standard_d8s_v5"}
    assert offers[A100.lower()].zones == ("1", "3") and offers[A100.lower()].family == A100_FAMILY
    assert offers[A100.lower()].has_spot and offers[A100.lower()].restrictions == ()


def test_restrictions_tell_region_and_zones(ask: Ask, azure_http: AzureHttp) -> None:
    azure_http.market.skus[0] = sku(
        A100, "eastus", restricted={"QuotaId": (), "NotAvailableForSubscription": ("1", "2")}
    )
    offers = ask().region.offers
    assert offers
    expected = (Restriction("QuotaId"), Restriction("NotAvailableForSubscription", ("1", "2")))
    assert offers[A100.lower()].restrictions == expected


def test_linux_on_demand_and_spot_are_told_from_windows_and_low_priority(ask: Ask) -> None:
    found = ask()
    assert found.on_demand[A100].per_hour == 3.67 and found.spot[A100].per_hour == 1.1
    assert found.on_demand[A100].source == "Azure Retail Prices API"
    assert found.on_demand[A100].as_of == datetime.now(UTC).date().isoformat()


def test_a_disk_costs_a_730th_of_its_month(ask: Ask) -> None:
    assert ask().disks["P10"].per_hour == pytest.approx(19.71 / 730)


def test_prices_are_those_of_the_region_and_the_currency(ask: Ask) -> None:
    assert ask(region="westus").on_demand[A100].per_hour == 4.0
    euro = ask(currency="EUR").on_demand[A100]
    assert (euro.per_hour, euro.currency) == (3.4, "EUR")


def test_a_price_that_azure_does_not_name_is_not_known(ask: Ask) -> None:
    found = ask(sizes=frozenset({T4}), disks=frozenset({"P99"}))
    assert found.on_demand == {} and found.spot == {} and found.disks == {} and found.region.troubles == ()


def test_two_prices_for_one_thing_are_not_known_either(ask: Ask, azure_http: AzureHttp) -> None:
    azure_http.market.prices.append({**azure_http.market.prices[2], "retailPrice": 5.0})
    assert A100 not in ask().on_demand


@pytest.mark.parametrize("route", ["usages", "skus", "prices"])
def test_a_throttled_question_is_asked_again_no_earlier_than_azure_wants(
    ask: Ask, azure_http: AzureHttp, route: str
) -> None:
    azure_http.arm(Fault(route, 429, "TooManyRequests", retry_after="1"))  # type: ignore[arg-type]
    found = ask()
    assert found.region.troubles == () and found.region.quotas and A100 in found.on_demand
    first = azure_http.asked(route)[0]
    again = next(one for one in azure_http.asked(route)[1:] if one.target == first.target)
    assert again.seconds - first.seconds >= 1


def test_a_retry_after_that_would_hold_up_the_preview_is_not_waited_for(ask: Ask, azure_http: AzureHttp) -> None:
    azure_http.arm(Fault("usages", 429, "TooManyRequests", retry_after="600", times=9))
    (trouble,) = ask().region.troubles
    assert len(azure_http.asked("usages")) == 1
    assert "quota in eastus not checked: Azure answered 429" in trouble and "asks to wait 600 s" in trouble


def test_neither_is_it_for_prices(ask: Ask, azure_http: AzureHttp) -> None:
    azure_http.arm(Fault("prices", 429, "TooManyRequests", retry_after="600", times=9))
    (trouble,) = ask(disks=frozenset()).region.troubles
    assert len(azure_http.asked("prices")) == 1 and "asks to wait 600 s" in trouble


@pytest.mark.parametrize("how", ["answer", "cut", "hang"])
def test_passing_trouble_is_no_trouble(ask: Ask, azure_http: AzureHttp, how: str) -> None:
    azure_http.arm(*(Fault(route, how=how) for route in ("usages", "skus", "prices")))  # type: ignore[arg-type]
    found = ask()
    assert found.region.troubles == () and found.region.quotas and found.region.offers and A100 in found.on_demand


LASTING = [
    (Fault("usages", 403, "AuthorizationFailed", times=9), "403 AuthorizationFailed: the login needs the role Reader"),
    (Fault("usages", 500, times=9), "500 InternalServerError: Azure has trouble of its own"),
    (Fault("usages", how="hang", times=9), "Azure did not answer to the end"),
    (Fault("usages", how="cut", times=9), "Azure did not answer to the end (IncompleteReadError)"),
    (Fault("token", 400, times=99), "quota and VM sizes in eastus not checked"),
]


@pytest.mark.parametrize(("fault", "words"), LASTING, ids=[words for _, words in LASTING])
def test_what_cannot_be_checked_is_said_with_its_reason(
    ask: Ask, azure_http: AzureHttp, fault: Fault, words: str
) -> None:
    azure_http.arm(fault)
    found = ask()
    assert words in " ".join(found.region.troubles) and found.region.quotas is None
    assert A100 in found.on_demand


WRONG = [
    ({"subscription": "33333333-3333-3333-3333-333333333333"}, "SubscriptionNotFound: check the subscription"),
    ({"region": "nowhere"}, "NoRegisteredProviderFound: check the region's name"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=["subscription", "region"])
def test_a_wrong_name_is_said(ask: Ask, changes: dict[str, str], words: str) -> None:
    assert words in " ".join(ask(**changes).region.troubles)


def test_a_wrong_secret_is_said_once_and_shown_nowhere(
    ask: Ask, azure_http: AzureHttp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2-value")
    (trouble,) = ask().region.troubles
    assert trouble.startswith("quota and VM sizes in eastus not checked: the login was refused (AADSTS7000215)")
    shown = capfd.readouterr()
    assert "hunter2-value" not in trouble + shown.out + shown.err and shown.err == ""


def test_pulumis_own_service_principal_is_used_first(
    ask: Ask, azure_http: AzureHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"ARM_{key}", azure_http.env()[f"AZURE_{key}"])
        monkeypatch.setenv(f"AZURE_{key}", "wrong")
    assert ask().region.troubles == ()


def test_without_a_subscription_nothing_that_needs_a_login_is_asked(ask: Ask, azure_http: AzureHttp) -> None:
    found = ask(subscription=None)
    assert {one.route for one in azure_http.seen} == {"prices"} and A100 in found.on_demand
    assert found.region.quotas is None and found.region.troubles == ()


def test_offline_everything_is_said_and_nothing_raised(
    ask: Ask, azure_http: AzureHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KAITO_ARM_ENDPOINT", "KAITO_PRICES_ENDPOINT", "AZURE_AUTHORITY_HOST"):
        monkeypatch.setenv(name, "https://127.0.0.1:9")
    found = ask()
    checks, prices = found.region.troubles
    assert "quota and VM sizes in eastus not checked" in checks and "prices are not of today" in prices
    assert "cannot be reached" in prices and found.on_demand == {}


def kept_since(hours: float) -> None:
    """Makes every kept price that old."""
    for file in price_cache.folder().glob("*.json"):
        kept = json.loads(file.read_text())
        file.write_text(json.dumps({**kept, "asked": (datetime.now(UTC) - timedelta(hours=hours)).isoformat()}))


@pytest.mark.parametrize(("hours", "questions"), [(1, 0), (25, 2)])
def test_a_kept_price_is_used_for_a_day(ask: Ask, azure_http: AzureHttp, hours: float, questions: int) -> None:
    ask()
    kept_since(hours)
    azure_http.seen.clear()
    assert ask(disks=frozenset()).on_demand[A100].per_hour == 3.67
    assert len(azure_http.asked("prices")) == questions


def test_an_old_price_is_better_than_none_and_keeps_its_date(ask: Ask, azure_http: AzureHttp) -> None:
    ask()
    kept_since(24 * 90)
    azure_http.arm(Fault("prices", times=99))
    found = ask()
    assert found.on_demand[A100].as_of == (datetime.now(UTC) - timedelta(days=90)).date().isoformat()
    assert "prices are not of today: Azure answered 500" in found.region.troubles[0]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"prices": 7}', '{"prices": {}, "asked": "yesterday"}'])
def test_a_spoilt_cache_is_as_good_as_none(ask: Ask, content: str) -> None:
    ask()
    for file in price_cache.folder().glob("*.json"):
        file.write_text(content)
    assert ask().on_demand[A100].per_hour == 3.67


def test_a_cache_that_cannot_be_written_changes_nothing(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert ask().on_demand[A100].per_hour == 3.67


def test_questions_are_asked_side_by_side(ask: Ask, azure_http: AzureHttp) -> None:
    """While no question has an answer, all have been asked."""
    routes = ("usages", "skus", "prices")
    azure_http.arm(*(Fault(route, how="hang") for route in routes))  # type: ignore[arg-type]
    ask(Patience(tries=1, read_seconds=3), disks=frozenset())
    asked = [azure_http.asked(route)[0].seconds for route in routes]
    assert max(asked) - min(asked) < 3


def test_the_patience_of_the_tests_is_a_shorter_one_of_the_same_kind() -> None:
    usual = Patience()
    assert QUICK.tries < usual.tries and QUICK.wait_seconds < usual.wait_seconds
