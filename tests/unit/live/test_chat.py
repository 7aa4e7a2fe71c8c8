"""`kaito chat` against a server on the loopback that refuses, breaks off, or sends what nobody understands."""

import json
import signal
from collections.abc import Callable, Generator, Iterator
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from kaito_components.cli.chat import Conversation
from kaito_components.cli.talk import Talk, Turn
from kaito_components.errors import ClusterError
from tests.loopback import Silent, serving

PIECE = b'data: {"choices": [{"delta": {"content": "Water"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
CHUNK = b"%x\r\n%b\r\n"


class Server(ThreadingHTTPServer):
    """Answers with `reply` (status, headers, body); a body without an end is cut off."""

    reply: tuple[int, dict[str, str], bytes] = (200, {}, PIECE + DONE)
    whole = True
    asked: list[Any]
    body: dict[str, Any]


class Handler(Silent):
    """The reply in one chunk; the end of the chunks only if it is whole."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.server.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.server.body["messages"])
        self.do_GET()

    def do_GET(self) -> None:
        status, headers, body = self.server.reply
        self.send_response(status)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(
            (CHUNK % (len(body), body) if body else b"") + (b"0\r\n\r\n" if self.server.whole else b"ff\r\n")
        )
        self.close_connection = True


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving(Server(("127.0.0.1", 0), Handler)) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.reply, running.whole, running.asked = Server.reply, True, []
    return running


@pytest.fixture
def talk(server: Server) -> Talk:
    return Talk(lambda: HTTPConnection("127.0.0.1", server.server_port, timeout=5), "KEY")


def refusal(talk: Talk) -> str:
    with pytest.raises(ClusterError) as refused:
        list(talk.answer("phi", []))
    return str(refused.value)


def error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


@pytest.mark.parametrize("longest", [None, 24])
def test_how_long_an_answer_may_be_is_the_users_choice_else_the_servers(server: Server, longest: int | None) -> None:
    list(Talk(lambda: HTTPConnection("127.0.0.1", server.server_port, timeout=5), "KEY", longest).answer("phi", []))
    assert server.body.get("max_tokens") == longest


def test_a_server_with_too_much_to_do_says_when_to_try_again(server: Server, talk: Talk) -> None:
    server.reply = 429, {"Retry-After": "7"}, error("64 requests wait")
    assert refusal(talk) == "the model's server has too much to do: 64 requests wait; try again in 7 s"


def test_retry_after_may_be_a_date_or_missing(server: Server, talk: Talk) -> None:
    server.reply = 429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b""
    assert refusal(talk).endswith("too much to do; try again after Fri, 31 Dec 1999 23:59:59 GMT")
    server.reply = 429, {}, b""
    assert refusal(talk).endswith("try again later")


def test_a_model_that_still_loads_is_said_in_words(server: Server, talk: Talk) -> None:
    server.reply = 503, {"Retry-After": "5"}, error("the model is still loading")
    assert refusal(talk) == "the model's server cannot answer now: the model is still loading; try again in 5 s"


def test_a_503_without_a_word_is_said_in_words_too(server: Server, talk: Talk) -> None:
    server.reply = 503, {}, b""
    assert "it is loading or stopping; see kaito status and kaito logs" in refusal(talk)


@pytest.mark.parametrize(
    "body", [b"data: {broken\n\n", b"data: []\n\n", b'data: {"choices": 1}\n\n', b"data: \xff\n\n"]
)
def test_an_event_that_is_not_understood_is_shown(server: Server, talk: Talk, body: bytes) -> None:
    server.reply = 200, {}, PIECE + body
    assert "sent what is no part of an answer" in refusal(talk)


def test_an_error_in_mid_answer_is_the_servers_own_word(server: Server, talk: Talk) -> None:
    server.reply = 200, {}, PIECE + b"data: " + error("the engine failed") + b"\n\n"
    assert refusal(talk) == "the model's server: the engine failed"


@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_without_its_end_broke_off(server: Server, talk: Talk, whole: bool) -> None:
    server.reply, server.whole = (200, {}, PIECE), whole
    assert "broke" in refusal(talk)


def test_a_server_without_a_model_is_no_traceback(server: Server, talk: Talk) -> None:
    server.reply = 200, {}, b'{"data": []}'
    with pytest.raises(ClusterError, match="serves no model"):
        talk.model("phi")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": [1]}', b'{"data": [{}]}'])
def test_a_list_of_models_that_is_none_is_no_traceback(server: Server, talk: Talk, body: bytes) -> None:
    server.reply = 200, {}, body
    with pytest.raises(ClusterError, match="not OpenAI's list of models"):
        talk.model("phi")


def test_a_connection_that_is_refused_is_no_traceback() -> None:
    with pytest.raises(ClusterError, match="the connection broke"):
        Talk(lambda: HTTPConnection("127.0.0.1", 1, timeout=5), "KEY").model("phi")


def questions(server: Server, before_second: Callable[[], None]) -> Iterator[str]:
    yield "What flows?"
    before_second()
    yield "And what else?"


def test_the_talk_goes_on_without_the_turn_that_broke_off(
    server: Server, talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    server.reply = 200, {}, PIECE
    conversation = Conversation(talk, "phi", "Be brief.")
    conversation.go_on(questions(server, lambda: setattr(server, "reply", Server.reply)), with_a_person=True)
    assert [one["content"] for one in server.asked[1]] == ["Be brief.", "And what else?"]
    assert [one["content"] for one in conversation.turns] == ["Be brief.", "And what else?", "Water"]
    assert capsys.readouterr().err.startswith("error: the model's server broke off")


def test_a_script_ends_with_the_first_failure(server: Server, talk: Talk) -> None:
    server.reply = 200, {}, PIECE
    with pytest.raises(ClusterError):
        Conversation(talk, "phi", None).go_on(["one", "two"], with_a_person=False)
    assert len(server.asked) == 1


class Impatient(Talk):
    """A person who presses Ctrl-C after the first piece of the first answer."""

    pressed = False

    def answer(self, model: str, turns: list[Turn]) -> Generator[str]:
        for piece in super().answer(model, turns):
            yield piece
            if not self.pressed:
                self.pressed = True
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stops_the_answer_and_the_talk_goes_on_with_what_was_said(server: Server) -> None:
    talk = Impatient(lambda: HTTPConnection("127.0.0.1", server.server_port, timeout=5), "KEY")
    server.reply = 200, {}, PIECE + PIECE + DONE
    Conversation(talk, "phi", None).go_on(["What flows?", "And what else?"], with_a_person=True)
    assert [one["content"] for one in server.asked[1]] == ["What flows?", "Water", "And what else?"]


def test_ctrl_c_ends_where_one_question_was_given(server: Server) -> None:
    talk = Impatient(lambda: HTTPConnection("127.0.0.1", server.server_port, timeout=5), "KEY")
    with pytest.raises(KeyboardInterrupt):
        Conversation(talk, "phi", None).ask("What flows?")
