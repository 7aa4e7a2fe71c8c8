"""What the processes of test_processes do: they import it, and nothing heavy with it."""

import os
import threading
import time
from datetime import timedelta
from typing import Any

from tuning_image.errors import OutOfMemoryError, UserError
from tuning_image.processes import Place, Told


def tells(place: Place, told: Told, word: str) -> None:
    told({"rank": place.rank, "count": place.count, "word": word})


def second_is_wrong(place: Place, told: Told) -> None:
    told({"pid": os.getpid()})
    if place.rank == 1:
        raise UserError("row 7 is wrong")
    time.sleep(600)


def second_dies(place: Place, told: Told) -> None:
    told({"pid": os.getpid()})
    if place.rank == 1:
        os.kill(os.getpid(), 9)
    time.sleep(600)


def second_does_not_end(place: Place, told: Told) -> None:
    if place.rank:
        threading.Thread(target=time.sleep, args=(600,)).start()


def first_loses_its_neighbour(place: Place, told: Told) -> None:
    if place.rank == 1:
        time.sleep(0.5)
        raise OutOfMemoryError("CUDA out of memory")
    raise RuntimeError("Connection closed by peer")


def sleeps(place: Place, told: Told, *_: Any) -> None:
    print(os.getpid(), flush=True)
    time.sleep(600)


def second_is_stuck(place: Place, told: Told, together: bool) -> None:
    from tuning_image.training import ranks  # seconds of imports, that the others do without

    ranks.PATIENCE = timedelta(seconds=8 if together else 1)
    with ranks.patient():
        if place.rank == 0 or together:
            ranks.join(place.rank, place.count, place.store, False)
        if place.rank == 0:
            ranks.wait()
    time.sleep(600)
