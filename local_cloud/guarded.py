"""An instance that ends with the process that uses it, even if that is killed. Called by tests with real nodes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cloud.instance import Instance

WAIT_THEN_RUN = 'cat >/dev/null; exec "$@"'


@contextmanager
def guarded(instance: Instance) -> Iterator[Instance]:
    """Another process takes the instance down as soon as a pipe from here closes: the kernel does that in any case.

    Raises:
        ChildProcessError: it could not.
    """
    down = [sys.executable, "-m", "local_cloud", "down", "--name", instance.name]
    guard = subprocess.Popen(
        ["/bin/sh", "-c", WAIT_THEN_RUN, "sh", *down],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    with guard:  # its end closes the pipe and waits
        yield instance
    if guard.returncode:
        raise ChildProcessError(f"local cloud {instance.name!r} could not be taken down; see above")
