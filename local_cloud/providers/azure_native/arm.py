"""Azure Resource Manager as far as AKS needs it: GET, PUT, DELETE, credentials, long-running operations.

Called by provider.py for the engine, and by tests and users as the Python way to look into the stand-in's Azure.
"""

import base64
import copy
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.providers.azure_native import cluster_rules
from local_cloud.providers.azure_native.bodies import refuse_bad_body
from local_cloud.providers.azure_native.errors import group_not_found, not_found, operation_failed
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.providers.azure_native.machines import sync_machines
from local_cloud.providers.azure_native.settings import Settings, edited_settings, load_settings
from local_cloud.providers.azure_native.state import Resource, State, locked
from local_cloud.providers.azure_native.writes import (
    refuse_busy,
    refuse_last_system_pool,
    refuse_missing_parent,
    written,
)

LOOK_EVERY_SECONDS = 0.5


class Interrupted(Exception):
    """Nobody waits any more; the operation itself goes on."""


@dataclass(frozen=True)
class _Course:
    """How an accepted operation will go."""

    seconds: float
    error: dict[str, Any] | None


class Arm:
    """The Azure of one local cloud. Any number of processes may hold one at the same time."""

    def __init__(self, instance_dir: Path | str) -> None:
        self.instance_dir = Path(instance_dir)
        self.folder = self.instance_dir / "azure"

    def get(self, id: str) -> dict[str, Any]:
        """The resource as it is now.

        Raises:
            ArmError: 404, or a configured fault.
        """
        resource_id, settings = ResourceId.parse(id), load_settings(self.folder)
        with locked(self.folder) as state:
            _course(state, settings, "read", resource_id)
            return _answer(state, _existing(state, resource_id))

    def put(self, id: str, body: Mapping[str, Any]) -> None:
        """Makes or changes a resource; returns when the request is accepted, `wait` is for its end.

        Raises:
            ArmError: refused, nothing changed.
        """
        resource_id, settings = ResourceId.parse(id), load_settings(self.folder)
        with locked(self.folder) as state:
            old = state.get(resource_id)
            course = _course(state, settings, "update" if old else "create", resource_id)
            refuse_missing_parent(state, resource_id)
            refuse_busy(state, resource_id)
            refuse_bad_body(resource_id.kind, body)
            for resource in written(state, resource_id, body, settings):
                state.resources[resource["id"].lower()] = resource
                state.begin(resource, "Updating" if old else "Creating", course.seconds, course.error)

    def delete(self, id: str) -> None:
        """Begins the deletion of a resource and of all that lies in it.

        Raises:
            ArmError: 404, or refused.
        """
        resource_id, settings = ResourceId.parse(id), load_settings(self.folder)
        with locked(self.folder) as state:
            course = _course(state, settings, "delete", resource_id)
            resource = _existing(state, resource_id)
            refuse_busy(state, resource_id)
            refuse_last_system_pool(state, resource_id)
            state.begin(resource, "Deleting", course.seconds, course.error)

    def wait(self, id: str, interrupted: threading.Event | None = None, timeout_seconds: float = 7200) -> None:
        """Waits until no operation on the resource runs.

        Raises:
            ArmError: the operation failed.
            Interrupted: `interrupted` was set first.
            TimeoutError: it took longer.
        """
        event, deadline = interrupted or threading.Event(), time.monotonic() + timeout_seconds
        while True:
            with locked(self.folder) as state:
                resource = state.get(ResourceId.parse(id))
                operation = resource["operation"] if resource else None
                error = resource["error"] if resource else None
            if operation is None:
                break
            if time.monotonic() > deadline:
                raise TimeoutError("operation timed out")
            left = max(operation["ends"] - time.time(), 0.005)
            if event.wait(min(left, LOOK_EVERY_SECONDS, max(deadline - time.monotonic(), 0.005))):
                raise Interrupted("context canceled")
        if error is not None:
            raise operation_failed(error)

    def credentials(self, cluster_id: str, admin: bool) -> dict[str, Any]:
        """The answer of listClusterAdminCredential or listClusterUserCredential: the instance's own kubeconfig.

        Raises:
            ArmError: 404, local accounts disabled, or a configured fault.
        """
        resource_id, settings = ResourceId.parse(cluster_id), load_settings(self.folder)
        with locked(self.folder) as state:
            _course(state, settings, "credentials", resource_id)
            cluster = _existing(state, resource_id)
        if admin:
            cluster_rules.refuse_admin_credentials(cluster["body"]["properties"])
        text = (self.instance_dir / "kubeconfig").read_bytes()
        name = "clusterAdmin" if admin else "clusterUser"
        return {"kubeconfigs": [{"name": name, "value": base64.b64encode(text).decode()}]}

    def converge(self) -> None:
        """Ends what is due and brings the cluster's nodes in line.

        Raises:
            ClusterUnreachable: the nodes could not be brought in line.
        """
        with locked(self.folder):
            pass
        sync_machines(self.instance_dir)

    def is_settled(self) -> bool:
        """Whether no operation runs."""
        with locked(self.folder) as state:
            return all(resource["operation"] is None for resource in state.resources.values())

    def pools(self, cluster: str = "local", group: str = "local") -> dict[str, dict[str, Any]]:
        """Properties of a cluster's agent pools, by name: what `az aks nodepool list` would show."""
        with locked(self.folder) as state:
            resources = state.pools(ResourceId(SUBSCRIPTION, group, cluster))
            return {ResourceId.parse(r["id"]).name: copy.deepcopy(r["body"]["properties"]) for r in resources}

    def configure(self, **settings: Any) -> None:
        """Changes settings in config.json (its own names: operationSeconds, regions, ...); the others stay."""
        with edited_settings(self.folder) as raw:
            raw.update(settings)

    def inject(self, code: str | None = None, **fault: Any) -> None:
        """Arms one more fault, in config.json's names: inject("AllocationFailed", pool="gpu*", when="end")."""
        with edited_settings(self.folder) as raw:
            faults = raw.setdefault("faults", [])
            faults.append({"code": code, "id": f"{len(faults)}-{time.time_ns()}", **fault})


def _course(state: State, settings: Settings, operation: str, id: ResourceId) -> _Course:
    """Strikes with the configured faults.

    Raises:
        ArmError: one of them refuses the request.
    """
    seconds, error = (0.0 if id.kind == "ResourceGroup" else settings.operation_seconds), None
    for fault in settings.faults:
        left = fault.times is None or state.struck.get(fault.key, 0) < fault.times
        if not left or not fault.matches(operation, id):
            continue
        state.struck[fault.key] = state.struck.get(fault.key, 0) + 1
        seconds = seconds if fault.seconds is None else fault.seconds
        if fault.code is not None and fault.when == "start":
            raise fault.error()
        error = fault.error().as_result() if fault.code is not None else error
    return _Course(seconds, error)


def _existing(state: State, id: ResourceId) -> Resource:
    resource = state.get(id)
    if resource is not None:
        return resource
    if state.get(id.group_id) is None:
        raise group_not_found(id.group)
    if id.pool and state.get(id.cluster_id) is not None:
        raise not_found(id.arm_type, f"{id.cluster}/{id.pool}", id.group)
    raise not_found(id.cluster_id.arm_type, str(id.cluster), id.group)


def _answer(state: State, resource: Resource) -> dict[str, Any]:
    """The resource as a GET shows it."""
    id = ResourceId.parse(resource["id"])
    answer = {"id": resource["id"], "name": id.name, "type": id.arm_type, **copy.deepcopy(resource["body"])}
    if id.kind == "ManagedCluster":
        answer["properties"]["agentPoolProfiles"] = [
            {"name": ResourceId.parse(pool["id"]).name, **copy.deepcopy(pool["body"]["properties"])}
            for pool in state.pools(id)
        ]
    return answer
