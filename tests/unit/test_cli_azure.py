"""`kaito plan --azure` as a user runs it, against Azure on loopback."""

import json
from pathlib import Path

import pytest

from local_cloud.azure_http import AzureHttp, Fault
from local_cloud.providers.azure_native.ids import SUBSCRIPTION
from tests.azure_market import A100_FAMILY
from tests.unit.test_cli_plan import EXAMPLES, kaito, workspace

ASK = ("--azure", SUBSCRIPTION, "--region", "eastus")
PHI = str(EXAMPLES / "workspace-phi-4-mini.yaml")


@pytest.fixture
def two(tmp_path: Path) -> str:
    """A file with two Workspaces on A100s."""
    one = Path(workspace(tmp_path, "Standard_NC24ads_A100_v4")).read_text()
    file = tmp_path / "two.yaml"
    file.write_text(f"{one}---\n{one.replace('{name: w}', '{name: x}', 1)}")
    return str(file)


def test_quota_of_all_files_is_checked_together(azure_http: AzureHttp, two: str) -> None:
    done = kaito("plan", two, *ASK, "--format", "json")
    first, second = json.loads(done.stdout)
    assert done.returncode == 1 and "quota-short" not in str(first["findings"])
    (short,) = [one for one in second["findings"] if one["code"] == "quota-short"]
    assert f"48 more {A100_FAMILY} vCPUs are needed in eastus (default/w, default/x)" in short["message"]


def test_costs_are_of_today_and_in_the_currency(azure_http: AzureHttp) -> None:
    done = kaito("plan", PHI, *ASK, "--format", "json", "--currency", "EUR")
    (one,) = json.loads(done.stdout)
    assert done.returncode == 0 and one["findings"] == []
    assert one["cost"]["perHour"] == 3.4 and one["cost"]["currency"] == "EUR"
    assert one["cost"]["source"] == "Azure Retail Prices API"


def test_text_ends_with_the_sum_of_all(azure_http: AzureHttp, two: str) -> None:
    azure_http.market.usages["eastus"][A100_FAMILY] = (0, 96)
    done = kaito("plan", two, *ASK)
    assert done.returncode == 0 and "3.70 USD an hour" in done.stdout
    total = " ".join(done.stdout.split("all together")[1].split())
    assert "7.39 USD an hour, 5,398 a month" in total and "changes it" not in total


def test_without_a_login_the_plan_is_made_and_the_reason_said(
    azure_http: AzureHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2-value")
    done = kaito("plan", PHI, *ASK)
    assert done.returncode == 0 and "warning azure-check-failed (" in done.stdout and done.stderr == ""
    assert "AADSTS7000215" in done.stdout and "hunter2-value" not in done.stdout


def test_offline_the_table_is_used_with_its_date(azure_http: AzureHttp) -> None:
    azure_http.arm(Fault("prices", 404, times=99))
    done = kaito("plan", PHI, *ASK, "--format", "json")
    (one,) = json.loads(done.stdout)
    assert one["cost"]["asOf"] == "2026-06-18" and "prices are not of today" in one["findings"][0]["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--azure", SUBSCRIPTION), "needs --region"),
        (("--currency", "EUR"), "needs --azure"),
        ((*ASK, "--currency", "BTC"), "is none of USD, AUD"),
    ],
)
def test_options_that_need_another_one_end_with_2(options: tuple[str, ...], words: str) -> None:
    done = kaito("plan", PHI, *options)
    assert done.returncode == 2 and words in " ".join(done.stderr.split())
