"""What is served and how it is: /v1/models, /health, /health/live, /metrics, /version."""

import importlib.metadata
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from serving_image import VERSION
from serving_image.api.state import server_of

router = APIRouter()  # of the API's port
monitoring = APIRouter()  # of either port
STARTED = int(time.time())
PARTS = ("torch", "transformers", "peft", "bitsandbytes", "fastapi")


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """The model and its adapters; `losses` is what this model cannot have here, in words."""
    server = server_of(request)
    name = server.settings.model_name
    info = server.engine.info
    context, losses = (info.context_tokens, info.losses) if info else (None, ())
    head = {"object": "model", "created": STARTED, "owned_by": "kaito", "max_model_len": context}
    adapters = [{"id": adapter, **head, "root": folder, "parent": name} for adapter, folder in server.adapters.items()]
    model = {"id": name, **head, "root": server.settings.model, "parent": None, "losses": losses}
    return {"object": "list", "data": [model, *adapters]}


@router.get("/v1/models/{name}")
async def model(name: str, request: Request) -> dict[str, Any]:
    """One of them."""
    server_of(request).adapter(name)
    found: dict[str, Any] = next(each for each in (await models(request))["data"] if each["id"] == name)
    return found


@router.get("/version")
async def version() -> dict[str, str]:
    """Of this image and of what it is made of."""
    return {"version": VERSION, **{part: importlib.metadata.version(part) for part in PARTS}}


@monitoring.get("/health")
@monitoring.get("/health/ready")
async def health(request: Request) -> Response:
    """200 once a real token was generated, until SIGTERM."""
    server = server_of(request)
    if server.ready:
        return JSONResponse({"status": "Healthy"})
    if server.gate.draining:
        return JSONResponse({"status": "draining"}, 503)
    detail = server.engine.failure or server.download.text()
    return JSONResponse({"status": server.engine.state, "detail": detail, **server.download.fields()}, 503)


@monitoring.get("/health/live")
async def live(request: Request) -> Response:
    """503 where work is there and nothing moves; a busy or a loading server is alive. The body has what it goes by."""
    server = server_of(request)
    engine, limit = server.engine, server.settings.liveness_timeout
    stalled, age = engine.stalled_seconds(), engine.last_token_age()
    alive = engine.state != "failed" and (not limit or stalled < limit)
    body = {
        "alive": alive,
        "state": engine.state,
        "requests": server.gate.inside,
        "seconds_without_step": round(stalled, 1),
        "liveness_timeout_seconds": limit,
        "last_token_age_seconds": None if age is None else round(age, 1),
    }
    return JSONResponse(body, 200 if alive else 503)


@monitoring.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus, with vLLM's names."""
    server = server_of(request)
    text = server.metrics.text(server.engine.stats, server.gate.waiting_requests, server.download)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
