"""SIGTERM outside of training: the process ends at once with 143, since nothing is ever half made. Called by __main__.

A container's first process would ignore the signal without a handler. While steps are made, training.callbacks has its
own handler, which lets the step end and writes a checkpoint.
"""

import os
import signal
import sys
from typing import Any

from tuning_image.errors import STOPPED


def end_on_sigterm() -> None:
    """From now on SIGTERM ends the process."""
    signal.signal(signal.SIGTERM, _end)


def _end(*_: Any) -> None:
    # no exception: libraries that are being imported or called may catch it
    os.write(sys.stderr.fileno(), b"tuning: SIGTERM: stopped outside of training; the same command goes on\n")
    os._exit(STOPPED)
