"""What every request passes first: id, key, room in the queue, size of the body, log line, span. Set by the app."""

import logging
import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving_image.api.keys import Key, Keys
from serving_image.api.refusals import Refusal, on_refusal
from serving_image.api.state import Server

log = logging.getLogger("serving.access")
OPEN = re.compile(r"/(health(/.*)?)?")  # health, and the page, which holds nothing secret and asks for a key
ANSWERING = ("/chat", "/v1/chat/completions", "/v1/completions", "/v1/responses")
ID = re.compile(rb"[\x21-\x7e]{1,128}")


class Guard:
    """Pure ASGI: it sees bytes, so it costs nothing per token."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app = app
        self.server = server
        self.admin_keys = Keys(server.settings.admin_key_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 0
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if ID.fullmatch(given) else uuid.uuid4().hex.encode()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id)]
            await send(message)

        key: Key | None = None
        traces = self.server.traces
        note = traces.begin(scope["path"], headers) if traces else None
        try:
            self._check_size(headers)
            if not OPEN.fullmatch(scope["path"]):
                key = self._check_key(scope["path"], headers)
            if scope["path"] in ANSWERING and self.server.ready:  # before the body costs anything
                self.server.gate.check(1, self.server.free_places)
            scope["state"] = {**scope.get("state", {}), "key": key}
            await self.app(scope, self._limited(receive), answer)
        except Refusal as refusal:
            response = await on_refusal(None, refusal)
            await response(scope, receive, answer)
        finally:
            if traces and note:
                traces.end(note, status, request_id.decode())
            seconds = round(time.monotonic() - started, 4)
            extra = {"request": request_id.decode(), "path": scope["path"], "status": status, "seconds": seconds}
            extra |= {"key": key.name} if key else {}
            log.info("%s %s", scope["method"], scope["path"], extra={"fields": extra})

    def _check_key(self, path: str, headers: dict[bytes, bytes]) -> Key | None:
        """Who asks; the routes of adapters have keys of their own."""
        word, _, given = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = given.strip() if word.lower() == "bearer" else ""
        keys = self.admin_keys if path.startswith("/v1/adapters") and self.admin_keys.needed else self.server.keys
        return keys.check(given)

    def _check_size(self, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.server.settings.max_body_bytes:
            raise self._too_large()

    def _limited(self, receive: Receive) -> Receive:
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.server.settings.max_body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> Refusal:
        limit = self.server.settings.max_body_bytes
        return Refusal(413, f"the body is larger than --max-body-bytes, {limit}", code="body_too_large")
