"""API keys: who may ask, on which routes, and how much."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_image.api.keys import Bucket, read
from serving_image.errors import SettingsError
from tests.serving.servers import Running, running, wait_until


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("first-key name=alice rpm=3\nsecond-key name=bob\nfourth-key name=dave tpm=40\n")
    return path


@pytest.fixture(scope="module")
def locked(keys: Path) -> Iterator[Running]:
    with running(keys.parent, "--dtype", "float32", "--api-key-file", str(keys)) as server:
        yield server


def status(server: Running, key: str, path: str = "/v1/models", **options: object) -> int:
    with server.http(headers={"Authorization": f"Bearer {key}"} if key else {}) as http:
        return http.request("POST" if options else "GET", path, **options).status_code


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/version", "/openapi.json", "/docs", "/v1/nothing"])
def test_every_route_but_health_wants_a_key(locked: Running, path: str):
    assert status(locked, "wrong", path) == 401
    assert status(locked, "wrong", "/health") == 200


def test_a_key_is_asked_for_before_the_body_is_read(locked: Running):
    assert status(locked, "", "/v1/completions", json={"prompt": 1}) == 401
    assert status(locked, "second-key", "/v1/completions", json={"prompt": 1}) == 400


def test_a_key_may_not_ask_more_often_than_its_limit(locked: Running):
    ask = {"json": {"prompt": "a", "max_tokens": 1}}
    assert [status(locked, "first-key", "/v1/completions", **ask) for _ in range(4)] == [200, 200, 200, 429]
    assert status(locked, "second-key", "/v1/completions", **ask) == 200


def test_a_key_may_not_use_more_tokens_than_its_limit(locked: Running):
    ask = {"json": {"prompt": "a", "max_tokens": 39, "ignore_eos": True}}
    assert [status(locked, "fourth-key", "/v1/completions", **ask) for _ in range(2)] == [200, 429]


def test_every_documented_route_but_health_wants_a_key(locked: Running):
    with locked.http(headers={"Authorization": "Bearer second-key"}) as http:
        paths = http.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in paths.items() for method in methods if not path.startswith("/health")]
    with locked.http() as http:
        answers = {each: http.request(each[0], each[1]).status_code for each in asked if each != ("get", "/")}
    assert len(answers) >= 10 and set(answers.values()) == {401}


def test_a_key_that_is_taken_out_of_the_file_is_refused_at_once(locked: Running, keys: Path):
    before = keys.read_text()
    keys.write_text(before + "lost-key name=eve\n")
    assert status(locked, "lost-key") == 200
    keys.write_text(before)
    assert status(locked, "lost-key") == 401


def test_a_rotated_file_counts_at_once_and_keys_are_never_logged(locked: Running, keys: Path):
    keys.write_text(keys.read_text() + "third-key name=carol\n")
    assert status(locked, "third-key") == 200
    wait_until(lambda: '"key": "carol"' in locked.text())  # a request is logged after its answer
    assert "third-key" not in locked.text()


def test_a_wrong_line_names_the_line_and_not_the_key(tmp_path: Path):
    (tmp_path / "keys").write_text("# ours\nsecret rpm=many\n")
    with pytest.raises(SettingsError, match=r"keys:2: rpm=many is not") as caught:
        read(tmp_path / "keys")
    assert "secret" not in str(caught.value)


def test_a_bucket_says_how_long_to_wait():
    bucket = Bucket(60)
    assert bucket.take(60) == 0
    assert 1 <= bucket.take(10) <= 11
    bucket.filled = time.monotonic() - 20
    assert bucket.take(10) == 0
