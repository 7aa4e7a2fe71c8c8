"""OpenTelemetry by switch: a real server, and a collector on loopback that decodes what it exports."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from serving_image.errors import SettingsError
from serving_image.settings import read
from tests.loopback import Silent, serving
from tests.serving.servers import Running, running, wait_until

TRACE, PARENT, KEY, SECRET = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "sesame-key", "xylophone"
ASKED = {"prompt": f"a {SECRET} is", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "ignore_eos": True}
NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@dataclass
class Collector:
    """What came, as it came."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> dict[str, Span]:
        """By the request id, each once."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        found = [
            span
            for each in requests
            for one in each.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]
        named = {attributes(span)["gen_ai.request.id"]: span for span in found}
        assert len(named) == len(found)
        return named


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector of OTLP/HTTP."""

    class Handler(Silent):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as listening:
        collector = Collector(f"http://127.0.0.1:{listening.server_port}/v1/traces")
        yield collector


def attributes(span: Span) -> dict[str, Any]:
    """Plain values."""

    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {each.key: plain(each.value) for each in span.attributes}


def headers(name: str) -> dict[str, str]:
    """Of the request `name`."""
    parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"} if name == "child" else {}
    return {"X-Request-Id": name, "Authorization": f"Bearer {KEY}", **parent}


def ask(server: Running, path: str, name: str, **body: Any) -> int:
    """The status of the request `name`."""
    with server.http(headers=headers(name)) as http:
        return http.post(path, json=body).status_code


@pytest.fixture(scope="module")
def collected(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """What a server sent from its start to its end by SIGTERM."""
    folder = tmp_path_factory.mktemp("traces")
    (folder / "keys").write_text(f"{KEY}\n")
    with collecting() as collector:
        flags = (
            "--otlp-traces-endpoint",
            collector.url,
            "--api-key-file",
            str(folder / "keys"),
            "--drain-timeout",
            "0.5",
        )
        with running(folder, *flags, model=str(tiny_model), environment=NO_PROXY) as server:
            assert ask(server, "/v1/completions", "child", **ASKED) == 200
            assert ask(server, "/v1/completions", "streamed", **ASKED, stream=True, n=2) == 200
            assert ask(server, "/v1/chat/completions", "refused", messages=[]) == 400
            assert ask(server, "/tokenize", "not generating", prompt="a") == 200
            with server.http(headers=headers("cut")) as http:
                body = {**ASKED, "max_tokens": 8000, "stream": True}
                with http.stream("POST", "/v1/completions", json=body) as answer:
                    next(answer.iter_lines())
                    server.signal(signal.SIGTERM)
                    assert server.process.wait(60) == 0
    return collector


def test_one_span_a_request_has_the_requests_numbers(collected: Collector):
    spans = collected.spans()
    assert set(spans) == {"child", "streamed", "refused", "cut"}
    found = attributes(spans["child"])
    assert spans["child"].name == "text_completion tiny" and spans["child"].kind == Span.SPAN_KIND_SERVER
    expected = {
        "operation.name": "text_completion", "request.model": "tiny", "response.model": "tiny",
        "request.max_tokens": 5, "request.temperature": 0.5, "request.top_p": 0.9, "usage.output_tokens": 5,
        "usage.input_tokens": 4,
        "response.finish_reasons": ["length"],
    }  # fmt: skip
    assert {name: found[f"gen_ai.{name}"] for name in expected} == expected


def test_latencies_have_vllms_names_and_fit_into_the_span(collected: Collector):
    span = collected.spans()["child"]
    found = attributes(span)
    queue, first, whole = [found[f"gen_ai.latency.{name}"] for name in ("time_in_queue", "time_to_first_token", "e2e")]
    assert 0 < queue < first < whole < (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def test_a_request_with_traceparent_is_a_child_and_others_are_roots(collected: Collector):
    spans = collected.spans()
    assert (spans["child"].trace_id.hex(), spans["child"].parent_span_id.hex()) == (TRACE, PARENT)
    assert spans["streamed"].parent_span_id == b"" and spans["streamed"].trace_id.hex() != TRACE


def test_several_answers_of_a_stream_are_one_span(collected: Collector):
    found = attributes(collected.spans()["streamed"])
    assert found["gen_ai.usage.output_tokens"] == 10 and found["gen_ai.request.choice.count"] == 2
    assert found["gen_ai.response.finish_reasons"] == ["length", "length"]


def test_what_went_wrong_is_marked_and_a_clients_mistake_is_no_failure_of_the_server(collected: Collector):
    spans = collected.spans()
    assert attributes(spans["refused"])["error.type"] == "400"
    assert spans["refused"].status.code == Status.STATUS_CODE_UNSET == spans["child"].status.code
    assert "error.type" not in attributes(spans["child"])
    assert spans["cut"].status.code == Status.STATUS_CODE_ERROR and attributes(spans["cut"])["error.type"]


def test_neither_prompts_nor_keys_are_exported(collected: Collector):
    exported = b"".join(collected.bodies)
    assert b"gen_ai" in exported and SECRET.encode() not in exported and KEY.encode() not in exported


def test_a_collector_that_is_gone_fails_no_request_and_the_server_still_ends(tiny_model: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = ("--otlp-traces-endpoint", f"http://127.0.0.1:{port}/v1/traces")
    environment = {**NO_PROXY, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running(tmp_path, *flags, model=str(tiny_model), environment=environment) as server:
        assert [ask(server, "/v1/completions", f"number {each}", **ASKED) for each in range(3)] == [200] * 3
        wait_until(lambda: "opentelemetry" in server.text())  # its warning
        assert ask(server, "/v1/completions", "after it", **ASKED) == 200
        server.signal(signal.SIGTERM)
        assert server.process.wait(60) == 0


def test_neither_sdk_nor_exporter_is_loaded_without_the_switch():
    heavy = "('opentelemetry.sdk', 'opentelemetry.exporter')"  # FastAPI loads the API by itself
    code = f"import sys, serving_image.run; print([name for name in sys.modules if name.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("value", ["collector:4317", "http://collector:4318", "http://me:word@collector/v1/traces"])
def test_an_endpoint_that_cannot_be_one_stops_the_process(value: str):
    with pytest.raises(SettingsError, match="--otlp-traces-endpoint"):
        read(["--model", "x", "--otlp-traces-endpoint", value], {})
