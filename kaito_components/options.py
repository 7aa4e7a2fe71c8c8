"""`cluster`, `nodes` and `wait` as users write them, checked. Called by config (camel case) and workspace (snake case).

What cannot be used is never dropped: each unknown key, wrong type or value that contradicts another one is a finding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import pulumi

from kaito_components.errors import Finding
from kaito_components.plan.types import (
    AzureOptions,
    MonitoringOptions,
    NetworkOptions,
    NodeOptions,
    NodeProvider,
    Until,
    WaitOptions,
)
from kaito_components.prices import CURRENCIES


@dataclass(frozen=True)
class Key:
    """What one key may hold."""

    type: type
    choices: tuple[str, ...] = ()
    least: int | None = None


CLUSTER = {
    "resource_group": Key(str),
    "name": Key(str),
    "admin": Key(bool),
    "kubeconfig": Key(str),
    "context": Key(str),
    "device_plugin": Key(bool),
}
NODES = {
    "provider": Key(str, get_args(NodeProvider)),
    "spot": Key(bool),
    "min_count": Key(int, least=0),
    "max_count": Key(int, least=1),
    "zones": Key(list),
    "gpus_per_node": Key(int, least=0),
    "os_disk_gib": Key(int, least=30),  # the least that AKS takes
}
WAIT = {"until": Key(str, get_args(Until)), "timeout_seconds": Key(int, least=1)}
AZURE = {
    "checks": Key(bool),
    "subscription": Key(str),
    "region": Key(str),
    "currency": Key(str, CURRENCIES),
}
MONITORING = {"dashboard": Key(bool), "service_monitor": Key(bool)}
NETWORK = {"policy": Key(bool), "from_namespaces": Key(list)}
IN_PYTHON = {
    "azure": Key(dict),
    "monitoring": Key(dict),
    "network": Key(dict),
}  # args of `Cluster`; keys of their own in a stack
NAMESPACE = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
FOR_POOLS = ("spot", "min_count", "max_count", "zones", "os_disk_gib")


@dataclass(frozen=True)
class Reader:
    """Reads objects of one place and gathers what is wrong with them.

    Attributes:
        place: said before each problem, as a file would be.
        is_camel: the keys are in camel case, as in a stack's configuration; snake case otherwise.
    """

    place: str
    is_camel: bool = False
    problems: list[Finding] = field(default_factory=list)

    def cluster(self, value: Any, at: str) -> dict[str, Any]:
        """The args of `connection.Cluster`; empty if there is a problem."""
        before = len(self.problems)
        given = self._keys(value, at, CLUSTER if self.is_camel else CLUSTER | IN_PYTHON)
        is_aks = "resource_group" in given or "name" in given
        group, name, config = (self._spelled(key) for key in ("resource_group", "name", "kubeconfig"))
        if len(self.problems) > before:
            return {}
        if is_aks == ("kubeconfig" in given):
            self.add(at, f"needs either {group} and name of an AKS cluster, or {config}")
        elif is_aks and not ("resource_group" in given and "name" in given):
            self.add(at, f"needs both {group} and {name} of an AKS cluster")
        for key in ("context",) if is_aks else ("admin", "device_plugin", "azure"):
            if key in given:
                self.add(f"{at}.{key}", f"has no effect with {group if is_aks else config}; remove it")
        return given if len(self.problems) == before else {}

    def nodes(self, value: Any, at: str, defaults: Mapping[str, Any] | None = None) -> NodeOptions:
        """How nodes are had; `defaults` are the keys of another object, which `value` overrides."""
        own = self._keys(value, at, NODES)
        given = {**(defaults or {}), **own}
        if ("min_count" in given) != ("max_count" in given):
            self.add(at, f"{self._spelled('min_count')} and {self._spelled('max_count')} go together")
        is_existing = given.get("provider") == "existing"
        for key in FOR_POOLS if is_existing else ("gpus_per_node",):
            if key in own:
                kind = "nodes that exist already" if is_existing else "new pools, which have what their VM size has"
                self.add(f"{at}.{self._spelled(key)}", f"has no effect on {kind}; remove it")
            given.pop(key, None)
        given["zones"] = tuple(map(str, given.get("zones", ())))
        return NodeOptions(**given)

    def node_keys(self, value: Any, at: str) -> dict[str, Any]:
        """The keys of an object that serves as `defaults`."""
        before = len(self.problems)
        self.nodes(value, at)
        if len(self.problems) > before:
            return {}
        return self._keys(value, at, NODES)

    def wait(self, value: Any, at: str) -> WaitOptions:
        """What `pulumi up` waits for."""
        return WaitOptions(**self._keys(value, at, WAIT))

    def azure(self, value: Any, at: str) -> AzureOptions:
        """What Azure is asked."""
        given = self._keys(value, at, AZURE)
        if "currency" in given and not given.get("checks"):
            self.add(f"{at}.currency", "has no effect without checks: prices in the package are in USD; remove it")
        return AzureOptions(**given)

    def monitoring(self, value: Any, at: str) -> MonitoringOptions:
        """What is made for Grafana and Prometheus."""
        return MonitoringOptions(**self._keys(value, at, MONITORING))

    def network(self, value: Any, at: str) -> NetworkOptions:
        """Who may reach the pods."""
        given = self._keys(value, at, NETWORK)
        spaces = given["from_namespaces"] = tuple(given.get("from_namespaces", ()))
        place = f"{at}.{self._spelled('from_namespaces')}"
        if spaces and not given.get("policy"):
            self.add(place, "has no effect without policy: true; set it, or remove this")
        for wrong in (one for one in spaces if not isinstance(one, str) or not re.fullmatch(NAMESPACE, one)):
            self.add(place, f"{wrong!r} is no name of a namespace")
        return NetworkOptions(**given)

    def switch(self, value: Any, at: str) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.add(at, f"{value!r} must be true or false")
        return value is True

    def add(self, at: str, message: str) -> None:
        """One more problem."""
        self.problems.append(Finding("error", "configuration", at, message, self.place))

    def _keys(self, value: Any, at: str, keys: Mapping[str, Key]) -> dict[str, Any]:
        """The known keys in snake case, with values that may be used."""
        known = {self._spelled(key): key for key in keys}
        if not isinstance(value, Mapping):
            self.add(at, f"must be an object with the keys {', '.join(known)}")
            return {}
        good: dict[str, Any] = {}
        for name, item in value.items():
            if name not in known:
                self.add(f"{at}.{name}", f"is not a key; keys are {', '.join(known)}")
            elif wrong := self._wrong(f"{at}.{name}", item, keys[known[name]]):
                self.add(f"{at}.{name}", wrong)
            else:
                good[known[name]] = item
        return good

    def _wrong(self, at: str, item: Any, key: Key) -> str:
        """Why a value cannot be used, or nothing."""
        if isinstance(item, pulumi.Output):
            return ""  # the names of a cluster that this program makes; the type checker sees to the rest
        sequence = key.type is list and isinstance(item, tuple)
        if not (isinstance(item, key.type) or sequence) or (key.type is int and isinstance(item, bool)):
            return f"{item!r} must be of type {key.type.__name__}"
        if key.choices and item not in key.choices:
            return f"{item!r} must be one of {', '.join(key.choices)}"
        if key.least is not None and item < key.least:
            return f"{item} must be {key.least} or more"
        if isinstance(item, str) and self.is_camel and item.startswith("<"):
            return f"{item!r} is a placeholder: pulumi config set --path '{at}' ..."
        if isinstance(item, str) and not item:
            return "is empty"
        return ""

    def _spelled(self, key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(part.capitalize() for part in rest) if self.is_camel else key
