"""`kaito models` as a user runs it."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from kaito_components.cli.homes import homes
from kaito_components.presets import load_preset, preset_names

NAMES = preset_names()


def kaito(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaito_components.cli", "models", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def models(*arguments: str) -> list[Any]:
    found: list[Any] = json.loads(kaito(*arguments, "--format", "json").stdout)
    return found


@pytest.mark.parametrize("columns", [80, 120])
def test_every_model_is_listed_and_lines_fit_the_screen(columns: int) -> None:
    lines = kaito(columns=columns).stdout.splitlines()
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in NAMES)
    assert max(len(line.rstrip()) for line in lines) <= columns


def test_a_narrow_screen_tells_as_much_as_a_wide_one() -> None:
    for columns in (80, 120):
        text = kaito(columns=columns).stdout
        assert all(part in text for part in ("27.4B", "51.1", "128K", "modified-mit", "NC24ads_A100_v4", "3.67"))


def test_json_holds_the_keys_that_scripts_rely_on() -> None:
    found = models()
    assert [one["name"] for one in found] == NAMES
    keys = {"name", "parameters", "weights", "contextLength", "license", "runtimes", "tunable", "smallest"}
    assert all(keys <= set(one) and one["smallest"]["nodeCount"] >= 1 for one in found)


def test_one_model_is_explained_with_sources_and_with_what_is_not_known() -> None:
    text = " ".join(kaito("kimi-k2.6").stdout.split())
    for part in ("latent attention of rank 512", "unknown revision, parameters", "model_catalog.yaml", "no revision"):
        assert part in text


def test_an_older_name_and_a_hugging_face_id_are_explained_too() -> None:
    assert models("mistral-7b") == models("mistralai/Mistral-7B-v0.3") == models("mistral-7b-v0.3")


def test_a_gated_model_asks_for_a_secret_and_a_closed_licence_is_said() -> None:
    assert "presetOptions.modelAccessSecret" in kaito("llama-3.1-8b-instruct").stdout
    assert "not for commercial use" in " ".join(kaito("minimax-m2.7").stdout.split())


def test_an_unknown_model_ends_with_2_and_the_nearest_name() -> None:
    done = kaito("phi-4-min")
    assert done.returncode == 2 and "did you mean phi-4-mini-instruct" in done.stderr and not done.stdout


def test_a_retired_model_ends_with_2_and_the_one_that_takes_its_place() -> None:
    done = kaito("falcon-7b")
    assert done.returncode == 2 and "use mistral-7b-v0.3 instead" in done.stderr


def test_prices_are_those_of_the_region() -> None:
    (here,), (cheapest,) = models("phi-4", "--region", "westeurope"), models("phi-4")
    assert here["smallest"]["region"] == "westeurope"
    assert here["smallest"]["perHour"] > cheapest["smallest"]["perHour"] > 0


def test_the_smallest_home_is_that_with_fewest_nodes_then_least_memory_then_lowest_price() -> None:
    first, second = homes(load_preset("mistral-7b"), "eastus")[:2]
    assert (first.room.vm.name, second.room.vm.name) == ("Standard_NV36ads_A10_v5", "Standard_NV36adms_A10_v5")
    assert first.per_hour and second.per_hour and first.per_hour < second.per_hour


@pytest.mark.parametrize("name", ["deepseek-v4-pro", "deepseek-v4-flash-0731"])
def test_a_model_that_needs_hopper_is_not_sent_to_older_gpus(name: str) -> None:
    capabilities = {home.room.vm.compute_capability for home in homes(load_preset(name), None)}
    assert capabilities and min(one or 0 for one in capabilities) >= 9.0
