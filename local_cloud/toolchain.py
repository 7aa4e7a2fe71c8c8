"""The programs of the local cloud, built from pinned Go modules into the cache. Called by instance.py and `build`, and
by scripts/demo.sh when there are no packages yet: all of it is the standard library's.

The folder is named by a hash of the Go files and the build flags, so a change of either builds anew and switching
back finds what was built before.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Program, Say, compile_program, find_go, module_folder

PULUMI_VERSION = "3.259.0"
KUBERNETES_VERSION = "1.34.4"
AT_A_TIME = 2  # compilers: linking uses one core, so a second build fills the other
CLI = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"
PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"
_PULUMI_LDFLAGS = f"-s -w -X {PULUMI_SDK}/go/common/version.Version=v{PULUMI_VERSION}"

PROGRAMS = (
    Program(
        name="kube",
        module="kube",
        package=".",
        minutes=6,
        ldflags=f"-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES_VERSION}",
        links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
    ),
    Program(
        name=CLI,
        module="pulumi",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        minutes=5,
        ldflags=_PULUMI_LDFLAGS,
        tags="grpcnotrace,osusergo",
    ),
    Program(
        name=LANGUAGE_HOST,
        module="pulumi",
        package="./host",
        minutes=0.2,
        ldflags=_PULUMI_LDFLAGS,
        links=(DYNAMIC_PROVIDER,),
    ),
    Program(name="etcd", module="kube", package="go.etcd.io/etcd/server/v3", minutes=0.5),
    Program(name="kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok", minutes=2),
)


@dataclass(frozen=True)
class Toolchain:
    """The built programs. `source` holds one Go module per folder."""

    source: Path = Path(__file__).parent / "toolchain"
    programs: Sequence[Program] = PROGRAMS
    root: Path = field(default_factory=lambda: cache_root() / "toolchain")

    @property
    def key(self) -> str:
        """Changes when a Go file or a build flag does."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.source.rglob("*") if p.suffix == ".go" or p.name in ("go.mod", "go.sum")):
            digest.update(f"{path.relative_to(self.source)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        digest.update(repr(self.programs).encode())
        return digest.hexdigest()[:16]

    @property
    def bin(self) -> Path:
        """The folder of the binaries."""
        return self.root / self.key / "bin"

    @property
    def wanted(self) -> list[Program]:
        """Everything, less what the user's own Pulumi brings."""
        if users_pulumi() is None:
            return list(self.programs)
        return [program for program in self.programs if program.name not in (CLI, LANGUAGE_HOST)]

    def missing(self) -> list[Program]:
        """What is still to build."""
        return [program for program in self.wanted if not (self.bin / program.name).exists()]

    def search_path(self) -> list[Path]:
        """Folders to put before PATH: the user's own Pulumi wins over a built one."""
        own = users_pulumi()
        return [self.bin] if own is None else [own.parent, self.bin]

    def build(self, say: Say = print) -> Path:
        """Builds what is missing and returns the folder of the binaries. Safe to run several times at once.

        Raises:
            BuildError: Go is missing or too old, or a program does not compile.
        """
        if not self.missing():
            return self.bin
        go = find_go()
        self.bin.mkdir(parents=True, exist_ok=True)
        with _locked(self.bin.parent / "lock", say):
            for leftover in self.bin.glob(".*"):
                leftover.unlink()
            self._build_all(go, self.missing(), say)
        return self.bin

    def _build_all(self, go: str, programs: Sequence[Program], say: Say) -> None:
        stop = threading.Event()
        with futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            builds = [pool.submit(self._build_one, go, program, say, stop) for program in programs]
            try:
                for build in futures.as_completed(builds):
                    build.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True, wait=False)
                raise

    def _build_one(self, go: str, program: Program, say: Say, stop: threading.Event) -> None:
        module = self.source / program.module
        for link in program.links:
            _link(self.bin / link, program.name)
        if program.name == LANGUAGE_HOST:
            self._install_sdk_scripts(go, module)
        compile_program(go, program, module, self.bin, say, stop)

    def _install_sdk_scripts(self, go: str, module: Path) -> None:
        """Puts the SDK's Python entry points beside the host, which looks for them there."""
        python = module_folder(go, module, PULUMI_SDK) / "python"
        _install(python / "cmd" / f"{LANGUAGE_HOST}-exec", self.bin / f"{LANGUAGE_HOST}-exec")
        _install(python / "dist" / DYNAMIC_PROVIDER, self.bin / f"{DYNAMIC_PROVIDER}.sh")


def users_pulumi() -> Path | None:
    """The Pulumi CLI that `KAITO_PULUMI` (a name on PATH, or a path) asks for instead of the built one.

    Raises:
        BuildError: it is not there.
    """
    asked = os.environ.get("KAITO_PULUMI")
    if not asked:
        return None
    found = shutil.which(asked)
    if found is None:
        raise BuildError(f"KAITO_PULUMI is {asked!r}, and there is no such program.")
    return Path(found).absolute()


def _link(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _install(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    with suppress(BuildError, KeyboardInterrupt):  # `python -m local_cloud build`, which follows, says it
        Toolchain().build(lambda line: print(line, flush=True))
