"""What the engine hands over, as plain values, and how its parts belong together. Called by rules and the pack."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORKLOADS = ("Deployment", "StatefulSet", "Job", "DaemonSet")
WORKSPACE, NAMESPACE = "kaito.sh/workspace", "kaito.sh/workspacenamespace"
SPOT_TAINT = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"  # AKS sets it on nodes of spot pools


@dataclass(frozen=True)
class Resource:
    """One resource of the stack. `properties`: its inputs; what is not known yet is left out."""

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`Deployment` of `kubernetes:apps/v1:Deployment`."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.kind} {self.name}"


def pools(resources: Sequence[Resource]) -> Iterator[Resource]:
    """The agent pools of AKS clusters."""
    return (one for one in resources if one.type.startswith("azure-native:") and one.kind == "AgentPool")


def workloads(resources: Sequence[Resource]) -> Iterator[Resource]:
    """What makes pods."""
    return (one for one in resources if one.type.startswith("kubernetes:") and one.kind in WORKLOADS)


def services(resources: Sequence[Resource]) -> Iterator[Resource]:
    """The Services."""
    return (one for one in resources if one.type.startswith("kubernetes:") and one.kind == "Service")


def template(workload: Resource) -> Mapping[str, Any]:
    """The pod template."""
    found: Mapping[str, Any] = (workload.properties.get("spec") or {}).get("template") or {}
    return found


def containers(workload: Resource) -> list[Mapping[str, Any]]:
    """All containers of its pods, init containers first."""
    spec = template(workload).get("spec") or {}
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def users_of(pool: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The workloads of the Workspace that a pool belongs to."""
    labels = pool.properties.get("nodeLabels") or {}
    wanted = labels.get(WORKSPACE), labels.get(NAMESPACE)
    return [one for one in workloads(resources) if wanted == (_label(one), _namespace(one)) and wanted[0]]


def selected(service: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The workloads whose pods a Service leads to."""
    selector = (service.properties.get("spec") or {}).get("selector") or {}
    namespace = _namespace(service)
    return [
        one
        for one in workloads(resources)
        if selector and _namespace(one) == namespace and selector.items() <= _pod_labels(one).items()
    ]


def is_tuning(workload: Resource) -> bool:
    """Whether it runs to an end instead of serving."""
    return workload.kind == "Job"


def option(command: Sequence[str], *names: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE` in a command line, which may stand in a shell's script."""
    words = [word for part in command for word in part.split()]
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else next(iter(words[index + 1 :]), "")
    return None


def command_of(container: Mapping[str, Any]) -> list[str]:
    """Its command and arguments."""
    return [str(part) for part in (*(container.get("command") or []), *(container.get("args") or []))]


def _label(workload: Resource) -> str | None:
    return _pod_labels(workload).get(WORKSPACE)


def _pod_labels(workload: Resource) -> Mapping[str, str]:
    return (template(workload).get("metadata") or {}).get("labels") or {}


def _namespace(one: Resource) -> str:
    return str((one.properties.get("metadata") or {}).get("namespace") or "default")
