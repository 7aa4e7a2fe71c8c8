"""The tables of docs/serving.md, made from the settings and the bodies: `python -m serving_image.field_tables`.

It writes them into that file; a test says when that is due.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

from serving_image.api.quick import GenerateKwargs, QuickBody
from serving_image.api.schema import Body, ChatBody, CompletionBody
from serving_image.api.tokens import DetokenizeBody, TokenizeBody
from serving_image.api.turns import ResponsesBody
from serving_image.settings import parser

PAGE = Path("docs/serving.md")
MARKER = "<!-- from here on written by python -m serving_image.field_tables -->"
BODIES: dict[str, type[Body]] = {
    "POST /v1/chat/completions": ChatBody,
    "POST /v1/completions": CompletionBody,
    "POST /v1/responses": ResponsesBody,
    "POST /tokenize": TokenizeBody,
    "POST /detokenize": DetokenizeBody,
    "POST /chat": QuickBody,
    "POST /chat: generate_kwargs": GenerateKwargs,
}


def settings_table() -> str:
    """One row a flag."""
    rows = [
        f"| `{action.option_strings[0]}` | {(action.help or '').replace('%%', '%')} |"
        for action in parser()._actions
        if action.option_strings[0] != "-h"
    ]
    return "\n".join(["| Flag | Meaning |", "|---|---|", *rows])


def body_table(body: type[Body]) -> str:
    """One row a field: what becomes of it."""
    rows = [f"| `{field.alias or name}` | {_fate(body, name, field)} |" for name, field in body.model_fields.items()]
    return "\n".join(["| Field | Here |", "|---|---|", *rows])


def _fate(body: type[Body], name: str, field: Any) -> str:
    if name in body.HARMLESS:
        return "accepted, has no effect"
    if re.match(r"(typing\.)?Literal\[", str(field.annotation)) or field.annotation is type(None):
        allowed = ", ".join(f"`{json.dumps(value)}`" for value in get_args(field.annotation) or (None,))
        return f"only {allowed}; anything else is a 400"
    return "required" if field.is_required() else "honoured"


def tables() -> str:
    """All of them, as they stand in the file."""
    bodies = [f"### `{name}`\n\n{body_table(body)}" for name, body in BODIES.items()]
    return "\n\n".join(["### Settings", settings_table(), *bodies])


def updated(text: str) -> str:
    """The file's text with today's tables after the marker."""
    head, marker, _ = text.partition(MARKER)
    return f"{head}{marker}\n\n{tables()}\n"


def main() -> None:
    """Write them."""
    PAGE.write_text(updated(PAGE.read_text()))


if __name__ == "__main__":
    main()
