"""Debian's docker-registry with a login, on the loopback address: installed or unpacked into the cache."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from local_cloud.go_build import BuildError
from local_cloud.real import packages

PROGRAM = "docker-registry"
USER, PASSWORD = "me", "right"
HASHED = "$2b$05$UW17f1.OefMT3.lVx7KhNu6F/55jHEPaFbD0A06MwGcFKYFDQpqOS"  # of PASSWORD


def program() -> str | None:
    """The registry's program, if it is to be had."""
    if installed := shutil.which(PROGRAM):
        return installed
    try:
        packages.unpack(print)
    except BuildError:
        return None
    return str(packages.folder() / "usr/bin" / PROGRAM)


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
