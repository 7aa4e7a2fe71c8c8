"""One local cloud by name: up, down, status, env. Called by `python -m local_cloud`, `make demo` and the tests."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_cloud.cache import cache_root
from local_cloud.control_plane import API_SERVER, FIRST, KWOK, NAMES, ControlPlane, Settings
from local_cloud.go_build import Say
from local_cloud.network import free_ports
from local_cloud.plugins import install_stand_ins
from local_cloud.processes import BackgroundProcess
from local_cloud.real import real_nodes
from local_cloud.toolchain import Toolchain

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class NoInstance(Exception):
    """The instance is not up."""


@dataclass(frozen=True)
class Status:
    """What runs: process ids by program (None: not running), and whether the API server answers."""

    processes: dict[str, int | None]
    ports: dict[str, int]
    ready: bool
    server: str

    @property
    def is_up(self) -> bool:
        """Whether all of it runs and answers."""
        return self.ready and None not in self.processes.values()


class Instance:
    """A local cloud. Everything of it lies in `folder`; `down` ends it and removes the folder."""

    def __init__(self, name: str = "default", toolchain: Toolchain | None = None) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no instance name: use at most 40 of a-z, 0-9 and -, letter or digit first")
        self.name = name
        self.toolchain = toolchain or Toolchain()
        self.folder = cache_root() / "instances" / name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"

    def up(self, say: Say = print, real: bool | None = None) -> None:
        """Builds what is missing and starts what does not run; what runs is left alone.

        Args:
            real: whether pods run in containers; None: as the instance is, simulated if it is new.

        Raises:
            BuildError: the toolchain cannot be built.
            NotReady: a program ended, or is not ready in time.
            ValueError: it is up with the other kind of nodes, or this machine cannot have real ones.
        """
        real = self._kind(real)
        programs = self.toolchain.build(say)
        if real:
            real_nodes.prepare(say)
        with self._locked():
            started = time.monotonic()
            plane = self._control_plane(programs, real)
            if real:
                real_nodes.start_network(self.folder, plane.settings)
            plane.write_files()
            install_stand_ins(self.folder / "pulumi-home")
            (self.folder / "pulumi-state").mkdir(exist_ok=True)
            plane.start(FIRST)
            plane.wait_until_ready()
            plane.start(plane.after_api_server)
            plane.wait_until_working()
            if real:
                real_nodes.start_services(self.folder, plane.settings)
            _seed_azure(self.folder)
            if real:
                real_nodes.start_nodes(self.folder, plane.settings)
            say(f"local cloud {self.name!r}: ready in {time.monotonic() - started:.1f} s, {plane.server}")

    def down(self, keep_state: bool = False) -> None:
        """Ends what `up` started, also when half of it is gone, and removes the folder unless asked to keep it."""
        with self._locked():
            real_nodes.end(self.folder)
            for name in reversed(NAMES):  # clients first
                BackgroundProcess(name, self.folder).end()
            if not keep_state:
                if self.folder.exists():
                    shutil.rmtree(self.folder)
                self._lock_file.unlink()

    def status(self) -> Status:
        """What runs now.

        Raises:
            NoInstance: it was never brought up, or was taken down.
        """
        plane = self._existing()
        names = [*plane.names, *(real_nodes.process_names(self.folder) if plane.settings.has_real_nodes else ())]
        processes = {name: plane.process(name).pid() for name in names}
        ports = {API_SERVER: plane.settings.api_server_port}
        if KWOK in names:
            ports[KWOK] = plane.settings.kwok_port
        return Status(processes, ports, plane.is_ready(), plane.server)

    def env(self) -> dict[str, str]:
        """The environment variables with which `pulumi` and `kubectl` work on this instance."""
        path = [str(folder) for folder in self.toolchain.search_path()]
        variables = {
            "PATH": os.pathsep.join([*path, os.environ.get("PATH", os.defpath)]),
            "PULUMI_HOME": str(self.folder / "pulumi-home"),
            # metadata=skip: no .attrs file beside the state, which a kill can leave empty and the state unreadable
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'pulumi-state'}?metadata=skip",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "KUBECONFIG": str(self.kubeconfig),
            "KAITO_LOCAL_CLOUD": str(self.folder),
        }
        if self.has_real_nodes:
            variables |= real_nodes.environment(self.folder)
        if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
            variables["PULUMI_CONFIG_PASSPHRASE"] = ""
        return variables

    def stop_api_server(self) -> None:
        """Kills the API server, as a crash would; everything else runs on."""
        self._existing().process(API_SERVER).end()

    def start_api_server(self) -> None:
        """Starts the API server again, on the same port and data, and waits until it is ready."""
        plane = self._existing()
        plane.start([API_SERVER])
        plane.wait_until_ready()

    def _existing(self) -> ControlPlane:
        settings = self.folder / "settings.json"
        if not settings.exists():
            raise NoInstance(f"local cloud {self.name!r} is not up: python -m local_cloud up --name {self.name}")
        return ControlPlane(self.folder, self.toolchain.bin, Settings.load(settings))

    @property
    def has_real_nodes(self) -> bool | None:
        """Whether pods run in containers; None: it was never brought up, or was taken down."""
        settings = self.folder / "settings.json"
        return Settings.load(settings).has_real_nodes if settings.exists() else None

    def _kind(self, real: bool | None) -> bool:
        existing = self.has_real_nodes
        if None not in (existing, real) and existing != real:
            kind = "real" if existing else "simulated"
            raise ValueError(f"local cloud {self.name!r} has {kind} nodes: take it down first, or give another --name")
        chosen = bool(existing if real is None else real)
        if chosen and (reason := real_nodes.refusal()):
            raise ValueError(reason)
        return chosen

    def _control_plane(self, programs: Path, real: bool) -> ControlPlane:
        settings = self.folder / "settings.json"
        if not settings.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with _lock(self.folder.parent / ".ports.lock"):
                others = _settings_of(self.folder.parent)
                first, second = free_ports(2, {p for o in others for p in (o.api_server_port, o.kwok_port)})
                _choose((first, second), real, others).save(settings)
        return ControlPlane(self.folder, programs, Settings.load(settings))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(self._lock_file):
            yield

    @property
    def _lock_file(self) -> Path:
        return self.folder.parent / f".{self.name}.lock"


def instance_names() -> list[str]:
    """The instances that were brought up and not taken down."""
    return sorted(path.parent.name for path in (cache_root() / "instances").glob("*/settings.json"))


def _settings_of(instances: Path) -> list[Settings]:
    """What other instances have chosen, running or not."""
    return [Settings.load(path) for path in instances.glob("*/settings.json")]


def _choose(ports: tuple[int, int], real: bool, others: list[Settings]) -> Settings:
    if not real:
        return Settings.choose(ports)
    return Settings.choose_real(ports, [chosen for other in others if other.has_real_nodes for chosen in other.ranges])


def _seed_azure(folder: Path) -> None:
    """Lets the Azure stand-in make the cluster that a fresh instance has."""
    from local_cloud.providers.azure_native import seed

    seed(folder)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds the lock that is the file at `path`. Who holds it may remove the file: waiting others make a new one."""
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                yield
                return
