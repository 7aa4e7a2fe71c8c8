"""What answers on a port of a simulated pod: OpenAI's chat, with words instead of a model. Started by kwok.

kwok runs it for each connection that `kubectl port-forward` or `kaito chat` opens; HTTP goes over its standard
input and output. Standard library only: it is run by its path.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler
from typing import Any

MODEL = "simulated"


class Handler(BaseHTTPRequestHandler):
    """The routes that `kaito chat` asks for."""

    protocol_version = "HTTP/1.1"

    def __init__(self) -> None:  # the socket is standard input and output
        self.rfile, self.wfile = sys.stdin.buffer, sys.stdout.buffer  # type: ignore[assignment]
        self.client_address = ("pod", 0)
        self.handle()

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._answer({"error": {"message": f"{self.path}: a simulated pod has no such route"}}, 404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        turns = [turn["content"] for turn in asked["messages"] if turn["role"] == "user"]
        words = f"A simulated pod has no model. Question {len(turns)} was: {turns[-1]}".split(" ")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for index, word in enumerate(words):
            delta = {"content": word if index == 0 else f" {word}"}
            self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.wfile.write(b"data: [DONE]\n\n")
        self.wfile.flush()
        self.close_connection = True

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def _answer(self, value: dict[str, Any], code: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """kwok's log is no place for it."""


if __name__ == "__main__":
    Handler()
    os._exit(0)
