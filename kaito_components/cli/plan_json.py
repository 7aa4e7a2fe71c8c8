"""The plan for scripts. Its keys are fixed; bytes are bytes, what is not known is null. Called by cli.plan."""

import json
from collections.abc import Iterable
from typing import Any

from kaito_components.errors import Finding
from kaito_components.plan import Cost, Memory, Plan
from kaito_components.plan.largest import largest_model
from kaito_components.plan.types import Room
from kaito_components.sizing.terms import Term
from kaito_components.spec.model import Workspace


def dump(planned: Iterable[tuple[Workspace, Plan | None, tuple[Finding, ...]]]) -> str:
    """A list with one object for each Workspace, those that cannot be planned included."""
    return json.dumps([_object(*one) for one in planned], indent=2)


def _object(workspace: Workspace, plan: Plan | None, findings: tuple[Finding, ...]) -> dict[str, Any]:
    known = {
        "name": workspace.name,
        "namespace": workspace.namespace,
        "inferenceSet": workspace.inference_set or None,
        "instanceType": (plan.instance_type if plan else workspace.resource.instance_type) or None,
    }
    return {
        **known,
        **(_decided(plan) if plan else dict.fromkeys(KEYS)),
        "findings": [_finding(found) for found in findings],
        "resources": [{"kind": made.kind, "name": made.name} for made in (plan.resources if plan else ())],
    }


KEYS = (
    "preset", "task", "nodeCount", "gpusPerNode", "runtime", "tensorParallelSize", "pipelineParallelSize",
    "dataParallelSize", "maxModelLen", "dtype", "image", "command", "weights", "memory", "disk", "pool", "cost",
    "waitFor", "timeoutSeconds", "region", "room", "largestModel",
)  # fmt: skip


def _decided(plan: Plan) -> dict[str, Any]:
    values = (
        plan.preset.name if plan.preset else None,
        "tuning" if plan.spec.tuning else "inference",
        plan.node_count,
        plan.gpus_per_node,
        plan.runtime,
        plan.tensor_parallel_size,
        plan.pipeline_parallel_size,
        plan.data_parallel_size,
        plan.max_model_len,
        plan.dtype,
        plan.image,
        list(plan.command),
        {"kind": plan.weights.kind, "reference": plan.weights.reference, "revision": plan.weights.revision},
        _memory(plan.memory) if plan.memory else None,
        plan.disk_bytes,
        plan.pool.name if plan.pool else None,
        _cost(plan.cost) if plan.cost else None,
        plan.wait,
        plan.timeout_seconds,
        plan.region,
        _room(plan.room) if plan.room else None,
        largest.name if (largest := largest_model(plan)) else None,
    )
    return dict(zip(KEYS, values, strict=True))


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        "weights": memory.weights,
        "kvCachePerToken": memory.kv_cache_per_token,
        "overhead": memory.overhead,
        "usablePerGpu": memory.usable_per_gpu,
        "gpu": memory.gpu,
        "free": memory.free,
        "terms": [_term(term) for term in memory.terms],
    }


def _term(term: Term) -> dict[str, Any]:
    return {"name": term.name, "likely": term.likely, "low": term.low, "high": term.high, "source": term.source}


def _room(room: Room) -> dict[str, int]:
    return {
        "contextTokens": room.context_tokens,
        "requests": room.requests,
        "tokens": room.tokens,
        "bytesPerToken": room.bytes_per_token,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "perHour": cost.per_hour,
        "perMonth": cost.per_month,
        "currency": cost.currency,
        "source": cost.source,
        "asOf": cost.as_of,
        "notCounted": cost.not_counted,
        "unitPrices": dict(cost.unit_prices),
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "severity": found.severity,
        "code": found.code,
        "field": found.field,
        "message": found.message,
        "file": found.file,
        "line": found.line,
        "accepted": found.accepted,
    }
