"""The plan for people. Called by cli.plan."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from kaito_components.cli.memory_text import MemoryTable
from kaito_components.errors import Finding
from kaito_components.plan import Memory, Plan
from kaito_components.plan.largest import largest_model
from kaito_components.spec.model import Workspace
from kaito_components.stack_cost import Total, money, origin
from kaito_components.units import GIB, gib

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

COLORS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
DETAILED = {"cost", "context"}
KIB = 1024
TUNING_GOALS = {
    "started": "its Job runs",
    "completed": "its Job is complete",
    "ready": "what it tuned answers",
}


def show(planned: Sequence[tuple[Workspace, Plan | None, tuple[Finding, ...]]], total: Total | None = None) -> None:
    """One block for each Workspace: what it becomes, then what there is to say, errors first; then the sum."""
    from rich.console import Console

    console = Console(highlight=False)
    sets = Counter((one.namespace, one.inference_set) for one, _, _ in planned if one.inference_set)
    for workspace, plan, findings in planned:
        if workspace.inference_set and not workspace.name.endswith("-0"):
            continue  # the first replica has said it
        console.print(_head(workspace, sets), style="bold", markup=False)
        if plan:
            _table(console, rows(plan))
        for found in findings:
            _say(console, found)
        console.print()
    if total and len(planned) > 1:
        console.print("all together", style="bold")
        console.print(f"  {total.sentence(_today())}", markup=False)


def _head(one: Workspace, sets: Mapping[tuple[str, str], int]) -> str:
    if not one.inference_set:
        return f"{one.namespace}/{one.name}"
    count = sets[one.namespace, one.inference_set]
    each = "1 replica" if count == 1 else f"{count} replicas, each"
    return f"{one.namespace}/{one.inference_set}, InferenceSet of {each}"


def _table(console: "Console", lines: "Iterable[tuple[str, RenderableType]]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for label, value in lines:
        table.add_row(Text(label, style="dim"), _value(label, value) if isinstance(value, str) else value)
    console.print(table)


def _value(label: str, value: str) -> "Text":
    """Of what has details, the first line says it."""
    from rich.text import Text

    first, line, rest = value.partition("\n")
    parts = [first, (line + rest, "dim")] if label in DETAILED else [value]
    return Text.assemble(*parts, overflow="fold")


def _say(console: "Console", found: Finding) -> None:
    """`warning vm-size-retired (file:6, field)`, and the message below it, indented."""
    from rich.padding import Padding
    from rich.text import Text

    place = f"{found.file}:{found.line}" if found.file and found.line else found.file
    where = ", ".join(part for part in (place, found.field) if part)
    head = Text.assemble("  ", (found.severity, COLORS[found.severity]), f" {found.code}", (f" ({where})", "dim"))
    console.print(head, soft_wrap=True)
    console.print(Padding(Text(found.text), (0, 2, 0, 6)))


def rows(plan: Plan) -> "Iterator[tuple[str, RenderableType]]":
    """(label, value) of everything that was decided: what it costs and holds first, what is made last."""
    yield "nodes", _nodes(plan)
    if plan.pool:
        yield "cost", _cost(plan)
    if plan.preset:
        yield "model", f"{plan.preset.model} ({gib(plan.preset.weights_bytes)}, {plan.preset.license})"
        yield "task", _task(plan)
    if plan.memory:
        yield "memory", _memory(plan, plan.memory)
    if plan.preset and not plan.spec.tuning and (plan.memory is None or plan.memory.free >= 0):
        yield "context", _context(plan)
    if largest := largest_model(plan):
        yield "largest", f"{largest.name} ({gib(largest.weights_bytes)}) is the largest preset that one such node holds"
    if plan.pool:
        spot = ", spot" if plan.pool.spot else ""
        yield "pool", f"{plan.pool.name}, {plan.pool.os_sku}, OS disk {plan.pool.os_disk_size_gib} GiB{spot}"
    yield "disk", f"{gib(plan.disk_bytes)} needed on each node"
    if plan.preset:
        yield "weights", _weights(plan)
    if plan.image:
        yield "image", plan.image
    yield "makes", "\n".join(f"{made.kind} {made.name}" for made in plan.resources)
    yield "waits", _waits(plan)


def _nodes(plan: Plan) -> str:
    if plan.vm is None:
        labels = ", ".join(f"{key}={value}" for key, value in plan.node_selector.items()) or "any labels"
        gpus = f", {plan.gpus_per_node} GPUs each" if plan.gpus_per_node != 1 else ", one GPU each"
        return f"{plan.node_count} existing with {labels}{gpus}"
    vm = plan.vm
    gpus = f"{vm.gpu_label} {vm.gpu_memory_bytes // GIB} GiB" if vm.gpus else "no GPU"
    return f"{plan.node_count} x {vm.name} ({vm.vcpus} vCPUs, {vm.memory_bytes // GIB} GiB, {gpus})"


def _task(plan: Plan) -> str:
    spread = (
        (plan.tensor_parallel_size, "tensor"),
        (plan.pipeline_parallel_size, "pipeline"),
        (plan.data_parallel_size, "data"),
    )
    parallel = [f"{kind} parallel {number}" for number, kind in spread if number > 1]
    task = f"tune with {plan.spec.tuning.method}" if plan.spec.tuning else "serve"
    dtype = "dtype as the model says" if plan.dtype == "auto" else plan.dtype
    return ", ".join([task, f"{plan.runtime} runtime", dtype, *parallel])


def _weights(plan: Plan) -> str:
    revision = f" at {plan.weights.revision[:12]}" if plan.weights.revision else ""
    source = {"huggingface": "Hugging Face", "image": "image", "pvc": "volume claim", "hostPath": "folder on the node"}
    return f"{source[plan.weights.kind]} {plan.weights.reference}{revision}"


def _memory(plan: Plan, memory: Memory) -> MemoryTable:
    """What one GPU holds, or the node where it has none."""
    gpus = plan.gpus_per_node * plan.node_count
    alone = plan.runtime == "transformers" and not plan.spec.tuning
    place = "the node" if not gpus else "the GPU" if gpus == 1 else f"{'one' if alone else 'each'} of {gpus} GPUs"
    return MemoryTable(memory, place, "left" if plan.spec.tuning else "free for context")


def _context(plan: Plan) -> str:
    """How long one request can be, and how many of that length there can be at once."""
    room = plan.room
    if room is None:
        return "as long as fits" if plan.max_model_len == "auto" else f"{plan.max_model_len:,} tokens"
    at_once = "one request" if room.requests == 1 else f"{room.requests:,} requests at once"
    length = f"{room.context_tokens:,} tokens, {at_once} of that length"
    return f"{length}\n{room.tokens:,} tokens in all, {room.bytes_per_token / KIB:.4g} KiB each"


def _cost(plan: Plan) -> str:
    if plan.cost is None:
        return f"unknown in {plan.region}" if plan.region else "unknown: give --region"
    return f"{money(plan.cost)}, in {plan.region}\n{origin(plan.cost, _today())}"


def _today() -> date:
    return datetime.now(UTC).date()


def _waits(plan: Plan) -> str:
    """What `pulumi up` waits for; unless the stack's configuration says otherwise, which is not known here."""
    if plan.wait == "none":
        return "for nothing"
    hours, minutes = divmod(plan.timeout_seconds // 60, 60)
    limit = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    goal = TUNING_GOALS[plan.wait] if plan.spec.tuning else "it answers"
    longer = plan.wait == "started" and plan.serving is not None
    more = f"\nwith `wait: {{until: ready}}` in the stack until {TUNING_GOALS['ready']}" if longer else ""
    return f"until {goal}, at most {limit}{more}"
