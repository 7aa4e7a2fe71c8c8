"""The page at `/`, to try the model by hand. It is static and holds no secret; what it asks needs a key as ever.

Browsers may run what is in the page and speak to this server, and nothing else. Included by the app.
"""

import base64
import functools
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter()
FILE = Path(__file__).with_name("page.html")


@router.get("/", include_in_schema=False)
async def page() -> HTMLResponse:
    """The page."""
    text, policy = _page()
    security = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(text, headers=security)


@functools.cache
def _page() -> tuple[str, str]:
    text = FILE.read_text()
    script, style = (_hash(text, tag) for tag in ("script", "style"))
    rules = ["default-src 'none'", "connect-src 'self'", f"script-src {script}", f"style-src {style}"]
    return text, "; ".join([*rules, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])


def _hash(text: str, tag: str) -> str:
    """CSP's source for the one element of that name."""
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
