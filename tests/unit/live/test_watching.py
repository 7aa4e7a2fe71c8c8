"""Collections stay right when a watch expires, breaks, or misses something. The server here is a script of answers."""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from kaito_components.live.cluster import Query, Unreachable, Watches
from kaito_components.live.cluster.client import Listing, Stream

NODES = Query("/api/v1/nodes", "Node")
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (1272)"}


def node(name: str) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name, "uid": name}}


class Response:
    """The body of a watch, as urllib3 gives it out."""

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        self._lines = [json.dumps({"type": kind, "object": item}).encode() + b"\n" for kind, item in events]
        self.is_closed = False

    def stream(self, amt: int | None, decode_content: bool) -> Iterator[bytes]:
        yield from self._lines

    def close(self) -> None:
        self.is_closed = True

    def release_conn(self) -> None: ...


class Script:
    """A cluster that answers each list and the watch after it as written down, and then no more."""

    def __init__(self, *rounds: tuple[list[str], Response] | Unreachable) -> None:
        self._rounds = deque(rounds)

    def get(self, query: Query) -> Listing:
        if not self._rounds:
            raise Unreachable("the script is over")
        answer = self._rounds.popleft()
        if isinstance(answer, Unreachable):
            raise answer
        self._response = answer[1]
        return Listing([node(name) for name in answer[0]], "1")

    def watch(self, query: Query, version: str) -> Stream:
        return Stream(self._response, query, "server")


def names_until_the_end(script: Script) -> list[set[str]]:
    """The collection after each piece of news."""
    seen = []
    with Watches(script, {"nodes": NODES}) as watches:  # type: ignore[arg-type]
        while str(watches.problem) != "the script is over":
            watches._take(watches._news.get(timeout=10))
            seen.append({item["metadata"]["name"] for item in watches.objects("nodes")})
    return seen


def test_what_comes_and_goes_is_followed() -> None:
    response = Response(("ADDED", node("b")), ("BOOKMARK", node("")), ("DELETED", node("a")))
    assert names_until_the_end(Script((["a"], response)))[:3] == [{"a"}, {"a", "b"}, {"b"}]


def test_an_expired_watch_starts_anew_from_a_list() -> None:
    script = Script((["a"], Response(("ERROR", EXPIRED))), (["b"], Response()))
    assert names_until_the_end(script)[:2] == [{"a"}, {"b"}]


def test_what_went_while_the_server_was_away_is_gone_afterwards() -> None:
    script = Script((["a", "b"], Response()), Unreachable("away"), (["b"], Response()))
    assert names_until_the_end(script)[:3] == [{"a", "b"}, {"a", "b"}, {"b"}]


def test_a_server_that_was_away_is_a_problem_until_it_answers() -> None:
    problems = []
    with Watches(Script(Unreachable("away"), (["a"], Response())), {"nodes": NODES}) as watches:  # type: ignore[arg-type]
        for _ in range(2):
            watches._take(watches._news.get(timeout=10))
            problems.append((str(watches.problem), watches.is_complete))
    assert problems == [("away", False), ("None", True)]


def test_another_error_in_a_watch_is_a_problem() -> None:
    broken = Response(("ERROR", {"code": 500, "message": "etcdserver: no leader"}))
    with pytest.raises(Unreachable, match="no leader"):
        list(Stream(broken, NODES, "server"))


def test_a_watch_gives_its_connection_back() -> None:
    response = Response(("ADDED", node("a")))
    assert [kind for kind, _ in Stream(response, NODES, "server")] == ["ADDED"] and response.is_closed
