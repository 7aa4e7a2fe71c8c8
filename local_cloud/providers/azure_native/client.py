"""azure-native's HTTP client, without the HTTP: which answers it tries again, how it waits, who tends the nodes.

Source: pulumi/pulumi-azure-native provider/pkg/azure/client_azcore.go, initPipelineOpts and shouldRetryConflict. A
conflict is tried again only if its code is AnotherOperationInProgress; AKS says OperationNotAllowed, which is not.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from local_cloud.providers.azure_native.arm import Arm
from local_cloud.providers.azure_native.errors import ArmError
from local_cloud.providers.azure_native.machines import ClusterUnreachable, preload
from local_cloud.providers.azure_native.settings import load_settings

T = TypeVar("T")
TRIED_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
MOST_TRIES = 4
LONGEST_DELAY = 6  # times the first: 20 s, 60 s, 120 s
TEND_EVERY_SECONDS = 1.0
NODES_WAIT_SECONDS = 5.0  # that an operation waits for an API server that does not answer


class Client:
    """Asks the stand-in's Azure on behalf of one plugin process."""

    def __init__(self, arm: Arm, cancelled: threading.Event, log: Callable[..., None]) -> None:
        self.arm, self.cancelled, self.log = arm, cancelled, log
        self._tending = threading.Lock()

    def get(self, id: str) -> dict[str, Any]:
        """The resource.

        Raises:
            ArmError: 404 among others.
        """
        return self._tried(lambda: self.arm.get(id))

    def exists(self, id: str) -> bool:
        """Whether it is there, in whatever state: azure-native asks before it creates."""
        try:
            self.get(id)
        except ArmError as error:
            if error.status == 404:
                return False
            raise
        return True

    def put(self, id: str, body: Mapping[str, Any]) -> None:
        """Begins to make or change it."""
        self._tried(lambda: self.arm.put(id, body))

    def delete(self, id: str, timeout_seconds: float) -> None:
        """Deletes it and waits until it is gone; one that is not there is fine."""
        try:
            self._tried(lambda: self.arm.delete(id))
        except ArmError as error:
            if error.status == 404:
                return
            raise
        self.wait(id, timeout_seconds)

    def wait(self, id: str, timeout_seconds: float) -> None:
        """Waits for the end of the operation, and for the nodes that it makes, changes or removes."""
        threading.Thread(target=preload, daemon=True).start()
        self.arm.wait(id, self.cancelled, timeout_seconds)
        end = time.monotonic() + NODES_WAIT_SECONDS
        while True:
            try:
                return self.arm.converge()
            except ClusterUnreachable as error:
                if time.monotonic() > end:
                    self.log(f"the cluster does not answer; its nodes follow when it does: {error}", severity="WARNING")
                    return self.tend()
            self.cancelled.wait(0.25)

    def credentials(self, cluster_id: str, admin: bool) -> dict[str, Any]:
        """Kubeconfigs of the cluster."""
        return self._tried(lambda: self.arm.credentials(cluster_id, admin))

    def tend(self) -> None:
        """Lets a thread finish what others left, a killed plugin or an API server that was away, until all is done."""
        if self._tending.acquire(blocking=False):
            threading.Thread(target=self._tend, daemon=True).start()

    def _tend(self) -> None:
        try:
            while not self._is_done():
                time.sleep(TEND_EVERY_SECONDS)
        finally:
            self._tending.release()

    def _is_done(self) -> bool:
        try:
            self.arm.converge()
        except ClusterUnreachable:
            return False
        return self.arm.is_settled()

    def _tried(self, ask: Callable[[], T]) -> T:
        first = load_settings(self.arm.folder).retry_seconds
        for attempt in range(1, MOST_TRIES + 1):
            try:
                return ask()
            except ArmError as error:
                if attempt == MOST_TRIES or not _is_passing(error) or self.cancelled.is_set():
                    raise
                delay = min(2**attempt - 1, LONGEST_DELAY) * first
                self.cancelled.wait(delay if error.retry_after_seconds is None else error.retry_after_seconds)
        raise AssertionError("the last try returns or raises")


def _is_passing(error: ArmError) -> bool:
    return error.status in TRIED_AGAIN or (error.status == 409 and error.code == "AnotherOperationInProgress")
