"""The built images do what their Dockerfiles promise. Needs root, buildah, debootstrap; first build: five minutes."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_cloud import inputs
from local_cloud.cache import cache_root
from local_cloud.images import TOOLS, Images
from local_cloud.network import free_ports
from tests.local_cloud.container import MODEL, command, mounted, output
from tests.serving.hub_stand_in import NAME, hub

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or None in map(shutil.which, TOOLS), reason=f"needs root and {TOOLS}"),
    pytest.mark.timeout(900),
]
KINDS = ("serving", "tuning")


@pytest.fixture(scope="module")
def images() -> Images:
    built = Images()
    assert len(built.build(print)) == len(KINDS)
    return built


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(images: Images, kind: str) -> dict[str, Any]:
    """What the image says of itself."""
    found: dict[str, Any] = json.loads(images.run("inspect", "--type", "image", name(kind)))["Docker"]["config"]
    return found


@pytest.fixture
def root(images: Images, kind: str) -> Iterator[str]:
    with mounted(images, name(kind)) as folder:
        yield folder


@pytest.fixture
def model(images: Images) -> Path:
    return inputs.model(print)


def name(kind: str) -> str:
    return f"localhost/kaito-{kind}:0.1.0-cpu"


def test_an_image_says_who_it_is_and_runs_as_a_user_without_rights(config: dict[str, Any], kind: str):
    labels = {key.rsplit(".", 1)[-1]: value for key, value in config["Labels"].items()}
    assert (labels["title"], labels["version"], labels["licenses"]) == (f"kaito-{kind}", "0.1.0", "Apache-2.0")
    assert config["User"] == "1000" and "5000/tcp" in config["ExposedPorts"] and config["Healthcheck"]["Test"]


def test_an_image_has_no_compiler_no_installer_and_nothing_of_the_build(root: str):
    bins = {path.name for folder in ("usr/bin", "opt/venv/bin") for path in Path(root, folder).iterdir()}
    assert not bins & {"gcc", "cc", "g++", "clang", "ld", "make", "pip", "uv"}
    assert not any(Path(root, "tmp").iterdir()) and not any(Path(root, "root/.cache").glob("uv/*"))


def test_the_images_packages_are_those_of_the_lock(root: str):
    lock = dict(line.split("==") for line in Path("requirements-images.lock").read_text().splitlines() if "==" in line)
    folders = Path(root, "opt/venv/lib/python3.11/site-packages").glob("*.dist-info")
    installed = {n.replace("_", "-").lower(): v for n, v in (f.name[:-10].rsplit("-", 1) for f in folders)}
    assert len(installed) > 30 and installed.items() <= lock.items()


def test_an_image_starts_with_a_root_file_system_that_is_read_only(root: str, config: dict[str, Any], kind: str):
    help_text = output(*command(root, config["Env"], cache_root(), "python", "-m", f"{kind}_image", "--help"))
    assert f"usage: python -m {kind}_image" in help_text


@pytest.mark.parametrize("kind", ["serving"], indirect=True)
def test_the_serving_image_answers_a_chat(root: str, config: dict[str, Any], model: Path):
    port = free_ports(1, set())[0]
    asked = ["python", "-m", "serving_image", "--model", MODEL, "--port", str(port), "--kv-cache-bytes", "64MiB"]
    started = command(root, config["Env"], model, *asked)
    server = subprocess.Popen(started, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_healthy(server, port)
        question = {"prompt": "What is the capital of France?"}
        chat = httpx.post(f"http://127.0.0.1:{port}/chat", json=question, timeout=120)
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # of the container's first process too, and so of all in it
        server.wait()
    assert chat.status_code == 200 and chat.json()["Result"].strip()


def wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"not healthy; exit code {server.poll()}")


@pytest.mark.parametrize("kind", ["tuning"], indirect=True)
def test_the_tuning_image_fetches_a_model_from_the_hub_and_trains_two_steps(
    root: str, config: dict[str, Any], model: Path
):
    row = json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]})
    script = (
        f"for i in 1 2 3 4 5 6 7 8; do echo '{row}'; done > /tmp/rows.jsonl; python -m tuning_image --model {NAME} "
    )
    script += "--data /tmp/rows.jsonl --output /tmp/out --set TrainingArguments.max_steps=2 "
    script += "&& find /tmp/out -name adapter_model.safetensors"
    with hub(model) as stand_in:
        asks = [*config["Env"], *(f"{key}={value}" for key, value in stand_in.environment.items())]
        assert "\n/tmp/out/" in output(*command(root, asks, cache_root(), "sh", "-c", script))
        assert stand_in.ranges() == [None]  # the weights, once
