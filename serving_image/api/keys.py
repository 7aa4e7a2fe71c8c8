"""API keys: who may ask, and how much a minute. Called by guard.py for every request but health.

A file has one key a line: `KEY [name=NAME] [rpm=REQUESTS] [tpm=TOKENS]`, each limit per minute; `#` begins a comment.
It is read again when it changes. Only hashes are kept, and compared in constant time.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from pathlib import Path

from serving_image.api.refusals import Refusal
from serving_image.errors import SettingsError

MINUTE = 60.0


@dataclass
class Bucket:
    """Refills steadily up to a minute's worth."""

    per_minute: int
    level: float = field(init=False)
    filled: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.per_minute

    def take(self, amount: int) -> int:
        """Take it if it is there; else the seconds until it is."""
        now = time.monotonic()
        self.level = min(self.per_minute, self.level + (now - self.filled) * self.per_minute / MINUTE)
        self.filled = now
        wanted = min(amount, self.per_minute)  # more than a minute's worth waits for a full bucket
        if self.level >= wanted:
            self.level -= amount
            return 0
        return int((wanted - self.level) * MINUTE / self.per_minute) + 1


@dataclass
class Key:
    """One key, without the key itself."""

    name: str
    hashed: bytes
    requests: Bucket | None = None
    tokens: Bucket | None = None

    def spend(self, tokens: int) -> None:
        """Count a request of so many tokens, prompt and the longest possible answer.

        Raises:
            Refusal: 429, where the key's limit is reached.
        """
        for bucket, amount, what in ((self.requests, 1, "requests"), (self.tokens, tokens, "tokens")):
            wait = bucket.take(amount) if bucket else 0
            if wait and bucket:
                message = f"the key {self.name} may use {bucket.per_minute} {what} a minute"
                raise Refusal(429, message, code="rate_limit_exceeded", retry_after=wait)


class Keys:
    """All keys of a file; without a file everybody may ask."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._keys: list[Key] = []
        if path:
            self._keys = read(path)
            self._seen = _version(path)

    @property
    def needed(self) -> bool:
        """There is a file."""
        return self._path is not None

    def check(self, given: str) -> Key | None:
        """The key that was given; None where none is needed.

        Raises:
            Refusal: 401.
        """
        if not self._path:
            return None
        self._reread(self._path)
        hashed = _hash(given)
        found = [key for key in self._keys if hmac.compare_digest(key.hashed, hashed)]
        if not found:
            message = "a valid API key is needed: Authorization: Bearer KEY"
            raise Refusal(401, message, code="invalid_api_key")
        return found[0]

    def _reread(self, path: Path) -> None:
        """Keys that are still there keep their buckets; an unreadable file changes nothing."""
        version = _version(path)
        if version is None or version == self._seen:
            return
        self._seen = version
        try:
            new = read(path)
        except SettingsError:
            return
        old = {(key.hashed, _limits(key)): key for key in self._keys}
        self._keys = [old.get((key.hashed, _limits(key)), key) for key in new]


def read(path: Path) -> list[Key]:
    """The keys of a file.

    Raises:
        SettingsError: Naming file and line, never the key.
    """
    keys = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            keys.append(_key(words, f"{path}:{number}", number))
    if not keys:
        raise SettingsError(f"{path}: has no key; write one a line")
    return keys


def _key(words: list[str], place: str, number: int) -> Key:
    options = dict(word.partition("=")[::2] for word in words[1:])
    if unknown := options.keys() - {"name", "rpm", "tpm"}:
        raise SettingsError(f"{place}: {', '.join(sorted(unknown))} is none of name, rpm, tpm")
    buckets = {}
    for name in ("rpm", "tpm"):
        value = options.get(name)
        if value is not None and not (value.isdigit() and int(value) > 0):
            raise SettingsError(f"{place}: {name}={value} is not a whole number from 1 on")
        buckets[name] = Bucket(int(value)) if value else None
    return Key(options.get("name", f"key-{number}"), _hash(words[0]), buckets["rpm"], buckets["tpm"])


def _limits(key: Key) -> tuple[str, int, int]:
    requests, tokens = (bucket.per_minute if bucket else 0 for bucket in (key.requests, key.tokens))
    return key.name, requests, tokens


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
