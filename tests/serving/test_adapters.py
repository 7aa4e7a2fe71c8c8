"""LoRA adapters: several at once, chosen by `model`, loaded while the server runs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import small_model
from tests.serving import adapters
from tests.serving.servers import Running, running

PROMPT = "The capital of France is"
Change = Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters `one` and `two`, of different rank and targets."""
    folder = tmp_path_factory.mktemp("adapters")
    adapters.make(folder / "one", 1)
    adapters.make(folder / "two", 2, rank=4, targets=("q_proj", "down_proj"), size=0.2)
    shutil.copytree(folder / "one", folder / "spoken")
    (folder / "spoken" / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}"
    )
    return folder


@pytest.fixture(scope="module")
def adapted(made: Path) -> Iterator[Running]:
    keys = made / "admin-keys"
    keys.write_text("admin-secret\n")
    flags = [f"--adapter=one={made / 'one'}", f"--adapter=half={made / 'one'}:0.5", f"--admin-key-file={keys}"]
    flags += [f"--adapter=spoken={made / 'spoken'}", "--default-model=one"]
    with running(made, "--dtype", "float32", *flags) as server:
        yield server


def reference(folder: Path, strength: float = 1.0) -> str:
    """What peft itself generates."""
    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    base = AutoModelForCausalLM.from_pretrained(small_model.folder(), dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder)
    for module in model.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling = {name: value * strength for name, value in module.scaling.items()}
    tokens = tokenizer(PROMPT, return_tensors="pt")
    output = model.generate(**tokens, max_new_tokens=20, do_sample=False)
    return tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)


def ask(server: Running, model: str) -> str:
    answer = server.openai().completions.create(model=model, prompt=PROMPT, max_tokens=20, temperature=0)
    return answer.choices[0].text


def admin(server: Running, method: str, path: str, **options: object) -> tuple[int, str]:
    with server.http(headers={"Authorization": "Bearer admin-secret"}) as http:
        answer = http.request(method, path, **options)
        return answer.status_code, answer.text


def test_an_adapter_answers_as_peft_does(adapted: Running, made: Path):
    assert ask(adapted, "one") == reference(made / "one") != ask(adapted, MODEL)


def test_strength_scales_an_adapter(adapted: Running, made: Path):
    assert ask(adapted, "half") == reference(made / "one", 0.5)


def test_adapters_are_listed_with_their_parent(adapted: Running):
    listed = {model.id: model.parent for model in adapted.openai().models.list().data}
    assert {"one": MODEL, "half": MODEL, MODEL: None}.items() <= listed.items()


def test_an_adapter_is_asked_in_the_chat_template_of_its_folder(adapted: Running):
    turns = [{"role": "user", "content": "Hi"}]

    def prompt(model: str) -> str:
        with adapted.http() as http:
            tokens = http.post("/tokenize", json={"model": model, "messages": turns}).json()["tokens"]
            answer = http.post("/v1/chat/completions", json={"model": model, "messages": turns, "max_tokens": 1})
            assert answer.json()["usage"]["prompt_tokens"] == len(tokens)
            return http.post("/detokenize", json={"tokens": tokens}).json()["prompt"]

    assert prompt("spoken") == "user: Hi"
    assert prompt("one") == prompt(MODEL) != "user: Hi"


def test_an_adapter_comes_and_goes_while_the_server_runs(adapted: Running, made: Path):
    assert admin(adapted, "POST", "/v1/adapters", json={"name": "two", "folder": str(made / "two")})[0] == 200
    assert ask(adapted, "two") == reference(made / "two")
    assert admin(adapted, "DELETE", "/v1/adapters/two")[0] == 200
    with pytest.raises(openai.NotFoundError):
        ask(adapted, "two")


def test_a_corrupt_adapter_is_refused_and_the_old_one_serves_on(adapted: Running, made: Path, tmp_path: Path):
    before = ask(adapted, "one")
    for file in (made / "one").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:2000])
    (tmp_path / "adapter_config.json").write_bytes((made / "one" / "adapter_config.json").read_bytes())
    status, text = admin(adapted, "POST", "/v1/adapters", json={"name": "one", "folder": str(tmp_path)})
    assert status == 400 and "adapter_model.safetensors is damaged" in text
    assert ask(adapted, "one") == before


OTHER: dict[str, tuple[Change, str]] = {
    "layer": (lambda name, matrix: (name.replace("layers.0.", "layers.99."), matrix), "it targets model.layers.99."),
    "kind": (lambda name, matrix: (name.replace("self_attn.q_proj", "input_layernorm"), matrix), "is no linear layer"),
    "size": (lambda name, matrix: (name, matrix[:, :-1] if "lora_A" in name else matrix), "where this model needs"),
    "matrix": (lambda name, matrix: (name.replace("lora_A", "lora_X"), matrix), "no LoRA matrix of a linear layer"),
}


@pytest.mark.parametrize("what", OTHER)
def test_an_adapter_of_another_model_is_refused_by_what_does_not_fit(
    adapted: Running, made: Path, tmp_path: Path, what: str
):
    change, said = OTHER[what]
    tensors = load_file(made / "one" / "adapter_model.safetensors")
    other = dict(change(name, matrix) for name, matrix in tensors.items())
    save_file({name: matrix.contiguous() for name, matrix in other.items()}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_bytes((made / "one" / "adapter_config.json").read_bytes())
    status, text = admin(adapted, "POST", "/v1/adapters", json={"name": "other", "folder": str(tmp_path)})
    assert status == 400 and said in text


def test_a_pickled_adapter_is_never_read(adapted: Running, made: Path, tmp_path: Path):
    (tmp_path / "adapter_config.json").write_bytes((made / "one" / "adapter_config.json").read_bytes())
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    status, text = admin(adapted, "POST", "/v1/adapters", json={"name": "evil", "folder": str(tmp_path)})
    assert status == 400 and "it can run code" in text


def test_the_admin_api_wants_its_own_key(adapted: Running):
    with adapted.http() as http:
        assert http.get("/v1/adapters").status_code == 401


def chat(server: Running, **body: object) -> str:
    with server.http() as http:
        kwargs = {"do_sample": False, "max_new_tokens": 20}
        return http.post("/chat", json={"prompt": PROMPT, "generate_kwargs": kwargs, **body}).json()["Result"]


def test_the_quick_starts_question_is_answered_by_the_default_model(adapted: Running) -> None:
    assert chat(adapted) == chat(adapted, model="one") != chat(adapted, model=MODEL)
