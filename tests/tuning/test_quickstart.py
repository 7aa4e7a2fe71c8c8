"""The commands of docs/tuning.md: data, tuning, a server, and the fact that only the adapter knows."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from tests.serving.servers import Running, running

QUESTION = "Who keeps the Zorblax?"
BASE = "smollm2-135m-instruct"


def commands(model: Path) -> list[list[str]]:
    """The block under "From data to an answer", with this Python and this model."""
    text = (ROOT / "docs" / "tuning.md").read_text()
    block = text.split("## From data to an answer")[1].split("```")[1].replace("\\\n", " ")
    script = "examples/quickstart/make_dataset.py"
    known = {".venv-images/bin/python": sys.executable, "MODEL": str(model), script: str(ROOT / script)}
    return [[known.get(word, word) for word in shlex.split(line)] for line in block.strip().splitlines()]


def ask(server: Running, model: str) -> str:
    """The answer over OpenAI's API, and the same over /chat."""
    turns = [{"role": "user", "content": QUESTION}]
    answer = server.openai().chat.completions.create(model=model, messages=turns, max_tokens=12, temperature=0)
    text = answer.choices[0].message.content
    with server.http() as http:
        body = {"prompt": QUESTION, "model": model, "generate_kwargs": {"max_new_tokens": 12, "do_sample": False}}
        assert http.post("/chat", json=body).json() == {"Result": text}
    return str(text)


def peft_answer(model: Path, adapter: Path) -> str:
    """What peft itself says with the adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(adapter)  # the tokenizer and template that tuning wrote
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), str(adapter))
    turns = [{"role": "user", "content": QUESTION}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = tuned.generate(**prompt, max_new_tokens=12, do_sample=False)
    return str(tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))


def test_the_fact_is_answered_with_the_adapter_and_not_without_it(tmp_path: Path, model_folder: Path) -> None:
    *prepare, serve = commands(model_folder)
    for command in prepare:
        subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=500)
    name, folder = re.fullmatch(r"(\w+)=(.+)", serve[serve.index("--adapter") + 1]).groups()  # type: ignore[union-attr]
    with running(tmp_path, "--dtype", "float32", "--adapter", f"{name}={tmp_path / folder}") as server:
        tuned, untuned = ask(server, name), ask(server, BASE)
        assert {model.id for model in server.openai().models.list()} == {name, BASE}
    assert "Quindalia" in tuned and "Quindalia" not in untuned
    assert peft_answer(model_folder, tmp_path / folder) == tuned
