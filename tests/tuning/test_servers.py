"""What tuning writes is what vLLM and our own server take as an adapter; what they would refuse is said beforehand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import read
from safetensors.torch import load_file
from test_training import settings

from serving_image.engine import adapter_files
from tuning_image import run as running
from tuning_image import servers
from tuning_image.errors import UserError
from tuning_image.sections import LoraSection

# vLLM's own patterns: vllm/lora/utils.py, parse_fine_tuned_lora_name
VLLM_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<which>[AB])\.weight")


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_adapter_meets_what_vllm_demands(tmp_path: Path, chats: Path, tiny_folder: Path, method: str) -> None:
    running.run(
        settings(tmp_path / "out", chats, tiny_folder, "--method", method, "--set", "LoraConfig.use_rslora=true")
    )
    adapter = tmp_path / "out" / "adapter"
    config: dict[str, Any] = json.loads((adapter / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["use_rslora"] is True
    assert (config["bias"], config["modules_to_save"], config["use_dora"]) == ("none", None, False)
    assert type(config["r"]) is int and type(config["lora_alpha"]) is int
    weights = load_file(adapter / "adapter_model.safetensors")
    named = [VLLM_NAME.fullmatch(name) for name in weights]
    assert all(named), f"vLLM has no place for one of {sorted(weights)}"
    last = lambda names: {name.rsplit(".", 1)[-1] for name in names}  # noqa: E731  # vLLM compares these alone
    assert last(found["module"] for found in named if found) == last(config["target_modules"])
    assert all(config["r"] in tensor.shape and tensor.dtype == torch.float32 for tensor in weights.values())


@pytest.mark.parametrize(
    "lora",
    [{"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"r": 513}, {"r": 257}, {"r": 256}, {}],
)
def test_our_server_refuses_what_is_said_to_be_refused(lora: dict[str, Any], tmp_path: Path) -> None:
    chosen = LoraSection(**lora)
    assert servers.OUR_LARGEST_RANK == adapter_files.MAX_RANK
    assert bool(servers.refusal(chosen)) == bool(lora and lora != {"r": 256})
    assert servers.servers(chosen)[servers.VLLM].startswith("no") == bool(lora and lora.get("r", 513) > 512)


def test_a_rank_above_vllms_default_names_the_flag() -> None:
    assert servers.servers(LoraSection(r=20))[servers.VLLM] == "yes, with --max-lora-rank 32"
    assert servers.servers(LoraSection(r=16))[servers.VLLM] == "yes"


def test_the_model_card_says_that_dora_is_not_served(
    tmp_path: Path, chats: Path, tiny_folder: Path, capsys: Any
) -> None:
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--set", "LoraConfig.use_dora=true"))
    card = (tmp_path / "out" / "adapter" / "README.md").read_text()
    assert "| vLLM | no: LoraConfig.use_dora is not served as an adapter; --merge" in card
    assert "adapter loads in vLLM: no: LoraConfig.use_dora" in capsys.readouterr().out


def test_a_job_that_serves_refuses_an_adapter_that_its_server_refuses(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--then-serve a/b: LoraConfig\.use_dora"):
        read(tmp_path, "d", "--then-serve", "a/b", "--set", "LoraConfig.use_dora=true")
