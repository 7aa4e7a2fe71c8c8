"""Adapters that do not fit the model: of another base, or of too high a rank. At start, and while the server runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from serving_image.engine import adapter_files
from serving_image.engine.build import build
from serving_image.errors import AdapterError
from serving_image.setting_types import AdapterSpec
from serving_image.settings import read
from serving_image.source import Source
from tests.serving import adapters
from tests.serving.hub_stand_in import NAME, hub
from tests.serving.servers import Running, running

OTHER = "example/other-tiny"
TOO_DEEP = "model.layers.0.self_attn.q_proj has rank 257; at most 256 is served"
OF_ANOTHER = f"base_model_name_or_path of adapter_config.json is {OTHER}, and {NAME} is served"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    adapters.make_tiny(folder / "good", NAME)
    adapters.make_tiny(folder / "deep", NAME, rank=257)
    adapters.make_tiny(folder / "other", OTHER)
    return folder


@pytest.fixture(scope="module")
def server(tiny_model: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Of a model that has an id, with the adapter that fits."""
    folder = tmp_path_factory.mktemp("fit")
    (folder / "admin").write_text("admin-secret\n")
    flags = (f"--adapter=good={made / 'good'}", f"--admin-key-file={folder / 'admin'}")
    with hub(tiny_model) as remote:
        environment = {**remote.environment, "HF_HOME": str(folder / "cache")}
        with running(folder, *flags, model=NAME, environment=environment) as started:
            yield started


def ask(server: Running) -> str:
    body = {"model": "good", "prompt": "Once", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
    with server.http() as http:
        return http.post("/v1/completions", json=body).json()["choices"][0]["text"]


@pytest.mark.parametrize(("folder", "said"), [("deep", TOO_DEEP), ("other", OF_ANOTHER)])
def test_one_that_does_not_fit_is_refused_by_name_and_the_old_one_serves_on(
    server: Running, made: Path, folder: str, said: str
):
    before = ask(server)
    with server.http(headers={"Authorization": "Bearer admin-secret"}) as http:
        answer = http.post("/v1/adapters", json={"name": "good", "folder": str(made / folder)})
    assert answer.status_code == 400 and f"adapter good: {made / folder}: " in answer.text and said in answer.text
    assert ask(server) == before


def test_one_of_too_high_a_rank_ends_the_start_by_its_name(tiny_model: Path, made: Path, tmp_path: Path):
    with running(tmp_path, f"--adapter=deep={made / 'deep'}", model=str(tiny_model), wait=False) as server:
        assert server.process.wait(120) == 1
        assert f"engine failed: adapter deep: {made / 'deep'}: {TOO_DEEP}" in server.text()


def test_one_of_another_base_ends_the_start_unless_any_base_is_allowed(tiny_model: Path, made: Path):
    flags = ["--model", NAME, f"--adapter=other={made / 'other'}"]
    with pytest.raises(AdapterError, match=f"{OF_ANOTHER}; serve that model, correct the name, or start with"):
        build(read(flags, {}), Source(tiny_model))
    stepper, _, _ = build(read([*flags, "--adapter-base", "any"], {}), Source(tiny_model))
    assert list(stepper.adapters.loaded) == ["other"]


@pytest.mark.parametrize(
    ("named", "served", "fits"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", True),
        ("unsloth/meta-llama-3.1-8b-instruct-unsloth-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct", True),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct", False),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B-AWQ", True),
        ("/workspace/weights", "meta-llama/Llama-3.1-8B-Instruct", True),
        ("meta-llama/Llama-3.1-8B", "/workspace/weights", True),
        ("", "meta-llama/Llama-3.1-8B-Instruct", True),
    ],
)
def test_ids_are_compared_without_owner_and_storage_and_folders_are_not(
    tiny_model: Path, tmp_path: Path, named: str, served: str, fits: bool
):
    spec = AdapterSpec("one", adapters.make_tiny(tmp_path / "one", named))
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    if fits:
        assert adapter_files.read(spec, model, served).name == "one"
    else:
        with pytest.raises(AdapterError, match=f"is {named}, and {served} is served"):
            adapter_files.read(spec, model, served)
