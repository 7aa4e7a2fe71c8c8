"""Nodes that run containers: one instance for the whole module."""

import base64
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.authority import certificate
from local_cloud.guarded import guarded
from local_cloud.instance import Instance
from local_cloud.providers.azure_native import Arm
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.real import packages, services
from local_cloud.real.archive import Image, busybox_image
from local_cloud.real.cgroups import hierarchies
from local_cloud.real.refusal import refusal
from local_cloud.real.site import Site

pytestmark = pytest.mark.skipif(bool(refusal()), reason=str(refusal()))
SERVE = "mkdir /tmp/www; echo hello > /tmp/www/index.html; echo started; exec httpd -f -p 8080 -h /tmp/www"
# Answers one request for the models and one for a chat. The body is read: a socket that is closed before is reset.
ANSWER = r"""read -r method path rest
while read -r name value; do
    case "$name" in Content-Length:) length=${value%?} ;; ??*) ;; *) break ;; esac
done
[ -z "$length" ] || /bin/busybox head -c "$length" > /dev/null
body="{\"data\": [{\"id\": \"talk\"}]}"
[ "$path" = /v1/models ] || body="data: {\"choices\": [{\"delta\": {\"content\": \"words of a real pod\"}}]}

data: [DONE]

"
printf "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s" "$body"
"""
SECONDS = 90


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    with guarded(Instance(f"test-{uuid.uuid4().hex[:8]}")) as instance:
        instance.up(real=True)
        push(Site.load(instance.folder))
        yield instance


def push(site: Site, image: Image | None = None, tag: str = "1") -> None:
    """Pushes an image, by default busybox, with the registry's own API."""
    image = image or busybox_image(packages.folder() / "bin/busybox", ["/bin/sh", "-c"])
    for digest, content in image.blobs.items():
        with ask(site, "POST", "blobs/uploads/") as answer:
            location = answer.headers["Location"]
        ask(site, "PUT", f"{location}&digest={digest}", content, "application/octet-stream").close()
    ask(site, "PUT", f"manifests/{tag}", image.manifest, "application/vnd.oci.image.manifest.v1+json").close()


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


def until(look: Callable[[], str], wanted: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while wanted not in (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {seen!r}"
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


def login(instance: Instance) -> None:
    """The registry's login as a Secret of that name."""
    found = services.login(Site.load(instance.folder))
    kubectl(
        instance, "create", "secret", "docker-registry", "login", f"--docker-server={found.server}",
        f"--docker-username={found.username}", f"--docker-password={found.password}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(real: Instance) -> Instance:
    """The instance with a pod `web` behind a Service `web`."""
    login(real)
    kubectl(real, "create", "-f", "-", stdin=pod(Site.load(real.folder), "web", SERVE))
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


def test_a_pool_of_a_gpu_size_works_beside_one_of_a_cpu_size_and_goes_with_its_node(served: Instance) -> None:
    arm, pool = Arm(served.folder), str(ResourceId(SUBSCRIPTION, "local", "local", "gpu"))
    arm.put(pool, {"properties": {"vmSize": "Standard_NC4as_T4_v3", "count": 1, "nodeTaints": ["sku=gpu:NoSchedule"]}})
    arm.wait(pool)
    arm.converge()
    asks = pod(Site.load(served.folder), "asks", "wget -qO- http://web.default.svc && exec sleep 1000")
    asks["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    asks["spec"]["tolerations"] = [{"key": "sku", "operator": "Exists"}]
    kubectl(served, "create", "-f", "-", stdin=asks)
    until(lambda: kubectl(served, "logs", "asks", check=False), "hello")
    assert node_of(served, "asks").startswith("aks-gpu-") and not node_of(served, "web").startswith("aks-gpu-")
    arm.delete(pool)
    arm.wait(pool)
    arm.converge()
    assert "aks-gpu-" not in kubectl(served, "get", "nodes", "-o", "name")


def node_of(instance: Instance, pod: str) -> str:
    return kubectl(instance, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")


def test_kaito_chat_reaches_a_pod_through_its_nodes_port_forward(served: Instance) -> None:
    made = pod(
        Site.load(served.folder), "talk", f"echo '{ANSWER}' > /tmp/answer; exec nc -ll -p 5000 -e /bin/sh /tmp/answer"
    )
    made["metadata"]["labels"]["kaito.sh/workspace"] = "talk"
    kubectl(served, "create", "-f", "-", stdin=made)
    until(lambda: kaito(served, "chat", "talk", "-m", "Who?"), "words of a real pod")


def kaito(instance: Instance, *arguments: str) -> str:
    command = [sys.executable, "-m", "kaito_components.cli", *arguments]
    return subprocess.run(command, env=os.environ | instance.env(), capture_output=True, text=True, timeout=60).stdout


def test_kaito_logs_shows_what_fetches_and_then_follows_the_server_to_its_end(served: Instance) -> None:
    made = pod(Site.load(served.folder), "steps", "for step in 1 2 3; do echo step $step; sleep 1; done")
    made["metadata"]["labels"]["kaito.sh/workspace"] = "steps"
    fetches = "echo fetching; until [ -e /tmp/go ]; do sleep 0.1; done"
    made["spec"]["initContainers"] = [{**made["spec"]["containers"][0], "name": "fetch", "args": [fetches]}]
    made["spec"]["restartPolicy"] = "Never"
    kubectl(served, "create", "-f", "-", stdin=made)
    until(lambda: kaito(served, "logs", "steps"), "fetching")
    kubectl(served, "exec", "steps", "-c", "fetch", "--", "touch", "/tmp/go")
    until(lambda: kaito(served, "logs", "steps", "-f"), "step 1\nstep 2\nstep 3\n")


def test_all_of_it_works_again_after_everything_was_killed_and_a_second_up(served: Instance) -> None:
    kill(served)
    served.up(real=True)
    assert served.status().is_up
    address = kubectl(served, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    until(lambda: subprocess.run(["curl", "-sm5", f"http://{address}"], capture_output=True, text=True).stdout, "hello")
    until(lambda: kubectl(served, "exec", "web", "--", "wget", "-qO-", "http://web.default.svc", check=False), "hello")


def kill(instance: Instance) -> None:
    """What a crash of the machine does to the programs."""
    for pid in instance.status().processes.values():
        subprocess.run(["kill", "-9", str(pid)], check=True)


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
        "processes": [" ".join(seen) for path in Path("/proc").glob("[0-9]*") if (seen := process(path))],
    }


def process(proc: Path) -> list[str]:
    """Where a process is: its folder, its control groups, its command; nothing once it has ended."""
    try:
        return [str((proc / "cwd").readlink()), (proc / "cgroup").read_text(), (proc / "cmdline").read_text()]
    except OSError:
        return []


def left(site: Site) -> list[str]:
    """What of it stands in the footprint."""
    found = [entry for entries in footprint().values() for entry in entries]
    return [entry for entry in found if site.id in entry or str(site.folder) in entry]


def test_two_instances_run_and_down_after_all_was_killed_leaves_nothing(served: Instance) -> None:
    other = Instance(f"test-{uuid.uuid4().hex[:8]}")
    try:
        other.up(real=True)
        site = Site.load(other.folder)
        assert not {*site.settings.ranges} & {*Site.load(served.folder).settings.ranges}
        assert len(left(site)) > len(other.status().processes)
        kill(other)
    finally:
        other.down()
    assert left(site) == [] and footprint()["rules"] == []
