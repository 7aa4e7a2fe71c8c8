"""Whose login a push uses: docker's file, a program that keeps logins, and tokens that a registry hands out."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from kaito_components.errors import KaitoError
from kaito_components.packing.artefact import Blob
from kaito_components.packing.login import Login, find_login
from kaito_components.packing.reference import parse
from kaito_components.packing.registry import Registry
from tests.loopback import serving
from tests.tuning import registry_stand_in

HOST = "r.example.com"
BASIC = "bWU6cmlnaHQ="  # me:right


def write(folder: Path, **content: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(content))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.mark.parametrize("name", [HOST, f"https://{HOST}", f"https://{HOST}/v1/"])
@pytest.mark.parametrize("entry", [{"auth": BASIC}, {"username": "me", "password": "right"}])
def test_a_login_is_found_however_docker_wrote_it(tmp_path: Path, name: str, entry: dict[str, str]) -> None:
    found = find_login(HOST, write(tmp_path, auths={"other.example.com": {"auth": "x"}, name: entry}))
    assert found and found.basic == BASIC and BASIC not in repr(found)


@pytest.mark.parametrize("text", ["docker.io/me/phi:1", "index.docker.io/me/phi:1"])
def test_docker_hub_answers_and_keeps_its_login_under_other_names(tmp_path: Path, text: str) -> None:
    to = parse(text)
    assert (str(to), to.api_host) == ("docker.io/me/phi:1", "registry-1.docker.io")
    assert (
        Registry(to, None, plain_http=False)._url("manifests/1").startswith("https://registry-1.docker.io/v2/me/phi/")
    )
    found = find_login(to.login_name, write(tmp_path, auths={"https://index.docker.io/v1/": {"auth": BASIC}}))
    assert found and found.basic == BASIC


def test_docker_hubs_own_images_have_a_folder_that_is_left_out() -> None:
    assert parse("docker.io/phi:1").repository == "library/phi"


def test_the_token_of_az_acr_login_is_found(tmp_path: Path) -> None:
    found = find_login(HOST, write(tmp_path, auths={HOST: {"auth": "MDA6", "identitytoken": "secret"}}))
    assert found and found.identity == "secret" and "secret" not in repr(found)


def test_no_file_and_no_entry_are_no_login(tmp_path: Path) -> None:
    assert find_login(HOST, {"DOCKER_CONFIG": str(tmp_path)}) is None
    assert find_login(HOST, write(tmp_path, auths={HOST: {}})) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": [1]}', '{"auths": {"r.example.com": 1}}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(KaitoError, match=r"config\.json: is no docker configuration"):
        find_login(HOST, {"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("where", [{"credsStore": "test"}, {"credHelpers": {HOST: "test"}}])
def test_a_program_that_keeps_logins_is_asked_on_its_input(
    tmp_path: Path, where: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(f'#!/bin/sh\n[ "$*$(cat)" = get{HOST} ] && echo \'{{"Username": "me", "Secret": "right"}}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = find_login(HOST, write(tmp_path, **where))
    assert found == Login("docker-credential-test", BASIC)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KaitoError, match="docker-credential-none: cannot be asked"):
        find_login(HOST, write(tmp_path, credsStore="none"))


class Tokens(registry_stand_in.Handler):
    """Takes tokens alone, and gives one for a login or for an identity token."""

    def _handle(self) -> None:
        if self.path.startswith("/token"):
            form = parse_qs(self.rfile.read(int(self.headers.get("content-length") or 0)).decode())
            known = self.headers.get("authorization") == f"Basic {BASIC}" or form.get("refresh_token") == ["identity"]
            body = b'{"access_token": "given"}' if known else b"{}"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif self.headers.get("authorization") == "Bearer given":
            super()._handle()
        else:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            realm = f"http://{self.server.host}/token"
            self._answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="test"'})

    do_HEAD = do_POST = do_PUT = do_GET = _handle


@pytest.fixture
def host() -> Iterator[str]:
    server = registry_stand_in.Server()
    server.RequestHandlerClass = Tokens
    with serving(server):
        yield server.host


def has(host: str, login: Login | None, plain_http: bool = True) -> bool:
    registry = Registry(parse(f"{host}/models/phi:1"), login, plain_http)
    try:
        return registry.has(Blob("sha256:0", 0))
    finally:
        registry.close()


@pytest.mark.parametrize("login", [Login("file", BASIC), Login("file", "MDA6", "identity")])
def test_a_registry_of_tokens_is_given_what_it_asks_for(host: str, login: Login) -> None:
    assert has(host, login) is False


@pytest.mark.parametrize("login", [None, Login("file", "wrong")])
def test_a_registry_of_tokens_refuses_others(host: str, login: Login | None) -> None:
    with pytest.raises(KaitoError, match="401") as refused:
        has(host, login)
    assert f"docker login {host}" in str(refused.value) and "wrong" not in str(refused.value)
