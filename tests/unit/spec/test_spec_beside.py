"""ConfigMaps and Secrets beside a Workspace: read, checked, and held against what the Workspace asks of them."""

import base64
from pathlib import Path
from typing import Any

import pytest

from kaito_components.spec import read_documents
from tests.unit.spec.workspaces import INFERENCE, TUNING, accepted, changed, config_map, problems, secret
from tuning_image import arguments, settings

LOGIN = '{"auths": {}}'
TRAINING = """\
training_config:
  ModelConfig: {torch_dtype: bfloat16, local_files_only: true, device_map: auto}
  QuantizationConfig: {load_in_4bit: true, bnb_4bit_quant_type: nf4}
  LoraConfig: {r: 8, lora_alpha: 8, lora_dropout: 0.0, target_modules: [q_proj, v_proj]}
  TrainingArguments: {output_dir: /mnt/results, save_strategy: epoch}
  DataCollator: {mlm: true}
  DatasetConfig: {shuffle_dataset: true, train_test_split: 1}
"""


def test_a_complete_training_configuration_is_accepted() -> None:
    assert accepted(changed(TUNING, "tuning/config", "c"), config_map(TRAINING)).findings == ()


@pytest.mark.parametrize("text", ["{}", "{LoraConfig: {r: 16}}", "{QuantizationConfig: {load_in_8bit: true}}"])
def test_qlora_is_in_4_bit_unless_the_file_says_otherwise_and_the_image_agrees(text: str, tmp_path: Path) -> None:
    file = tmp_path / "training_config.yaml"
    file.write_text(f"training_config: {text}")
    assert accepted(changed(TUNING, "tuning/config", "c"), config_map(file.read_text())).findings == ()
    argv = ["--model", "m", "--data", "d", "--output", "o", "--method", "qlora", "--config", str(file)]
    bits = settings.read(arguments.parse(argv), {}).config.QuantizationConfig
    assert (bits.load_in_4bit, bits.load_in_8bit) == (("8bit" not in text), "8bit" in text)


# (training_config, code of the error, words of its message)
TRAINING_RULES = [
    ("training_config: {Other: {}, QuantizationConfig: {load_in_8bit: true}}", "config-section", "Other is unknown"),
    ("training_config: {QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}}", "quantization", "keep one"),
    ("training_config: {QuantizationConfig: {load_in_4bit: 1}}", "quantization", "true or false"),
    ("training_config: {QuantizationConfig: {load_in_4bit: null}}", "quantization", "true or false"),
    ("training_config: {QuantizationConfig: [a]}", "config-content", "must be a mapping"),
    ("training_config: {QuantizationConfig: {load_in_4bit: false}}", "quantization", "contradicts the method qlora"),
    ("training_config: [a]", "config-content", "no mapping training_config"),
    ("[]", "config-content", "not one YAML mapping"),
    ("", "config-content", "not one YAML mapping"),
    ("a: [", "config-content", "line 1"),
    ("a: 1\na: 2", "config-content", "line 2: a stands twice"),
    (TRAINING.replace("/mnt/results", "../results"), "output-dir", "below /mnt"),
    (TRAINING.replace("/mnt/results", "."), "output-dir", "below /mnt"),
    (TRAINING.replace("/mnt/results", "5"), "output-dir", "5 must be a folder"),
]


@pytest.mark.parametrize(("text", "code", "words"), TRAINING_RULES)
def test_a_training_configuration_beside_the_workspace_is_checked(text: str, code: str, words: str) -> None:
    (found,) = problems(changed(TUNING, "tuning/config", "c"), config_map(text))
    assert (found.code, found.field) == (code, "tuning.config") and words in found.message


def test_lora_does_not_quantize() -> None:
    (found,) = problems(changed(changed(TUNING, "tuning/config", "c"), "tuning/method", "lora"), config_map(TRAINING))
    assert "use qlora" in found.message


# (inference_config.yaml, code of the error or None, words of its message)
INFERENCE_RULES = [
    ("vllm: {max-model-len: 4096, swap-space: 4, gpu-memory-utilization: 0.95}\nmax_probe_steps: 6", None, ""),
    ("vllm: {max-model-len: '4096'}", None, ""),
    ("kv_cache_cpu_memory_utilization: 0.5", None, ""),
    ("vllm: {max-model-len: long}", "config-content", "whole number of tokens"),
    ("vllm: {max-model-len: 0}", "config-content", "whole number of tokens"),
    ("vllm: {max-model-len: 1.5}", "config-content", "whole number of tokens"),
    ("vllm: {speculative-config: {method: mtp}}", "config-content", "put JSON in quotes"),
    ("vllm: [a]", "config-content", "vllm must be a mapping"),
    ("7", "config-content", "not one YAML mapping"),
]


@pytest.mark.parametrize(("text", "code", "words"), INFERENCE_RULES)
def test_an_inference_configuration_beside_the_workspace_is_checked(text: str, code: str | None, words: str) -> None:
    documents = [changed(INFERENCE, "inference/config", "c"), config_map(text, "inference_config.yaml")]
    if code is None:
        assert accepted(*documents).findings == ()
    else:
        (found,) = problems(*documents)
        assert (found.code, found.field) == (code, "inference.config") and words in found.message


def test_a_section_that_no_runtime_reads_is_a_warning() -> None:
    (found,) = accepted(
        changed(INFERENCE, "inference/config", "c"), config_map("vlm: {}", "inference_config.yaml")
    ).findings
    assert (found.severity, found.code) == ("warning", "config-section")


def test_a_configuration_without_the_key_is_an_error() -> None:
    (found,) = problems(changed(INFERENCE, "inference/config", "c"), config_map("x", "training_config.yaml"))
    assert found.code == "config-key" and "no key inference_config.yaml" in found.message


def test_a_configuration_in_the_cluster_is_not_looked_at() -> None:
    assert accepted(changed(INFERENCE, "inference/config", "c")).findings == ()


def test_an_object_beside_in_another_namespace_is_a_warning() -> None:
    (found,) = accepted(changed(TUNING, "tuning/config", "c"), config_map(TRAINING, namespace="other")).findings
    assert found.code == "other-namespace" and "namespace 'other'" in found.message


def test_a_broken_configuration_is_not_said_to_lack_its_key() -> None:
    broken = {**config_map(""), "data": {"training_config.yaml": {}}}
    (found,) = problems(changed(TUNING, "tuning/config", "c"), broken)
    assert (found.code, found.field) == ("wrong-type", "data.training_config.yaml")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({**config_map("x"), "binaryData": {"k": "AA=="}}, "unsupported-field"),
    ({**config_map("x"), "immutable": True}, "unsupported-field"),
    (secret(immutable=True), "unsupported-field"),
    (config_map("x", "a b"), "invalid-key"),
    (config_map("x", name="C_D"), "invalid-name"),
    (secret(name="C_D"), "invalid-name"),
    (secret(data={"k": "not base64!"}), "not-base64"),
    (secret(data={"k": "abc"}), "not-base64"),
    (secret(data={"HF_TOKEN": "<base64-encoded-huggingface-token>"}), "placeholder"),
    (secret(stringData={"HF_TOKEN": "YOUR_TOKEN"}), "placeholder"),
    (secret(type="kubernetes.io/dockerconfigjson", data={}), "secret-key"),
    (secret(type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": "x"}), "secret-key"),
]


@pytest.mark.parametrize(("document", "code"), REFUSED)
def test_an_object_that_cannot_be_made_or_changed_is_refused(document: dict[str, Any], code: str) -> None:
    assert [finding.code for finding in problems(document)] == [code]


def test_immutable_false_is_what_everything_is() -> None:
    assert read_documents([{**config_map("x"), "immutable": False}]).config_maps


def test_base64_over_several_lines_is_accepted() -> None:
    encoded = base64.b64encode(LOGIN.encode()).decode()
    document = secret(
        type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": f"{encoded[:8]}\n{encoded[8:]}\n"}
    )
    assert read_documents([document, TUNING]).secrets


# (Workspace, the field that names Secret `push`, the key that is read)
ASKED: list[tuple[dict[str, Any], str, Any, str]] = [
    (TUNING, "tuning/output/imagePushSecret", "push", ".dockerconfigjson"),
    (TUNING, "tuning/input", {"image": "r/a:1", "imagePullSecrets": ["push"]}, ".dockerconfigjson"),
    (TUNING, "tuning/preset/presetOptions", {"modelAccessSecret": "push"}, "HF_TOKEN"),
    (INFERENCE, "inference/preset/presetOptions", {"modelAccessSecret": "push"}, "HF_TOKEN"),
    (INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/api-key-secret": "push"}, "API_KEY"),
    (INFERENCE, "inference/preset/presetOptions", {"imagePullSecrets": ["push"]}, ".dockerconfigjson"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a", "image": "r/a", "imagePullSecrets": ["push"]}}],
     ".dockerconfigjson"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "path", "value", "key"), ASKED)
def test_a_secret_beside_must_have_the_key_that_is_read(base: dict[str, Any], path: str, value: Any, key: str) -> None:
    document = changed(base, path, value)
    assert f"Secret push has no key {key}" in repr(problems(document, secret(stringData={"other": "x"})))
    both = {".dockerconfigjson": LOGIN, "HF_TOKEN": "t", "API_KEY": "t"}
    assert accepted(document, secret(stringData=both))


def test_a_login_that_is_no_json_is_an_error() -> None:
    (found,) = problems(TUNING, secret(stringData={".dockerconfigjson": "user:password"}))
    assert found.code == "secret-key" and "password" not in str(found)


HIDDEN: list[dict[str, Any]] = [
    secret(data={"k": "hunter2!"}),
    secret(stringData={"k": ["hunter2!"]}),
    secret(data="hunter2!"),
    secret(type=["hunter2!"]),
    secret(stringdata={"k": "hunter2!"}),
    secret(type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": "hunter2!"}),
    {**secret(), "kind": "secret", "stringData": {"k": "hunter2!"}},
]


@pytest.mark.parametrize("document", HIDDEN)
def test_a_secrets_value_is_in_no_message(document: dict[str, Any]) -> None:
    assert "hunter2" not in repr(problems(document))


def test_a_secrets_value_is_in_no_repr_and_not_in_what_kubectl_noted() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData": {"k": "hunter2!"}}'}
    found = read_documents(
        [{**secret(stringData={"k": "hunter2!"}), "metadata": {"name": "s", "annotations": applied}}]
    )
    assert found.secrets[0].string_data["k"] == "hunter2!" and "hunter2" not in repr(found)
    assert [finding.code for finding in found.findings] == ["server-field"] and found.secrets[0].annotations == {}


def test_a_double_key_of_a_secret_is_said_without_its_values(tmp_path: Any) -> None:
    from tests.unit.spec.workspaces import problems_of_text

    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  k: hunter2!\n  k: hunter3!\n"
    (found,) = problems_of_text(tmp_path, text)
    assert (found.code, found.line) == ("duplicate-key", 6) and "hunter" not in repr(found)
