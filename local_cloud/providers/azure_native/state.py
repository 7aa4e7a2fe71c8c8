"""What exists in the stand-in's Azure: one JSON file that any number of plugin processes share.

A long-running operation is a record with an end time. It ends by itself, as Azure's do: whoever opens the state after
that time finds it done, also when the process that asked for it was killed.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from local_cloud.providers.azure_native.ids import ResourceId

FILE = "state.json"
RUNNING = ("vmSize", "count", "nodeLabels", "nodeTaints", "mode", "osSKU", "scaleSetPriority", "availabilityZones")


class Operation(TypedDict):
    """A long-running operation: what it does, when it ends (epoch seconds), and how it fails if it does."""

    kind: str
    ends: float
    error: dict[str, Any] | None


class Resource(TypedDict):
    """A resource. `body` is what ARM answers, without id, name and type; `running` what a pool's machines are."""

    id: str
    body: dict[str, Any]
    operation: Operation | None
    error: dict[str, Any] | None
    running: dict[str, Any] | None


class State:
    """The resources, and how often each configured fault struck."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.resources: dict[str, Resource] = raw.get("resources", {})
        self.struck: dict[str, int] = raw.get("struck", {})
        self.machines: dict[str, str] = raw.get("machines", {})
        self.writes: int = raw.get("writes", 0)

    def as_json(self) -> str:
        """As the file has it."""
        return json.dumps(vars(self), indent=1)

    def get(self, id: ResourceId) -> Resource | None:
        """The resource of that id."""
        return self.resources.get(id.key)

    def pools(self, cluster: ResourceId) -> list[Resource]:
        """The agent pools of a cluster, in the order of their making."""
        return [r for key, r in self.resources.items() if key.startswith(f"{cluster.key}/agentpools/")]

    def under(self, id: ResourceId) -> list[Resource]:
        """The resource and all that lies in it."""
        return [r for key, r in self.resources.items() if key == id.key or key.startswith(f"{id.key}/")]

    def location(self, id: ResourceId) -> str:
        """Where the cluster or the resource group of the id is."""
        holder = self.get(id.cluster_id) or self.get(id.group_id)
        return str(holder["body"]["location"]) if holder else ""

    def begin(self, resource: Resource, kind: str, seconds: float, error: dict[str, Any] | None = None) -> None:
        """Starts a long-running operation on the resource."""
        self.writes += 1
        resource["operation"] = {"kind": kind, "ends": time.time() + seconds, "error": error}
        resource["error"] = None
        resource["body"]["properties"].update(provisioningState=kind)
        id = ResourceId.parse(resource["id"])
        if id.cluster:
            tagged = resource["body"]["properties"] if id.pool else resource["body"]
            tagged["eTag"] = f"{self.writes:08x}-0000-0000-0000-000000000000"

    def finish_due(self) -> None:
        """Ends the operations whose time is over."""
        for key, resource in list(self.resources.items()):
            operation = resource["operation"]
            if operation is not None and operation["ends"] <= time.time():
                resource["operation"] = None
                self._finish(key, resource, operation)

    def _finish(self, key: str, resource: Resource, operation: Operation) -> None:
        properties = resource["body"]["properties"]
        if operation["error"] is not None:
            resource["error"] = operation["error"]
            properties["provisioningState"] = "Failed"
        elif operation["kind"] == "Deleting":
            for gone in self.under(ResourceId.parse(resource["id"])):
                del self.resources[gone["id"].lower()]
        else:
            properties["provisioningState"] = "Succeeded"
            if ResourceId.parse(resource["id"]).pool:
                resource["running"] = {name: properties.get(name) for name in RUNNING}


@contextmanager
def locked(folder: Path) -> Iterator[State]:
    """The state, for this thread of this process alone; written back when the block ends, in whatever way.

    Operations that are due are ended first. The file is replaced as a whole: a kill leaves the old or the new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with (folder / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else "{}"
        state = State(json.loads(before))
        state.finish_due()
        try:
            yield state
        finally:
            _save(path, before, state.as_json())


def _save(path: Path, before: str, after: str) -> None:
    if after != before:
        part = path.with_suffix(".part")
        part.write_text(after)
        part.replace(path)
