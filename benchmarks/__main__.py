"""`python -m benchmarks [imports] [preview] [up]`: runs the measurements, all by default, and prints their tables."""

import sys
from collections.abc import Callable

from benchmarks import imports, preview, up

MEASUREMENTS: dict[str, Callable[[], None]] = {"imports": imports.main, "preview": preview.main, "up": up.main}

chosen = sys.argv[1:] or list(MEASUREMENTS)
if unknown := set(chosen) - set(MEASUREMENTS):
    sys.exit(f"benchmarks: {', '.join(sorted(unknown))} is none of {', '.join(MEASUREMENTS)}")
for name in chosen:
    MEASUREMENTS[name]()
