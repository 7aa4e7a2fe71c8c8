"""`kaito models push`: what goes in, what is refused, and that a registry's faults are waited out or named."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from kaito_components.cli import models
from kaito_components.packing import registry
from kaito_components.packing.progress import Progress
from tests.tuning import debian_registry, registry_stand_in

PHI = "phi-4-mini-instruct"
CONFIG = {"architectures": ["Phi3ForCausalLM"], "hidden_size": 3072, "num_hidden_layers": 32}
needs_registry = pytest.mark.skipif(debian_registry.program() is None, reason="needs Debian's docker-registry")


def safetensors(path: Path, content: bytes = b"\x00" * 8) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(content)], "data_offsets": [0, len(content)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder in two shards, with files that are none of the model."""
    made = tmp_path / "model"
    made.mkdir()
    for number in (1, 2):
        safetensors(made / f"model-{number}.safetensors", bytes([number]) * 3_000_000)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (made / "model.safetensors.index.json").write_text(json.dumps(index))
    (made / "config.json").write_text(json.dumps(CONFIG))
    for name in ("tokenizer.json", "chat_template.jinja", "LICENSE", "pytorch_model.bin", "README.md", ".hidden.json"):
        (made / name).write_text(name)
    (made / "original").mkdir()
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[registry_stand_in.Server]:
    monkeypatch.setattr(registry, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setenv("DOCKER_CONFIG", "/none")
    with registry_stand_in.running() as started:
        yield started


def push(folder: Path, host: str, *more: str, name: str = PHI) -> Result:
    asked = ["push", name, "--from", str(folder), "--to", f"{host}/models/phi:1", "--plain-http", *more]
    return CliRunner().invoke(models.command(), asked)


def refused(done: Result) -> str:
    assert done.exit_code == 1 and done.stderr.count("error: ") == 1, done.output
    return done.stderr.partition("error: ")[2]


def titles(manifest: Any) -> list[str]:
    return [layer["annotations"]["org.opencontainers.image.title"] for layer in manifest["layers"]]


def test_the_model_goes_in_and_pickled_weights_and_hidden_files_do_not(folder: Path, server: Any) -> None:
    done = push(folder, server.host)
    assert done.exit_code == 0 and "not packed: README.md, pytorch_model.bin" in done.stderr
    assert titles(json.loads(server.manifests["1"])) == [
        "LICENSE", "chat_template.jinja", "config.json", "model-1.safetensors", "model-2.safetensors",
        "model.safetensors.index.json", "tokenizer.json",
    ]  # fmt: skip


def test_a_file_of_mistrals_names_is_not_packed_beside_the_same_weights(folder: Path, server: Any) -> None:
    safetensors(folder / "consolidated.safetensors")
    push(folder, server.host)
    assert "consolidated.safetensors" not in titles(json.loads(server.manifests["1"]))


def test_a_gguf_goes_in_alone_with_its_licence(tmp_path: Path, server: Any) -> None:
    for name in ("model.gguf", "LICENSE", "code.py", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"GGUF....")
    assert push(tmp_path, server.host, name="smollm2-135m-instruct").exit_code == 0
    assert titles(json.loads(server.manifests["1"])) == ["LICENSE", "model.gguf"]


def test_the_same_files_give_the_same_digest_elsewhere_and_later(folder: Path, server: Any, tmp_path: Path) -> None:
    first = push(folder, server.host).stdout
    shutil.copytree(folder, tmp_path / "again", copy_function=shutil.copyfile)
    os.utime(tmp_path / "again" / "config.json", (0, 0))
    assert push(tmp_path / "again", server.host).stdout == first and "\nsha256:" in first


def test_what_is_there_is_not_sent_again(folder: Path, server: Any) -> None:
    push(folder, server.host)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"new": 1}))
    assert "7 of 8 blobs are there already" in push(folder, server.host).stderr


@pytest.mark.parametrize("faults", [[429, 503, 500], [0], [*[404] * 8, 0], [*[404] * 8, 503]])
def test_faults_that_pass_are_waited_out(folder: Path, server: Any, faults: list[int]) -> None:
    server.faults = faults
    assert push(folder, server.host).exit_code == 0


@pytest.mark.parametrize("cut", [0, 429, 500])
def test_an_upload_that_is_cut_is_begun_anew_and_counted_once(folder: Path, server: Any, cut: int) -> None:
    server.faults = [*[404] * 8, -1, cut]  # eight questions whether a blob is there, then the first one's session
    done = push(folder, server.host)
    assert done.exit_code == 0 and "pushing: 0.01 of 0.01 GB" in done.stderr and "1" in server.manifests


@pytest.mark.parametrize(
    ("fault", "told"), [(429, "429"), (500, "500"), (0, "connection failed"), (403, "AcrPush"), (404, "repository")]
)
def test_faults_that_stay_are_named(folder: Path, server: Any, fault: int, told: str) -> None:
    push(folder, server.host)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"new": 1}))
    server.faults = [200] * 3 + [fault] * 30
    assert told in refused(push(folder, server.host))


def test_without_the_right_login_it_says_where_it_looked_and_not_what_it_found(
    folder: Path, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.login = "bWU6cmlnaHQ="
    assert f"docker login {server.host}" in refused(push(folder, server.host))
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {server.host: {"username": "me", "password": "wrong-one"}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    said = refused(push(folder, server.host))
    assert str(tmp_path / "config.json") in said and "wrong-one" not in said


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model-2.safetensors", None, "is missing, though"),
        ("model-2.safetensors", b"\x08\x00", "is no safetensors file"),
        ("model.safetensors.index.json", b"{", "cannot be read"),
        ("config.json", None, "config.json is missing"),
        ("config.json", b'{"architectures": ["LlamaForCausalLM"]}', "LlamaForCausalLM instead of Phi3ForCausalLM"),
        ("config.json", b'{"num_hidden_layers": 40}', "num_hidden_layers 40 instead of 32"),
    ],
)
def test_a_folder_that_is_not_the_whole_model_is_refused(
    folder: Path, server: Any, name: str, content: bytes | None, told: str
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert told in refused(push(folder, server.host)) and not server.blobs


def test_weights_that_were_cut_are_refused_with_how_much_is_missing(folder: Path, server: Any) -> None:
    whole = (folder / "model-1.safetensors").read_bytes()
    (folder / "model-1.safetensors").write_bytes(whole[:-5])
    assert f"has {len(whole) - 5} bytes instead of {len(whole)}: it is cut" in refused(push(folder, server.host))


def test_pickled_weights_alone_are_refused(folder: Path, server: Any) -> None:
    for path in (*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"):
        path.unlink()
    assert "pickled weights (.bin, .pt) are not packed" in refused(push(folder, server.host))


def test_a_licence_that_forbids_it_needs_a_private_registry(folder: Path, server: Any) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").write_text("{}")
    said = refused(push(folder, server.host, name="minimax-m2.7"))
    assert "minimax-m2.7-non-commercial" in said and "--private-registry" in said and not server.manifests
    assert push(folder, server.host, "--private-registry", name="minimax-m2.7").exit_code == 0


def test_a_login_goes_in_the_clear_to_this_machine_alone(folder: Path) -> None:
    assert "--plain-http: r.example.com is not this machine" in refused(push(folder, "r.example.com"))


@pytest.mark.parametrize("to", ["phi:1", "r.example.com/phi", "r.example.com/Phi:1", "r.example.com/phi@sha256:1"])
def test_a_reference_that_is_none_is_refused(folder: Path, to: str) -> None:
    done = CliRunner().invoke(models.command(), ["push", PHI, "--from", str(folder), "--to", to])
    assert "must be REGISTRY/REPOSITORY:TAG" in refused(done)


def test_a_model_that_nobody_knows_is_wrong_usage(folder: Path) -> None:
    assert push(folder, "127.0.0.1:1", name="phi-99").exit_code == 2


def test_progress_tells_speed_and_time_left() -> None:
    said, seconds = list[str](), [0.0]
    progress = Progress("pushing", 4_000_000_000, said.append, lambda: seconds[0])
    seconds[0] = 10
    progress.add(1_000_000_000)
    assert said == ["pushing: 1.00 of 4.00 GB, 100 MB/s, 30s left"]


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Debian's registry, and its login where docker keeps it."""
    monkeypatch.setattr(registry, "BACKOFF_SECONDS", 0.001)
    (tmp_path / "registry").mkdir()
    with debian_registry.running(str(debian_registry.program()), tmp_path / "registry") as host:
        login = {"username": debian_registry.USER, "password": debian_registry.PASSWORD}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {f"https://{host}/v1/": login}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        yield host


@needs_registry
def test_what_is_pulled_back_from_a_real_registry_is_what_went_in(folder: Path, real: str) -> None:
    digest = push(folder, real).stdout.split()[1]
    with httpx.Client(auth=(debian_registry.USER, debian_registry.PASSWORD)) as client:
        asked = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = client.get(f"http://{real}/v2/models/phi/manifests/1", headers=asked)
        assert answer.headers["docker-content-digest"] == digest
        for layer, name in zip(answer.json()["layers"], titles(answer.json()), strict=True):
            pulled = client.get(f"http://{real}/v2/models/phi/blobs/{layer['digest']}").content
            assert pulled == (folder / name).read_bytes()
    again = push(folder, real)
    assert again.stdout.split()[1] == digest and "8 of 8 blobs are there already" in again.stderr


@needs_registry
def test_a_real_registry_refuses_a_wrong_password(
    folder: Path, real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {real: {"username": "me", "password": "wrong-one"}}}))
    said = refused(push(folder, real))
    assert "401" in said and "wrong-one" not in said
