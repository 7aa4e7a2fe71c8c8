"""One local cloud with real nodes, and our images on them, for all tests of this folder."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud import inputs
from local_cloud.guarded import guarded
from local_cloud.images import Images
from local_cloud.instance import Instance
from local_cloud.providers.azure_native import Arm
from local_cloud.real import node_images
from local_cloud.real.refusal import refusal
from tests.containers.real_cluster import Cluster, quickstart

REASON = refusal() or node_images.no_room() or ""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cloud with the quick start's data in its registry, taken away at the end with what the stacks made."""
    if REASON:
        pytest.skip(f"not run: {REASON}")
    node_images.prepare(Images(), print)
    with guarded(Instance(f"test-{uuid.uuid4().hex[:8]}")) as instance:  # the stacks' state goes with it
        instance.up(real=True)
        Arm(instance.folder).configure(operationSeconds=0.2, retrySeconds=1)
        folder = tmp_path_factory.mktemp("stacks")
        made = Cluster(instance, inputs.model(print), folder)
        push_data(made, inputs.data(folder).parent)
        login = instance.env()["REGISTRY_AUTH_FILE"]
        made.kubectl("create", "secret", "docker-registry", "registry-login", f"--from-file=.dockerconfigjson={login}")
        yield made


def push_data(cluster: Cluster, work: Path) -> None:
    """The quick start's data as an image, as docs/local-cloud.md and the demo make it."""
    (work / "Dockerfile").write_text("FROM scratch\nCOPY messages.parquet /data/\n")
    image, certificates = f"{cluster.registry}/messages:1", cluster.instance.env()["KAITO_LOCAL_CERTS"]
    build = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "vfs"]
    for command in (
        [*build, "build", "--quiet", "--isolation", "chroot", "--tag", image, str(work)],
        [*build, "push", "--quiet", "--cert-dir", certificates, image],
    ):
        done = cluster.run(*command)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def tuned(cluster: Cluster) -> Cluster:
    """The cloud after the quick start: tuned, pushed, served; its namespace took restricted pods only, so far."""
    cluster.push_model()
    label = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", "default", f"{label}=restricted")
    screen = cluster.stack(*quickstart(cluster), wait={"until": "ready"}).up().text
    (cluster.folder / "screen").write_text(screen)
    other = cluster.run("kubectl", "run", "other", "--image", "local-cloud.invalid/curl:1", "--dry-run=server")
    (cluster.folder / "refusal").write_text(other.stderr)
    cluster.kubectl("label", "namespace", "default", f"{label}-")
    print(screen, file=sys.stderr)
    return cluster
