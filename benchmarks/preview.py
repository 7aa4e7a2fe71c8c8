"""Preview time of one more Workspace, against a plain Pulumi program that declares the same resources.

The time of a further Workspace is the slope between two counts: start-up counts for neither side.
"""

import statistics
import time
from itertools import pairwise
from pathlib import Path

from benchmarks import clouds
from local_cloud.instance import Instance
from local_cloud.stack import PROJECT

COUNTS = (1, 10, 50)
RUNS = 3
BOUND = 1.15
PLAIN = Path(__file__).parent / "plain"


def _seconds(instance: Instance, count: int, project: Path) -> float:
    with clouds.stack(instance, count, project) as stack:
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            stack.preview()
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def main() -> None:
    """Prints seconds at each count, and the slopes' ratio."""
    with clouds.cloud() as instance:
        ours = {count: _seconds(instance, count, PROJECT) for count in COUNTS}
        plain = {count: _seconds(instance, count, PLAIN) for count in COUNTS}
    print("pulumi preview, seconds (median of 3)")
    print(f"  {'Workspaces':>10} {'ours':>8} {'plain':>8} {'ratio':>8}")
    for count in COUNTS:
        print(f"  {count:>10} {ours[count]:>8.2f} {plain[count]:>8.2f} {ours[count] / plain[count]:>8.2f}")
    for low, high in pairwise(COUNTS):
        slopes = [(one[high] - one[low]) / (high - low) for one in (ours, plain)]
        text = f"{slopes[0] * 1000:.0f} ms, plain {slopes[1] * 1000:.0f} ms, ratio {slopes[0] / slopes[1]:.2f}"
        print(f"  one more, from {low} to {high}: {text} (bound {BOUND})")
    print()
