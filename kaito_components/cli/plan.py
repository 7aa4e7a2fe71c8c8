"""`kaito plan FILE...`: what the Workspaces would become, and what is wrong with them. No engine, no network."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.plan import NodeOptions, Plan
from kaito_components.plan import plan as decide
from kaito_components.spec.model import Bundle
from kaito_components.units import gib


class Format(StrEnum):
    """How the plan is printed."""

    text = "text"
    json = "json"


class Nodes(StrEnum):
    """Where nodes come from."""

    aks = "aks"
    existing = "existing"


def plan(
    files: Annotated[list[Path], typer.Argument(help="Workspace files, KAITO's YAML")],
    format: Annotated[Format, typer.Option(help="text or json")] = Format.text,
    nodes: Annotated[Nodes, typer.Option(help="aks makes a pool; existing uses the nodes that are there")] = Nodes.aks,
    image_registry: Annotated[str | None, typer.Option(help="where your serving and tuning images are")] = None,
) -> None:
    """Say what these Workspaces would become."""
    from kaito_components.spec.reader import read_files

    plans: list[Plan] = []
    problems: list[Finding] = []
    try:
        bundle = read_files(files)
    except InvalidWorkspace as bad:
        problems += bad.findings
        bundle = Bundle()
    for workspace in bundle.workspaces:
        try:
            options = NodeOptions(provider=nodes.value)
            plans.append(decide(workspace, bundle=bundle, nodes=options, image_registry=image_registry))
        except InvalidWorkspace as bad:
            problems += bad.findings
    if format is Format.json:
        print(json.dumps([as_json(one) for one in plans], indent=2))
    else:
        _print_text(plans)
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    failed = problems or any(f.severity == "error" for one in plans for f in one.findings)
    raise typer.Exit(1 if failed else 0)


def as_json(one: Plan) -> dict[str, Any]:
    """The plan with the keys that scripts rely on. Bytes are bytes."""
    return {
        "name": one.name,
        "namespace": one.namespace,
        "preset": one.preset.name if one.preset else None,
        "instanceType": one.spec.resource.instance_type,
        "nodeCount": one.node_count,
        "gpusPerNode": one.gpus_per_node,
        "runtime": one.runtime,
        "tensorParallelSize": one.tensor_parallel_size,
        "pipelineParallelSize": one.pipeline_parallel_size,
        "dataParallelSize": one.data_parallel_size,
        "maxModelLen": one.max_model_len,
        "dtype": one.dtype,
        "image": one.image,
        "command": list(one.command),
        "memory": one.memory
        and {
            "weights": one.memory.weights,
            "kvCachePerToken": one.memory.kv_cache_per_token,
            "overhead": one.memory.overhead,
            "usablePerGpu": one.memory.usable_per_gpu,
            "gpu": one.memory.gpu,
        },
        "disk": one.disk_bytes,
        "cost": one.cost
        and {
            "perHour": one.cost.per_hour,
            "perMonth": one.cost.per_month,
            "currency": one.cost.currency,
            "source": one.cost.source,
            "asOf": one.cost.as_of,
        },
        "timeoutSeconds": one.timeout_seconds,
        "findings": [
            {"severity": f.severity, "code": f.code, "field": f.field, "message": f.message} for f in one.findings
        ],
        "resources": [{"kind": o.kind, "name": o.name} for o in one.resources],
    }


def _print_text(plans: list[Plan]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    colors = {"error": "bold red", "warning": "yellow", "info": "cyan"}
    for one in plans:
        console.print(Text(f"{one.namespace}/{one.name}", style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for label, value in _rows(one):
            table.add_row(label, Text(value, overflow="fold"))
        console.print(table)
        for finding in one.findings:
            text = Text.assemble((finding.severity, colors[finding.severity]), f" {finding.code}: {finding}")
            console.print(text, soft_wrap=True)
        console.print()


def _rows(one: Plan) -> list[tuple[str, str]]:
    size = one.spec.resource.instance_type or f"existing nodes with {dict(one.node_selector)}"
    gpus = f", {one.gpus_per_node} x {one.vm.gpu_model}" if one.vm and one.vm.gpus else ""
    rows = [("nodes", f"{one.node_count} x {size}{gpus}")]
    if one.pool:
        rows.append(("pool", f"{one.pool.name} (made new; OS disk {one.pool.os_disk_size_gib} GiB)"))
    if one.preset:
        task = f"tune with {one.spec.tuning.method}" if one.spec.tuning else "serve"
        spread = [(one.tensor_parallel_size, "tensor"), (one.pipeline_parallel_size, "pipeline"),
                  (one.data_parallel_size, "data")]  # fmt: skip
        parallel = ", ".join(f"{kind} parallel {number}" for number, kind in spread if number > 1)
        rows.append(("model", f"{one.preset.model} ({gib(one.preset.weights_bytes)}, {one.preset.license})"))
        rows.append(("task", f"{task}, {one.runtime} runtime, {one.dtype}{', ' + parallel if parallel else ''}"))
        rows.append(("context", "as long as fits" if one.max_model_len == "auto" else f"{one.max_model_len} tokens"))
        rows.append(("weights", " ".join(p for p in (one.weights.kind, one.weights.reference) if p)))
    if one.memory:
        memory = one.memory
        rows.append(("memory", f"{gib(memory.usable_per_gpu)} of {gib(memory.gpu)} per GPU left for weights"))
    if one.image:
        rows.append(("image", one.image))
    rows.append(("makes", "\n".join(f"{o.kind} {o.name}" for o in one.resources)))
    rows.append(("waits", f"until {one.wait}, at most {one.timeout_seconds // 60} minutes"))
    return rows
