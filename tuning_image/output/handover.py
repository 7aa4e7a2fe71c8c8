"""The last step of a tuning Job: the server that waits for the adapter gets a pod, or a new one. Called by run.

A server that has a pod already serves an older adapter; that pod goes first, and the new one fetches the new adapter.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tuning_image.errors import TryAgainError, UserError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS_UNTIL_GONE = 300.0  # a server finishes the requests that it has
TRIES, SECONDS_BETWEEN = 30, 2.0  # a Job that fails here would train again


@dataclass(frozen=True)
class Api:
    """Kubernetes' API server as pods reach it. The token is read for each request: it is renewed while we train."""

    url: str
    account: Path

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One answer.

        Raises:
            UserError: the Job's ServiceAccount may not do this.
            TryAgainError: no answer, or none that helps, after some tries.
        """
        problem, trusted = "", ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        for attempt in range(TRIES):
            if attempt:
                time.sleep(SECONDS_BETWEEN)
            headers = {"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"}
            if body is not None:
                headers["Content-Type"] = "application/merge-patch+json"
            try:
                answer = httpx.request(
                    method,
                    f"{self.url}{path}",
                    json=body,
                    headers=headers,
                    verify=trusted,
                    timeout=30,
                )
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
                continue
            if answer.status_code in (401, 403, 404):
                reason = answer.json().get("message", answer.text)
                raise UserError(f"--then-serve: {self.url}{path}: {reason}; `pulumi up` makes server and rights anew")
            if answer.is_success:
                return answer.json()
            problem = f"status {answer.status_code}"
        raise TryAgainError(f"--then-serve: {self.url}{path}: {problem}, {TRIES} times")


def in_cluster(environment: Mapping[str, str]) -> Api:
    """The API server of the cluster that this pod runs in.

    Raises:
        UserError: this is no pod.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        raise UserError("--then-serve: works only in a pod with a ServiceAccount; leave it out elsewhere")
    return Api(f"https://{f'[{host}]' if ':' in host else host}:{port}", ACCOUNT)


def check(target: str, api: Api) -> None:
    """Before training: the server is there, and this Job may scale it. Raises as `Api.call`."""
    api.call("GET", _path(target))


def serve(target: str, api: Api) -> str:
    """Gives the Deployment `NAMESPACE/NAME` a new pod; what was done, in one line."""
    path = _path(target)
    if api.call("GET", path)["status"].get("replicas"):
        api.call("PATCH", path, {"spec": {"replicas": 0}})
        _wait_until_gone(path, api)
    api.call("PATCH", path, {"spec": {"replicas": 1}})
    return f"serving: Deployment {target} starts with the new adapter"


def _path(target: str) -> str:
    namespace, slash, name = target.partition("/")
    if not slash:
        raise UserError(f"--then-serve {target}: must be NAMESPACE/DEPLOYMENT")
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"


def _wait_until_gone(path: str, api: Api) -> None:
    deadline = time.monotonic() + SECONDS_UNTIL_GONE
    while api.call("GET", path)["status"].get("replicas"):
        if time.monotonic() > deadline:
            raise TryAgainError(f"--then-serve: {path}: the old pod is still there after {SECONDS_UNTIL_GONE:.0f} s")
        time.sleep(SECONDS_BETWEEN)
