"""`kaito plan` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "quickstart"


def kaito(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kaito_components.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=EXAMPLES.parents[1])


def test_json_holds_the_keys_that_scripts_rely_on() -> None:
    done = kaito("plan", str(EXAMPLES / "workspace-phi-4-mini.yaml"), "--format", "json")
    (one,) = json.loads(done.stdout)
    assert done.returncode == 0 and one["name"] == "workspace-phi-4-mini"
    assert {"preset", "nodeCount", "runtime", "maxModelLen", "image", "command", "memory", "disk", "cost"} <= set(one)
    assert {"kind": "Deployment", "name": "workspace-phi-4-mini"} in one["resources"]


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
