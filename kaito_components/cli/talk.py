"""OpenAI's chat API as `kaito chat` uses it: what the server sends, and in words what it refuses. Called by chat.py."""

import json
import os
from collections.abc import Callable, Generator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from kaito_components.errors import ClusterError

Connect = Callable[[], HTTPConnection]
Turn = dict[str, str]
NOT_NOW = "it is loading or stopping"  # where a 503 gives no reason


class Talk:
    """Requests over connections that `connect` makes, one a request.

    Raises:
        ClusterError: the server cannot be reached, refuses, or breaks off.
    """

    def __init__(self, connect: Connect, key_variable: str, max_tokens: int | None = None) -> None:
        self._connect, self._key_variable = connect, key_variable
        self._limit = {} if max_tokens is None else {"max_tokens": max_tokens}
        key = os.environ.get(key_variable, "")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def model(self, workspace: str) -> str:
        """The one of the Workspace's name (what it tuned), else the first that is served."""
        served = self._served()
        if not served:
            raise ClusterError("the model's server serves no model: its list, /v1/models, is empty")
        return workspace if workspace in served else served[0]

    def answer(self, model: str, turns: list[Turn]) -> Generator[str]:
        """The pieces of the answer as they come."""
        connection = self._connect()
        try:
            body = {"model": model, "messages": turns, "stream": True, **self._limit}
            for line in self._ask(connection, "POST", "/v1/chat/completions", body):
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                if line.startswith(b"data:"):
                    yield _text(data)
        except (OSError, HTTPException) as broken:
            raise _broken(broken) from None
        finally:
            connection.close()
        raise ClusterError("the model's server broke off in the middle of its answer")

    def _served(self) -> list[str]:
        connection = self._connect()
        try:
            answer = self._ask(connection, "GET", "/v1/models", None).read()
            return [str(one["id"]) for one in json.loads(answer)["data"]]
        except (OSError, HTTPException) as broken:
            raise _broken(broken) from None
        except (ValueError, KeyError, TypeError):
            raise ClusterError("the model's server: /v1/models is not OpenAI's list of models") from None
        finally:
            connection.close()

    def _ask(self, connection: HTTPConnection, method: str, path: str, body: Any) -> HTTPResponse:
        connection.request(method, path, json.dumps(body) if body else None, self._headers)
        response = connection.getresponse()
        if response.status == 401:
            raise ClusterError(f"the model's server asks for an API key: put it into {self._key_variable}")
        if response.status >= 400:
            raise ClusterError(f"the model's server {_refusal(response, path)}")
        return response


def _text(data: bytes) -> str:
    """What one event adds to the answer."""
    try:
        event = json.loads(data)
        if "error" not in event:
            return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        error = event["error"]
    except (ValueError, KeyError, TypeError, AttributeError):
        shown = data[:80].decode(errors="replace")
        raise ClusterError(f"the model's server sent what is no part of an answer: {shown!r}") from None
    raise ClusterError(f"the model's server: {error.get('message', error) if isinstance(error, dict) else error}")


def _refusal(response: HTTPResponse, path: str) -> str:
    """Status and body of a refusal in words."""
    reason = _reason(response.read())
    if response.status == 429:
        return f"has too much to do{_because(reason)}; try again {_when(response) or 'later'}"
    if response.status == 503:
        again = f"try again {when}" if (when := _when(response)) else "see kaito status and kaito logs"
        return f"cannot answer now{_because(reason or NOT_NOW)}; {again}"
    return f"refuses {path} with status {response.status}{_because(reason)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _when(response: HTTPResponse) -> str:
    """What Retry-After says: seconds, or a date; nothing if it is not there."""
    value = response.getheader("Retry-After", "")
    return f"in {value} s" if value.isdecimal() else value and f"after {value}"


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200].strip()


def _broken(broken: Exception) -> ClusterError:
    return ClusterError(f"the model's server: the connection broke: {broken or type(broken).__name__}")
