"""What `import kaito_components` costs over `import pulumi`: whole processes, in turn, medians."""

import statistics
import subprocess
import sys
import time

RUNS = 9
BOUND_SECONDS = 0.3


def _seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints both medians and their difference."""
    both = [(_seconds("import pulumi"), _seconds("import pulumi, kaito_components")) for _ in range(RUNS)]
    plain, ours = (statistics.median(column) for column in zip(*both, strict=True))
    print(f"import pulumi {plain:.2f} s; with kaito_components {ours:.2f} s; difference {ours - plain:+.2f} s")
    print(f"  bound: +{BOUND_SECONDS} s\n")
