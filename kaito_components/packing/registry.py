"""The part of the OCI distribution API that a push needs, over httpx. Called by the command.

Own code because the one kept-up Python client, oras, reads a whole file into memory and tries nothing again.
Source: OCI Distribution Specification 1.1, "Pushing blobs", "Pushing manifests"; distribution's token specification.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from httpx_retries import Retry

from kaito_components.errors import KaitoError
from kaito_components.packing.artefact import MANIFEST_TYPE, Blob
from kaito_components.packing.login import Login
from kaito_components.packing.progress import Progress
from kaito_components.packing.reference import Reference

TRIES, BACKOFF_SECONDS, LONGEST_PAUSE_SECONDS = 6, 1.0, 60.0
TRIED_AGAIN = (408, 429, 500, 502, 503, 504)
TIMEOUT = httpx.Timeout(120, connect=15)  # a registry may take its time with a large blob


class Registry:
    """One repository of one registry."""

    def __init__(self, to: Reference, login: Login | None, plain_http: bool) -> None:
        self.to = to
        self._login = login
        self._schemes = ("http", "https") if plain_http else ("https",)
        self._base = f"{self._schemes[0]}://{to.api_host}"
        self._header: dict[str, str] = {}
        self._client = httpx.Client(timeout=TIMEOUT)

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def has(self, blob: Blob) -> bool:
        """Whether the blob is there already; a registry may say so by a way to its storage."""
        return self._ask("HEAD", f"blobs/{blob.digest}", {200, 307, 404}).status_code != 404

    def send(self, blob: Blob, progress: Progress) -> None:
        """Uploads a blob; one that is cut off is begun anew."""

        def once() -> httpx.Response:
            place = self._once("POST", self._url("blobs/uploads/"))
            if place.status_code != 202 or "location" not in place.headers:
                return place
            url = httpx.URL(urljoin(self._base, place.headers["location"])).copy_add_param("digest", blob.digest)
            headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
            counted = _Counted(blob, progress)
            try:
                answer = self._once("PUT", str(url), content=counted, headers=headers)
            except httpx.TransportError:
                counted.take_back()
                raise
            if answer.status_code != 201:
                counted.take_back()
            return answer

        self._tried(once, {201})

    def tag(self, manifest: bytes) -> None:
        """Uploads the manifest under the tag."""
        self._ask("PUT", f"manifests/{self.to.tag}", {201}, content=manifest, headers={"Content-Type": MANIFEST_TYPE})

    def _url(self, path: str) -> str:
        return f"{self._base}/v2/{self.to.repository}/{path}"

    def _ask(self, method: str, path: str, good: set[int], **more: Any) -> httpx.Response:
        return self._tried(lambda: self._once(method, self._url(path), **more), good)

    def _tried(self, once: Callable[[], httpx.Response], good: set[int]) -> httpx.Response:
        """A request, made again where that may help and as late as the registry asks.

        Raises:
            KaitoError: it will not work, or did not after all tries.
        """
        retry = Retry(total=TRIES - 1, backoff_factor=BACKOFF_SECONDS, max_backoff_wait=LONGEST_PAUSE_SECONDS)
        while True:
            outcome: httpx.Response | Exception
            try:
                outcome = once()
                if outcome.status_code in good:
                    return outcome
                problem = _told(outcome)
                if outcome.status_code not in TRIED_AGAIN:
                    raise KaitoError(f"{self.to}: {problem}{self._way_out(outcome.status_code)}")
            except httpx.TransportError as broken:
                outcome, problem = broken, f"the connection failed ({str(broken) or type(broken).__name__})"
            if retry.is_exhausted():
                raise KaitoError(f"{self.to}: {problem}; tried {TRIES} times. What is there stays: run it again")
            retry = retry.increment()
            retry.sleep(outcome)

    def _once(self, method: str, url: str, **more: Any) -> httpx.Response:
        """One request; asked who we are, we say so and ask once more."""
        answer = self._send(method, url, **more)
        if answer.status_code == 401 and self._sign_in(answer.headers.get("www-authenticate", "")):
            return self._send(method, url, **more)
        return answer

    def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        own = (
            self._header if urlsplit(url).netloc == self.to.api_host else {}
        )  # storage elsewhere has its own signature
        return self._client.request(method, url, **{**more, "headers": {**more.get("headers", {}), **own}})

    def _sign_in(self, challenge: str) -> bool:
        """Whether there is something new to say who we are."""
        before, kind = self._header, challenge.partition(" ")[0].lower()
        if kind == "bearer":
            token = self._token(dict(re.findall(r'(\w+)="([^"]*)"', challenge)))
            self._header = {"Authorization": f"Bearer {token}"} if token else {}
        elif self._login and self._login.basic:
            self._header = {"Authorization": f"Basic {self._login.basic}"}
        return bool(self._header) and self._header != before

    def _token(self, asked: dict[str, str]) -> str | None:
        realm = asked.get("realm", "")
        if urlsplit(realm).scheme not in self._schemes:
            raise KaitoError(f"{self.to}: the registry sends logins to {realm!r}, which is not https")
        wanted = {"service": asked.get("service", ""), "scope": f"repository:{self.to.repository}:pull,push"}
        if self._login and self._login.identity:
            form = {
                **wanted,
                "grant_type": "refresh_token",
                "refresh_token": self._login.identity,
                "client_id": "kaito",
            }
            answer = self._client.post(realm, data=form)
        else:
            headers = {"Authorization": f"Basic {self._login.basic}"} if self._login else {}
            answer = self._client.get(realm, params=wanted, headers=headers)
        if answer.status_code != 200:
            return None
        found = answer.json()
        return str(found.get("token") or found.get("access_token") or "") or None

    def _way_out(self, status: int) -> str:
        host, name = self.to.host, self.to.repository
        if status == 401 and self._login is None:
            return f", and docker's configuration has no login for {host}: docker login {host}"
        if status == 401 and self._login:
            return f" to the login in {self._login.origin}: docker login {host} makes it anew; or it may not push there"
        if status == 403:
            return f": this login may not push to {name}; ask for the right (ACR: AcrPush)"
        return f": check that {host} has, or may make, the repository {name}" if status == 404 else ""


class _Counted:
    """The pieces of a blob, counted as they go; what was sent in vain is taken back."""

    def __init__(self, blob: Blob, progress: Progress) -> None:
        self._blob, self._progress, self._count = blob, progress, 0

    def __iter__(self) -> Iterator[bytes]:
        self.take_back()
        for piece in self._blob.pieces():
            yield piece
            self._count += len(piece)
            self._progress.add(len(piece))

    def take_back(self) -> None:
        self._progress.add(-self._count)
        self._count = 0


def _told(answer: httpx.Response) -> str:
    said = " ".join(answer.text.split())[:200]
    return f"the registry answers {answer.status_code} {answer.reason_phrase}{f' ({said})' if said else ''}"
