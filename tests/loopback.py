"""A server of a test on the loopback address, while a block runs. Called by every test that brings its own server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import TypeVar

S = TypeVar("S", bound=BaseServer)


class Silent(BaseHTTPRequestHandler):
    """Says nothing of its requests: what matters is asserted."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Answers in a thread; its socket is closed and its thread ended when the block ends, however it ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
