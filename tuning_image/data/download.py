"""A data file by http(s): resumed, size and checksum compared, private addresses refused. Called by data.sources."""

import hashlib
import ipaddress
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from tuning_image.errors import TryAgainError, UserError

ATTEMPTS = 5
PAUSE_SECONDS = 1.0  # before the second attempt; doubled each time
TIMEOUT_SECONDS = 60.0
PART = ".part"
CLIENT_FAULTS = {400, 401, 403, 404, 410}


class _PublicOnly(httpcore.SyncBackend):
    """Connects to public addresses only, to the very address that was checked: a name cannot change in between."""

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        private = sorted(a for a in addresses if not is_public(a))
        if private:
            raise UserError(f"--data: {host} is the private address {private[0]}; --allow-private-data permits it")
        return super().connect_tcp(sorted(addresses)[0], port, *args, **kwargs)


def is_public(address: str) -> bool:
    """Whether anybody on the internet could ask there too."""
    return ipaddress.ip_address(address).is_global


def fetch(url: str, cache: Path, sha256: str | None, allow_private: bool) -> Path:
    """The file of a URL, downloaded into `cache` unless it is there already.

    Raises:
        UserError: If the address is wrong, refused or forbidden.
        TryAgainError: If the server fails again and again.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise UserError(f"--data {url}: only http and https addresses are fetched, not {parts.scheme}")
    folder = cache / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (Path(unquote(parts.path)).name or "data")
    if not target.exists():
        _download(url, target, allow_private)
    check_sha256(target, sha256, shown(url))
    return target


def check_sha256(path: Path, expected: str | None, shown: str) -> None:
    """Compares, where a checksum was given."""
    if not expected:
        return
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected.lower():
        raise UserError(f"--data {shown}: sha256 is {actual}, expected {expected}; the file changed or is damaged")


def _download(url: str, target: Path, allow_private: bool) -> None:
    part = target.with_name(target.name + PART)
    problem = ""
    with httpx.Client(transport=_transport(allow_private), follow_redirects=True, timeout=TIMEOUT_SECONDS) as client:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                _continue(client, url, part)
                part.rename(target)
                _version(part).unlink(missing_ok=True)
                return
            except (httpx.TooManyRedirects, httpx.UnsupportedProtocol) as error:
                raise UserError(f"--data {shown(url)}: leads nowhere: {error}") from None
            except (httpx.TransportError, httpcore.NetworkError, socket.gaierror, _IncompleteError) as error:
                problem = str(error) or type(error).__name__
    raise TryAgainError(f"--data {shown(url)}: {problem}, {ATTEMPTS} times")


class _IncompleteError(Exception):
    pass


def _continue(client: httpx.Client, url: str, part: Path) -> None:
    """Appends what is missing. Raises if it ends early."""
    have = part.stat().st_size if part.exists() else 0
    with client.stream("GET", url, headers=_headers(have, _version(part))) as answer:
        if answer.status_code == 416:  # nothing is missing, or the file changed: begin anew
            part.unlink()
            raise _IncompleteError("the file changed while it was fetched")
        if answer.status_code in CLIENT_FAULTS:
            raise UserError(f"--data {shown(url)}: the server answers {answer.status_code} {answer.reason_phrase}")
        if answer.status_code not in (200, 206):
            raise _IncompleteError(f"the server answers {answer.status_code} {answer.reason_phrase}")
        resumed = answer.status_code == 206
        with part.open("ab" if resumed else "wb") as file:
            if not resumed:
                _version(part).write_text(_version_of(answer.headers))
            for chunk in answer.iter_raw():
                file.write(chunk)
    expected = answer.headers.get("content-length")
    got = part.stat().st_size - (have if resumed else 0)
    if expected and got != int(expected):
        raise _IncompleteError(f"{got} of {expected} bytes came")


def _headers(have: int, version: Path) -> dict[str, str]:
    """The bytes as they are stored: a server that compresses on the way would break sizes and ranges.

    Only the rest of what was begun is wanted: of another version the server sends everything.
    """
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known := version.read_text() if version.exists() else "":
            headers["If-Range"] = known
    return headers


def _version(part: Path) -> Path:
    """Where the version of a file begun lies, for the next try and the next process."""
    return part.with_name(part.name + ".version")


def _version_of(headers: httpx.Headers) -> str:
    """What If-Range takes: a strong ETag or the time of the last change."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else headers.get("last-modified", "")


def _transport(allow_private: bool) -> httpx.HTTPTransport:
    transport = httpx.HTTPTransport()
    if not allow_private:
        transport._pool._network_backend = _PublicOnly()  # httpx has no option for it
    return transport


def shown(url: str) -> str:
    """Without the query and the login, which may be secrets (SAS tokens)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
