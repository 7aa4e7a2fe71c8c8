"""What a user or a test tells the stand-in: <instance>/azure/config.json, read again at every request."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from local_cloud.providers.azure_native.errors import KNOWN, ArmError
from local_cloud.providers.azure_native.ids import ResourceId

FILE = "config.json"
WRITES = ("create", "update", "delete")
OPERATIONS = (*WRITES, "read", "credentials")
FAULT_KEYS = {
    *("operation", "pool", "cluster", "resourceGroup", "code", "message", "status"),
    *("times", "when", "seconds", "retryAfterSeconds", "id"),
}


class BadSettings(Exception):
    """config.json says something that the stand-in does not understand."""


@dataclass(frozen=True)
class Region:
    """What one region offers. No quota: no limit. No zones: the region has none."""

    retired: frozenset[str] = frozenset()
    quota: Mapping[str, int] = field(default_factory=dict)
    zones: tuple[str, ...] = ("1", "2", "3")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for the requests that it matches.

    Attributes:
        operation: one of OPERATIONS; None: any write.
        code: None: nothing fails, the operation only takes `seconds`.
        when: "start": the request is refused; "end": the long-running operation fails after `seconds`.
        times: how often it strikes; None: always.
    """

    key: str
    operation: str | None
    pool: str
    cluster: str
    group: str
    code: str | None
    message: str | None
    status: int | None
    times: int | None
    when: str
    seconds: float | None
    retry_after_seconds: float | None

    def matches(self, operation: str, id: ResourceId) -> bool:
        """Whether it strikes this request. A fault of a named pool strikes no cluster and no resource group."""
        wanted = operation in WRITES if self.operation is None else operation == self.operation
        names = ((self.pool, id.pool), (self.cluster, id.cluster), (self.group, id.group))
        return wanted and all(fnmatch((name or "").lower(), pattern.lower()) for pattern, name in names)

    def error(self) -> ArmError:
        """What it says."""
        assert self.code is not None
        status, message = KNOWN.get(self.code, (400, f"Configured fault {self.code}."))
        return ArmError(self.status or status, self.code, self.message or message, self.retry_after_seconds)


@dataclass(frozen=True)
class Settings:
    """All of config.json."""

    operation_seconds: float = 0.5
    retry_seconds: float = 20.0  # azure-native's own first delay; it doubles
    regions: Mapping[str, Region] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def region(self, location: str) -> Region:
        """What is configured for the location, else a region with everything and no limit."""
        return self.regions.get(normal_location(location), Region())


def normal_location(location: str) -> str:
    """ "West US 2" and "westus2" are one place."""
    return location.replace(" ", "").lower()


def load_settings(folder: Path) -> Settings:
    """Reads config.json in `folder`; absent is all defaults.

    Raises:
        BadSettings: not JSON, or a key that means nothing.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise BadSettings(f"{path}: {error}") from None
    return _parsed(raw, str(path))


def _parsed(raw: Mapping[str, Any], where: str) -> Settings:
    _only(raw, {"operationSeconds", "retrySeconds", "regions", "faults"}, where)
    return Settings(
        operation_seconds=float(raw.get("operationSeconds", Settings.operation_seconds)),
        retry_seconds=float(raw.get("retrySeconds", Settings.retry_seconds)),
        regions={normal_location(name): _region(name, entry) for name, entry in raw.get("regions", {}).items()},
        faults=tuple(_fault(entry) for entry in raw.get("faults", [])),
    )


@contextmanager
def edited_settings(folder: Path) -> Iterator[dict[str, Any]]:
    """config.json as it is, written back when the block ends; one writer at a time.

    Raises:
        BadSettings: what was made of it means nothing; the file stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with (folder / "config.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = json.loads(path.read_text()) if path.exists() else {}
        yield raw
        _parsed(raw, str(path))
        part = path.with_suffix(".part")
        part.write_text(json.dumps(raw, indent=1))
        part.replace(path)


def _region(name: str, raw: Mapping[str, Any]) -> Region:
    _only(raw, {"retired", "quota", "zones"}, f"region {name}")
    return Region(
        retired=frozenset(size.lower() for size in raw.get("retired", [])),
        quota={family.lower(): int(cores) for family, cores in raw.get("quota", {}).items()},
        zones=tuple(raw.get("zones", Region.zones)),
    )


def _fault(raw: Mapping[str, Any]) -> Fault:
    _only(raw, FAULT_KEYS, "a fault")
    operation, when = raw.get("operation"), raw.get("when", "start")
    if operation not in (None, *OPERATIONS) or when not in ("start", "end"):
        raise BadSettings(f"a fault's operation is one of {', '.join(OPERATIONS)}, its when is start or end: {raw}")
    if raw.get("code") is None and raw.get("seconds") is None:
        raise BadSettings(f"a fault needs a code, or seconds to be slow: {raw}")
    return Fault(
        key=hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:16],
        operation=operation,
        pool=raw.get("pool", "*"),
        cluster=raw.get("cluster", "*"),
        group=raw.get("resourceGroup", "*"),
        code=raw.get("code"),
        message=raw.get("message"),
        status=raw.get("status"),
        times=raw.get("times", 1),
        when=when,
        seconds=raw.get("seconds"),
        retry_after_seconds=raw.get("retryAfterSeconds"),
    )


def _only(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(raw) - known)
    if unknown:
        raise BadSettings(f"{where}: no such setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
