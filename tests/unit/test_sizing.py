"""Sizing agrees with KAITO's estimator for every model of its catalogue."""

import csv
import re
from pathlib import Path

import pytest

from kaito_components.presets import load_preset, preset_names
from kaito_components.sizing import estimator
from kaito_components.sizing.estimator import Parallelism
from kaito_components.skus import VmSize, find_vm_size, gpu_sizes
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
    nodes = estimator.vllm_nodes(weights, per_token, vm(size), estimator.DEFAULT_CONTEXT_TOKENS)
    assert str(nodes) == row[f"est_nodes_{size}"]
    assert nodes is not None
    found = estimator.vllm_parallelism(weights, vm(size), nodes)
    wanted = {kind: int(number) for kind, number in re.findall(r"([TPD]P)(\d+)", row[f"parallelism_{size}"])}
    assert (found.tensor, found.pipeline, found.data) == (wanted.get("TP", 1), wanted.get("PP", 1), wanted.get("DP", 1))


def test_a_context_that_fills_the_gpu_leaves_nothing_for_weights() -> None:
    assert estimator.vllm_nodes(7 * GIB, 393216, vm("NV36ads_A10_v5"), 1_000_000) is None


# Source: KAITO 0.12 with the numbers of its catalogue; computed with a port of its estimator.
EXAMPLES = [
    ("phi-4", "NC24ads_A100_v4", 2048, 1, Parallelism(tensor=1)),
    ("llama-3.3-70b-instruct", "NC24ads_A100_v4", 2048, 3, Parallelism(tensor=1, pipeline=3)),
    ("llama-3.3-70b-instruct", "NC96ads_A100_v4", 2048, 1, Parallelism(tensor=4)),
    ("deepseek-r1-0528", "ND96isr_H100_v5", 2048, 2, Parallelism(tensor=8, pipeline=2)),
    ("deepseek-r1-0528", "ND96isr_H200_v5", 2048, 1, Parallelism(tensor=8)),
    ("phi-3-mini-128k-instruct", "NV36ads_A10_v5", 32768, 2, Parallelism(tensor=1, pipeline=2)),
    ("phi-3-mini-4k-instruct", "NC6s_v3", 2048, 1, Parallelism(tensor=1)),
]


@pytest.mark.parametrize(("name", "size", "context", "nodes", "spread"), EXAMPLES)
def test_worked_examples_of_kaito_come_out(name: str, size: str, context: int, nodes: int, spread: Parallelism) -> None:
    preset = load_preset(name)
    assert estimator.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm(size), context) == nodes
    assert estimator.vllm_parallelism(preset.weights_bytes, vm(size), nodes) == spread


def kaitos(weights: int, per_token: int, total_memory: int, gpus: int, context: int) -> int | None:
    """The estimator as it is written in Go: integers first, then floats, then a cut."""
    per_gpu = total_memory // gpus
    available = float(per_gpu) * 0.84
    reserved = 2.3 * 2**30 + float(context * per_token) / float(gpus)
    if available <= reserved:
        return None
    least = int(float(weights) * 1.02 / ((available - reserved) / 1.05)) + 1
    return (least + gpus - 1) // gpus


@pytest.mark.parametrize("context", [2048, 8192, 131072])
@pytest.mark.parametrize("size", gpu_sizes(8.0), ids=lambda size: size.name)
def test_every_preset_on_every_size_gets_kaitos_nodes(size: VmSize, context: int) -> None:
    for preset in map(load_preset, preset_names()):
        numbers = preset.weights_bytes, preset.kv_bytes_per_token
        wanted = kaitos(*numbers, size.gpus * size.gpu_memory_bytes, size.gpus, context)
        assert estimator.vllm_nodes(*numbers, size, context) == wanted, preset.name
