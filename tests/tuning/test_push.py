"""The adapter reaches the registry, or the reason says whether another try helps."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import registry_stand_in
from test_training import settings

from tuning_image import run as running
from tuning_image.errors import TryAgainError, UserError
from tuning_image.output import push, registry


@pytest.fixture
def server() -> Iterator[registry_stand_in.Server]:
    with registry_stand_in.running() as started:
        yield started


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "README.md").write_text("not pushed")
    return folder


def send(adapter: Path, server: registry_stand_in.Server, **environment: str) -> str:
    return push.push(
        adapter, f"{server.host}/team/adapter:1", "smollm2", {"DOCKER_CONFIG": "/none", **environment}, True
    )


def login(folder: Path, host: str, password: str) -> str:
    auth = registry.encode_login("me", password)
    (folder / "config.json").write_text(json.dumps({"auths": {f"https://{host}/v1/": {"auth": auth}}}))
    return str(folder)


def test_docker_hubs_login_is_found_under_the_name_that_docker_gives_it(tmp_path: Path) -> None:
    folder = login(tmp_path, "index.docker.io", "right")
    assert push.login("docker.io", {"DOCKER_CONFIG": folder}) == registry.encode_login("me", "right")
    assert push.login("index.example.com", {"DOCKER_CONFIG": folder}) is None


def test_an_image_of_docker_hub_goes_to_where_it_answers(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(registry.Registry, "push_blob", lambda self, *_: asked.append(self._base))
    monkeypatch.setattr(registry.Registry, "push_manifest", lambda *_: "")
    push.push(adapter, "docker.io/me/adapter:1", "smollm2", {"DOCKER_CONFIG": "/none"}, False)
    assert set(asked) == {"https://registry-1.docker.io"}


def test_the_image_holds_the_adapter_and_its_chat_template_under_data(
    adapter: Path, server: registry_stand_in.Server
) -> None:
    send(adapter, server)
    manifest: Any = json.loads(server.manifests["1"])
    layer = gzip.decompress(server.blobs[manifest["layers"][0]["digest"]])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        names = ("adapter_config.json", "adapter_model.safetensors", "chat_template.jinja")
        assert tar.getnames() == ["data", *(f"data/{name}" for name in names)]
    assert manifest["annotations"] == {"sh.kaito.model.name": "smollm2"}


def test_the_same_files_give_the_same_digest(adapter: Path, server: registry_stand_in.Server) -> None:
    first = send(adapter, server)
    (adapter / "adapter_config.json").touch()
    assert send(adapter, server) == first


@pytest.mark.parametrize("faults", [[429], [500, 503], [0]])
def test_faults_that_pass_are_waited_out(adapter: Path, server: registry_stand_in.Server, faults: list[int]) -> None:
    server.faults = faults
    send(adapter, server)
    assert "1" in server.manifests


@pytest.mark.parametrize("status", [429, 500, 0])
def test_faults_that_stay_ask_for_another_try_later(
    adapter: Path, server: registry_stand_in.Server, status: int
) -> None:
    server.faults = [status] * 30
    with pytest.raises(TryAgainError, match=str(status) if status else "tried"):
        send(adapter, server)


def test_a_wrong_login_is_a_user_error_that_hides_the_password(
    adapter: Path, server: registry_stand_in.Server, tmp_path: Path
) -> None:
    server.login = registry.encode_login("me", "right")
    with pytest.raises(UserError, match="401") as refused:
        send(adapter, server, DOCKER_CONFIG=login(tmp_path, server.host, "wrong-secret"))
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(UserError, match="imagePushSecret"):
        send(adapter, server)


def test_the_login_of_the_push_secret_is_used(adapter: Path, server: registry_stand_in.Server, tmp_path: Path) -> None:
    server.login = registry.encode_login("me", "right")
    assert send(adapter, server, DOCKER_CONFIG=login(tmp_path, server.host, "right")).startswith("sha256:")


@pytest.mark.parametrize("image", ["adapter:1", "r.example.com/A:1", "r.example.com/a@sha256:1"])
def test_a_reference_that_is_none_is_refused_before_training(image: str) -> None:
    with pytest.raises(UserError, match="REGISTRY/NAME:TAG"):
        push.check(image)


def test_a_push_that_fails_keeps_the_adapter_and_the_next_start_only_pushes(
    server: registry_stand_in.Server, tmp_path: Path, chats: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings(tmp_path / "out", chats, tiny_folder, "--plain-http", "--push-image", f"{server.host}/a:1")
    server.faults = [500] * 30
    with pytest.raises(TryAgainError, match="500"):
        running.run(chosen)
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    server.faults = []
    capsys.readouterr()
    running.run(chosen)
    said = capsys.readouterr().out
    assert "pushed: " in said and "training: " not in said and "1" in server.manifests
