"""A log whose connection breaks in the middle, and a chat without its key, by a server on the loopback."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer

import pytest

from kaito_components.cli.talk import Talk
from kaito_components.errors import ClusterError
from kaito_components.live.cluster import Cluster
from kaito_components.live.cluster.client import Unreachable
from tests.loopback import Silent, serving


class Handler(Silent):
    """A log that promises more than it gives; 401 on everything else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        log = self.path.split("?")[0].endswith("/log")
        self.send_response(200 if log else 401)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"c\r\nloading\nload\r\n" + (b"ff\r\n" if log else b"0\r\n\r\n"))
        self.close_connection = True


@pytest.fixture
def port() -> Iterator[int]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port


def cluster(port: int) -> Cluster:
    here = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    user = {"name": "me", "user": {"token": "t"}}
    content = {"clusters": [here], "contexts": [context], "users": [user], "current-context": "here"}
    return Cluster.from_text(json.dumps({"apiVersion": "v1", "kind": "Config", **content}))


def test_a_log_that_breaks_off_says_so(port: int) -> None:
    reader = cluster(port)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        list(reader.log("default", "pod", "server", 10, follow=True))
    reader.close()


def test_lines_before_the_break_are_not_lost(port: int) -> None:
    reader = cluster(port)
    assert next(reader.log("default", "pod", "server", 10, follow=True)) == "loading"
    reader.close()


def test_a_missing_key_names_the_variable_that_was_chosen(port: int) -> None:
    talk = Talk(lambda: HTTPConnection("127.0.0.1", port, timeout=5), "TEAM_KEY")
    with pytest.raises(ClusterError, match="TEAM_KEY"):
        talk.model("phi")
