"""/v1/adapters: adapters come and go while the server runs. Only with --admin-key-file, whose keys it asks for."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, StrictStr

from serving_image.api.refusals import Refusal, bad
from serving_image.api.schema import Body, Number
from serving_image.api.state import server_of
from serving_image.errors import AdapterError
from serving_image.setting_types import AdapterSpec

router = APIRouter()


class AdapterBody(Body):
    """An adapter in a folder that the server can read."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    folder: StrictStr
    strength: Annotated[Number, Field(ge=0, le=100)] = 1.0


@router.get("/v1/adapters")
async def adapters(request: Request) -> dict[str, Any]:
    """What is served."""
    served = server_of(request).adapters
    return {"object": "list", "data": [{"name": name, "folder": folder} for name, folder in served.items()]}


@router.post("/v1/adapters")
async def load(body: AdapterBody, request: Request) -> dict[str, Any]:
    """Serve an adapter, in place of one of the same name; if it cannot be, the old one stays."""
    server = server_of(request)
    server.loaded()
    if body.name == server.settings.model_name:
        raise bad("name", f"{body.name!r} is the model's own name")
    spec = AdapterSpec(body.name, Path(body.folder), body.strength)
    try:
        await server.engine.load_adapter(spec)
        server.serve(spec)
    except AdapterError as error:
        raise Refusal(400, str(error), code="adapter_refused", param="folder") from None
    return {"name": body.name, "folder": body.folder}


@router.delete("/v1/adapters/{name}")
async def unload(name: str, request: Request) -> dict[str, Any]:
    """Serve it no more; answers that are under way go on."""
    server = server_of(request)
    if name not in server.adapters:
        raise Refusal(404, f"name: {name!r} is not served", code="adapter_not_found", param="name")
    del server.adapters[name], server.templates[name]
    await server.engine.unload_adapter(name)
    return {"name": name, "deleted": True}
