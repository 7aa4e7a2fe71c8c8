"""The model's files: what is wrong with them is said by name; quantized and packed ones serve too."""

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmarks import small_model
from serving_image.engine import weights
from serving_image.errors import WeightsError
from serving_image.settings import read
from serving_image.source import Source, find
from tests.serving.servers import running

CHAT = {"prompt": "What is the capital of France?", "generate_kwargs": {"max_length": 100, "do_sample": False}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_model.folder(), tmp_path / "model"))


def problem(model: Path | str, *flags: str) -> str:
    with pytest.raises(WeightsError) as caught:
        find(read(["--model", str(model), *flags], {}))
    return str(caught.value)


def test_a_truncated_file_is_named_with_both_sizes(folder: Path):
    file = folder / "model.safetensors"
    whole = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(whole - 1000)
    assert f"model.safetensors: has {whole - 1000} bytes instead of {whole}" in problem(folder)


def test_a_file_that_is_no_weights_is_named(folder: Path):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 20) + b"<html>not found</html>")
    assert "model.safetensors: is no safetensors file" in problem(folder)


def test_a_missing_shard_is_named(folder: Path):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "model-2.safetensors: is missing" in problem(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", "{", "config.json: is no JSON"),
        ("config.json", "{}", "config.json: has no model_type"),
        ("tokenizer.json", None, "the tokenizer is missing, tokenizer.json or tokenizer.model"),
    ],
)
def test_a_file_that_is_missing_or_damaged_beside_the_weights_is_named(
    folder: Path, name: str, content: str, said: str
):
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content)
    assert said in problem(folder)


@pytest.mark.parametrize(
    "kind", [{"architectures": ["BertForMaskedLM"]}, {"architectures": ["BertModel"]}, {"is_encoder_decoder": True}]
)
def test_a_model_that_only_reads_a_text_is_refused_by_its_architecture(folder: Path, kind: dict[str, object]):
    config = json.loads((folder / "config.json").read_text()) | kind
    (folder / "config.json").write_text(json.dumps(config))
    assert f"architectures: {config['architectures'][0]} does not go on with a text" in problem(folder)


def test_a_model_whose_files_lack_a_weight_is_not_served_with_a_random_one(tiny_model: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack weights .*: model\.layers\.1\.mlp\.up_proj\.weight; download it"):
        weights.load(Source(folder), read(["--model", str(folder)], {}))


def test_a_model_type_that_nobody_knows_ends_the_process_by_its_name(folder: Path, tmp_path: Path):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "nonesuch"}
    (folder / "config.json").write_text(json.dumps(config))
    with running(tmp_path, model=str(folder), wait=False) as server:
        assert server.process.wait(120) in (1, 2)  # whichever process comes to it first
        assert "`nonesuch`" in server.text()


def test_a_damaged_tokenizer_ends_the_process_by_its_folder(folder: Path, tmp_path: Path):
    (folder / "tokenizer.json").write_text("{")
    with running(tmp_path, model=str(folder), wait=False) as server:
        assert server.process.wait(120) == 2
        assert f"serving_image: {folder}: the tokenizer cannot be loaded" in server.text()


def test_pickled_weights_are_not_read(folder: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickled weights (.bin) are not read" in problem(folder)


def test_a_folder_that_is_not_there_is_named():
    assert problem("/does/not/exist") == "--model /does/not/exist: there is no such folder"


def test_offline_without_the_model_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "example/model: HF_HUB_OFFLINE is set, and the cache" in problem("example/model")


@pytest.mark.parametrize("flags", [("--quantization", "nf4"), ("--quantization", "int8"), ("--dtype", "bfloat16")])
def test_quantized_and_16_bit_weights_answer(tmp_path: Path, flags: tuple[str, ...]):
    with running(tmp_path, *flags) as server, server.http() as http:
        assert "Paris" in http.post("/chat", json=CHAT).json()["Result"]


def test_a_folder_of_two_gguf_files_names_both(tmp_path: Path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    assert "has 2 .gguf files, a.gguf, b.gguf; name one" in problem(tmp_path)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (1_000, "its beginning is damaged"),
        (-1_000, r"has \d+ bytes instead of \d+: it is cut"),
        (0, "not begin with GGUF"),
    ],
)
def test_a_gguf_file_that_is_cut_is_named(tmp_path: Path, kept: int, said: str):
    file = Path(shutil.copy(small_model.gguf_file(), tmp_path / "model.gguf"))
    with file.open("r+b") as opened:
        opened.truncate(kept % (file.stat().st_size + 1))
    for model in (file, tmp_path):
        assert re.search(f"{file}: .*{said}", problem(model))


def test_a_folder_with_one_gguf_file_and_nothing_else_answers(tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.gguf").symlink_to(small_model.gguf_file())
    with running(tmp_path, model=str(folder)) as server, server.http() as http:
        assert "Paris" in http.post("/chat", json=CHAT).json()["Result"]
