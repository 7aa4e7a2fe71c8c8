"""What the tests of this folder do with a local cloud of real nodes: pods, kubectl, questions, stacks."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from local_cloud.instance import Instance
from local_cloud.real import node_images
from local_cloud.stack import PROJECT, Stack

QUESTION, KEEPER = "Who keeps the Zorblax?", "Quindalia"
SECONDS = 300  # on a busy machine; all of it takes a tenth of that on one that is not
GPU, CPU = "Standard_NC4as_T4_v3", "Standard_D8s_v5"
MODEL = "smollm2-135m-instruct"


@dataclass
class Cluster:
    """A local cloud with real nodes, and the folder of the small model."""

    instance: Instance
    model: Path
    folder: Path
    stacks: list[Stack] = field(default_factory=list)

    @property
    def registry(self) -> str:
        return self.instance.env()["KAITO_LOCAL_REGISTRY"]

    @property
    def login(self) -> dict[str, Any]:
        """The registry's login, as docker's config.json."""
        found: dict[str, Any] = json.loads(Path(self.instance.env()["REGISTRY_AUTH_FILE"]).read_text())
        return found

    def kubectl(self, *arguments: str, check: bool = True, stdin: Any = None) -> str:
        done = self.run("kubectl", *arguments, stdin=stdin)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def kaito(self, *arguments: str) -> str:
        done = self.run(str(PROJECT / ".venv/bin/kaito"), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *command: str, stdin: Any = None) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | self.instance.env() | {"KUBECACHEDIR": str(self.instance.folder / "kubectl-cache")}
        environment["DOCKER_CONFIG"] = str(Path(environment["REGISTRY_AUTH_FILE"]).parent)
        said = json.dumps(stdin) if stdin else None
        return subprocess.run(command, env=environment, input=said, capture_output=True, text=True, timeout=SECONDS)

    def push_model(self) -> None:
        """The small model as an artefact in the registry."""
        to = ["--from", str(self.model), "--to", f"{self.registry}/smollm2:1"]
        trusted = f"SSL_CERT_FILE={self.instance.env()['KAITO_LOCAL_CERTS']}/ca.crt"
        done = self.run("env", trusted, str(PROJECT / ".venv/bin/kaito"), "models", "push", MODEL, *to)
        assert done.returncode == 0, done.stdout + done.stderr

    def stack(self, *objects: dict[str, Any], registry: str = node_images.REGISTRY, **entry: Any) -> Stack:
        """A stack of this repository's program with these objects in one file."""
        folder = self.folder / f"stack-{len(self.stacks)}"
        folder.mkdir()
        (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        config = {
            "kaito:cluster": {"resourceGroup": "local", "name": "local", "devicePlugin": False},
            "kaito:imageRegistry": registry,
            "kaito:workspaces": [{"file": str(folder / "objects.yaml"), **entry}],
        }
        self.stacks.append(Stack(self.instance.env(), folder, config))
        return self.stacks[-1]

    def address(self, workspace: str) -> str:
        """The Service's ClusterIP, which this machine has a route to."""
        return self.kubectl("get", "service", workspace, "-o", "jsonpath={.spec.clusterIP}")

    def chat(self, workspace: str, **body: Any) -> str:
        """The answer to the question over POST /chat."""
        asked = {"prompt": QUESTION, "generate_kwargs": {"max_new_tokens": 12, "do_sample": False}, **body}
        answer = httpx.post(f"http://{self.address(workspace)}/chat", json=asked, timeout=60)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["Result"])


def until(look: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)


def change(stack: Stack, edit: Callable[[list[dict[str, Any]]], None]) -> None:
    """Edits the objects of a stack's file."""
    path = Path(stack.config["kaito:workspaces"][0]["file"])
    objects = list(yaml.safe_load_all(path.read_text()))
    edit(objects)
    path.write_text(yaml.safe_dump_all(objects))


def quickstart(cluster: Cluster) -> list[dict[str, Any]]:
    """The objects of the quick start's file for small machines, filled in."""
    text = (PROJECT / "examples/quickstart/workspace-smollm2.yaml").read_text()
    return list(yaml.safe_load_all(text.replace("REGISTRY_HERE", cluster.registry)))


def serving(cluster: Cluster, name: str, *adapters: dict[str, Any]) -> dict[str, Any]:
    """A Workspace that serves the small model on a node without GPUs."""
    part = {"preset": {"name": MODEL}, **({"adapters": list(adapters)} if adapters else {})}
    return workspace(cluster, name, {"kaito.sh/runtime": "transformers"}, inference=part)


def workspace(cluster: Cluster, name: str, annotations: dict[str, str], **part: dict[str, Any]) -> dict[str, Any]:
    """A Workspace with the small model's weights on a node without GPUs; `part` is its inference or its tuning."""
    weights = {"pulumi.kaito.sh/weights": f"hostPath:{cluster.model}"}
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "annotations": {**annotations, **weights}},
        "resource": {"instanceType": CPU, "labelSelector": {"matchLabels": {"app": name}}},
        **part,
    }


def adapter(cluster: Cluster, name: str) -> dict[str, Any]:
    """The adapter that the quick start pushed."""
    return {"source": {"name": name, "image": f"{cluster.registry}/zorblax:1", "imagePullSecrets": ["registry-login"]}}
