"""Workspaces for the tests of this folder, as their users would write them."""

import json
from typing import Any


def inference(name: str = "phi", size: str = "Standard_NC24ads_A100_v4", **part: Any) -> dict[str, Any]:
    """A Workspace that serves phi-4-mini."""
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "resource": {"instanceType": size, "labelSelector": {"matchLabels": {"apps": name}}},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}, **part},
    }


def tuning(name: str = "tune", dataset: str = "https://example.com/train.parquet") -> dict[str, Any]:
    """A Workspace that tunes phi-3-mini, like the quick start's."""
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "resource": {"instanceType": "Standard_NC6s_v3", "labelSelector": {"matchLabels": {"app": name}}},
        "tuning": {
            "preset": {"name": "phi-3-mini-128k-instruct"},
            "method": "qlora",
            "input": {"urls": [dataset]},
            "output": {"image": "r.example.com/out:1", "imagePushSecret": "push"},
        },
    }


def template(name: str, fault: str = "", **container: Any) -> dict[str, Any]:
    """A Workspace of the user's own pods, which can be armed with a fault of the simulated nodes."""
    workspace = inference(name)
    annotations = {"local-cloud/fault": fault} if fault else {}
    containers = [{"name": "server", "image": "r.example.com/server:1", **container}]
    workspace["inference"] = {
        "template": {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    }
    return workspace


def secret(name: str = "push", value: str = "hunter2-value") -> dict[str, Any]:
    """A registry login that stands beside a Workspace."""
    login = json.dumps({"auths": {"r.example.com": {"username": "user", "password": value}}})
    data = {".dockerconfigjson": login}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def config_map(name: str, text: str) -> dict[str, Any]:
    """A ConfigMap with an inference configuration."""
    data = {"inference_config.yaml": text}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
