"""`python -m tests.serving.jumping`: the server's own main on a machine whose clock can be set, by both its processes.

While the file JUMPING_FILE is there, the time of day is the seconds in it later (or earlier); no other clock moves.
"""

import os
import sys
import time
from pathlib import Path

OFFSET, real = Path(os.environ["JUMPING_FILE"]), time.time


def jumped() -> float:
    """The time of day, as it is set."""
    return real() + float(OFFSET.read_text() if OFFSET.exists() else 0)


time.time = jumped
time.time_ns = lambda: int(jumped() * 1e9)

if __name__ == "__main__":
    from serving_image.__main__ import main

    sys.exit(main())
