"""The stack's configuration: the only reader of `pulumi.Config`. Called by `__main__.py`.

Every unknown key and wrong type of every `kaito:` value is reported at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from kaito_components.connection import Cluster
from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.plan import NodeOptions, WaitOptions
from kaito_components.spec.model import Bundle
from kaito_components.spec.reader import read_documents, read_files
from kaito_components.workspace import Workspace, make_workspaces, plan_bundle

KEYS = {
    "cluster": {"resourceGroup": str, "name": str, "admin": bool, "kubeconfig": str, "context": str},
    "nodes": {"provider": str, "spot": bool, "minCount": int, "maxCount": int, "zones": list, "gpusPerNode": int},
    "wait": {"until": str, "timeoutSeconds": int},
}
CHOICES = {"provider": ("aks", "existing"), "until": ("ready", "started", "completed", "none")}


@dataclass(frozen=True)
class StackConfig:
    """What one stack holds: Workspaces, each with its options, and the cluster they go to."""

    bundle: Bundle
    options: tuple[tuple[NodeOptions, WaitOptions], ...]
    cluster: Mapping[str, Any]
    image_registry: str | None
    secret_kubeconfig: pulumi.Output[str] | None = field(default=None, repr=False)

    @classmethod
    def load(cls) -> "StackConfig":
        """Reads the configuration of the running program.

        Raises:
            pulumi.RunError: with every problem of the configuration and of the Workspace files.
        """
        config = pulumi.Config("kaito")
        problems: list[Finding] = []
        entries = config.get_object("workspaces") or []
        cluster = _checked("cluster", config.get_object("cluster") or {}, problems)
        nodes = _checked("nodes", config.get_object("nodes") or {}, problems)
        if not entries:
            problems.append(_problem("workspaces", "is empty: name at least one Workspace file"))
        if not cluster:
            problems.append(_problem("cluster", "is missing: give {resourceGroup, name}, or {kubeconfig}"))
        bundle, options = _read(entries, nodes, problems)
        if problems:
            raise pulumi.RunError("\n".join(str(problem) for problem in problems))
        return cls(bundle, options, cluster, config.get("imageRegistry") or None)

    def make(self) -> list[Workspace]:
        """Plans everything, then declares it."""
        try:
            plans = plan_bundle(self.bundle, self.options, self.image_registry)
        except InvalidWorkspace as refused:
            raise pulumi.RunError(str(refused)) from None
        return make_workspaces(plans, self.bundle, Cluster(self._cluster_args()))

    def _cluster_args(self) -> Any:
        given = {"resource_group" if key == "resourceGroup" else key: value for key, value in self.cluster.items()}
        if "kubeconfig" in given:
            given["kubeconfig"] = _kubeconfig(given["kubeconfig"])
        return given


def _problem(key: str, message: str) -> Finding:
    return Finding("error", "configuration", f"kaito:{key}", message, f"stack {pulumi.get_stack()}")


def _checked(key: str, value: Any, problems: list[Finding]) -> dict[str, Any]:
    """The known keys of an object of ours; everything else is a problem."""
    if not isinstance(value, Mapping):
        problems.append(_problem(key, f"must be an object with the keys {', '.join(KEYS[key])}"))
        return {}
    good: dict[str, Any] = {}
    for name, item in value.items():
        wanted = KEYS[key].get(str(name))
        if wanted is None:
            problems.append(_problem(f"{key}.{name}", f"is not a key; keys are {', '.join(KEYS[key])}"))
        elif not isinstance(item, wanted) or (wanted is int and isinstance(item, bool)):
            problems.append(_problem(f"{key}.{name}", f"must be of type {wanted.__name__}, not {type(item).__name__}"))
        elif name in CHOICES and item not in CHOICES[name]:
            problems.append(_problem(f"{key}.{name}", f"{item!r} must be one of {', '.join(CHOICES[name])}"))
        elif isinstance(item, str) and item.startswith("<"):
            problems.append(
                _problem(
                    f"{key}.{name}", f"{item!r} is a placeholder: pulumi config set --path 'kaito:{key}.{name}' ..."
                )
            )
        else:
            good[str(name)] = item
    if ("minCount" in good) != ("maxCount" in good):
        problems.append(_problem(key, "minCount and maxCount go together"))
    return good


def _read(
    entries: Any, nodes: Mapping[str, Any], problems: list[Finding]
) -> tuple[Bundle, tuple[tuple[NodeOptions, WaitOptions], ...]]:
    """All Workspaces of all entries, each with the options of its entry."""
    workspaces: list[Any] = []
    config_maps: list[Any] = []
    secrets: list[Any] = []
    options: list[tuple[NodeOptions, WaitOptions]] = []
    if not isinstance(entries, list):
        problems.append(_problem("workspaces", "must be a list of files"))
        return Bundle(), ()
    for index, entry in enumerate(entries):
        key = f"workspaces[{index}]"
        whole = {"file": entry} if isinstance(entry, str) else entry
        if (
            not isinstance(whole, Mapping)
            or set(whole) - {"file", "inline", "nodes", "wait"}
            or ("file" in whole) == ("inline" in whole)
        ):
            problems.append(_problem(key, "must be a path, or {file or inline, nodes, wait}"))
            continue
        own = _node_options({**nodes, **_checked("nodes", whole.get("nodes", {}), problems)})
        wait = _checked("wait", whole.get("wait", {}), problems)
        waits = WaitOptions(wait.get("until"), wait.get("timeoutSeconds"))
        try:
            read = read_files([whole["file"]]) if "file" in whole else read_documents([whole["inline"]], f"kaito:{key}")
        except InvalidWorkspace as refused:
            problems += refused.findings
            continue
        workspaces += read.workspaces
        config_maps += read.config_maps
        secrets += read.secrets
        options += [(own, waits)] * len(read.workspaces)
    names = [(one.namespace, one.name) for one in workspaces]
    for namespace, name in sorted({one for one in names if names.count(one) > 1}):
        problems.append(_problem("workspaces", f"{namespace}/{name} stands in more than one entry"))
    return Bundle(tuple(workspaces), tuple(config_maps), tuple(secrets)), tuple(options)


def _node_options(given: Mapping[str, Any]) -> NodeOptions:
    return NodeOptions(
        provider=given.get("provider", "aks"),
        spot=given.get("spot", False),
        min_count=given.get("minCount"),
        max_count=given.get("maxCount"),
        zones=tuple(map(str, given.get("zones", ()))),
        gpus_per_node=given.get("gpusPerNode"),
    )


def _kubeconfig(given: str) -> str:
    """The content: of the file, when a path was given; `$KUBECONFIG` and `~` are understood."""
    if "\n" in given:
        return given
    path = Path(os.path.expandvars(given)).expanduser()
    if not path.is_file():
        raise pulumi.RunError(f"kaito:cluster.kubeconfig: there is no file {path}")
    return path.read_text()
