"""One HTTP request on a connection of its own, its answer line by line. Called by load.py.

The load runs on the server's cores, and httpx takes more of them for a token than the server's whole API does: this is
httptools' parser, which uvicorn has too, on asyncio's streams.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httptools

LONGEST_READ_BYTES = 2**16


class Reply:
    """What the server answers. `status` is known from the beginning."""

    def __init__(self, reader: asyncio.StreamReader, url: str) -> None:
        self.status = 0
        self._url = url
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._over = False

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._body += data

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._over = True

    async def begin(self) -> None:
        """Read until the status is there."""
        while not self.status:
            await self._read()

    async def lines(self) -> AsyncIterator[str]:
        """The body's lines while they come."""
        while not self._over or self._body:
            *whole, self._body = self._body.split(b"\n")
            for line in whole:
                yield line.decode().rstrip("\r")
            if not self._over:
                await self._read()
            elif self._body:
                self._body += b"\n"  # the last line has no end of its own

    async def _read(self) -> None:
        data = await self._reader.read(LONGEST_READ_BYTES)
        if not data:
            raise ConnectionError(f"{self._url} closed the connection within an answer")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ConnectionError(f"{self._url} does not speak HTTP: {error}") from None


@asynccontextmanager
async def posted(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[Reply]:
    """Send a body of JSON; the connection is closed at the end, whatever of the answer was read.

    Raises:
        OSError: There is no such server, or it breaks off.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls or None)
    sent = {"Host": parts.netloc, "Content-Type": "application/json", "Content-Length": len(body), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    try:
        writer.write(f"POST {parts.path.rstrip('/')}{path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        reply = Reply(reader, url)
        await reply.begin()
        yield reply
    finally:
        writer.close()
