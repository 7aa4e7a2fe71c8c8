"""The stack's configuration: the only reader of `pulumi.Config`. Called by `__main__.py`.

Every problem of every `kaito:` key and of every Workspace file is reported at once.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from kaito_components.connection import Cluster
from kaito_components.errors import InvalidWorkspace
from kaito_components.making import make_workspaces
from kaito_components.options import Reader
from kaito_components.plan import NodeOptions, Plan, WaitOptions
from kaito_components.spec.model import Bundle
from kaito_components.spec.reader import Inline, read_files
from kaito_components.workspace import plan_bundle

KEYS = (
    "workspaces",
    "cluster",
    "nodes",
    "azure",
    "monitoring",
    "network",
    "imageRegistry",
    "strict",
)  # those of Pulumi.yaml; a test holds the two together
STACK_COST = "stack_cost"  # an output; no Workspace can have this name
ENTRY_KEYS = {"file", "inline", "nodes", "wait"}


@dataclass(frozen=True)
class Entry:
    """One entry of `kaito:workspaces`: where its Workspaces stand, and the options that they have in common."""

    source: str | Inline
    nodes: NodeOptions
    wait: WaitOptions


@dataclass(frozen=True)
class StackConfig:
    """What one stack holds: planned Workspaces, what stands beside them, and the cluster they go to."""

    bundle: Bundle
    plans: Sequence[Plan]
    cluster: Mapping[str, Any] = field(repr=False)  # holds the kubeconfig
    strict: bool = False  # warnings are errors

    @classmethod
    def load(cls) -> "StackConfig":
        """Reads the configuration of the running program, and plans everything.

        Raises:
            pulumi.RunError: with every problem of the configuration and of the Workspace files.
        """
        reader = Reader(f"stack {pulumi.get_stack()}", is_camel=True)
        values = _values(reader)
        cluster = _cluster(values.get("cluster"), reader)
        nodes = reader.node_keys(values.get("nodes") or {}, "kaito:nodes")
        azure = _azure(values.get("azure") or {}, cluster, reader)
        monitoring = reader.monitoring(values.get("monitoring") or {}, "kaito:monitoring")
        network = reader.network(values.get("network") or {}, "kaito:network")
        entries = _entries(values.get("workspaces"), nodes, reader)
        strict = reader.switch(values.get("strict") or False, "kaito:strict")
        bundle, plans = Bundle(), list[Plan]()
        try:
            bundle = read_files(entry.source for entry in entries.values())
            if not any(problem.field.startswith(("kaito:nodes", "kaito:workspaces")) for problem in reader.problems):
                _need_aks(cluster, entries.values(), reader)
                options = [(entries[one.file].nodes, entries[one.file].wait) for one in bundle.workspaces]
                plans = plan_bundle(bundle, options, values.get("imageRegistry") or None, strict)
        except InvalidWorkspace as refused:
            reader.problems.extend(refused.findings)
        if reader.problems:
            raise pulumi.RunError(str(InvalidWorkspace(reader.problems)))
        args = {**cluster, **({"azure": azure} if azure else {})}
        args |= {"monitoring": asdict(monitoring), "network": asdict(network)}
        return cls(bundle, plans, args, strict)

    def make(self) -> dict[str, Any]:
        """Declares everything; returns the stack's outputs: one of each Workspace, and what all cost together."""
        given: Any = self.cluster
        cluster = Cluster(given)
        made = make_workspaces(self.plans, self.bundle, cluster, self.strict)
        outputs = {one.pulumi_resource_name: one.outputs() for one in made}
        cost = cluster.review.total.cost
        return {**outputs, STACK_COST: asdict(cost)} if cost else outputs


def _values(reader: Reader) -> dict[str, Any]:
    """The values of the keys; those that are not text are JSON."""
    config = pulumi.Config("kaito")
    for key in pulumi.runtime.config.get_config_env():
        space, _, name = key.partition(":")
        if space == "kaito" and name not in KEYS:
            reader.add(f"kaito:{name}", f"is not a key; keys are {', '.join(KEYS)}")
    values: dict[str, Any] = {}
    for key in KEYS:
        text = config.get(key)
        values[key] = text
        if text and key != "imageRegistry":
            with suppress(ValueError):  # a plain text in the place of an object is refused by what reads it
                values[key] = json.loads(text)
    return values


def _azure(value: Any, cluster: Mapping[str, Any], reader: Reader) -> Any:
    """The args of `Cluster` for what Azure is asked."""
    reader.azure(value, "kaito:azure")
    if value and "kubeconfig" in cluster:
        reader.add("kaito:azure", "has no effect with kaito:cluster.kubeconfig; remove it")
    return value


def _cluster(value: Any, reader: Reader) -> dict[str, Any]:
    """The args of `Cluster`, with the kubeconfig's content in place of its path."""
    at = "kaito:cluster"
    if value is None:
        reader.add(at, "is missing: give {resourceGroup, name}, or {kubeconfig}")
        return {}
    given = reader.cluster(value, at)
    kubeconfig = given.get("kubeconfig")
    if not kubeconfig or "\n" in kubeconfig:
        return given
    if kubeconfig == "$KUBECONFIG":
        kubeconfig = os.environ.get("KUBECONFIG") or "~/.kube/config"
    path = Path(os.path.expandvars(kubeconfig)).expanduser()
    if path.is_file():
        return {**given, "kubeconfig": path.read_text()}
    reader.add(f"{at}.kubeconfig", f"there is no file {path}; give the path of one kubeconfig, or its content")
    return given


def _entries(entries: Any, nodes: Mapping[str, Any], reader: Reader) -> dict[str, Entry]:
    """The entries by the place that their Workspaces have as `file`."""
    if not isinstance(entries, list) or not entries:
        text = "is missing or empty: list your Workspace files (to remove all Workspaces: pulumi destroy)"
        reader.add("kaito:workspaces", text if not entries else f"{entries!r} must be a list of files")
        return {}
    found: dict[str, Entry] = {}
    for index, entry in enumerate(entries):
        at = f"kaito:workspaces[{index}]"
        whole = {"file": entry} if isinstance(entry, str) else entry
        if not _is_entry(whole):
            reader.add(at, f"{entry!r} must be a path, or an object with file (a path) or inline, and nodes, wait")
            continue
        place = whole.get("file", at)
        if place in found:
            reader.add(at, f"{place} stands in another entry too; keep one of them")
        own = reader.nodes(whole.get("nodes", {}), f"{at}.nodes", nodes)
        wait = reader.wait(whole.get("wait", {}), f"{at}.wait")
        found[place] = Entry(whole.get("file") or Inline(whole["inline"], at), own, wait)
    return found


def _is_entry(whole: Any) -> bool:
    if not isinstance(whole, Mapping) or set(whole) - ENTRY_KEYS or ("file" in whole) == ("inline" in whole):
        return False
    return "inline" in whole or isinstance(whole["file"], str)


def _need_aks(cluster: Mapping[str, Any], entries: Iterable[Entry], reader: Reader) -> None:
    if "kubeconfig" in cluster and any(entry.nodes.provider == "aks" for entry in entries):
        text = "pools need an AKS cluster: give kaito:cluster as {resourceGroup, name}, or set provider: existing"
        reader.add("kaito:nodes.provider", text)
