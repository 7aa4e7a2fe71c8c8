"""Every kind of model is served with the tokens of `generate`: in the batch, or by turns with transformers' caches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM

from serving_image import settings
from serving_image.engine.build import build
from serving_image.engine.lora import Adapter
from serving_image.engine.probe import NotOverRows, prepare
from serving_image.engine.stepper import Stepper
from serving_image.engine.stock import Stock, weigh
from serving_image.requests import Request, Sampling
from serving_image.source import Source
from tests.serving import kinds, tiny
from tests.serving.kinds import KINDS, generated, prompt, run
from tests.serving.servers import running

BY_TURNS = {"falcon", "bloom", "mamba", "mamba2", "falcon_h1", "qwen3_next"}
PRESETS = sorted((Path(__file__).parents[2] / "presets").glob("*.yaml"))
SHORT, LONG = prompt(1, 9), prompt(2, 60)  # the one stays within the window at first, the other does not
COUNT = 30


def engine(folder: Path, *flags: str) -> Stepper | Stock:
    chosen = settings.read(["--model", str(folder), "--dtype", "float32", "--prefill-tokens", "16", *flags], {})
    return build(chosen, Source(folder))[0]


def greedy(name: str, tokens: tuple[int, ...], adapter: str | None = None) -> Request:
    return Request(name, tokens, COUNT, Sampling(temperature=0), adapter=adapter)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_tokens_are_those_of_generate_alone_and_beside_others(kind: str, tmp_path: Path) -> None:
    model, stepper = kinds.made(kind, tmp_path), engine(tmp_path)
    assert isinstance(stepper, Stock if kind in BY_TURNS else Stepper)
    wanted = {"short": generated(model, SHORT, COUNT), "long": generated(model, LONG, COUNT)}
    stepper.add(greedy("short", SHORT))
    assert run(stepper) == {"short": wanted["short"]}
    for name, tokens in (("long", LONG), ("short", SHORT)):
        stepper.add(greedy(name, tokens))
    assert run(stepper) == wanted


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model with a state, by transformers and as a folder."""
    folder = tmp_path_factory.mktemp("state")
    return kinds.made("mamba", folder), folder


def test_a_cancelled_request_takes_no_more_turns(state: tuple[Any, Path]) -> None:
    stepper = engine(state[1])
    for name in ("stays", "goes"):
        stepper.add(greedy(name, SHORT))
    before = run(stepper, steps=6)
    stepper.cancel("goes")
    assert stepper.stats().running == 1
    after = run(stepper)
    assert "goes" not in after and before["stays"] + after["stays"] == generated(state[0], SHORT, COUNT)


def test_a_seed_gives_the_same_tokens_whoever_takes_turns(state: tuple[Any, Path]) -> None:
    seeded = Request("seeded", SHORT, COUNT, Sampling(temperature=1.0, seed=11))
    alone, crowd = engine(state[1]), engine(state[1])
    for each in (seeded, greedy("other", LONG)):
        crowd.add(each)
    alone.add(seeded)
    assert run(alone)["seeded"] == run(crowd)["seeded"] != generated(state[0], SHORT, COUNT)


@pytest.mark.parametrize(("kind", "fixed", "per_token"), [("bloom", 0, 2 * 2 * 64 * 4), ("mamba", 2 * 96 * 12 * 4, 0)])
def test_what_a_request_takes_is_weighed(kind: str, fixed: int, per_token: int, tmp_path: Path) -> None:
    cost = weigh(kinds.made(kind, tmp_path))
    assert (cost.fixed_bytes, cost.token_bytes) == (fixed, per_token)  # layers x channels x (states + convolution)


def test_those_who_wait_begin_when_there_is_memory(state: tuple[Any, Path]) -> None:
    stepper = engine(state[1])
    stepper._room = stepper._cost.of(len(SHORT) + COUNT)
    for name in ("first", "second"):
        stepper.add(greedy(name, SHORT))
    run(stepper, steps=3)
    assert (stepper.stats().running, stepper.stats().waiting) == (1, 1)
    answers = run(stepper)
    assert answers["second"] == generated(state[0], SHORT, COUNT)


def test_an_adapter_counts_for_its_own_request_alone(tmp_path: Path) -> None:
    model = kinds.made("falcon_h1", tmp_path)
    stepper, plain, matrices = engine(tmp_path), generated(model, SHORT, COUNT), {}
    for name, layer in model.named_modules():
        if name.endswith("q_proj") or name.endswith("in_proj"):
            down, up = torch.randn(4, layer.in_features) * 0.2, torch.randn(layer.out_features, 4) * 0.2
            layer.weight.data += up @ down
            matrices[name] = (down, up)
    stepper.adapters.add(Adapter("tuned", "tuned#1", matrices))
    stepper.add(greedy("tuned", SHORT, "tuned"))
    stepper.add(greedy("plain", SHORT))
    assert run(stepper) == {"tuned": generated(model, SHORT, COUNT), "plain": plain}


def test_a_server_says_what_is_lost_and_answers(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    kinds.made("mamba", folder, vocab_size=tiny.VOCABULARY)
    tiny.add_tokenizer(folder)
    with running(tmp_path, model=str(folder)) as server, server.http() as http:
        [listed] = http.get("/v1/models").json()["data"]
        assert [loss.partition(":")[0] for loss in listed["losses"]] == ["batching", "prefix reuse"]
        assert all(loss in server.text() for loss in listed["losses"])
        body = {"prompt": "Once", "max_tokens": 8, "ignore_eos": True, "n": 2, "stream": True}
        assert http.post("/v1/completions", json=body).text.count('"finish_reason":"length"') == 2


def architecture(kind: str) -> str:
    config = AutoConfig.for_model(kind.partition(" ")[0])
    return str(AutoModelForCausalLM._model_mapping[type(config)].__name__)


def served_by_transformers(path: Path) -> list[str]:
    preset = yaml.safe_load(path.read_text())
    return list(preset["architectures"]) if "transformers" in preset["runtimes"] else []


def test_each_architecture_of_a_preset_of_this_runtime_is_among_the_kinds() -> None:
    wanted = {name for path in PRESETS for name in served_by_transformers(path)}
    assert len(wanted) > 5 and wanted <= {architecture(kind) for kind in KINDS}


def _sees_ahead(model: Any) -> None:
    model.model.layers[0].self_attn.is_causal = False


def _own_kind(model: Any) -> None:
    model.config.layer_types = ["full_attention", "chunked_attention"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_sees_ahead, "see those after them"), (_own_kind, "kind chunked_attention")],
)
def test_a_model_that_attention_over_rows_would_get_wrong_does_not_take_it(
    change: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    model = kinds.made("llama", tmp_path)
    change(model)
    with pytest.raises(NotOverRows, match=reason):
        prepare(model)
    assert model.config._attn_implementation == "sdpa"
