"""training_config.yaml, flags and environment become settings, or one message with everything that is wrong."""

from pathlib import Path

import pytest
from conftest import read
from ruamel.yaml import YAML

from tuning_image import arguments
from tuning_image.errors import UserError

KAITO_QLORA = """
training_config:
  ModelConfig: {torch_dtype: "bfloat16", local_files_only: true, device_map: "auto"}
  QuantizationConfig:
    load_in_4bit: true
    bnb_4bit_quant_type: "nf4"
    bnb_4bit_compute_dtype: "bfloat16"
    bnb_4bit_use_double_quant: true
  LoraConfig: {r: 8, lora_alpha: 8, lora_dropout: 0.0}
  TrainingArguments:
    {output_dir: "/mnt/results", ddp_find_unused_parameters: false, save_strategy: "no", per_device_train_batch_size: 1}
  DataCollator: {mlm: true}
  DatasetConfig: {shuffle_dataset: true, train_test_split: 1}
"""


def config(tmp_path: Path, text: str) -> str:
    """A training_config.yaml."""
    path = tmp_path / "training_config.yaml"
    path.write_text(text)
    return str(path)


def test_kaitos_own_qlora_file_is_read_unchanged(tmp_path: Path) -> None:
    found = read(Path("/mnt/results"), "d", "--method", "qlora", "--config", config(tmp_path, KAITO_QLORA)).config
    assert found.QuantizationConfig.load_in_4bit and found.LoraConfig.lora_alpha == 8


def test_kaitos_own_lora_file_is_read_unchanged_and_each_of_its_values_names_it(tmp_path: Path) -> None:
    text = KAITO_QLORA.replace("load_in_4bit: true", "load_in_4bit: false")
    lora = "\n".join(line for line in text.splitlines() if "bnb_4bit" not in line)
    path = config(tmp_path, lora)
    found = read(Path("/mnt/results"), "d", "--config", path)
    assert not found.config.QuantizationConfig.load_in_4bit
    given = [(s, key) for s, keys in YAML(typ="safe").load(lora)["training_config"].items() for key in keys]
    assert len(given) == 14 and all(found.origins[f"{s}.{key}"] == path for s, key in given)
    assert len(found.lines()) == sum(len(keys) for keys in found.config.model_dump().values())


def test_unknown_and_contradictory_fields_are_refused_together(tmp_path: Path) -> None:
    path = config(tmp_path, "training_config: {LoraConfig: {rank: 4}, QuantizationConfig: {load_in_4bit: true}}")
    with pytest.raises(UserError, match=r"(?s)LoraConfig\.rank: is not supported.*load_in_4bit: true contradicts"):
        read(tmp_path, "d", "--config", path)


def test_every_value_is_printed_with_its_origin(tmp_path: Path) -> None:
    path = config(tmp_path, "training_config: {LoraConfig: {r: 4}}")
    lines = read(tmp_path, "d", "--config", path, DEFAULT_TARGET_MODULES="q_proj,v_proj").lines()
    assert f"LoraConfig.r = 4 ({path})" in lines
    assert "LoraConfig.target_modules = ['q_proj', 'v_proj'] (DEFAULT_TARGET_MODULES)" in lines
    assert "LoraConfig.lora_alpha = 8 (default)" in lines


def test_the_file_goes_before_the_environment_and_a_flag_before_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, "training_config: {LoraConfig: {target_modules: [a], r: 4}}")
    lora = read(
        tmp_path, "d", "--config", path, "--set", "LoraConfig.r=16", DEFAULT_TARGET_MODULES="b"
    ).config.LoraConfig
    assert (lora.target_modules, lora.r) == (["a"], 16)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = config(
        tmp_path, "training_config: {LoraConfig: {rank: 4, r: 0}, Loraconfig: {}, TrainingArguments: {seed: x}}"
    )
    with pytest.raises(UserError) as refused:
        read(tmp_path, "d", "--config", path)
    for field in ("LoraConfig.rank", "LoraConfig.r:", "Loraconfig", "TrainingArguments.seed"):
        assert field in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (["--method", "qlora", "--set", "QuantizationConfig.load_in_4bit=false"], "QuantizationConfig.load_in_4bit"),
        (["--set", "QuantizationConfig.load_in_4bit=true"], "QuantizationConfig.load_in_4bit"),
        (["--set", "TrainingArguments.load_best_model_at_end=true"], "DatasetConfig.train_test_split"),
        (["--set", "TrainingArguments.output_dir=/elsewhere"], "TrainingArguments.output_dir"),
        (["--set", "TrainingArguments.eval_strategy=steps"], "TrainingArguments.eval_steps"),
        (["--set", "DatasetConfig.context_column=q"], "DatasetConfig.context_column"),
        (["--set", "r=4"], "--set r=4"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, flags: list[str], field: str) -> None:
    with pytest.raises(UserError, match=field):
        read(tmp_path, "d", *flags)


def test_an_unknown_flag_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--epochs"):
        read(tmp_path, "d", "--epochs", "3")


def test_2e_5_is_a_number_as_users_mean_it(tmp_path: Path) -> None:
    found = read(tmp_path, "d", "--set", "TrainingArguments.learning_rate=2e-4").config.TrainingArguments
    assert found.learning_rate == 2e-4


def test_paths_come_from_the_environment_where_no_flag_names_them() -> None:
    environment = {
        "TUNING_MODEL": "/m",
        "TUNING_DATA": "/a.jsonl /b.jsonl",
        "TUNING_OUTPUT": "/o",
        "TUNING_CONFIG": "/c",
    }
    found = arguments.parse(["--output=/mine"], environment)
    assert (found.model, found.data, found.config) == ("/m", ("/a.jsonl", "/b.jsonl"), Path("/c"))
    assert found.output == Path("/mine") and arguments.parse(["--data", "/x"], environment).data == ("/x",)
