"""The login for a registry as docker, podman, oras and `az acr login` leave it. Called by the command.

Source: Docker CLI docs, "docker login" (config.json: auths, credHelpers, credsStore, identitytoken).
"""

import base64
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaito_components.errors import KaitoError

HELPER_SECONDS = 60
NO_NAME = "<token>"  # a helper's user name where its secret is an identity token


@dataclass(frozen=True)
class Login:
    """`basic` is base64 of user:password, `identity` a token for which the registry gives others; neither is shown."""

    origin: str  # where it was found
    basic: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)


def config_file(environment: Mapping[str, str]) -> Path:
    """Where docker keeps logins."""
    return Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def find_login(name: str, environment: Mapping[str, str]) -> Login | None:
    """The login for a registry, by the name under which docker keeps it; None if there is none.

    Raises:
        KaitoError: the file is damaged, or the program that keeps logins fails.
    """
    path = config_file(environment)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        logins = {_host(one): dict(entry) for one, entry in (content.get("auths") or {}).items()}
        helper = (content.get("credHelpers") or {}).get(name) or content.get("credsStore")
    except (OSError, ValueError, AttributeError, TypeError):
        raise KaitoError(f"{path}: is no docker configuration; make it anew with docker login") from None
    if entry := logins.get(_host(name)):
        user = f"{entry.get('username', '')}:{entry.get('password', '')}"
        basic = entry.get("auth") or (base64.b64encode(user.encode()).decode() if user != ":" else "")
        if basic or entry.get("identitytoken"):
            return Login(str(path), basic, entry.get("identitytoken", ""))
    return _ask(str(helper), name) if helper else None


def _host(name: str) -> str:
    return re.sub(r"^https?://|/.*$", "", name)


def _ask(helper: str, name: str) -> Login | None:
    """Of the program that keeps logins; it has none where it fails with words of its own."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=name, capture_output=True, text=True, timeout=HELPER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise KaitoError(f"{program}: cannot be asked for the login of {name}: {type(problem).__name__}") from None
    if done.returncode != 0:
        return None
    try:
        found: dict[str, Any] = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):
        raise KaitoError(f"{program}: gives no login for {name} that can be read") from None
    if user == NO_NAME:
        return Login(program, identity=secret)
    return Login(program, base64.b64encode(f"{user}:{secret}".encode()).decode())
