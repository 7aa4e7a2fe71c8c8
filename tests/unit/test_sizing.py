"""Sizing agrees with KAITO's estimator for every model of its catalogue."""

import csv
import re
from pathlib import Path

import pytest

from kaito_components import sizing
from kaito_components.skus import VmSize, find_vm_size
from kaito_components.units import GIB, parse_bytes

LINES = (Path(__file__).parents[1] / "data" / "kaito_estimates.csv").read_text().splitlines()
ROWS = list(csv.DictReader(line for line in LINES if not line.startswith("#")))
SIZES = [column.removeprefix("est_nodes_") for column in ROWS[0] if column.startswith("est_nodes_")]


def vm(size: str) -> VmSize:
    found = find_vm_size(f"Standard_{size}")
    assert found
    return found


def test_the_table_holds_kaitos_catalogue() -> None:
    assert len(ROWS) >= 60 and len(SIZES) == 6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["preset_id"])
def test_nodes_and_parallelism_are_kaitos(row: dict[str, str], size: str) -> None:
    weights, per_token = parse_bytes(row["model_file_size"]), int(row["bytes_per_token_kv"] or 0)
    nodes = sizing.vllm_nodes(weights, per_token, vm(size), sizing.DEFAULT_CONTEXT_TOKENS)
    assert str(nodes) == row[f"est_nodes_{size}"]
    assert nodes is not None
    found = sizing.vllm_parallelism(weights, vm(size), nodes)
    wanted = {kind: int(number) for kind, number in re.findall(r"([TPD]P)(\d+)", row[f"parallelism_{size}"])}
    assert (found.tensor, found.pipeline, found.data) == (wanted.get("TP", 1), wanted.get("PP", 1), wanted.get("DP", 1))


def test_a_context_that_fills_the_gpu_leaves_nothing_for_weights() -> None:
    assert sizing.vllm_nodes(7 * GIB, 393216, vm("NV36ads_A10_v5"), 1_000_000) is None
