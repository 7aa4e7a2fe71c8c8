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
from local_cloud.control_plane import AFTER_API_SERVER, API_SERVER, FIRST, NAMES, ControlPlane, Settings
from local_cloud.go_build import Say
from local_cloud.network import free_ports
from local_cloud.plugins import install_stand_ins
from local_cloud.processes import BackgroundProcess
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

    def up(self, say: Say = print) -> None:
        """Builds what is missing and starts what does not run; what runs is left alone.

        Raises:
            BuildError: the toolchain cannot be built.
            NotReady: a program ended, or is not ready in time.
        """
        programs = self.toolchain.build(say)
        with self._locked():
            started = time.monotonic()
            plane = self._control_plane(programs)
            plane.write_files()
            install_stand_ins(self.folder / "pulumi-home")
            (self.folder / "pulumi-state").mkdir(exist_ok=True)
            plane.start(FIRST)
            plane.wait_until_ready()
            plane.start(AFTER_API_SERVER)
            plane.wait_until_simulating()
            _seed_azure(self.folder)
            say(f"local cloud {self.name!r}: ready in {time.monotonic() - started:.1f} s, {plane.server}")

    def down(self, keep_state: bool = False) -> None:
        """Ends what `up` started, also when half of it is gone, and removes the folder unless asked to keep it."""
        with self._locked():
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
        processes = {name: plane.process(name).pid() for name in NAMES}
        ports = {API_SERVER: plane.settings.api_server_port, "kwok": plane.settings.kwok_port}
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

    def _control_plane(self, programs: Path) -> ControlPlane:
        settings = self.folder / "settings.json"
        if not settings.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with _lock(self.folder.parent / ".ports.lock"):
                first, second = free_ports(2, _ports_of(self.folder.parent))
                Settings.choose((first, second)).save(settings)
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


def _ports_of(instances: Path) -> set[int]:
    """What other instances have chosen, running or not."""
    chosen = [Settings.load(path) for path in instances.glob("*/settings.json")]
    return {port for settings in chosen for port in (settings.api_server_port, settings.kwok_port)}


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
