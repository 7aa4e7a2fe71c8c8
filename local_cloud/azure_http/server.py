"""The stand-in as a server on loopback, in a thread of the process that tests with it."""

import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local_cloud.azure_http.answers import Answer, Request, answer, error
from local_cloud.azure_http.faults import Fault, Faults
from local_cloud.azure_http.market import Market
from local_cloud.pki import Authority

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Seen:
    """One request that came in; `seconds` are those of a monotonic clock."""

    seconds: float
    route: str
    target: str


class AzureHttp:
    """Azure on this machine, from `with` to its end.

    Attributes:
        market: what it offers; may be changed at any time.
        url: its address.
        seen: the requests, in the order in which they came.
    """

    def __init__(self, folder: Path, market: Market | None = None) -> None:
        """`folder` takes the certificates."""
        self.market = market or Market()
        self.seen: list[Seen] = []
        self._faults = Faults()
        self._closing = threading.Event()
        self._authority_file = folder / "azure-ca.crt"
        self._server = _Server((LOOPBACK, 0), _handler(self))
        self._server.socket = _tls(folder, self._authority_file).wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> "AzureHttp":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def env(self, secret: str | None = None) -> dict[str, str]:
        """What makes a process of ours ask here, with a client secret as login."""
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(self._authority_file))
        return {
            **trusted,
            "NO_PROXY": LOOPBACK,
            "KAITO_ARM_ENDPOINT": self.url,
            "KAITO_PRICES_ENDPOINT": self.url,
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
            "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
            "AZURE_CLIENT_SECRET": self.market.client_secret if secret is None else secret,
        }

    def arm(self, *faults: Fault) -> None:
        """Lets these happen, in this order."""
        self._faults.arm(faults)

    def asked(self, route: str) -> list[Seen]:
        """The requests of a route."""
        return [one for one in self.seen if one.route == route]

    def serve(self, request: Request) -> tuple[Answer, Fault | None]:
        """The answer of a request, and what goes wrong with it."""
        self.seen.append(Seen(time.monotonic(), request.route, request.target))
        fault = self._faults.strike(request.route)
        if fault and fault.how == "hang":
            self._closing.wait()
            raise TimeoutError("the client has waited for nothing")
        if fault and fault.how == "answer":
            return error(fault.status, fault.code, fault.message), fault
        return answer(request, self.market), fault


class _Server(ThreadingHTTPServer):
    """One that does not mind clients that hang up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _tls(folder: Path, authority_file: Path) -> ssl.SSLContext:
    authority = Authority()
    authority_file.write_bytes(authority.credential.certificate)
    authority.server([LOOPBACK]).write(folder, "azure")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "azure.crt", folder / "azure.key")
    (folder / "azure.key").unlink()
    return context


def _handler(azure: AzureHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve("")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

        def _serve(self, body: str) -> None:
            request = Request(azure.url, self.path, self.headers.get("Authorization", ""), body)
            sent, fault = azure.serve(request)
            self.send_response(sent.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent.content)))
            if fault and fault.retry_after is not None:
                self.send_header("Retry-After", fault.retry_after)
            self.end_headers()
            if fault and fault.how == "cut":
                self.wfile.write(sent.content[: len(sent.content) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(sent.content)

        def log_message(self, *_: Any) -> None:
            """Says nothing: a request may carry credentials."""

    return Handler
