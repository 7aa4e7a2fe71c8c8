"""Debian's docker-registry with a login, on the loopback address: installed or unpacked into the cache."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PROGRAM, PACKAGE = "docker-registry", "docker-registry"
USER, PASSWORD = "me", "right"
HASHED = "$2b$05$UW17f1.OefMT3.lVx7KhNu6F/55jHEPaFbD0A06MwGcFKYFDQpqOS"  # of PASSWORD


def program() -> str | None:
    """The registry's program, if it is to be had."""
    root = Path(os.environ.get("KAITO_CACHE") or Path.home() / ".cache" / "kaito-components") / "packages"
    unpacked = root / PACKAGE / "usr" / "bin" / PROGRAM
    return shutil.which(PROGRAM) or (str(unpacked) if unpacked.exists() or _unpack(root) else None)


def _unpack(root: Path) -> bool:
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as name:
        if not shutil.which("apt-get") or subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=name).returncode:
            return False
        package = next(Path(name).glob("*.deb"))
        subprocess.run(["dpkg-deb", "--extract", package, Path(name) / "root"], check=True)
        try:
            (Path(name) / "root").rename(root / PACKAGE)
        except OSError:  # another test process was first
            return (root / PACKAGE).is_dir()
    return True


@contextmanager
def running(binary: str, folder: Path) -> Iterator[str]:
    """Its HOST:PORT for as long as the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}},
        "http": {"addr": host, "secret": "of this test"},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "registry.yaml").write_text(json.dumps(configuration))  # JSON is YAML
    process = subprocess.Popen([binary, "serve", folder / "registry.yaml"], stderr=subprocess.DEVNULL)
    try:
        _wait(process, host)
        yield host
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], host: str) -> None:
    for _ in range(600):
        assert process.poll() is None, "docker-registry ended"
        try:
            assert httpx.get(f"http://{host}/v2/").status_code == 401
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("docker-registry does not answer")
