"""A stand-in for Hugging Face on the loopback: the addresses that huggingface_hub asks, over files of a folder.

Recorded from huggingface_hub 2.4.0: `/api/models/NAME[/revision/REV]`, its `/tree/`, and `/NAME/resolve/COMMIT/FILE`,
which sends LFS files on to another address, as the real hub does to its CDN. A data set is asked for in the same way,
under `/api/datasets/NAME` and `/datasets/NAME`. Faults are set on it while it runs.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub.utils.sha import git_hash

from tests.loopback import Silent, serving

NAME, COMMIT = "example/tiny", "c" * 40
PIECE = 64 * 1024
STALLS_AT = 176 * PIECE  # huggingface_hub writes pieces of 160


class Hub:
    """Answers for one model; `refusal` is a status and an X-Error-Code for everything."""

    def __init__(self, folder: Path) -> None:
        self.contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.refusal: tuple[int, str] | None = None
        self.refusal_message = "no"
        self.cut_after: list[int] = []  # bytes, of the next answers for the weights
        self.damaged = 0  # answers for the weights that arrive changed
        self.stall = threading.Event()  # while set, weights stop at STALLS_AT
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, Range, Authorization
        self.url = self.cdn = ""

    @property
    def environment(self) -> dict[str, str]:
        """For a process that asks here."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_DOWNLOAD_TIMEOUT": "5", "no_proxy": "127.0.0.1"}

    def ranges(self) -> list[str | None]:
        """Asked for, of the weights."""
        return [asked for path, asked, _ in self.asked if path.startswith("/cdn/")]

    def entry(self, name: str) -> dict[str, object]:
        """Of a listing, in the words of both forms of it."""
        content = self.contents[name]
        entry = {"type": "file", "path": name, "rfilename": name, "size": len(content)}
        entry |= {"oid": git_hash(content), "blobId": git_hash(content)}
        if name.endswith(".safetensors"):
            sha = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha, "sha256": sha, "size": len(content), "pointerSize": 130}
        return entry


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """Running, and a second address for large files."""
    state = Hub(folder)

    class Handler(_Handler):
        hub = state

    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as first,
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as second,
    ):
        state.url, state.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in (first, second))
        try:
            yield state
        finally:
            state.stall.clear()  # or a thread that stalls would hold up the end


class _Handler(Silent):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path.replace("/api/datasets/", "/api/models/").removeprefix("/datasets")
        self.hub.asked.append((path, self.headers["range"], self.headers["authorization"]))
        kind, _, rest = path.removeprefix("/").partition("/")
        if self.hub.refusal:
            status, code = self.hub.refusal
            self._send(status, b"", {"X-Error-Code": code} if code else {"X-Error-Message": self.hub.refusal_message})
        elif kind == "cdn":
            self._weights(self.hub.contents[rest])
        elif path.startswith(f"/api/models/{NAME}"):
            self._listing(path.removeprefix(f"/api/models/{NAME}"))
        elif path.startswith(f"/{NAME}/resolve/"):
            self._file(path.rpartition("/")[2])
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _listing(self, rest: str) -> None:
        entries = [self.hub.entry(name) for name in self.hub.contents]
        if rest in ("", "/revision/main", f"/revision/{COMMIT}"):
            self._send(200, json.dumps({"id": NAME, "sha": COMMIT, "siblings": entries}).encode(), {})
        elif rest.startswith(f"/tree/{COMMIT}"):
            self._send(200, json.dumps(entries).encode(), {})
        elif rest.startswith("/tree/main/"):
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})  # there are no folders
        else:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})

    def _file(self, name: str) -> None:
        if name not in self.hub.contents:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        entry, content = self.hub.entry(name), self.hub.contents[name]
        lfs = entry.get("lfs")
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{entry["oid"]}"'}
        if isinstance(lfs, dict):
            headers |= {"X-Linked-Etag": f'"{lfs["oid"]}"', "X-Linked-Size": str(len(content))}
            self._send(302, b"", {**headers, "Location": f"{self.hub.cdn}/cdn/{name}"})
        else:
            self._send(200, content, headers)

    def _weights(self, content: bytes) -> None:
        hub, asked = self.hub, self.headers["range"]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start:
            whole = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        if hub.damaged:
            hub.damaged -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(206 if start else 200)
        for name, value in (whole if start else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        end = start + hub.cut_after.pop(0) if hub.cut_after else len(content)
        with suppress(ConnectionError):  # a client that is killed
            for at in range(start, min(end, len(content)), PIECE):
                self.wfile.write(content[at : min(at + PIECE, end)])
                while hub.stall.is_set() and at >= STALLS_AT:
                    time.sleep(0.02)
        if end < len(content):
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
