"""`python -m benchmarks [imports] [plan] [preview] [up] [tuning] [serving] [gpu]`: by default all but gpu."""

import sys
from collections.abc import Callable

from benchmarks import gpu, imports, plan, preview, serving, tuning, up

MEASUREMENTS: dict[str, Callable[[], None]] = {
    "imports": imports.main,
    "plan": plan.main,
    "preview": preview.main,
    "up": up.main,
    "tuning": tuning.main,
    "serving": serving.main,
    "gpu": gpu.main,
}

chosen = sys.argv[1:] or [name for name in MEASUREMENTS if name != "gpu"]
if unknown := set(chosen) - set(MEASUREMENTS):
    sys.exit(f"benchmarks: {', '.join(sorted(unknown))} is none of {', '.join(MEASUREMENTS)}")
for name in chosen:
    MEASUREMENTS[name]()
