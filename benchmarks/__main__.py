"""`python -m benchmarks [imports] [plan] [preview] [up] [tuning]`: the measurements, all by default, as tables."""

import sys
from collections.abc import Callable

from benchmarks import imports, plan, preview, tuning, up

MEASUREMENTS: dict[str, Callable[[], None]] = {
    "imports": imports.main,
    "plan": plan.main,
    "preview": preview.main,
    "up": up.main,
    "tuning": tuning.main,
}

chosen = sys.argv[1:] or list(MEASUREMENTS)
if unknown := set(chosen) - set(MEASUREMENTS):
    sys.exit(f"benchmarks: {', '.join(sorted(unknown))} is none of {', '.join(MEASUREMENTS)}")
for name in chosen:
    MEASUREMENTS[name]()
