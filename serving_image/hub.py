"""What Hugging Face has of a model, where its cache keeps it, and what it refused, in words. Called by download.py."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2  # the client of huggingface_hub, whose broken connections come through as they are
import huggingface_hub
from huggingface_hub import constants, errors, file_download
from huggingface_hub.utils import build_hf_headers, disable_progress_bars, filter_repo_objects

from serving_image.errors import WeightsError

HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # it becomes a file's name


@dataclass(frozen=True)
class Patterns:
    """Which files of a model are wanted."""

    wanted: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class HubFile:
    """A file of a model. `hash` is its SHA-256, or git's hash of it where it is small and not in LFS."""

    name: str
    url: str
    hash: str
    size: int
    folder: Path  # of the cache's blobs, which are named by their hash

    @property
    def blob(self) -> Path:
        """Where it lies once it is whole."""
        return self.folder / self.hash

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.folder / f"{self.hash}.incomplete"

    @property
    def held_bytes(self) -> int:
        """What is there of it."""
        for path in (self.blob, self.partial, self.blob):  # it may take its name in between
            try:
                return path.stat().st_size
            except OSError:
                continue
        return 0


def files(name: str, revision: str, patterns: Patterns) -> list[HubFile]:
    """All files that are wanted of a model, each content once."""
    disable_progress_bars()  # the log has the progress
    logging.getLogger("huggingface_hub").handlers.clear()  # what it logs is a line of our log, once
    info = huggingface_hub.HfApi().model_info(name, revision=revision or None, files_metadata=True)
    repository = file_download.repo_folder_name(repo_id=name, repo_type="model")
    folder = Path(constants.HF_HUB_CACHE, repository, "blobs")
    found = {}
    siblings = filter_repo_objects(
        info.siblings or [],
        allow_patterns=list(patterns.wanted),
        ignore_patterns=list(patterns.ignored),
        key=lambda sibling: sibling.rfilename,
    )
    for each in siblings:
        content = (each.lfs.sha256 if each.lfs else each.blob_id) or ""
        if HASH.fullmatch(content) and each.size is not None:
            url = huggingface_hub.hf_hub_url(name, each.rfilename, revision=info.sha)
            found[content] = HubFile(each.rfilename, url, content, each.size, folder)
    return list(found.values())


def headers() -> dict[str, str]:
    """Of each request for a file: bytes as they are stored, and the token where there is one."""
    return {**build_hf_headers(), "Accept-Encoding": "identity"}


def snapshot(name: str, revision: str, patterns: Patterns, *, local: bool) -> Path:
    """The folder of the cache in which all files have their names; `local` asks nobody."""
    folder = huggingface_hub.snapshot_download(
        name,
        revision=revision or None,
        allow_patterns=list(patterns.wanted),
        ignore_patterns=list(patterns.ignored),
        local_files_only=local,
    )
    return Path(folder)


def explained(name: str, revision: str, error: Exception) -> WeightsError:
    """What the user can do about it. Only status codes are quoted: addresses may hold signatures."""
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    match error:
        case errors.GatedRepoError():
            reason = f"is gated; accept its licence at {place()}/{name} and set HF_TOKEN to your token"
        case errors.RevisionNotFoundError():
            return WeightsError(f"--revision {revision}: {name} has no such revision")
        case errors.RepositoryNotFoundError() | errors.HFValidationError():
            reason = "is neither a folder here nor a model that Hugging Face shows you; if it is private, set HF_TOKEN"
        case errors.HfHubHTTPError() if status == 401:
            reason = (
                "Hugging Face wants a valid token for it (401): set HF_TOKEN, or renew one that is revoked or expired"
            )
        case errors.HfHubHTTPError() if status == 403:
            reason = "HF_TOKEN may not read this model (403); it needs the right to read it, by role or by repository"
        case errors.OfflineModeIsEnabled() | errors.LocalEntryNotFoundError():
            reason = f"{_away()}, and {_uncached()}"
        case errors.HfHubHTTPError():
            reason = f"{place()} answers {status}, and {_uncached()}"
        case httpx2.HTTPError():
            reason = f"{place()} cannot be reached ({type(error).__name__}: {error}), and {_uncached()}"
        case OSError():
            reason = f"the download cannot be written: {error}"
        case ValueError():
            reason = f"{place()} does not answer as Hugging Face does: {error}"
        case _:
            raise error
    return WeightsError(f"--model {name}: {reason}")


def place() -> str:
    """The hub's address without a password."""
    parts = urlsplit(constants.ENDPOINT)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _away() -> str:
    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{place()} cannot be reached"


def _uncached() -> str:
    return f"the cache {constants.HF_HUB_CACHE} does not hold this model whole"
