"""A Kubernetes API server as the stand-ins need it: plain dicts, one connection pool.

Called by provider, awaits, and local_cloud/nodes.py for the stand-in of Azure.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

Object = dict[str, Any]
CONNECTIONS = 64
SECONDS = 30.0
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server's refusal: status code, and its own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(Exception):
    """No API server answers."""


class Cluster:
    """One API server, from the content of a kubeconfig (or a path to one)."""

    def __init__(self, kubeconfig: str, context: str | None = None) -> None:
        from kubernetes.client.configuration import Configuration
        from kubernetes.config.kube_config import KubeConfigLoader

        text = kubeconfig if "\n" in kubeconfig else Path(kubeconfig).expanduser().read_text()
        content = yaml.safe_load(text)
        settings = Configuration()
        KubeConfigLoader(content, active_context=context, temp_file_path=tempfile.gettempdir()).load_and_set(settings)
        self.server: str = settings.host
        token = settings.get_api_key_with_prefix("authorization")
        self._headers = {"authorization": token} if token else {}
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS, block=False, retries=False, ca_certs=settings.ssl_ca_cert,
            cert_file=settings.cert_file, key_file=settings.key_file,
        )  # fmt: skip
        self._kinds: dict[str, dict[str, Object]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends its connections."""
        self._pool.clear()

    def resource(self, api_version: str, kind: str) -> Object:
        """The API resource of a kind: its plural `name` and whether it is `namespaced`."""
        with self._lock:
            if kind not in self._kinds.get(api_version, {}):
                found = self.call("GET", _root(api_version))["resources"]
                self._kinds[api_version] = {one["kind"]: one for one in found if "/" not in one["name"]}
        if kind not in self._kinds[api_version]:
            raise ApiError(404, f"the server has no kind {kind} in {api_version}")
        return self._kinds[api_version][kind]

    def path(self, manifest: Object, name: str | None = None) -> str:
        """The object's path, or its collection's if `name` is empty."""
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest.get("metadata") or {}
        space = f"/namespaces/{metadata.get('namespace') or 'default'}" if resource["namespaced"] else ""
        return f"{_root(manifest['apiVersion'])}{space}/{resource['name']}" + (f"/{name}" if name else "")

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str
    ) -> Any:
        """One request; the answer's JSON.

        Raises:
            ApiError: the server refused.
            Unreachable: there is no server.
        """
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self._headers, "accept": "application/json", "content-type": content_type}
        sent = None if body is None else json.dumps(body, ensure_ascii=False).encode()  # YAML knows no surrogates
        try:
            answer = self._pool.request(method, url, body=sent, headers=headers, timeout=SECONDS)
        except urllib3.exceptions.HTTPError as problem:
            raise Unreachable(f"{self.server}: {problem}") from None
        if answer.status >= 400:
            raise ApiError(answer.status, _message(answer.data))
        return json.loads(answer.data)

    def get(self, manifest: Object, name: str) -> Object | None:
        """The live object, or None."""
        try:
            live: Object = self.call("GET", self.path(manifest, name))
        except ApiError as refused:
            if refused.code == 404:
                return None
            raise
        return live

    def apply(self, manifest: Object, manager: str, force: bool, dry_run: bool = False) -> Object:
        """Server-side apply."""
        query = {"fieldManager": manager, "force": str(force).lower()} | ({"dryRun": "All"} if dry_run else {})
        applied: Object = self.call(
            "PATCH", self.path(manifest, manifest["metadata"]["name"]), manifest, APPLY, **query
        )
        return applied

    def follow(self, manifest: Object, name: str, deadline: float) -> Iterator[Object | None]:
        """The object now and after each change, None while it does not exist; ends at the deadline (monotonic)."""
        collection = self.path(manifest)
        chosen = {"fieldSelector": f"metadata.name={name}"}
        while time.monotonic() < deadline:
            listed = self.call("GET", collection, **chosen)
            yield listed["items"][0] if listed["items"] else None
            version = listed["metadata"]["resourceVersion"]
            left = max(1, min(60, int(deadline - time.monotonic())))
            url = f"{self.server}{collection}?" + urlencode(
                {**chosen, "watch": "true", "resourceVersion": version, "timeoutSeconds": left}
            )
            try:
                stream = self._pool.request(
                    "GET", url, headers=self._headers, preload_content=False, timeout=urllib3.Timeout(5, left + 5)
                )
                yield from _events(stream)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.5)


def _events(stream: Any) -> Iterator[Object | None]:
    buffer = b""
    for chunk in stream.stream(None):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            yield None if event["type"] == "DELETED" else event["object"]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]
