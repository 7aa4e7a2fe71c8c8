"""What Pulumi's process for dynamic providers lacks for resources that wait. Called by each provider's `configure`.

`python -m pulumi.dynamic` (3.259) serves all dynamic resources of a stack, and was made for calls of milliseconds: four
at a time, deaf to cancellation, errors as tracebacks. `prepare` changes the process it runs in. Each of the changes is
left out where the SDK does not look as expected; then waits queue, cancel late, or read worse, and nothing breaks.
"""

import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

from kaito_components.errors import KaitoError

SERVER = "pulumi.dynamic.__main__"
CALLS = 256  # at a time, instead of 4: fifty waits must not hold up the next Check

_cancelled = threading.Event()
_preparing = threading.Lock()
_is_prepared = False


def prepare() -> None:
    """Fits the process for waits; the second call does nothing, and neither does one in another kind of process."""
    global _is_prepared
    server = sys.modules["__main__"]
    if getattr(server.__spec__, "name", "") != SERVER:
        return
    with _preparing:
        if not _is_prepared:
            _is_prepared = True
            _serve_more_calls()
            _end_with_the_engine()
            _hear_of_cancellation(server)
            _say_errors_plainly(server)


def is_cancelled() -> bool:
    """Whether the engine has asked everything that is under way to stop."""
    return _cancelled.is_set()


def _serve_more_calls() -> None:
    """Raises the limit of the pool that runs the current call; it makes threads only when it has work for them."""
    arguments = getattr(threading.current_thread(), "_args", ())
    pool = arguments[0]() if arguments and callable(arguments[0]) else None
    if isinstance(pool, ThreadPoolExecutor) and hasattr(pool, "_max_workers"):
        pool._max_workers = max(pool._max_workers, CALLS)


def _end_with_the_engine() -> None:
    """Ends the process when the engine is gone, even by SIGKILL: the engine holds the other end of standard input.

    The process's parent is a shell script of the SDK, which outlives the engine, so its parent's id tells nothing.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_exit_at_end_of_input, name="end-with-engine", daemon=True).start()


def _exit_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _hear_of_cancellation(server: ModuleType) -> None:
    """Makes the RPC Cancel, which the SDK answers and forgets, end the waits.

    gRPC holds the method that was there at the start, so its code is replaced and not the method.
    """

    def cancel(self: Any, request: Any, context: Any) -> Any:
        from google.protobuf import empty_pb2

        from kaito_components.provider_process import _cancelled

        _cancelled.set()
        return empty_pb2.Empty()

    method = getattr(getattr(server, "DynamicResourceProviderServicer", None), "Cancel", None)
    if method is not None and not method.__code__.co_freevars:
        method.__code__ = cancel.__code__


def _say_errors_plainly(server: ModuleType) -> None:
    """Lets our own errors reach the user as the sentence they are; the SDK sends `traceback.format_exc()`."""
    original = getattr(server, "traceback", None)
    if isinstance(original, ModuleType):

        def format_exc() -> str:
            error = sys.exception()
            return str(error) if isinstance(error, KaitoError) else str(original.format_exc())

        vars(server)["traceback"] = SimpleNamespace(format_exc=format_exc)
