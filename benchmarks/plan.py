"""What `kaito plan` costs: one file against starting Python with pydantic, and a thousand Workspaces in one process."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice, product
from pathlib import Path

from kaito_components.plan import plan
from kaito_components.presets import load_preset, preset_names
from kaito_components.presets.lookup import read_file
from kaito_components.spec.reader import read_files

RUNS = 9
ONE_BOUND_SECONDS = 0.5
COUNT = 1000
ALL_BOUND_SECONDS = 5
FILE = Path(__file__).parents[1] / "examples" / "quickstart" / "workspace-phi-4-mini.yaml"
PYDANTIC = "import pydantic\nclass One(pydantic.BaseModel):\n    name: str\nOne(name='one')"
SIZES = ("Standard_NC24ads_A100_v4", "Standard_NC96ads_A100_v4", "Standard_NC4as_T4_v3", "Standard_ND96isr_H100_v5")
SERVE = "inference: {{preset: {{name: {preset}}}}}"
TUNE = (
    "tuning: {{preset: {{name: {preset}}}, method: qlora, input: {{urls: [https://example.com/t.parquet]}}, "
    "output: {{image: 'r.example.com/a:1', imagePushSecret: push}}}}"
)


def _seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _one() -> None:
    """Whole processes in turn, so that what else the machine does hits both."""
    kaito = ("-m", "kaito_components.cli", "plan", str(FILE), "--region", "westeurope")
    rounds = [(_seconds("-c", PYDANTIC), _seconds(*kaito), _seconds(*kaito, "--format", "json")) for _ in range(RUNS)]
    plain, text, machine = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"Python with pydantic {plain:.2f} s; kaito plan {text:.2f} s ({text - plain:+.2f} s), as JSON {machine:.2f} s"
    )
    print(f"  bound: +{ONE_BOUND_SECONDS} s")


def _documents() -> Iterator[str]:
    """Every preset on every size in turn; each that can be tuned is tuned as well."""
    served = product(preset_names(), SIZES)
    for number, (preset, size) in enumerate(islice(cycle(served), COUNT)):
        task = TUNE if number % 3 == 0 and load_preset(preset).tuning else SERVE
        yield (
            f"apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {{name: w{number}}}\n"
            f"resource: {{instanceType: {size}, labelSelector: {{matchLabels: {{app: w{number}}}}}}}\n"
            + task.format(preset=preset)
        )


def _thousand() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all.yaml"
        file.write_text("\n---\n".join(_documents()))
        load_preset.cache_clear()
        read_file.cache_clear()
        start = time.perf_counter()
        bundle = read_files([file])
        read = time.perf_counter()
        plans = [plan(one, bundle=bundle, region="westeurope") for one in bundle.workspaces]
        planned = time.perf_counter()
    assert len(plans) == COUNT
    print(
        f"{COUNT} Workspaces: read {read - start:.1f} s, planned {planned - read:.1f} s ({len(preset_names())} presets)"
    )
    print(f"  bound: planned in {ALL_BOUND_SECONDS} s\n")


def main() -> None:
    """Prints both measurements."""
    _one()
    _thousand()
