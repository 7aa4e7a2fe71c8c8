"""The shape of a plan: frozen values that `plan.plan` decides, and that everything above it reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kaito_components import names
from kaito_components.errors import Finding
from kaito_components.presets import Preset
from kaito_components.sizing.terms import Term, total
from kaito_components.skus import VmSize
from kaito_components.spec.model import ConfigMap, Workspace

Runtime = Literal["transformers", "vllm", "template"]
NodeProvider = Literal["aks", "existing"]
Until = Literal["ready", "started", "completed", "none"]


@dataclass(frozen=True)
class NodeOptions:
    """How nodes are to be had; everything KAITO's file has no field for."""

    provider: NodeProvider = "aks"
    spot: bool = False
    min_count: int | None = None  # both set: the pool scales by itself between them
    max_count: int | None = None
    zones: tuple[str, ...] = ()
    gpus_per_node: int | None = None  # of nodes that exist already; 0: they have none, None: one is assumed
    os_disk_gib: int | None = None  # of new nodes; None: what the model needs


@dataclass(frozen=True)
class AzureOptions:
    """What Azure is asked before anything is bought. None: learnt from the cluster."""

    checks: bool = False
    subscription: str | None = None
    region: str | None = None
    currency: str = "USD"


@dataclass(frozen=True)
class MonitoringOptions:
    """What is made for Grafana and the Prometheus operator."""

    dashboard: bool = False
    service_monitor: bool = False


@dataclass(frozen=True)
class NetworkOptions:
    """Who may reach the pods, and whom they may reach: by default what the cluster allows."""

    policy: bool = False
    from_namespaces: tuple[str, ...] = ()  # beside the Workspace's own


@dataclass(frozen=True)
class Hardware:
    """What a node computes with. `compute_capability` is None without a GPU, and where the nodes exist already."""

    gpus: int
    compute_capability: float | None
    resource: str = names.GPU_RESOURCE  # what pods ask for: whole GPUs, or slices of one MIG profile
    gpu_memory_bytes: int | None = None  # of nodes that exist already, where the MIG profile says it

    def has_capability(self, least: float) -> bool:
        """Whether its GPUs are at least that new; nodes that exist already are taken to be."""
        return self.gpus > 0 and (self.compute_capability is None or self.compute_capability >= least)


@dataclass(frozen=True)
class WaitOptions:
    """What `pulumi up` waits for. `timeout_seconds` None: computed from what must be loaded."""

    until: Until | None = None  # None: inference ready, tuning started
    timeout_seconds: int | None = None


@dataclass(frozen=True)
class Weights:
    """Where the model's weights come from."""

    kind: Literal["huggingface", "image", "pvc", "hostPath", "none"]
    reference: str = ""  # model id, image, claim name (claim/sub/path), or path
    revision: str | None = None  # Hugging Face only


@dataclass(frozen=True)
class Pool:
    """The AKS agent pool of a Workspace. Another immutable field is another `name`: the new pool is made first."""

    name: str
    vm_size: str
    count: int
    labels: Mapping[str, str]
    taints: tuple[str, ...]
    os_sku: Literal["Ubuntu", "AzureLinux"]
    os_disk_size_gib: int
    spot: bool = False
    min_count: int | None = None
    max_count: int | None = None
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Memory:
    """Bytes. `weights` as they are loaded; `overhead`: all else but keys and values, on all GPUs used of a node.

    `usable_per_gpu` is what is left of one GPU for weights, and for cache where the runtime does not count it.
    `terms` add up what one GPU holds. On a node without GPUs its memory stands in the place of a GPU's.
    """

    weights: int
    kv_cache_per_token: int
    overhead: int
    usable_per_gpu: int
    gpu: int
    terms: tuple[Term, ...] = ()

    @property
    def free(self) -> int:
        """What is left of one GPU; less than 0: it does not fit."""
        return self.gpu - total(self.terms).likely


@dataclass(frozen=True)
class Room:
    """Room for context. `context_tokens`: how long one request can be; `requests`: how many of that length at once."""

    context_tokens: int
    requests: int
    tokens: int  # of all requests together
    bytes_per_token: int  # on average, at that length


@dataclass(frozen=True)
class Cost:
    """Money for the nodes, with the price's source and day, and what is left out of it."""

    per_hour: float
    per_month: float  # of 730 hours
    currency: str
    source: str
    as_of: str
    not_counted: str = ""
    unit_prices: Mapping[str, float] = field(default_factory=dict)  # an hour, by what is bought


@dataclass(frozen=True)
class PlannedObject:
    """Kind and name of one object that will be made."""

    kind: str
    name: str


@dataclass(frozen=True)
class Plan:
    """Everything that follows from one Workspace."""

    spec: Workspace
    preset: Preset | None
    vm: VmSize | None
    runtime: Runtime
    node_count: int
    gpus_per_node: int
    gpu_resource: str
    tensor_parallel_size: int
    pipeline_parallel_size: int
    data_parallel_size: int
    max_model_len: int | Literal["auto"]
    dtype: str
    image: str
    command: tuple[str, ...]
    weights: Weights
    memory: Memory | None  # None: a template, or nodes that exist already
    disk_bytes: int
    node_selector: Mapping[str, str]  # what a node must carry, besides capacity
    pool: Pool | None  # None: the nodes exist already
    wait: Until
    timeout_seconds: int
    startup_seconds: int  # how long a container may take to load before its probe gives up
    room: Room | None = None  # inference where it fits
    region: str | None = None
    cost: Cost | None = None  # None: not known, or nodes that exist already
    config_map: ConfigMap | None = None  # the one named by `config`, when it stands beside the Workspace
    serving: "Plan | None" = None  # of a tuning Workspace: how it serves what it tuned
    findings: tuple[Finding, ...] = ()
    resources: tuple[PlannedObject, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def namespace(self) -> str:
        return self.spec.namespace

    @property
    def instance_type(self) -> str:
        """The VM size's name; empty for nodes that exist already."""
        return self.vm.name if self.vm else ""

    @property
    def may_grow(self) -> bool:
        """Whether an autoscaler makes the pool larger for a pod that finds no place."""
        return self.pool is not None and (self.pool.max_count or 0) > self.node_count

    @property
    def has_room_for_two(self) -> bool:
        """Whether a new pod finds a place while the old one still serves, so that a change makes no gap.

        That is a node without GPUs whose memory holds the model once more, or a pool that an autoscaler makes larger.
        """
        if self.may_grow:
            return True
        if self.gpus_per_node or self.vm is None or self.memory is None:
            return False
        return self.vm.vcpus > 2 and self.memory.free >= self.memory.weights
