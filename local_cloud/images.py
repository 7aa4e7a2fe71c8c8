"""The two container images, built on this machine where no registry and no index but Debian's and PyPI's is reached.

The Dockerfiles are the project's own. Their base is replaced by a Debian from debootstrap; PyTorch is PyPI's, without
the packages that a CPU never loads. What was built is kept by content: a second build takes seconds. Called by
`python -m local_cloud images`, the demo and the tests.
"""

import fcntl
import hashlib
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from local_cloud import authority
from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Say

ROOT = Path(__file__).parents[1]
PACKAGE, PROGRAM = (Path(__file__).with_name(f"{what}.Dockerfile") for what in ("package", "program"))
TOOLS = ("buildah", "debootstrap")  # their packages have the same names
SUITE = "bookworm"  # its Python is 3.11, as requirements-images.lock asks for
IN_BASE = ("python3", "python3-venv", "ca-certificates")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# A gigabyte that PyTorch asks for and imports only on a GPU; it is linked against the rest of CUDA.
LEFT_OUT = ("triton", "nvidia-cuda-cccl")
COST = (
    "images: up to 12 minutes and 14 GB of disk (for real nodes 9 GB more) the first time, 4 GB of it downloads; "
    "seconds when nothing changed"
)


class Images:
    """Our images in a store of their own under the cache; nothing of the machine's own container store is touched."""

    def __init__(self) -> None:
        self.folder = cache_root() / "images"

    def build(self, say: Say) -> list[str]:
        """Builds what is missing or changed; the names of both images.

        Raises:
            BuildError: not root, no apt, or a step of a Dockerfile failed.
        """
        say(COST)
        _ensure_tools(say)
        self._write_storage()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._script(self._base(say))
            self.run("rmi", "--prune")  # what older builds left
        return [name for name in self._names() if "/kaito-" in name]

    def name(self, kind: str) -> str:
        """The name of the serving or the tuning image.

        Raises:
            BuildError: it was not built.
        """
        for name in self._names():
            if f"/kaito-{kind}:" in name:
                return name
        raise BuildError(f"the {kind} image is not there: `python -m local_cloud images` builds it")

    def _names(self) -> list[str]:
        return self.run("images", "--format", "{{.Name}}:{{.Tag}}").split()

    def build_package(self, package: str) -> str:
        """Builds the image of a program that Debian packages, on the base of ours; its name."""
        return self._build(package, PACKAGE, f"PACKAGE={package}", self.folder / "tmp")

    def build_program(self, program: Path) -> str:
        """Builds the image of a program that this machine has compiled, on the base of ours; its name."""
        return self._build(program.name, PROGRAM, f"PROGRAM={program.name}", program.parent)

    def _build(self, name: str, dockerfile: Path, argument: str, context: Path) -> str:
        options = [
            "--layers",
            "--quiet",
            "--timestamp",
            "0",
            "--file",
            str(dockerfile),
            "--tag",
            f"localhost/{name}:local",
        ]
        options += ["--build-arg", argument, "--build-arg", f"BASE_IMAGE={self._base(print)}"]
        self.run("build", *options, str(context))
        return f"localhost/{name}:local"

    def push(self, registry: str, login_file: Path | None, say: Say) -> list[str]:
        """Puts both images into a registry; their names there. Without TLS only on this machine.

        Layers go uncompressed: here the disk is faster than gzip. A layer that the registry has is not sent again.
        """
        options = ["--tls-verify=false"] if _is_loopback(registry) else []
        options += ["--authfile", str(login_file)] if login_file else []
        pushed = []
        for name in self.build(say):
            target = f"{registry.rstrip('/')}/{name.rsplit('/', 1)[-1]}"
            say(f"images: pushing {target}")
            self.run("push", "--quiet", "--disable-compression", *options, name, target)
            pushed.append(target)
        return pushed

    def remove(self) -> None:
        """Frees the disk that the store takes."""
        if self.folder.exists():
            self.run("rm", "--all")
            self.run("rmi", "--all", "--force")
            shutil.rmtree(self.folder)

    def run(self, *arguments: str) -> str:
        """Output of a buildah command on this store."""
        return _run(["buildah", *arguments], self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",  # needs no runc and no cgroups
            "TMPDIR": str(self.folder / "tmp"),
        }

    def _write_storage(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        storage = f'driver = "overlay"\ngraphroot = "{self.folder}/store"\nrunroot = "{self.folder}/run"\n'
        (self.folder / "storage.conf").write_text(f"[storage]\n{storage}")

    def _base(self, say: Say) -> str:
        """The name of the base image, made once for each set of packages."""
        trusted = authority.registry_authority().credential.certificate
        key = hashlib.sha256(" ".join((SUITE, *IN_BASE)).encode() + trusted).hexdigest()[:12]
        name = f"localhost/debian:{key}"
        if name in self._names():
            return name
        say(f"images: a Debian ({SUITE}) with Python as their base, by debootstrap (about a minute)")
        root = self.folder / "tmp" / "base"
        shutil.rmtree(root, ignore_errors=True)
        _run(["debootstrap", "--variant=minbase", f"--include={','.join(IN_BASE)}", SUITE, str(root)], dict(os.environ))
        shutil.copy(authority.certificate(), root / "usr/local/share/ca-certificates/local-cloud.crt")
        _run(["chroot", str(root), "update-ca-certificates"], dict(os.environ))
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        container = self.run("from", "scratch").strip()
        self.run("copy", "--quiet", container, str(root), "/")
        self.run("commit", "--quiet", "--rm", "--timestamp", "0", container, name)
        shutil.rmtree(root)
        return name

    def _script(self, base: str) -> None:
        """scripts/images.sh, with its output on the screen."""
        options = ["--layers", "--force-rm", "--quiet", *_authorities()]
        chosen = {"BUILDER": "buildah", "BUILDS": "cpu", "BASE_IMAGE": base, "PYTORCH_INDEX": ""}
        chosen |= {"REGISTRY": "localhost", "LEAVE_OUT": " ".join(LEFT_OUT), "BUILD_OPTIONS": " ".join(options)}
        done = subprocess.run(["bash", str(ROOT / "scripts" / "images.sh")], env=self._environment() | chosen)
        if done.returncode != 0:
            raise BuildError(f"scripts/images.sh failed with exit code {done.returncode}; see above")


def _is_loopback(registry: str) -> bool:
    """Whether HOST[:PORT][/FOLDER] is on this machine."""
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _authorities() -> list[str]:
    """A proxy's own authority, while an image is built."""
    return [f"--volume={AUTHORITIES}:{AUTHORITIES}:ro"] if Path(AUTHORITIES).exists() else []


def _ensure_tools(say: Say) -> None:
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() != 0:
        raise BuildError("images are built by root here: debootstrap and overlay mounts need it. Use sudo.")
    if absent and not shutil.which("apt-get"):
        raise BuildError(f"{' and '.join(absent)} not found, and there is no apt-get to install them with")
    if absent:
        say(f"images: installing {' and '.join(absent)} with apt-get")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "-qq", "update"], quiet)
        _run(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *absent], quiet)


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        last = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-8:])
        raise BuildError(f"`{' '.join(command[:3])}` failed: {last}")
    return done.stdout
