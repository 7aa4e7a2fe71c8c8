"""Every refusal, in OpenAI's error shape. Raised anywhere in the API; turned into a response, or an event, here."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

log = logging.getLogger("serving")
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
}


class ErrorObject(BaseModel):
    """OpenAI's error."""

    message: str
    type: str
    param: str | None
    code: str | None
    usage: dict[str, Any] | None = None


class ErrorBody(BaseModel):
    """The body of every refusal."""

    error: ErrorObject


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "refused: the body is not right, or not now; `param` names the field"},
    "5XX": {"model": ErrorBody, "description": "the server cannot answer"},
}  # of all routes, in /openapi.json


class Refusal(Exception):
    """A request that is not answered, and why; `usage` is what it cost all the same, where it cost something."""

    usage: dict[str, object] | None = None

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error if self.usage is None else {**error, "usage": self.usage}}

    def headers(self) -> dict[str, str]:
        """When to come back, where that helps. OpenAI's clients ask twice more after a 408."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        if self.status == 408 and self.usage is not None:
            headers["X-Should-Retry"] = "false"
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def bad(param: str, message: str) -> Refusal:
    """400 for one field."""
    return Refusal(400, f"{param}: {message}", code="invalid_value", param=param)


async def on_refusal(_: Request, refusal: Exception) -> JSONResponse:
    """The response for a Refusal."""
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body(), refusal.status, refusal.headers())


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """400 for a body that does not fit its schema, naming every field."""
    assert isinstance(error, RequestValidationError)
    kind = request.headers.get("content-type", "")
    if error.errors()[0]["type"] == "model_attributes_type" and "json" not in kind:
        came = f"came as {kind}" if kind else "has none"
        return await on_refusal(
            request, Refusal(400, f"send the header Content-Type: application/json; this body {came}")
        )
    return await on_refusal(request, from_validation(error.errors(), error.body))


async def on_http(request: Request, error: Exception) -> JSONResponse:
    """404 and 405 of the router, and whatever else Starlette refuses; FastAPI makes one of a Refusal inside a body."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Refusal):
        return await on_refusal(request, error.__cause__)
    refusal = Refusal(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    return JSONResponse(refusal.body(), refusal.status, {**refusal.headers(), **(error.headers or {})})


async def on_crash(request: Request, error: Exception) -> JSONResponse:
    """500; uvicorn logs the trace."""
    return await on_refusal(request, _crash(error))


def crashed(error: Exception) -> Refusal:
    """What a stream tells that cannot go on for a reason that nobody foresaw; the log has the trace."""
    log.error("a stream failed", exc_info=error)
    return _crash(error)


def _crash(error: Exception) -> Refusal:
    return Refusal(500, f"the server failed: {type(error).__name__}; its log says more")


def from_validation(errors: Sequence[Any], body: Any = None) -> Refusal:
    """One refusal for all of pydantic's errors."""
    lines: dict[str, dict[str, None]] = {}
    for error in errors:
        lines.setdefault(_field(error, body), {})[_problem(error)] = None
    for outer in [field for field in lines if any(other.startswith(f"{field}.") for other in lines)]:
        del lines[outer]  # of an alternative that fits even less than the one with errors inside
    texts = [": ".join(filter(None, (field, "; or ".join(problems)))) for field, problems in lines.items()]
    return Refusal(400, "; ".join(texts), code="invalid_value", param=next(iter(lines)) or None)


def _problem(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is no field of this API, or one that this server does not have"
    if error["type"] == "json_invalid":
        return f"the body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}"
    return str(error["msg"]).removeprefix("Value error, ")


def _field(error: Any, body: Any) -> str:
    """Where it is in the body; pydantic also names the alternatives that it tried, which are no fields."""
    if error["type"] == "json_invalid":
        return ""
    parts: list[str] = []
    for part in error["loc"][1:]:
        inside = part in body if isinstance(body, dict) else isinstance(body, list) and isinstance(part, int)
        if inside:
            body = body[part]
        if inside or (error["type"] == "missing" and part == error["loc"][-1]):
            parts.append(str(part))
    return ".".join(parts)
