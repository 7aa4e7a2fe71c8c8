"""What a client sends and what the model answers is in no log, even at the most talkative level. A read-only model."""

import concurrent.futures
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_image import settings
from tests.serving import faulty
from tests.serving.servers import Running, gauge, running, wait_until

MARK, ADMIN = "Zebrafinch-4711", "Sesame-4712"
USER, SYSTEM = {"role": "user", "content": MARK}, {"role": "system", "content": f"You are {MARK}"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"word": MARK})}}
TOOL = {"type": "function", "function": {"name": "f", "description": MARK, "parameters": {"type": "object"}}}
SHORT = {"max_tokens": 4, "ignore_eos": True}
RIGHT = [
    ("/chat", {"prompt": MARK, "generate_kwargs": {"max_new_tokens": 4}}),
    ("/v1/completions", {"prompt": MARK, "echo": True, **SHORT}),
    ("/v1/completions", {"prompt": [MARK], "stream": True, "stop": MARK, "user": MARK, **SHORT}),
    ("/v1/chat/completions", {"messages": [SYSTEM, USER], "metadata": {"a": MARK}, **SHORT}),
    ("/v1/chat/completions", {"messages": [USER], "stream": True, "tools": [TOOL], "tool_choice": "none", **SHORT}),
    ("/v1/responses", {"input": MARK, "instructions": MARK, "max_output_tokens": 16}),
    ("/tokenize", {"prompt": MARK, "return_token_strs": True}),
    ("/v1/completions", {"prompt": "a", "guided_choice": [MARK], **SHORT}),
]
WRONG = [
    ("/chat", {"prompt": MARK, MARK: 1}),
    ("/chat", {"prompt": [MARK]}),
    ("/v1/completions", {"prompt": MARK, "max_tokens": MARK}),
    ("/v1/completions", {"prompt": MARK, "response_format": {"type": "json_schema", "json_schema": {"schema": MARK}}}),
    ("/v1/completions", {"prompt": "a", "guided_regex": f"({MARK}"}),
    ("/v1/chat/completions", {"messages": [USER, {"role": MARK, "content": MARK}]}),
    ("/v1/chat/completions", {"messages": [USER], "chat_template": "{{ raise_exception('" + MARK + "') }}"}),
    ("/v1/chat/completions", {"messages": [USER], "chat_template": "{% " + MARK}),
    ("/v1/chat/completions", {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}], "top_logprobs": 2}),
    ("/v1/responses", {"input": [{"type": MARK, "text": MARK}]}),
    ("/v1/completions", {"prompt": MARK, "model": MARK}),
    ("/tokenize", {"messages": MARK}),
    ("/detokenize", {"tokens": [MARK]}),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Running]:
    """At the most talkative level, from a folder that cannot be written where the test may mount one."""
    folder = tmp_path_factory.mktemp("talkative")
    model = folder / "model"
    model.mkdir()
    bind = ["mount", "--bind", str(tiny_model), str(model)]
    bound = os.geteuid() == 0 and subprocess.run(bind, check=False).returncode == 0
    try:
        if bound:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(model)], check=True)
        (folder / "admin-keys").write_text(f"{ADMIN}\n")
        flags = ["--log-level=debug", f"--admin-key-file={folder / 'admin-keys'}", "--queue-timeout=2"]
        few = {"SERVING_MAX_RUNNING": "1", "SERVING_MAX_QUEUED_REQUESTS": "1", "FAULTY_SLOW_SECONDS": "0.01"}
        served = str(model if bound else tiny_model)
        with running(folder, *flags, model=served, module="tests.serving.faulty", environment=few) as started:
            yield started
    finally:
        if bound:
            subprocess.run(["umount", "-l", str(model)], check=True)


def test_a_model_is_served_from_a_folder_that_is_mounted_read_only(server: Running):
    folder = Path(server.process.args[4])
    if folder.parent != server.log.parent:
        pytest.skip("a read-only folder needs the right to mount one")
    with pytest.raises(OSError, match="Read-only"):
        (folder / "new").touch()
    with server.http() as http:
        assert http.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}).status_code == 200


def test_no_prompt_answer_tool_or_wrong_value_is_in_the_log(server: Running):
    with server.http(headers={"X-Request-Id": "mine-1"}) as http:
        assert [http.post(path, json=body).status_code for path, body in RIGHT] == [200] * len(RIGHT)
        refused = [http.post(path, json=body).status_code for path, body in WRONG]
        assert set(refused) <= {400, 404} and len(refused) == len(WRONG)
        broken = http.post("/v1/completions", content=f'{{"prompt": "{MARK}'.encode())
        assert broken.status_code == 400
        failed = http.post("/v1/completions", json={"prompt": [faulty.POISON, 5, 6], "max_tokens": 1})
        assert failed.status_code == 500 and failed.headers["x-request-id"] == "mine-1"
    assert MARK not in server.text() and server.text().count('"request": "mine-1"') >= len(RIGHT) + len(WRONG)


def test_every_line_of_the_log_is_json_with_a_level_also_of_the_engine_that_loads_and_fails(server: Running):
    with server.http() as http:
        http.post("/v1/completions", json={"prompt": [faulty.POISON, 5, 6], "max_tokens": 1})
    wait_until(lambda: "the model failed on a request" in server.text())
    lines = [json.loads(line) for line in server.text().splitlines()]
    assert all(line["level"] and line["message"] for line in lines)
    assert any(line["logger"] == "serving.engine" and "Traceback" in line["trace"] for line in lines)


def test_settings_are_printed_at_start_with_their_origins(server: Running):
    said = [line["message"] for line in map(json.loads, server.text().splitlines()) if "setting " in line["message"]]
    assert "setting log_level = debug (--log-level)" in said and "setting drain_timeout = 100.0 (default)" in said
    assert "setting max_running = 1 (SERVING_MAX_RUNNING)" in said
    assert len(said) == len(settings.read(["--model", "m"], {}).lines())


def test_refusals_and_clients_that_vanish_leave_no_prompt_in_the_log(server: Running, tmp_path: Path):
    held = {"prompt": MARK, "max_tokens": 4000, "ignore_eos": True, "stream": True}
    with server.http() as busy, busy.stream("POST", "/v1/completions", json=held) as stream:
        lines = stream.iter_lines()  # which closes the connection when it is forgotten
        next(lines)
        with server.http() as http, concurrent.futures.ThreadPoolExecutor() as pool:
            asked = [pool.submit(http.post, "/v1/completions", json={"prompt": MARK}) for _ in range(3)]
            codes = sorted(each.result().status_code for each in asked)
            assert codes == [408, 429, 429]  # one waits, until its deadline
    wait_until(lambda: gauge(server, "num_requests_running") == 0)  # the client of the stream is gone
    folder = tmp_path / MARK
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": MARK, "r": MARK}))
    with server.http(headers={"Authorization": f"Bearer {ADMIN}"}) as http:
        assert http.post("/v1/adapters", json={"name": "a", "folder": str(folder)}).status_code == 400
    assert MARK not in server.text() and ADMIN not in server.text()
