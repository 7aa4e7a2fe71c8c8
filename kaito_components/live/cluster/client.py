"""Reading from a Kubernetes API server: lists, watches and logs, as plain dicts, with errors in words.

The official client's request layer (authentication, proxies, TLS) without its models, which would cost a second of
import and hide fields that are newer than they are.
"""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kaito_components.errors import ClusterError
from kaito_components.live.cluster import kubeconfig
from kaito_components.live.snapshot import Object

SECONDS_OF_LOG = 86400.0  # a program may be silent for long
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 20.0
SECONDS_OF_WATCH = 300  # then the server ends it, and it starts anew
SECONDS_OF_SILENCE = 90.0  # in a watch: the server sends a bookmark about every minute
GONE = 410


class Unreachable(ClusterError):
    """The API server does not answer, or not now. It may come back."""


class Refused(ClusterError):
    """The API server does not let us: credentials, permissions, certificates."""


class Absent(ClusterError):
    """The API server does not have what was asked for."""


class Expired(Refused):
    """The API server does not know these credentials, or no longer."""


@dataclass(frozen=True)
class Query:
    """A collection, as the API names it, perhaps narrowed down."""

    path: str
    kind: str
    labels: str = ""
    fields: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        both = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {key: value for key, value in both.items() if value}


class Listing(NamedTuple):
    """A collection at one moment, and the version from which a watch goes on."""

    items: list[Object]
    version: str


class Cluster:
    """One cluster. Safe to use from several threads."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._client = connect()

    @classmethod
    def from_text(cls, text: str, context: str | None = None) -> "Cluster":
        """From the content of a kubeconfig. Raises ClusterError if it cannot be used."""
        return cls(lambda: kubeconfig.from_text(text, context))

    @classmethod
    def from_files(cls, path: Path | None = None, context: str | None = None) -> "Cluster":
        """From a kubeconfig file, or from where kubectl looks. Raises ClusterError if it cannot be used."""
        return cls(lambda: kubeconfig.from_files(path, context))

    @property
    def server(self) -> str:
        return str(self._client.configuration.host)

    def renew_credentials(self) -> None:
        """Asks the kubeconfig's credential plugin again: its token may have expired."""
        self._client = self._connect()

    def close(self) -> None:
        self._client.rest_client.close()

    def get(self, query: Query) -> Listing:
        """The collection now.

        Raises:
            Unreachable, Refused, ClusterError: see there.
        """
        body = json.loads(self._get(query.path, query.parameters))
        return Listing([_with_kind(item, query) for item in body["items"] or []], body["metadata"]["resourceVersion"])

    def kinds(self, version: str) -> frozenset[str]:
        """The kinds of one version of an API group, such as apps/v1; none if the server does not have it.

        Raises:
            Unreachable, Refused, ClusterError: see there.
        """
        try:
            return frozenset(one["kind"] for one in json.loads(self._get(f"/apis/{version}", {}))["resources"])
        except Absent:
            return frozenset()

    def watch(self, query: Query, version: str) -> "Stream":
        """Changes after `version`, as they happen."""
        options = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(SECONDS_OF_WATCH)}
        parameters = {**query.parameters, **options, "resourceVersion": version}
        return Stream(self._request(query.path, parameters, SECONDS_OF_SILENCE), query, self.server)

    def log(
        self, namespace: str, pod: str, container: str, tail: int, *, follow: bool = False, previous: bool = False
    ) -> Iterator[str]:
        """The last `tail` lines of a container's log; with `follow`, then as they come until the container ends.

        Raises:
            ClusterError: there is no log to be had, or the connection broke.
        """
        from urllib3.exceptions import HTTPError

        flags = {"follow": str(follow).lower(), "previous": str(previous).lower()}
        options = {"container": container, "tailLines": str(tail), **flags}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        response = self._request(path, options, SECONDS_OF_LOG if follow else SECONDS_TO_ANSWER)
        rest = b""
        try:
            for piece in response.stream(amt=None):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except HTTPError as error:
            raise _unreachable(self.server, error) from None
        if rest:
            yield rest.decode(errors="replace")

    def _get(self, path: str, parameters: Mapping[str, str]) -> bytes:
        from urllib3.exceptions import HTTPError

        response = self._request(path, parameters, SECONDS_TO_ANSWER)
        try:
            return bytes(response.data)
        except HTTPError as error:
            raise _unreachable(self.server, error) from None

    def _request(self, path: str, parameters: Mapping[str, str], silence: float) -> Any:
        """The response of urllib3, its body not read yet."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        client = self._client
        request = client.param_serialize(
            "GET", path, query_params=list(parameters.items()), auth_settings=["BearerToken"],
            header_params={"Accept": "application/json"},
        )  # fmt: skip
        try:
            response = client.call_api(*request, _request_timeout=(SECONDS_TO_CONNECT, silence)).response
            if response.status >= 400:
                raise _refusal(self.server, path, response.status, response.data)
        except ApiException as error:  # the client's word for a failed TLS handshake
            raise Refused(f"{self.server}: no trust between us: {_last_part(error.reason)}") from None
        except (HTTPError, OSError) as error:
            raise _unreachable(self.server, error) from None
        return response


class Stream:
    """A running watch: (type, object) as they come, until the server ends it. `stop` ends it from another thread."""

    def __init__(self, response: Any, query: Query, server: str) -> None:
        self._response, self._query, self._server = response, query, server

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        """Raises Unreachable if the connection breaks. An expired version just ends the watch."""
        from kubernetes.watch.watch import iter_resp_lines
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        try:
            for line in iter_resp_lines(self._response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    _check_end(self._server, event["object"])
                    return
                if event["type"] != "BOOKMARK":
                    yield event["type"], _with_kind(event["object"], self._query)
        except ReadTimeoutError:
            return  # silence: the list that follows shows whether the server is still there
        except (HTTPError, OSError, ValueError, AttributeError) as error:  # the last two: stopped while reading
            raise _unreachable(self._server, error) from None
        finally:
            self._response.close()
            self._response.release_conn()

    def stop(self) -> None:
        """Ends the read in progress; closing the response would wait for it."""
        connection = getattr(self._response, "connection", None)
        if sock := getattr(connection, "sock", None):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _with_kind(item: dict[str, Any], query: Query) -> Object:
    item.setdefault("kind", query.kind)
    return item


def _check_end(server: str, status: Mapping[str, Any]) -> None:
    if status.get("code") != GONE:
        raise Unreachable(f"{server} ended a watch: {status.get('message', status)}")


def _refusal(server: str, path: str, code: int, body: bytes) -> ClusterError:
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")[:200].strip()
    if code == 401:
        return Expired(f"{server} does not accept the kubeconfig's credentials (401 {said}). Renew them")
    if code == 403:
        return Refused(f"{server}: {said}. A Workspace needs to get, list and watch this (403)")
    if code == 404:
        return Absent(f"{server}{path}: {code} {said}")
    if code == 429 or code >= 500:
        return Unreachable(f"{server} cannot answer now ({code} {said})")
    return ClusterError(f"{server}{path}: {code} {said}")


def _unreachable(server: str, error: Exception) -> Unreachable:
    return Unreachable(f"{server} does not answer: {_last_part(error)}")


def _last_part(error: object) -> str:
    """`Connection refused` of `HTTPSConnection(host='::1', port=1): Failed to ...: [Errno 111] Connection refused`."""
    return str(error).rsplit("] ", 1)[-1].rsplit("): ", 1)[-1].strip("'\" )") or type(error).__name__
