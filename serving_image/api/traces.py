"""A span of OpenTelemetry per request that generates, by --otlp-traces-endpoint; else no SDK is loaded.

Guard begins and ends a note, answers.py writes into it what becomes of the request. Numbers, names and reasons alone:
never prompts, answers or keys. Attributes are those of the GenAI conventions; the latencies have vLLM's names.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving_image import VERSION
from serving_image.api.refusals import Refusal
from serving_image.requests import Request

if TYPE_CHECKING:
    from serving_image.api.answers import Times, Usage

OPERATIONS = {
    "/chat": "chat",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
}
EXPORT_SECONDS = 5  # that a collector may take


@dataclass
class Note:
    """One request, as far as it is known."""

    path: str
    carrier: Mapping[str, str]  # traceparent and tracestate
    wall: int = field(default_factory=time.time_ns)
    began: float = field(default_factory=time.monotonic)
    requests: Sequence[Request] = ()
    usage: "Usage | None" = None
    answers: "list[tuple[str, Times]]" = field(default_factory=list)
    error: str = ""


_current: ContextVar[Note | None] = ContextVar("note", default=None)


@contextmanager
def noting(requests: Sequence[Request], usage: "Usage") -> Iterator[None]:
    """Whatever is computed inside belongs to the request that is handled now."""
    note = _current.get()
    if note is None:
        yield
        return
    note.requests, note.usage = requests, usage
    try:
        yield
    except BaseException as error:  # GeneratorExit and CancelledError too: nobody waits for the answer any more
        note.error = _kind(error)
        raise


def answered(reason: str, times: "Times") -> None:
    """One answer of the request is complete."""
    if note := _current.get():
        note.answers.append((reason, times))


class Traces:
    """The way to the collector: a thread of its own sends; what it cannot send in time is dropped and logged."""

    def __init__(self, endpoint: str, model: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        own = Resource({"service.name": "kaito-serving", "service.version": VERSION})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("serving_image", VERSION)
        self._model = model

    def begin(self, path: str, headers: Mapping[bytes, bytes]) -> Note | None:
        """A note, if the request asks for something to be generated."""
        if path not in OPERATIONS:
            return None
        names = ("traceparent", "tracestate")
        note = Note(path, {name: headers.get(name.encode(), b"").decode("latin-1") for name in names})
        _current.set(note)
        return note

    def end(self, note: Note, status: int, request_id: str) -> None:
        """The request is over; its span is queued."""
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        attributes: dict[str, Any] = {"http.response.status_code": status or 500, "gen_ai.request.id": request_id}
        attributes |= _attributes(note, self._model)
        if error := note.error or ("" if 0 < status < 400 else str(status or 500)):
            attributes["error.type"] = error
        parent = TraceContextTextMapPropagator().extract(note.carrier)
        name = " ".join(filter(None, (OPERATIONS[note.path], attributes.get("gen_ai.request.model"))))
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=note.wall)
        if error and not 400 <= status < 500:  # those are the client's, by the conventions of HTTP servers
            span.set_status(StatusCode.ERROR)
        span.end(note.wall + round((time.monotonic() - note.began) * 1e9))

    def stop(self) -> None:
        """Send what is left. Blocks, but beside a dead collector for twice EXPORT_SECONDS at most."""
        limit = threading.Timer(EXPORT_SECONDS, self._exporter.shutdown)
        limit.daemon = True
        limit.start()
        self._provider.shutdown()
        limit.cancel()


def _attributes(note: Note, model: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gen_ai.operation.name": OPERATIONS[note.path],
        "gen_ai.provider.name": "kaito",
        "http.route": note.path,
    }
    if not note.requests or note.usage is None:
        return found  # refused before it was understood
    first = note.requests[0]
    found |= {
        "gen_ai.request.model": first.adapter or model,
        "gen_ai.response.model": first.adapter or model,
        "gen_ai.request.max_tokens": first.max_tokens,
        "gen_ai.request.temperature": first.sampling.temperature,
        "gen_ai.request.top_p": first.sampling.top_p,
        "gen_ai.request.choice.count": len(note.requests),
        "gen_ai.usage.input_tokens": note.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": note.usage.completion_tokens,
    }
    return found | (_outcome(note) if note.answers else {})


def _outcome(note: Note) -> dict[str, Any]:
    """Of several answers: the first one's start, the last one's end."""
    times = [each for _, each in note.answers]
    arrived, started = min(each.arrived for each in times), min(each.started for each in times)
    first, last = min(each.first for each in times), max(each.last for each in times)
    return {
        "gen_ai.response.finish_reasons": [reason for reason, _ in note.answers],
        "gen_ai.latency.time_in_queue": started - arrived,
        "gen_ai.latency.time_to_first_token": first - arrived,
        "gen_ai.latency.time_in_model_prefill": first - started,
        "gen_ai.latency.time_in_model_decode": last - first,
        "gen_ai.latency.time_in_model_inference": last - started,
        "gen_ai.latency.e2e": last - arrived,
    }


def _kind(error: BaseException) -> str:
    if isinstance(error, Refusal):
        return error.code or str(error.status)
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"
