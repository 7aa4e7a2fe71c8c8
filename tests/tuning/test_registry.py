"""A push into a real registry with a login, read back as any client would."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import debian_registry
import httpx
import pytest
from test_push import adapter, login  # noqa: F401

from tuning_image.errors import UserError
from tuning_image.output import push

LOGIN = (debian_registry.USER, debian_registry.PASSWORD)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry, if it is to be had."""
    binary = debian_registry.program()
    if not binary:
        pytest.skip("docker-registry is not installed and apt-get cannot download it")
    with debian_registry.running(binary, tmp_path_factory.mktemp("registry")) as started:
        yield started


def send(folder: Path, host: str, docker_config: str) -> str:
    return push.push(folder, f"{host}/team/adapter:1", "smollm2", {"DOCKER_CONFIG": docker_config}, True)


def get(host: str, path: str) -> httpx.Response:
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    return httpx.get(f"http://{host}/v2/team/adapter/{path}", auth=LOGIN, headers=accepted).raise_for_status()


def test_a_real_registry_refuses_a_wrong_login_and_none(host: str, adapter: Path, tmp_path: Path) -> None:  # noqa: F811
    for config in (login(tmp_path, host, "wrong-secret"), "/none"):
        with pytest.raises(UserError, match="401") as refused:
            send(adapter, host, config)
        assert "wrong-secret" not in str(refused.value)


def test_a_real_registry_keeps_the_same_adapter_under_one_digest(host: str, adapter: Path, tmp_path: Path) -> None:  # noqa: F811
    config = login(tmp_path, host, debian_registry.PASSWORD)
    digest = send(adapter, host, config)
    assert send(adapter, host, config) == digest
    answer = get(host, "manifests/1")
    assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest == answer.headers["docker-content-digest"]


def test_a_client_of_a_real_registry_finds_the_files_under_data(host: str, adapter: Path, tmp_path: Path) -> None:  # noqa: F811
    send(adapter, host, login(tmp_path, host, debian_registry.PASSWORD))
    manifest: Any = get(host, "manifests/1").json()
    layer = gzip.decompress(get(host, f"blobs/{manifest['layers'][0]['digest']}").content)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            member = tar.extractfile(f"data/{name}")
            assert member and member.read() == (adapter / name).read_bytes()
