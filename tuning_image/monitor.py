"""`/health` and `/metrics` while the run lasts, so that a Job can be watched. Called by run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        found = {"/health": ("text/plain", b"ok\n"), "/metrics": (CONTENT_TYPE_LATEST, b"")}.get(self.path)
        kind, body = found or ("text/plain", b"there are /health and /metrics\n")
        body = body or generate_latest()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The log is for the run."""


@contextmanager
def serving(port: int | None, host: str = "0.0.0.0") -> Iterator[int | None]:
    """Serves while the block runs; the port, which is a free one for 0."""
    if port is None:
        yield None
        return
    server = ThreadingHTTPServer((host, port), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
