"""A model on Hugging Face: its config.json and its list of files, no weights. The edge; called by resolving.

`huggingface_hub` finds endpoint (HF_ENDPOINT), token (HF_TOKEN or its login) and cache by itself. The token is never
read here, and never part of a message.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from kaito_components.errors import KaitoError
from kaito_components.presets.material import Material, json_object, weights_of

SECONDS = 10  # that Hugging Face may take to answer


def fetch(model: str, revision: str | None = None) -> Material:
    """What Hugging Face tells of the model, at that revision or at its latest.

    Raises:
        KaitoError: it cannot be had; the message says why and what helps.
    """
    from huggingface_hub import HfApi, errors

    try:
        api = HfApi()
        info = api.model_info(model, revision=revision, files_metadata=True, timeout=SECONDS)
        return _material(api, info)
    except errors.GatedRepoError:
        raise KaitoError(_gated(model)) from None
    except errors.RevisionNotFoundError:
        raise KaitoError(f"{model} has no revision {revision} on Hugging Face; name a commit of it") from None
    except errors.RepositoryNotFoundError:
        raise KaitoError(_missing(model)) from None
    except errors.RemoteEntryNotFoundError:
        raise KaitoError(f"{model} has no config.json on Hugging Face: it is no model that can be served") from None
    except errors.HfHubHTTPError as problem:
        status = problem.response.status_code
        if status == HTTPStatus.UNAUTHORIZED:  # what it answers for a missing or private model without a token
            raise KaitoError(_missing(model)) from None
        raise KaitoError(f"Hugging Face answered {status} for {model}; try again, or {_LOCAL}") from None
    except errors.HFValidationError:
        raise KaitoError(f"{model!r} is not a Hugging Face id; write ORGANISATION/NAME") from None
    except errors.OfflineModeIsEnabled:
        raise KaitoError(f"{model} cannot be looked up: HF_HUB_OFFLINE is set; unset it, or {_LOCAL}") from None
    except (errors.HTTPError, OSError) as problem:
        raise KaitoError(f"Hugging Face cannot be reached for {model} ({_short(problem)}); {_LOCAL}") from None
    except (ValueError, KeyError, TypeError) as problem:
        text = f"Hugging Face's answer about {model} cannot be read ({_short(problem)})"
        raise KaitoError(f"{text}; try again, or {_LOCAL}") from None


_LOCAL = "give the files yourself: kaito models add ORG/NAME --config config.json --config model.safetensors.index.json"


def _gated(model: str) -> str:
    return (
        f"{model} is gated on Hugging Face: accept its licence at https://huggingface.co/{model}, set HF_TOKEN to your "
        f"token for this command, and name a Secret with it in presetOptions.modelAccessSecret; or {_LOCAL}"
    )


def _missing(model: str) -> str:
    text = f"{model} is not on Hugging Face, or is private: check the spelling"
    return f"{text}, or set HF_TOKEN to a token that may read it"


def _material(api: Any, info: Any) -> Material:
    model = info.id
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or ()}
    weights = weights_of(sizes)
    if weights is None:
        raise KaitoError(f"{model} has no weights in safetensors or PyTorch form on Hugging Face; choose another model")
    name = "config.json" if "config.json" in sizes or "params.json" not in sizes else "params.json"
    path = api.hf_hub_download(model, name, revision=info.sha, etag_timeout=SECONDS)
    config = json_object(Path(path).read_text(encoding="utf-8"), f"{name} of {model}")
    return Material(
        model=model,
        config=config,
        weights=weights,
        revision=info.sha,
        parameters=info.safetensors.total if info.safetensors else None,
        license=_license(info.card_data),
        is_gated=bool(info.gated),
    )


def _license(card: Any) -> str | None:
    """Hugging Face's key of the licence; `other` is named by `license_name`."""
    name = card.get("license") if card else None
    if name == "other":
        name = card.get("license_name") or name
    return name if isinstance(name, str) else None


def _short(problem: Exception) -> str:
    lines = str(problem).splitlines()
    return lines[0][:120] if lines else type(problem).__name__
