"""What goes wrong between a client and the stand-in. Used by server.py; tests arm them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Route = Literal["token", "usages", "skus", "prices"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, `times` times, for the requests of a route.

    Attributes:
        how: `answer` sends `status`; `cut` closes the connection in the middle; `hang` says nothing until the end.
        retry_after: the header of that name, as sent.
    """

    route: Route
    status: int = 500
    code: str = "InternalServerError"
    message: str = "The server encountered an internal error. Please retry the request."
    how: Literal["answer", "cut", "hang"] = "answer"
    retry_after: str | None = None
    times: int = 1


class Faults:
    """The armed faults; each strikes as often as it says, the first armed first."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def arm(self, faults: Sequence[Fault]) -> None:
        with self._lock:
            self._left += [(fault, fault.times) for fault in faults]

    def strike(self, route: Route) -> Fault | None:
        """The fault of this request, if there is one."""
        with self._lock:
            for index, (fault, left) in enumerate(self._left):
                if fault.route == route and left > 0:
                    self._left[index] = (fault, left - 1)
                    return fault
        return None
