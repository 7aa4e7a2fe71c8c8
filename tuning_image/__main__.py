"""`python -m tuning_image`: settings → data → training → result → push. Exit codes: see errors."""

import os
import signal
import sys
from collections.abc import Sequence

from tuning_image import arguments, errors, run, settings


def main(argv: Sequence[str]) -> int:
    """One run; the exit code."""
    signal.signal(signal.SIGTERM, _stop)  # as process 1 of a container it would have no effect otherwise
    try:
        chosen = settings.read(arguments.parse(argv), os.environ)
        print("\n".join(chosen.lines()), flush=True)
        run.run(chosen)
    except errors.TuningError as error:
        print(f"tuning: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return errors.DONE


def _stop(*_: object) -> None:
    raise errors.StoppedError("SIGTERM: stopped; the same command goes on from the last checkpoint, if there is one")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
