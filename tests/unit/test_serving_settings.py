"""The serving image's settings; and that they understand what the manifests write."""

import ast
from pathlib import Path

import pytest

from kaito_components.manifests.inference import workload
from kaito_components.plan.runtime import REASONING_PARSERS, TOOL_PARSERS
from kaito_components.presets import load_preset, preset_names
from kaito_components.sizing.estimator import UNPACKED_BITS
from kaito_components.spec.model import Adapter, DataSource
from serving_image.errors import SettingsError
from serving_image.setting_types import AdapterSpec
from serving_image.settings import read
from tests.unit.workspaces import A100, CPU, T4, codes, inference, planned


def test_flags_win_over_variables_and_the_origin_is_told():
    settings = read(["--model", "m", "--port", "1"], {"SERVING_PORT": "2", "SERVING_MAX_RUNNING": "3"})
    assert (settings.port, settings.max_running) == (1, 3)
    assert settings.origins == {"port": "--port", "max_running": "SERVING_MAX_RUNNING", "model": "--model"}


def test_all_problems_come_out_together():
    with pytest.raises(SettingsError) as caught:
        read(["--port", "x", "--frobnicate"], {"SERVING_NOPE": "1"})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "--frobnicate",
        "SERVING_NOPE",
        "--port:",
        "--model",
    ]


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--dtype", "int4"),
        ("--adapter", "name"),
        ("--adapter", "a=/x:heavy"),
        ("--queue-timeout", "-1"),
        ("--kv-cache-bytes", "lots"),
        ("--api-key-file", "/does/not/exist"),
        ("--max-running", "0"),
    ],
)
def test_a_value_that_does_not_parse_stops_the_process(flag: str, value: str):
    with pytest.raises(SettingsError, match=f"{flag}: '{value}'"):
        read(["--model", "m", flag, value], {})


def test_sizes_may_have_a_unit():
    assert read(["--model", "m", "--kv-cache-bytes", "2Gi"], {}).kv_cache_bytes == 2 * 2**30


def test_the_image_reads_the_command_that_the_manifests_write():
    adapter = Adapter(DataSource("law", image="r.example.com/law:1"), strength=0.5)
    made = planned(inference(T4, adapters=(adapter,)))
    assert made.command[:3] == ("python", "-m", "serving_image")
    settings = read(made.command[3:], {})
    assert settings.model == "microsoft/Phi-4-mini-instruct" and settings.model_name == "phi-4-mini-instruct"
    assert (settings.host, settings.port, settings.dtype) == ("0.0.0.0", 5000, "float16")
    assert settings.adapter == (AdapterSpec("law", Path("/mnt/adapter/law"), 0.5),)


def test_the_container_of_a_workspace_has_the_flags_ports_and_probes_that_the_image_knows():
    made = planned(inference(T4))
    pod = workload(made)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    plain = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    settings = read(container["command"][3:], plain)
    assert container["ports"][0]["containerPort"] == settings.port
    assert container["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": settings.port}
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("size", [CPU, T4, A100])
def test_a_pod_that_must_go_first_gets_no_more_requests_then_answers_those_it_has_then_is_gone(size: str):
    pod = workload(planned(inference(size)))["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    to_stop = 5  # for the process to end; the grace period counts from the beginning of preStop
    drains = read(["--model", "m"], {}).drain_timeout
    assert waits > 0 and waits + drains + to_stop <= pod["terminationGracePeriodSeconds"]
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/health"  # 503 from SIGTERM on


def test_every_probe_asks_a_path_that_the_image_answers():
    container = workload(planned(inference(T4)))["spec"]["template"]["spec"]["containers"][0]
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "serving_image").rglob("*.py"))
    assert paths and all(f'"{path}"' in source for path in paths)


def test_every_folder_that_the_image_is_told_is_mounted():
    adapter = Adapter(DataSource("law", image="r.example.com/law:1", image_pull_secrets=("pull",)))
    key = {"pulumi.kaito.sh/api-key-secret": "key", "pulumi.kaito.sh/weights": "image:r.example.com/weights:1"}
    pod = workload(planned(inference(T4, adapters=(adapter,), annotations=key)))["spec"]["template"]["spec"]
    container = pod["containers"][0]
    flags = dict(zip(container["command"][3::2], container["command"][4::2], strict=True))
    told = {flags["--model"], flags["--adapter"].partition("=")[2], str(Path(flags["--api-key-file"]).parent)}
    assert told <= {one["mountPath"] for one in container["volumeMounts"]}
    assert {one["name"] for one in container["volumeMounts"]} <= {one["name"] for one in pod["volumes"]}


def test_a_service_named_serving_would_stop_the_image_which_is_why_links_are_off():
    with pytest.raises(SettingsError, match=r"SERVING_PORT: .tcp://10\.0\.0\.1:80."):
        read(["--model", "m"], {"SERVING_PORT": "tcp://10.0.0.1:80"})


def test_a_default_model_that_is_no_adapter_is_refused() -> None:
    with pytest.raises(SettingsError, match="--default-model 'two' is no --adapter; there are: one"):
        read(["--model", "m", "--adapter", "one=/a", "--default-model", "two"], {})


@pytest.mark.parametrize("name", TOOL_PARSERS)
def test_a_tool_call_parser_that_a_plan_names_is_known_to_the_image(name: str):
    assert read(["--model", "m", "--tool-call-parser", name], {}).tool_call_parser == name


@pytest.mark.parametrize("name", REASONING_PARSERS)
def test_a_reasoning_parser_that_a_plan_names_is_known_to_the_image(name: str):
    assert read(["--model", "m", "--reasoning-parser", name], {}).reasoning_parser == name


def test_every_preset_of_this_runtime_hands_its_parsers_to_the_image():
    served = [preset for preset in map(load_preset, preset_names()) if "transformers" in preset.runtimes]
    for preset in served:
        made = planned(inference(A100, preset.name, annotations={"kaito.sh/runtime": "transformers"}))
        assert "parser-not-read" not in codes(made, "warning")
        settings = read(made.command[3:], {})
        assert settings.tool_call_parser == (preset.tool_call_parser or "none"), preset.name
        assert settings.reasoning_parser == (preset.reasoning_parser or "none"), preset.name
    assert {preset.reasoning_parser for preset in served} >= {"deepseek_r1", "openai_gptoss"}


def test_the_plan_counts_as_unpacked_what_the_image_unpacks():
    """The image's modules import PyTorch, so their tables are read and not imported."""
    engine = Path(__file__).parents[2] / "serving_image" / "engine"
    tables = {"precision.py": "UNPACKED", "int4.py": "FORMATS"}
    methods: set[str] = set()
    for file, table in tables.items():
        for node in ast.parse((engine / file).read_text()).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == table and isinstance(node.value, ast.Dict):
                methods |= {ast.literal_eval(key) for key in node.value.keys if key}
    assert methods == set(UNPACKED_BITS) != set()
