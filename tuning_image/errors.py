"""What can be wrong, by what the Job should do about it. Raised everywhere, turned into exit codes by __main__."""

DONE = 0
TRY_AGAIN = 1
USER_ERROR = 42  # the Job's podFailurePolicy ends the Job: no retry mends it
STOPPED = 143  # 128 + SIGTERM: the pod is taken away, a checkpoint is written


class TuningError(Exception):
    """Something stops the run; the text says where, what, why and the way out."""

    exit_code = TRY_AGAIN


class UserError(TuningError):
    """The input is wrong: data, configuration, model folder, login. The same run fails again."""

    exit_code = USER_ERROR


class TryAgainError(TuningError):
    """The surroundings failed: network, registry, disk. The same run may pass later, and goes on where it was."""


class StoppedError(TuningError):
    """SIGTERM came; the state is on disk."""

    exit_code = STOPPED


class OutOfMemoryError(TuningError):
    """One of several processes ran out of memory: all start anew with fewer rows at a time. Never leaves tuning."""
