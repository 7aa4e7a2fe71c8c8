"""Puts the server together. Called by __main__ with the real engine, by tests with a fake one."""

from fastapi import FastAPI, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from serving_image import VERSION
from serving_image.api import adapters, chats, completions, page, quick, refusals, responses, status, tokens
from serving_image.api.admission import Gate
from serving_image.api.guard import Guard
from serving_image.api.keys import Keys
from serving_image.api.metrics import Metrics
from serving_image.api.state import Server
from serving_image.api.traces import Traces
from serving_image.engine.protocol import Engine
from serving_image.settings import Settings


def make_server(settings: Settings, engine: Engine) -> Server:
    """The state that all routes share."""
    gate = Gate(settings.max_queued_requests, settings.max_queued_tokens)
    metrics, keys = Metrics(settings.model_name), Keys(settings.api_key_file)
    endpoint = settings.otlp_traces_endpoint
    traces = Traces(endpoint, settings.model_name) if endpoint else None
    server = Server(settings, engine, gate, metrics, keys, traces)
    for spec in settings.adapter:
        server.serve(spec)
    return server


def make_app(server: Server) -> FastAPI:
    """The API."""
    app = FastAPI(title="KAITO serving image", version=VERSION)
    app.state.server = server
    routers = [
        page.router,
        quick.router,
        chats.router,
        completions.router,
        responses.router,
        tokens.router,
        status.router,
    ]
    if server.settings.admin_key_file:
        routers.append(adapters.router)
    locked = [Security(HTTPBearer(auto_error=False))] if server.keys.needed else []  # Guard asks; this documents it
    for router in routers:
        app.include_router(router, responses=refusals.DOCUMENTED, dependencies=locked)
    if not server.settings.metrics_port:
        app.include_router(status.monitoring)
    _add_refusals(app)
    app.add_middleware(Guard, server=server)
    return app


def make_monitoring_app(server: Server) -> FastAPI:
    """Health and metrics by themselves, for a port of their own."""
    app = FastAPI(title="KAITO serving image: health and metrics", version=VERSION)
    app.state.server = server
    app.include_router(status.monitoring)
    _add_refusals(app)
    return app


def _add_refusals(app: FastAPI) -> None:
    app.add_exception_handler(refusals.Refusal, refusals.on_refusal)
    app.add_exception_handler(RequestValidationError, refusals.on_invalid)
    app.add_exception_handler(HTTPException, refusals.on_http)
    app.add_exception_handler(Exception, refusals.on_crash)
