"""What the user asked for: KAITO's Workspaces, read and checked field by field.

`read_files`, `read_documents` and `workspace_from_args` make values of `spec.model`. They are loaded when used: the
import of `kaito_components.spec.model` costs no more than its dataclasses, pydantic and ruamel.yaml stay out.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaito_components.spec.reader import read_documents, read_files, workspace_from_args

__all__ = ["read_documents", "read_files", "workspace_from_args"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kaito_components.spec' has no attribute {name!r}")
    return getattr(import_module("kaito_components.spec.reader"), name)
