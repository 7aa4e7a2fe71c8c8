"""`kaito chat NAME`: talk to the model of a Workspace, from outside the cluster too."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from typing import Annotated, Any

import typer

from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live
from kaito_components.errors import ClusterError
from kaito_components.names import SERVER_PORT

Connect = Callable[[], HTTPConnection]
Turn = dict[str, str]


def chat(
    name: Annotated[str, typer.Argument(help="the Workspace")],
    message: Annotated[
        str | None, typer.Option("-m", "--message", help="one question; without it, as many as you like")
    ] = None,
    system: Annotated[str | None, typer.Option(help="what the model is told first")] = None,
    model: Annotated[str | None, typer.Option(help="the Workspace's own by default")] = None,
    api_key_variable: Annotated[
        str, typer.Option(help="environment variable that holds the API key")
    ] = "KAITO_API_KEY",
    namespace: NAMESPACE = None,
    kubeconfig: KUBECONFIG = None,
    context: CONTEXT = None,
) -> None:
    """Talk to the model of a Workspace, through a port-forward to its pod."""
    with live(kubeconfig, context, namespace) as (cluster, inside):
        from kaito_components.cli.workspace_pods import serving_pod
        from kaito_components.live.forwarding import PodConnection

        pod = serving_pod(cluster, inside, name)
        talk = Talk(lambda: PodConnection(kubeconfig, context, inside, pod, SERVER_PORT), api_key_variable)
        chosen = model or talk.model(name)
        turns: list[Turn] = [{"role": "system", "content": system}] if system else []
        for question in [message] if message else _questions(chosen):
            turns.append({"role": "user", "content": question})
            turns.append({"role": "assistant", "content": _print(talk.answer(chosen, turns))})


class Talk:
    """One conversation over connections that `connect` makes, one a request."""

    def __init__(self, connect: Connect, key_variable: str) -> None:
        self._connect, self._key_variable = connect, key_variable
        key = os.environ.get(key_variable, "")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def model(self, workspace: str) -> str:
        """The one of the Workspace's name (what it tuned), else the first that is served."""
        response = self._ask("GET", "/v1/models", None)
        served = [str(one["id"]) for one in json.loads(response.read())["data"]]
        return workspace if workspace in served else served[0]

    def answer(self, model: str, turns: list[Turn]) -> Iterator[str]:
        """The pieces of the answer as they come."""
        response = self._ask("POST", "/v1/chat/completions", {"model": model, "messages": turns, "stream": True})
        for line in response:
            data = line.decode().removeprefix("data:").strip()
            if data == "[DONE]":
                return
            if not line.startswith(b"data:"):
                continue
            event = json.loads(data)
            if "error" in event:
                raise ClusterError(f"the model's server: {event['error'].get('message', event['error'])}")
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""

    def _ask(self, method: str, path: str, body: Any) -> Any:
        connection = self._connect()
        try:
            connection.request(method, path, json.dumps(body) if body else None, self._headers)
            response = connection.getresponse()
        except (OSError, HTTPException) as broken:
            raise ClusterError(f"the model's server: {broken or type(broken).__name__}") from None
        if response.status >= 400:
            reason = _reason(response.read())
            connection.close()
            if response.status == 401:
                raise ClusterError(f"the model's server asks for an API key: put it into {self._key_variable}")
            raise ClusterError(f"the model's server: {path}: status {response.status}: {reason}")
        return response


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]


def _questions(model: str) -> Iterator[str]:
    """What the user types, until the end of input."""
    if sys.stdin.isatty():
        print(f"{model} listens. Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            asked = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if asked:
            yield asked


def _print(pieces: Iterator[str]) -> str:
    said = []
    for piece in pieces:
        print(piece, end="", flush=True)
        said.append(piece)
    print(flush=True)
    return "".join(said)
