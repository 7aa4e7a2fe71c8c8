"""KAITO's `adapters` in containers: images that need a login and images that need none, and an adapter's strength."""

import io
import json
import struct
import tarfile
import uuid
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kaito_components.manifests import workload_objects
from kaito_components.spec.model import Adapter, DataSource
from local_cloud.cache import cache_root
from local_cloud.guarded import guarded
from local_cloud.instance import Instance
from local_cloud.processes import BackgroundProcess
from local_cloud.real import network, node_images
from local_cloud.real.archive import Image
from local_cloud.real.refusal import refusal
from local_cloud.real.site import Site
from tests.local_cloud.test_real_nodes import kubectl, login, push, until
from tests.unit.workspaces import CPU, inference, planned

MODEL = "smollm2-135m-instruct"
FOLDER = cache_root() / "models" / MODEL
ABSENT = "" if FOLDER.is_dir() and (node_images.folder() / "key").exists() else "needs `python -m local_cloud images`"
pytestmark = pytest.mark.skipif(bool(refusal() or ABSENT), reason=refusal() or ABSENT)
SECONDS = 240  # until a model is loaded on a busy machine; 15 are usual
PUSHED = "test:adapter"


def adapter_image() -> Image:
    """Under /data an adapter that changes what the model says: one matrix pair, in safetensors' own format."""
    name = "base_model.model.model.layers.0.self_attn.v_proj.lora_{}.weight"
    shapes, values = {"A": [1, 576], "B": [192, 1]}, array("f", [0.1] * 576 + [3.0] * 192)
    offsets = {"A": [0, 4 * 576], "B": [4 * 576, 4 * 768]}
    described = {
        name.format(part): {"dtype": "F32", "shape": shape, "data_offsets": offsets[part]}
        for part, shape in shapes.items()
    }
    header = json.dumps(described).encode()
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["v_proj"], "task_type": "CAUSAL_LM"}
    files = {
        "data/adapter_config.json": json.dumps(config).encode(),
        "data/adapter_model.safetensors": struct.pack("<Q", len(header)) + header + values.tobytes(),
    }
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return Image(layer.getvalue(), [])


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    with guarded(Instance(f"test-{uuid.uuid4().hex[:8]}")) as instance:
        instance.up(real=True)
        login(instance)
        push(Site.load(instance.folder), adapter_image(), "adapter")
        yield instance


@contextmanager
def open_registry(site: Site) -> Iterator[str]:
    """The same images for everybody: the registry once more, without its login."""
    settings = json.loads((site.folder / "registry.yaml").read_text())
    address = settings["http"]["addr"] = f"{site.inner_address}:5001"
    del settings["auth"]
    (site.folder / "open.yaml").write_text(json.dumps(settings))
    process = BackgroundProcess("open-registry", site.folder)
    process.start(network.inside(site, ["docker-registry", "serve", "open.yaml"]), site.environment)
    try:
        yield address
    finally:
        process.end()


def serve(instance: Instance, name: str, *adapters: Adapter) -> None:
    """The objects of a Workspace, for the node that is there."""
    given = {"pulumi.kaito.sh/weights": f"hostPath:{FOLDER}"}
    spec = replace(inference(CPU, MODEL, adapters=adapters, annotations=given), name=name)
    objects: list[dict[str, Any]] = workload_objects(planned(spec, image_registry=node_images.REGISTRY))
    del objects[-1]["spec"]["template"]["spec"]["affinity"]
    kubectl(instance, "create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": objects})


def test_adapters_come_with_and_without_a_login_and_count_as_strongly_as_they_should(real: Instance) -> None:
    site = Site.load(real.folder)
    with open_registry(site) as address:
        strong = DataSource("strong", image=f"{address}/{PUSHED}")
        faint = DataSource("faint", image=f"{site.registry}/{PUSHED}", image_pull_secrets=("login",))
        serve(real, "phi", Adapter(strong), Adapter(faint, strength=0.0))
        ready = ("get", "deployment", "phi", "-o", "jsonpath={.status.readyReplicas}")
        until(lambda: kubectl(real, *ready), "1", SECONDS)
    service = kubectl(real, "get", "service", "phi", "-o", "jsonpath={.spec.clusterIP}")
    asked = {"prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    said = {
        name: httpx.post(f"http://{service}/v1/completions", json={"model": name, **asked}, timeout=60).json()
        for name in (MODEL, "strong", "faint")
    }
    answers = {name: answer["choices"][0]["text"] for name, answer in said.items()}
    assert answers["faint"] == answers[MODEL] != answers["strong"]


def test_an_adapter_whose_registry_wants_a_login_is_not_served_without_one(real: Instance) -> None:
    serve(real, "locked", Adapter(DataSource("kept", image=f"{Site.load(real.folder).registry}/{PUSHED}")))
    log = ("logs", "deployment/locked", "-c", "puller-kept")
    until(lambda: kubectl(real, *log, check=False), "authentication required")
