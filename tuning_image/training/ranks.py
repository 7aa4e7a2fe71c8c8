"""This process among those that train together, and what they agree on. Called by tuning, the trainer and callbacks.

accelerate, inside transformers' Trainer, finds the group that `join` makes and copies the model to each of them.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from tuning_image.errors import TryAgainError, UserError
from tuning_image.settings import Settings

# The longest that one waits while another loads the model or writes a checkpoint on a slow volume, and some more. Then
# gloo and the store raise an error with one of the words below; NCCL's watchdog ends the process with SIGABRT.
PATIENCE = timedelta(minutes=30)
LATE = ("Timed out", "timed out", "timeout")


def wanted(settings: Settings) -> int:
    """How many processes: --processes, else one for each visible GPU.

    Raises:
        UserError: If there are fewer GPUs than processes.
    """
    asked = settings.arguments.processes
    gpus = torch.cuda.device_count() if settings.config.ModelConfig.device_map != "cpu" else 0
    if asked and gpus and asked > gpus:
        raise UserError(f"--processes {asked}: there are {gpus} GPUs; each process needs its own")
    return asked or max(1, gpus)


def join(rank: int, processes: int, store: str, gpu: bool) -> None:
    """Meets the others; NCCL between GPUs, gloo on loopback between CPUs."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    if gpu:
        torch.cuda.set_device(rank)
    else:
        threads = os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        torch.set_num_threads(int(threads))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if gpu else "gloo", init_method=f"file://{store}", rank=rank, world_size=processes, timeout=PATIENCE
    )


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Around what is done together: names the end of PATIENCE.

    Raises:
        TryAgainError: If another process did not come to do its part.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in LATE):
            raise
        raise TryAgainError(
            f"process {os.environ['RANK']} of those from 0 to {int(os.environ['WORLD_SIZE']) - 1} waited "
            f"{PATIENCE.total_seconds():.0f} s for another one, which is stuck or much too slow: {error}"
        ) from None


def leave() -> None:
    """After the last thing that is done together."""
    if count() > 1:
        distributed.destroy_process_group()


def count() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """The one that writes files and talks."""
    return rank() == 0


@patient()
def total(*values: float) -> list[float]:
    """Each value, added up over all."""
    if count() == 1:
        return list(values)
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    added = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(added)
    return [float(value) for value in added]


def anyone(is_so: bool) -> bool:
    """Whether it is so for one of them: what one must do, all do in the same step."""
    return total(is_so)[0] > 0


@patient()
def gathered(values: Sequence[str]) -> list[str]:
    """The values of all."""
    if count() == 1:
        return list(values)
    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, list(values))
    return [value for each in found for value in each]


@patient()
def wait() -> None:
    """Until all are here."""
    if count() > 1:
        distributed.barrier()
