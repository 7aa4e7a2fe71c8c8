"""What a fixed conversation becomes in the chat templates of the presets, letter by letter, on the API's own way.

The templates are the models' own, as TRL ships them; the goldens in golden_prompts/ were read against them by hand.
`UPDATE_GOLDENS=1` writes them anew.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
import trl
import yaml

from benchmarks import small_model
from serving_image.api import jobs, tokenizer
from serving_image.api.refusals import Refusal
from serving_image.api.schema import ChatBody
from serving_image.api.state import Server
from serving_image.app import make_server
from serving_image.engine.fake import FakeEngine
from serving_image.settings import read
from serving_image.source import find
from tests.serving.servers import ROOT

SHIPPED, GOLDEN = Path(trl.__file__).parent / "chat_templates", Path(__file__).parent / "golden_prompts"
OF_PRESETS = {  # template: the presets whose models have it, or another of its family
    "deepseek_r1_distill": ("deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-14b"),
    "deepseekv3": ("deepseek-v3-0324", "deepseek-r1-0528"),
    "gemma3": ("gemma-3-27b-it", "gemma-3-4b-it"),
    "gptoss": ("gpt-oss-120b", "gpt-oss-20b"),
    "llama3_1": ("llama-3.1-8b-instruct", "llama-3.3-70b-instruct"),
    "phi3": (
        *("phi-3-medium-128k-instruct", "phi-3-medium-4k-instruct"),
        *("phi-3-mini-128k-instruct", "phi-3-mini-4k-instruct"),
    ),
    "phi3_5": ("phi-3.5-mini-instruct",),
    "qwen2_5": ("qwen2.5-coder-32b-instruct", "qwen2.5-coder-7b-instruct"),
    "smollm2": ("smollm2-135m-instruct",),
}
NOT_HERE = {"mistral-7b-instruct-v0.3", "mistral-7b-v0.3", "phi-4", "phi-4-mini-instruct"}  # as docs/serving.md says
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Today's", "parameters": PARAMETERS}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": [{"type": "text", "text": "Is it "}, {"type": "text", "text": "raining in Zürich?"}]},
]
CALLED = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"rain": true}'},
]
TOOLS = {"tools": [WEATHER], "tool_choice": "required"}
CASES: dict[str, dict[str, Any]] = {
    "chat": {"messages": CONVERSATION},
    "tools": {"messages": CONVERSATION, **TOOLS},
    "called": {"messages": [*CONVERSATION, *CALLED]},
}


@pytest.fixture(scope="module")
def server() -> Server:
    """With the small model's tokenizer, whose own marks are named, so that goldens show where a model's would be."""
    chosen = read(["--model", str(small_model.folder())], {})
    made = make_server(chosen, FakeEngine(context_tokens=10_000))
    made.tokenizer = tokenizer.load(find(chosen), None)
    made.tokenizer.inner.bos_token, made.tokenizer.inner.eos_token = "[BOS]", "[EOS]"
    return made


def template(name: str) -> str:
    own = small_model.folder() / "chat_template.jinja"
    return (own if name == "smollm2" else SHIPPED / f"{name}.jinja").read_text()


def prompt(server: Server, name: str, case: str) -> str:
    """What the model would read, or why it is not asked."""
    body = ChatBody(**CASES[case], chat_template=template(name))
    try:
        job, _ = asyncio.run(jobs.chat(server, body, "id"))
    except Refusal as refusal:
        return f"400 {refusal.message}\n"
    text = server.loaded().decode(job.requests[0].prompt, False)
    return re.sub(r"Current date: \d{4}-\d\d-\d\d", "Current date: TODAY", text)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OF_PRESETS)
def test_a_conversation_becomes_the_prompt_that_the_models_template_says(server: Server, name: str, case: str):
    path = GOLDEN / f"{name}.{case}.txt"
    found = prompt(server, name, case)
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(found)
    assert found == path.read_text()


def test_every_preset_of_this_runtime_has_a_golden_or_is_named_as_without():
    presets = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "presets").glob("*.yaml")}
    served = {name for name, preset in presets.items() if "transformers" in preset["runtimes"]}
    assert served == {name for names in OF_PRESETS.values() for name in names} | NOT_HERE
    page = (ROOT / "docs" / "serving.md").read_text()
    assert all(f"`{name}`" in page for name in NOT_HERE)
