"""`python -m tuning_image`: settings → data → training → result → push. Exit codes: see errors."""

import errno
import os
import sys
from collections.abc import Sequence

from safetensors import SafetensorError

from tuning_image import arguments, errors, run, settings, stopping

# Turns that threads of OpenMP wait awake. With the millions of libgomp any program beside this one takes the core from
# the thread that all others wait for.
AWAKE_TURNS = "20000"
KEPT = "the last good checkpoint is kept, and the same command goes on from it"


def main(argv: Sequence[str]) -> int:
    """One run; the exit code."""
    stopping.end_on_sigterm()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", AWAKE_TURNS)  # read when PyTorch is loaded, which is later
    try:
        chosen = settings.read(arguments.parse(argv, os.environ), os.environ)
        print("\n".join(chosen.lines()), flush=True)
        run.run(chosen)
    except errors.TuningError as error:
        print(f"tuning: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except (OSError, SafetensorError) as error:
        if not _disk_is_full(error):
            raise
        place = getattr(error, "filename", None) or chosen.arguments.output
        print(f"tuning: {place}: the disk is full; {KEPT}", file=sys.stderr, flush=True)
        return errors.TRY_AGAIN
    return errors.DONE


def _disk_is_full(error: Exception) -> bool:
    """safetensors says it in words alone."""
    return getattr(error, "errno", None) == errno.ENOSPC or f"(os error {errno.ENOSPC})" in str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
