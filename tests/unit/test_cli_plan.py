"""`kaito plan` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "quickstart"
DOCS = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()


def kaito(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaito_components.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=EXAMPLES.parents[1])


def test_json_holds_the_keys_that_scripts_rely_on() -> None:
    done = kaito("plan", str(EXAMPLES / "workspace-phi-4-mini.yaml"), "--format", "json")
    (one,) = json.loads(done.stdout)
    assert done.returncode == 0 and one["name"] == "workspace-phi-4-mini"
    assert {"preset", "nodeCount", "runtime", "maxModelLen", "image", "command", "memory", "disk", "cost"} <= set(one)
    assert {"kind": "Deployment", "name": "workspace-phi-4-mini"} in one["resources"]


KEYS = {
    "name", "namespace", "inferenceSet", "instanceType", "preset", "task", "nodeCount", "gpusPerNode", "runtime",
    "tensorParallelSize",
    "pipelineParallelSize", "dataParallelSize", "maxModelLen", "dtype", "image", "command", "weights", "memory", "disk",
    "pool", "cost", "waitFor", "timeoutSeconds", "region", "room", "largestModel", "findings", "resources",
}  # fmt: skip


def test_the_shape_of_the_json_is_the_documented_one() -> None:
    done = kaito("plan", str(EXAMPLES / "workspace-phi-4-mini.yaml"), "--format", "json", "--region", "eastus")
    (one,) = json.loads(done.stdout)
    assert set(one) == KEYS
    assert set(one["memory"]) == {"weights", "kvCachePerToken", "overhead", "usablePerGpu", "gpu", "free", "terms"}
    assert set(one["memory"]["terms"][0]) == {"name", "likely", "low", "high", "source"}
    assert set(one["cost"]) == {"perHour", "perMonth", "currency", "source", "asOf", "notCounted", "unitPrices"}
    assert set(one["room"]) == {"contextTokens", "requests", "tokens", "bytesPerToken"} and isinstance(
        one["largestModel"], str
    )
    assert all(f"`{key}`" in DOCS for key in KEYS)


def test_text_names_nodes_model_and_objects() -> None:
    done = kaito("plan", str(EXAMPLES / "workspace-phi-4-mini.yaml"))
    for part in ("1 x Standard_NC24ads_A100_v4", "microsoft/Phi-4-mini-instruct", "Deployment workspace-phi-4-mini"):
        assert part in done.stdout


def test_unfilled_placeholders_end_with_1_and_say_what_to_put_there() -> None:
    done = kaito("plan", str(EXAMPLES / "workspace-tuning-phi-3.yaml"))
    assert done.returncode == 1 and "ACR_REPO_HERE" in done.stderr and ":18:" in done.stderr


def test_wrong_usage_ends_with_2() -> None:
    assert kaito("plan").returncode == 2
    assert kaito("plan", "x.yaml", "--format", "xml").returncode == 2


def workspace(folder: Path, size: str = "Standard_NC4as_T4_v3", preset: str = "phi-4-mini-instruct") -> str:
    file = folder / "w.yaml"
    file.write_text(
        "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w}\n"
        f"resource: {{instanceType: {size}, labelSelector: {{matchLabels: {{a: b}}}}}}\n"
        f"inference: {{preset: {{name: {preset}}}}}\n"
    )
    return str(file)


def test_a_workspace_that_cannot_be_planned_is_in_the_json_with_its_findings(tmp_path: Path) -> None:
    done = kaito("plan", workspace(tmp_path, "Standard_NC4as_T4_v9", "phi-5"), "--format", "json")
    (one,) = json.loads(done.stdout)
    assert done.returncode == 1 and one["nodeCount"] is None and one["resources"] == []
    assert [found["code"] for found in one["findings"]] == ["unknown-preset", "vm-size-unknown"]


def test_all_objects_of_the_json_have_the_same_keys(tmp_path: Path) -> None:
    bad, good = workspace(tmp_path, preset="phi-5"), str(EXAMPLES / "workspace-phi-4-mini.yaml")
    first, second = json.loads(kaito("plan", bad, good, "--format", "json").stdout)
    assert set(first) == set(second)


def test_text_shows_memory_and_what_there_is_to_say(tmp_path: Path) -> None:
    done = kaito("plan", workspace(tmp_path))
    assert "7.1 GiB  7.1 to 7.3 GiB" in done.stdout and "warning image-registry-unset" in done.stdout
    assert done.returncode == 0 and "\x1b[" not in done.stdout


def test_lines_fit_a_narrow_screen_but_for_the_place_of_a_finding(tmp_path: Path) -> None:
    lines = kaito("plan", workspace(tmp_path)).stdout.splitlines()
    places = [line for line in lines if line.startswith(("  warning", "  info"))]
    assert places and all(len(line.rstrip()) <= 80 for line in lines if line not in places)


def test_existing_nodes_are_planned_without_a_pool() -> None:
    file = EXAMPLES.parent / "existing-nodes" / "workspace-phi-4-mini.yaml"
    done = kaito("plan", str(file), "--nodes", "existing", "--gpus-per-node", "2", "--format", "json")
    (one,) = json.loads(done.stdout)
    assert (one["pool"], one["gpusPerNode"], one["tensorParallelSize"]) == (None, 2, 2)


def test_a_file_that_cannot_be_read_ends_with_2() -> None:
    done = kaito("plan", "no-such-file.yaml")
    assert done.returncode == 2 and "no-such-file.yaml: cannot be read" in done.stderr


def test_strict_makes_an_error_of_a_warning(tmp_path: Path) -> None:
    text = (EXAMPLES / "workspace-phi-4-mini.yaml").read_text().replace("NC24ads_A100_v4", "NC6s_v3")
    (tmp_path / "w.yaml").write_text(text)
    plain, strict = (
        kaito("plan", str(tmp_path / "w.yaml"), "--image-registry", "r", *more) for more in ([], ["--strict"])
    )
    assert plain.returncode == 0 and "warning vm-size-retired" in plain.stdout
    assert strict.returncode == 1 and "error vm-size-retired" in strict.stdout
