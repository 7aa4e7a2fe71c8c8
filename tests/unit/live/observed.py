"""Kubernetes objects as API server 1.34, its controllers and the kubelet write them, without what does not matter."""

from typing import Any

from kaito_components.live.snapshot import Goal, Snapshot

Object = dict[str, Any]
NAMESPACE = "models"
IMAGE = "example.azurecr.io/model:1"


def goal(**changes: Any) -> Goal:
    values: Object = {
        "namespace": NAMESPACE, "workspace": "phi", "kind": "Deployment", "node_selector": {"apps": "phi"},
        "expected_nodes": 1, "gpus_per_node": 2, "instance": "Standard_NC12s_v3", "until": "ready",
    }  # fmt: skip
    return Goal(**values | changes)


def tuning(**changes: Any) -> Goal:
    return goal(**{"kind": "Job", "until": "started"} | changes)


def node(name: str = "node-a", gpus: int = 2, ready: str = "True", **conditions: str) -> Object:
    states = {"Ready": ready, **conditions}
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"apps": "phi"}},
        "status": {
            "conditions": [
                {"type": kind, "status": state, "reason": "KubeletReady" if state == "True" else "KubeletNotReady",
                 "message": "container runtime network not ready: cni plugin not initialized"}
                for kind, state in states.items()
            ],
            "allocatable": {"cpu": "11820m", "nvidia.com/gpu": str(gpus)},
        },
    }  # fmt: skip


def _metadata(name: str, **more: Any) -> Object:
    return {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", **more}


def owned_by(name: str) -> list[Object]:
    return [{"uid": f"uid-{name}", "name": name, "controller": True}]


def deployment(generation: int = 2, observed: int = 2, **status: Any) -> Object:
    done = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    return {
        "kind": "Deployment",
        "metadata": _metadata("phi", generation=generation, creationTimestamp="2026-11-23T20:00:00Z"),
        "spec": {"replicas": 1},
        "status": {"observedGeneration": observed, **done, **status},
    }


def replica_set(revision: int = 2) -> Object:
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    metadata = _metadata(f"phi-rs{revision}", annotations=annotations, ownerReferences=owned_by("phi"))
    return {"kind": "ReplicaSet", "metadata": metadata}


def stateful_set(replicas: int = 2, **status: Any) -> Object:
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas)
    revisions = {"currentRevision": "phi-new", "updateRevision": "phi-new"}
    metadata = _metadata("phi", generation=1, creationTimestamp="2026-11-23T20:00:00Z")
    status = {"observedGeneration": 1, **counts, **revisions, **status}
    return {"kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": replicas}, "status": status}


def job(**status: Any) -> Object:
    metadata = _metadata("phi", creationTimestamp="2026-11-23T20:00:00Z")
    return {"kind": "Job", "metadata": metadata, "spec": {}, "status": status}


def ended(kind: str, reason: str = "", message: str = "") -> list[Object]:
    return [{"type": kind, "status": "True", "reason": reason, "message": message}]


RUNNING = {"running": {"startedAt": "2026-11-23T20:01:00Z"}}


def terminated(code: int, reason: str = "Error", **more: Any) -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def container(state: Object, name: str = "inference", restarts: int = 0, last: Object | None = None) -> Object:
    return {
        "name": name, "image": IMAGE, "state": state, "lastState": last or {}, "restartCount": restarts,
        "ready": "running" in state,
    }  # fmt: skip


def pod(
    *containers: Object, owner: str = "phi-rs2", name: str = "phi-rs2-x", init: tuple[Object, ...] = (),
    phase: str = "Pending", ready: bool = False, memory: str | None = None, **status: Any,
) -> Object:  # fmt: skip
    """A pod on a node. `memory`: the limit of every container."""
    limits = {"limits": {"memory": memory}} if memory else {}
    made: list[Object] = [{"name": one["name"], "image": IMAGE, "resources": limits} for one in containers]
    initialized = all("terminated" in one["state"] for one in init)
    return {
        "kind": "Pod",
        "metadata": _metadata(name, ownerReferences=owned_by(owner), creationTimestamp="2026-11-23T20:00:30Z"),
        "spec": {"containers": made, "initContainers": [{"name": one["name"]} for one in init]},
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": str(initialized)},
                {"type": "Ready", "status": str(ready)},
            ],
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
            **status,
        },
    }


def running_pod(ready: bool = True, **more: Any) -> Object:
    return pod(container(RUNNING), phase="Running", ready=ready, **more)


def unschedulable_pod(message: str, **spec: Any) -> Object:
    made = pod()
    made["spec"] |= {"containers": [{"name": "inference"}], **spec}
    made["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    }
    return made


def event(about: str, reason: str, message: str, at: str = "2026-11-23T20:02:00Z", kind: str = "Pod") -> Object:
    involved = {"uid": f"uid-{about}", "name": about, "kind": kind, "namespace": NAMESPACE}
    metadata = _metadata(f"{about}.{reason}")
    return {"metadata": metadata, "involvedObject": involved, "reason": reason, "message": message, "lastTimestamp": at}


def endpoint_slice(pod_name: str = "phi-rs2-x", ready: bool = True) -> Object:
    entry = {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "uid": f"uid-{pod_name}"}}
    labels = {"kubernetes.io/service-name": "phi"}
    return {"kind": "EndpointSlice", "metadata": _metadata("phi-slice", labels=labels), "endpoints": [entry]}


def snapshot(*pods: Object, **changes: Any) -> Snapshot:
    """A Deployment of one pod, all well but for what is given."""
    values: Object = {
        "workload": deployment(),
        "replica_sets": (replica_set(2),),
        "pods": pods or (running_pod(),),
        "nodes": (node(),),
        "endpoint_slices": (endpoint_slice(),),
    }
    return Snapshot(**values | changes)


def tuning_snapshot(*pods: Object, workload: Object | None = None, **changes: Any) -> Snapshot:
    return Snapshot(workload=workload or job(active=1), pods=pods, nodes=(node(),), **changes)


def broken(*pods: Object, **changes: Any) -> Snapshot:
    """The Deployment's pods are not ready."""
    return snapshot(*pods, workload=deployment(readyReplicas=0, availableReplicas=0), endpoint_slices=(), **changes)
