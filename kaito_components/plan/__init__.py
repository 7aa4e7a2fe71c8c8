"""The plan: everything that follows from a Workspace, its preset and its VM size, decided once and in pure code.

`plan(...)` is called by the components, by `kaito plan` and by the tests; `manifests` turns its result into Kubernetes
objects and an agent-pool body. No Pulumi, no network, no clock here. `deciding` puts it together out of `runtime`
(program and arguments), `fit` (nodes, parallelism, memory), `nodes` (pool, disk, labels), `cost`, and `findings` (what
is to be said); `types` has the values.
"""

from kaito_components.plan.deciding import plan
from kaito_components.plan.types import (
    Cost,
    Hardware,
    Memory,
    NodeOptions,
    Plan,
    PlannedObject,
    Pool,
    Runtime,
    WaitOptions,
    Weights,
)

__all__ = [
    "Cost", "Hardware", "Memory", "NodeOptions", "Plan", "PlannedObject", "Pool", "Runtime", "WaitOptions", "Weights",
    "plan",
]  # fmt: skip
