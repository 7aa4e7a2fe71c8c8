"""`kaito chat NAME`: talk to the model of a Workspace, from outside the cluster too."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated

import typer

from kaito_components.cli.talk import Talk, Turn
from kaito_components.cli.where import CONTEXT, KUBECONFIG, NAMESPACE, live
from kaito_components.errors import ClusterError
from kaito_components.names import SERVER_PORT


def chat(
    name: Annotated[str, typer.Argument(help="the Workspace")],
    message: Annotated[
        str | None, typer.Option("-m", "--message", help="one question; without it, as many as you like")
    ] = None,
    system: Annotated[str | None, typer.Option(help="what the model is told first")] = None,
    model: Annotated[str | None, typer.Option(help="the Workspace's own by default")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="the longest answer; the server's limit by default")
    ] = None,
    api_key_variable: Annotated[
        str, typer.Option(help="environment variable that holds the API key")
    ] = "KAITO_API_KEY",
    namespace: NAMESPACE = None,
    kubeconfig: KUBECONFIG = None,
    context: CONTEXT = None,
) -> None:
    """Talk to the model of a Workspace, through a port-forward to its pod. Ctrl-C stops an answer."""
    with live(kubeconfig, context, namespace) as (cluster, inside):
        from kaito_components.cli.workspace_pods import serving_pod
        from kaito_components.live.forwarding import PodConnection

        def connect() -> PodConnection:  # a pod that has rolled since the last question is not asked again
            return PodConnection(kubeconfig, context, inside, serving_pod(cluster, inside, name), SERVER_PORT)

        talk = Talk(connect, api_key_variable, max_tokens)
        conversation = Conversation(talk, model or talk.model(name), system)
        if message:
            conversation.ask(message)
        else:
            conversation.go_on(_questions(conversation.model), sys.stdin.isatty())


class Conversation:
    """Questions and answers, each told to the model with all before it."""

    def __init__(self, talk: Talk, model: str, system: str | None) -> None:
        self._talk, self.model = talk, model
        self.turns: list[Turn] = [{"role": "system", "content": system}] if system else []

    def go_on(self, questions: Iterable[str], with_a_person: bool) -> None:
        """All questions; a person may ask on after one that failed or was stopped, a script's input ends there."""
        for question in questions:
            try:
                self.ask(question)
            except (ClusterError, KeyboardInterrupt) as ended:
                if not with_a_person:
                    raise
                stopped = isinstance(ended, KeyboardInterrupt)
                print("stopped; Ctrl-C or Ctrl-D ends" if stopped else f"error: {ended}", file=sys.stderr)

    def ask(self, question: str) -> None:
        """Prints the answer as it comes. One that breaks off is forgotten; one that is stopped counts as it stands."""
        asked, said = [*self.turns, {"role": "user", "content": question}], ""
        try:
            with closing(self._talk.answer(self.model, asked)) as pieces:
                for piece in pieces:
                    said += piece
                    print(piece, end="", flush=True)
        except KeyboardInterrupt:
            self._remember(asked, said)
            raise
        finally:
            print(end="\n" if said else "", flush=True)
        self._remember(asked, said)

    def _remember(self, asked: list[Turn], said: str) -> None:
        if said:
            self.turns = [*asked, {"role": "assistant", "content": said}]


def _questions(model: str) -> Iterator[str]:
    """What the user types, until the end of input."""
    if sys.stdin.isatty():
        print(f"{model} listens. Ctrl-C stops an answer, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            asked = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if asked:
            yield asked
