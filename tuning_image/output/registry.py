"""The part of the OCI distribution API that a push needs, over httpx. Called by output.push.

Own code because the one kept-up Python client, oras, brings `requests` and neither retries nor tells 401 from 429.
Source: OCI Distribution Specification 1.1, sections "Pushing Blobs" and "Pushing Manifests".
"""

import base64
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx

from tuning_image.errors import TryAgainError, UserError

ATTEMPTS = 5
PAUSE_SECONDS = 1.0  # before the second attempt, doubled each time, unless the registry names a time
LONGEST_PAUSE_SECONDS = 60.0
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """One repository of one registry. `login` is base64 of user:password and never shown."""

    host: str
    repository: str
    login: str | None = field(default=None, repr=False)
    plain_http: bool = False
    _token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._base = f"{'http' if self.plain_http else 'https'}://{self.host}"
        self._client = httpx.Client(timeout=120)

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def push_blob(self, digest: str, content: bytes) -> None:
        """Uploads a blob unless the registry has it."""
        if self._send("HEAD", f"blobs/{digest}", {200, 404}).status_code == 200:
            return
        for attempt in range(ATTEMPTS):  # a dropped upload begins with a new session
            place = self._send("POST", "blobs/uploads/", {202}).headers["location"]
            url = httpx.URL(urljoin(self._base, place)).copy_add_param("digest", digest)  # params= drops its state
            try:
                self._send("PUT", str(url), {201}, content=content, attempts=1)
                return
            except TryAgainError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE_SECONDS * 2**attempt)

    def push_manifest(self, tag: str, content: bytes) -> str:
        """Uploads the manifest; the digest that the registry gives it."""
        answer = self._send("PUT", f"manifests/{tag}", {201}, content=content, headers={"Content-Type": MANIFEST_TYPE})
        return str(answer.headers.get("docker-content-digest", ""))

    def _send(self, method: str, path: str, good: set[int], attempts: int = ATTEMPTS, **more: Any) -> httpx.Response:
        """One request, tried again where that may help.

        Raises:
            UserError: 401, 403, 404 and other answers that stay the same.
            TryAgainError: 429, 5xx and broken connections, after all attempts.
        """
        url = path if path.startswith("http") else f"{self._base}/v2/{self.repository}/{path}"
        problem = ""
        for attempt in range(attempts):
            try:
                answer = self._authorized(method, url, **more)
            except httpx.TransportError as error:
                problem, pause = f"{type(error).__name__}: {error}", PAUSE_SECONDS * 2**attempt
            else:
                if answer.status_code in good:
                    return answer
                self._refuse(answer)
                problem, pause = _told(answer), _pause(answer, attempt)
            if attempt < attempts - 1:
                time.sleep(pause)
        raise TryAgainError(f"--push-image {self.host}/{self.repository}: {problem}; tried {attempts} times")

    def _refuse(self, answer: httpx.Response) -> None:
        if answer.status_code in (401, 403):
            who = "with the login of the push secret" if self.login else "and no login was given; set imagePushSecret"
            raise UserError(f"--push-image {self.host}/{self.repository}: {_told(answer)} {who}")
        if answer.status_code != 429 and answer.status_code < 500:
            raise UserError(f"--push-image {self.host}/{self.repository}: {_told(answer)}")

    def _authorized(self, method: str, url: str, **more: Any) -> httpx.Response:
        answer = self._client.request(method, url, **{**more, "headers": {**more.get("headers", {}), **self._header()}})
        challenge = answer.headers.get("www-authenticate", "")
        if answer.status_code == 401 and challenge.lower().startswith("bearer"):
            self._token = self._fetch_token(challenge)
            if self._token:
                headers = {**more.get("headers", {}), **self._header()}
                answer = self._client.request(method, url, **{**more, "headers": headers})
        return answer

    def _header(self) -> dict[str, str]:
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        return {"Authorization": f"Basic {self.login}"} if self.login else {}

    def _fetch_token(self, challenge: str) -> str | None:
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = asked.pop("realm", "")
        asked["scope"] = f"repository:{self.repository}:pull,push"
        headers = {"Authorization": f"Basic {self.login}"} if self.login else {}
        answer = self._client.get(realm, params=asked, headers=headers)
        if answer.status_code != 200:
            return None
        return answer.json().get("token") or answer.json().get("access_token")


def encode_login(user: str, password: str) -> str:
    """user and password → the text of a Basic header."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _told(answer: httpx.Response) -> str:
    said = " ".join(answer.text.split())[:200]
    return f"the registry answers {answer.status_code} {answer.reason_phrase}{f' ({said})' if said else ''}"


def _pause(answer: httpx.Response, attempt: int) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_PAUSE_SECONDS) if asked.isdigit() else PAUSE_SECONDS * 2**attempt
