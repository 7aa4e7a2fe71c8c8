"""A registry on the loopback address that stores what is pushed and answers with whatever fault it is told to.

It stands in for a real one, which no package registry ships; it keeps to the OCI distribution specification 1.1 and
refuses a blob or a manifest whose digest or parts are wrong.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Silent, serving


class Server(ThreadingHTTPServer):
    """`faults` are taken one by one: a status to answer with, 0 to drop the connection, or -1 for none."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.faults: list[int] = []
        self.login: str | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(Silent):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.server.faults.pop(0) if self.server.faults else -1
        if fault >= 0:
            if fault == 0:
                self.close_connection = True
                self.connection.close()
                return
            self._answer(fault, {"Retry-After": "0"})
        elif self.server.login and self.headers.get("authorization") != f"Basic {self.server.login}":
            self._answer(401, {"WWW-Authenticate": "Basic"})
        else:
            self._answer(*self._serve(body))

    def _serve(self, body: bytes) -> tuple[int, dict[str, str]]:
        url = urlsplit(self.path)
        name = url.path.rsplit("/", 1)[-1]
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.command == "HEAD":
            return (200 if name in self.server.blobs else 404), {}
        if self.command == "POST":
            return 202, {"Location": url.path + "session?state=a"}
        if "/uploads/" in url.path:
            if parse_qs(url.query)["digest"] != [digest]:
                return 400, {}
            self.server.blobs[digest] = body
            return 201, {}
        parts = json.loads(body)
        if any(one["digest"] not in self.server.blobs for one in [parts["config"], *parts["layers"]]):
            return 400, {}
        self.server.manifests[name] = body
        return 201, {"Docker-Content-Digest": digest}

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    do_HEAD = do_POST = do_PUT = do_GET = _handle


@contextmanager
def running() -> Iterator[Server]:
    """A registry for as long as the block runs."""
    with serving(Server()) as server:
        yield server
