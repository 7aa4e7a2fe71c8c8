"""The tests with real nodes where a machine cannot have them: each is reported as not run, by its name and why."""

import os
import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_where_real_nodes_are_not_possible_each_container_test_is_reported_as_not_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-rs", "--no-fold-skipped", "-p", "no:cacheprovider", "tests/containers"]
    without_tools = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=CHECKOUT, env=without_tools, capture_output=True, text=True, timeout=120)
    said = dict(re.findall(r"^SKIPPED tests/containers/\w+\.py::(\w+) - Skipped: (.*)$", done.stdout, re.MULTILINE))
    files = (path.read_text() for path in (CHECKOUT / "tests/containers").glob("test_*.py"))
    assert done.returncode == 0
    assert said.keys() == {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert all(why.startswith("not run: real nodes are not possible here: ") for why in said.values()), said
