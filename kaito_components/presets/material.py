"""What is gathered about a model before a preset is made of it: its config.json and what is known beside it.

Made by `folder` (local files) and `hub` (Hugging Face), read by `adding`. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaito_components.errors import KaitoError

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Weights:
    """The files that are loaded. `is_mistral`: in Mistral's own form."""

    size_bytes: int
    is_mistral: bool = False
    source: str = "model-files"


@dataclass(frozen=True)
class Material:
    """A model as it was found. None: not told."""

    model: str
    config: Mapping[str, Any] = field(repr=False)
    weights: Weights
    revision: str | None = None
    parameters: int | None = None
    license: str | None = None
    is_gated: bool = False
    config_source: str = "model-config"
    facts_source: str = "model-api"  # of revision, licence, parameters and gate


def weights_of(sizes: Mapping[str, int]) -> Weights | None:
    """Those of the files that KAITO's server loads: Mistral's own form, else safetensors, else PyTorch's.

    Args:
        sizes: path in the repository -> bytes.
    """
    whole = {path: size for path, size in sizes.items() if not path.startswith("original/")}
    for prefix, suffix in (("consolidated", ".safetensors"), ("", ".safetensors"), ("", ".bin")):
        found = [
            size for path, size in whole.items() if path.rsplit("/", 1)[-1].startswith(prefix) and path.endswith(suffix)
        ]
        if found:
            return Weights(sum(found), is_mistral=bool(prefix))
    return None


def json_object(text: str, name: str) -> dict[str, Any]:
    """A JSON file's object. Some config.json hold `Infinity`, which Python reads as well.

    Raises:
        KaitoError: it is cut off, or no object.
    """
    try:
        value = json.loads(text)
    except ValueError as problem:
        raise KaitoError(f"{name} is not whole JSON ({problem}); fetch it again") from None
    if not isinstance(value, dict):
        raise KaitoError(f"{name} holds no JSON object; a model's config.json does")
    return value


def index_size(text: str, name: str) -> int:
    """The bytes of all tensors that a safetensors index lists.

    Raises:
        KaitoError: it does not say.
    """
    size = (json_object(text, name).get("metadata") or {}).get("total_size")
    if not isinstance(size, int | float) or size <= 0:
        raise KaitoError(f"{name} has no metadata.total_size; give the folder with the weights instead")
    return int(size)
