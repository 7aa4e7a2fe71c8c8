"""`hf://datasets/OWNER/NAME[@REVISION][/PATH]`: data files of the Hugging Face Hub. Called by data.sources."""

import errno
import re
from collections.abc import Sequence
from pathlib import Path

from tuning_image.data.rows import FORMATS
from tuning_image.errors import TryAgainError, TuningError, UserError

PREFIX = "hf://"
REFERENCE = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<path>.+))?")


def fetch(place: str, cache: Path) -> Path:
    """The folder or the file that `place` names, in `cache`; what is there already is not fetched again.

    Raises:
        UserError: If the place is none, is not there or is not ours to read.
        TryAgainError: If the Hub cannot be reached.
    """
    found = REFERENCE.fullmatch(place.rstrip("/"))
    if not found:
        raise UserError(f"--data {place}: must be hf://datasets/OWNER/NAME, then @REVISION and /PATH where wanted")
    path = found["path"] or ""
    wanted = [path, f"{path}/*"] if path else [f"*{ending}" for ending in FORMATS]
    return _snapshot(place, found["name"], found["revision"], wanted, cache / "hub") / path


def _snapshot(place: str, name: str, revision: str | None, wanted: Sequence[str], cache: Path) -> Path:
    import httpx2  # the client of huggingface_hub, whose broken connections come through as they are
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(
            snapshot_download(
                name, repo_type="dataset", revision=revision, allow_patterns=list(wanted), cache_dir=cache
            )
        )
    except (httpx2.HTTPError, OSError, errors.HFValidationError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
            raise _explained(place, error.__cause__) from None  # why it looked at what is here
        raise _explained(place, error) from None


def _explained(place: str, error: Exception) -> TuningError:
    """Only status codes are quoted: addresses may hold signatures."""
    from huggingface_hub import errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    match error:
        case errors.GatedRepoError():
            return UserError(f"--data {place}: is gated; accept its licence on the Hub and set HF_TOKEN to your token")
        case errors.RevisionNotFoundError():
            return UserError(f"--data {place}: there is no such revision")
        case errors.RepositoryNotFoundError() | errors.HFValidationError():
            return UserError(f"--data {place}: the Hub shows you no such data set; if it is private, set HF_TOKEN")
        case errors.HfHubHTTPError() if status in (401, 403):
            return UserError(f"--data {place}: HF_TOKEN is not valid or may not read it ({status})")
        case errors.HfHubHTTPError():
            return TryAgainError(f"--data {place}: the Hub answers {status}")
    return TryAgainError(f"--data {place}: the Hub cannot be reached ({type(error).__name__})")
