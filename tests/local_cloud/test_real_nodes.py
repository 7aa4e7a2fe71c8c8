"""Nodes that run containers: one instance for the whole module."""

import base64
import json
import os
import ssl
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.authority import certificate
from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.real import packages, services
from local_cloud.real.archive import busybox_image
from local_cloud.real.cgroups import hierarchies
from local_cloud.real.refusal import refusal
from local_cloud.real.site import Site

pytestmark = pytest.mark.skipif(bool(refusal()), reason=str(refusal()))
SERVE = "mkdir /tmp/www; echo hello > /tmp/www/index.html; echo started; exec httpd -f -p 8080 -h /tmp/www"
SECONDS = 90


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    instance = Instance(f"test-{uuid.uuid4().hex[:8]}")
    try:
        instance.up(real=True)
        push(Site.load(instance.folder))
        yield instance
    finally:
        instance.down()


def push(site: Site) -> None:
    """Pushes the busybox image with the registry's own API."""
    image = busybox_image(packages.folder() / "bin/busybox", ["/bin/sh", "-c"])
    for digest, content in image.blobs.items():
        with ask(site, "POST", "blobs/uploads/") as answer:
            location = answer.headers["Location"]
        ask(site, "PUT", f"{location}&digest={digest}", content, "application/octet-stream").close()
    ask(site, "PUT", "manifests/1", image.manifest, "application/vnd.oci.image.manifest.v1+json").close()


def ask(site: Site, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
    url = path if path.startswith("http") else f"https://{site.registry}/v2/test/{path}"
    request = urllib.request.Request(url, body, {"Content-Type": kind, **authorization(site)}, method=method)
    trusted = ssl.create_default_context(cafile=str(certificate()))
    return urllib.request.urlopen(request, timeout=30, context=trusted)


def authorization(site: Site) -> dict[str, str]:
    login = services.login(site)
    return {"Authorization": "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}


def kubectl(instance: Instance, *arguments: str, stdin: Any = None, check: bool = True) -> str:
    environment = os.environ | instance.env() | {"KUBECACHEDIR": str(instance.folder / "kubectl-cache")}
    done = subprocess.run(
        ["kubectl", *arguments], env=environment, input=json.dumps(stdin) if stdin else None,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def until(look: Callable[[], str], wanted: str) -> None:
    deadline = time.monotonic() + SECONDS
    while wanted not in (seen := look()):
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {seen!r}"
        time.sleep(0.3)


def pod(site: Site, name: str, command: str, tag: str = "1", secret: bool = True) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": [
            {"name": "main", "image": f"{site.registry}/test:{tag}", "args": [command], "imagePullPolicy": "Always"}
        ],
        "terminationGracePeriodSeconds": 1,
        **({"imagePullSecrets": [{"name": "login"}]} if secret else {}),
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec,
    }  # fmt: skip


@pytest.fixture(scope="module")
def served(real: Instance) -> Instance:
    """The instance with a pod `web` behind a Service `web`."""
    site = Site.load(real.folder)
    login = services.login(site)
    kubectl(
        real, "create", "secret", "docker-registry", "login", f"--docker-server={login.server}",
        f"--docker-username={login.username}", f"--docker-password={login.password}",
    )  # fmt: skip
    kubectl(real, "create", "-f", "-", stdin=pod(site, "web", SERVE))
    kubectl(real, "expose", "pod", "web", "--port=80", "--target-port=8080")
    until(lambda: kubectl(real, "get", "pod", "web", "-o", "jsonpath={.status.phase}"), "Running")
    return real


def test_a_pod_runs_and_its_log_can_be_read(served: Instance) -> None:
    until(lambda: kubectl(served, "logs", "web"), "started")


def test_a_service_answers_this_machine_and_pods_even_the_one_behind_it(served: Instance) -> None:
    address = kubectl(served, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    until(lambda: subprocess.run(["curl", "-sm5", f"http://{address}"], capture_output=True, text=True).stdout, "hello")
    until(lambda: kubectl(served, "exec", "web", "--", "wget", "-qO-", "http://web.default.svc", check=False), "hello")


def test_a_pod_reaches_the_api_server_by_its_name(served: Instance) -> None:
    asked = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 kubernetes.default.svc 443"  # plain: it says that it wants TLS
    answer = "HTTP request to an HTTPS server"
    until(lambda: kubectl(served, "exec", "web", "--", "sh", "-c", asked, check=False), answer)


@pytest.mark.parametrize(("name", "tag", "secret"), [("wrong-name", "none", True), ("no-login", "1", False)])
def test_an_image_that_cannot_be_pulled_says_so(served: Instance, name: str, tag: str, secret: bool) -> None:
    kubectl(served, "create", "-f", "-", stdin=pod(Site.load(served.folder), name, "true", tag, secret))
    until(lambda: kubectl(served, "get", "pod", name, "-o", "json"), "ErrImagePull")


def test_another_pool_is_a_second_node_and_goes_with_it(served: Instance) -> None:
    from local_cloud.providers.azure_native import Arm, seed, unseed

    seed(served.folder, "other", "eastus")
    assert Arm(served.folder).pools("other", "other")
    with core_api(served.kubeconfig) as api:
        assert len(api.list_node().items) == 2
        unseed(served.folder, "other")
        assert len(api.list_node().items) == 1


def footprint() -> dict[str, list[str]]:
    """What an instance could leave on this machine."""
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True).stdout
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout
    return {
        "mounts": [m for m in Path("/proc/self/mounts").read_text().splitlines() if "kaito" in m or "netns" in m],
        "links": [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("kaito")],
        "routes": [line for line in routes.splitlines() if "kaito" in line],
        "rules": [line for line in rules.splitlines() if "KUBE" in line],
        "groups": [str(path) for root in hierarchies() for path in root.glob("kaito-*")],
    }


def test_two_instances_run_and_down_after_all_was_killed_leaves_nothing(served: Instance) -> None:
    other = Instance(f"test-{uuid.uuid4().hex[:8]}")
    try:
        other.up(real=True)
        site = Site.load(other.folder)
        assert not {*site.settings.ranges} & {*Site.load(served.folder).settings.ranges}
        assert any(site.id in entry for entry in footprint()["groups"])
        for pid in other.status().processes.values():
            subprocess.run(["kill", "-9", str(pid)], check=True)
    finally:
        other.down()
    assert not any(site.id in entry for entries in footprint().values() for entry in entries)
    assert footprint()["rules"] == []
