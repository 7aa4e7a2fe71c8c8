"""Downloads a model from Hugging Face into its cache (HF_HOME), going on where an earlier try ended. Called by source.

huggingface_hub asks, names and lays out the cache. It begins an interrupted file anew (2.4.0 gives each try a file of
its own name), so each file is fetched here before: it grows in `blobs/HASH.incomplete`, through restarts of the
process too, and gets its name once its hash is right. A model's folder is made last, of whole files alone.
"""

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Event, Thread

import httpx2
from huggingface_hub import constants, errors, file_download
from huggingface_hub.utils import WeakFileLock
from huggingface_hub.utils.sha import git_hash

from serving_image import hub
from serving_image.errors import WeightsError
from serving_image.progress import Progress

log = logging.getLogger("serving")
AT_ONCE = 4  # files
LOG_SECONDS = 5.0
FRUITLESS_TRIES = 6  # in a row, without a byte
LONGEST_PAUSE_SECONDS = 30.0
SHA256_DIGITS = 64
LARGEST_BY_HTTP_BYTES = constants.MAX_HTTP_DOWNLOAD_SIZE  # larger files come by Xet alone, which begins anew


class Cut(Exception):
    """The connection broke, or the server did: worth another try."""


def fetch(name: str, revision: str, patterns: hub.Patterns, progress: Progress) -> Path:
    """The folder of a model, all of it there.

    Raises:
        WeightsError: With the reason and what to do.
    """
    log.info("downloading %s%s", name, f" at {revision}" if revision else "")
    try:
        wanted = hub.files(name, revision, patterns)
    except (errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise hub.explained(name, revision, error) from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        return _cached(name, revision, patterns, hub.explained(name, revision, error))
    try:
        _fetch_all(name, wanted, progress)
        return hub.snapshot(name, revision, patterns, local=False)
    except (httpx2.HTTPError, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise _no_space(name, wanted) from None
        raise hub.explained(name, revision, error) from None


def _cached(name: str, revision: str, patterns: hub.Patterns, refused: WeightsError) -> Path:
    """What is whole in the cache serves, whatever the reason why it cannot be compared."""
    try:
        folder = hub.snapshot(name, revision, patterns, local=True)
    except errors.LocalEntryNotFoundError:
        raise refused from None
    log.warning("serving %s from the cache, not compared with Hugging Face's: %s", name, refused)
    return folder


def _fetch_all(name: str, wanted: Sequence[hub.HubFile], progress: Progress) -> None:
    progress.begin(wanted)
    missing = [file for file in wanted if not file.blob.exists() and file.size <= LARGEST_BY_HTTP_BYTES]
    if not missing:
        return
    missing[0].folder.mkdir(parents=True, exist_ok=True)
    if _lacking_bytes(wanted) > 0:
        raise _no_space(name, wanted)
    done = Event()
    Thread(target=_report, args=(name, progress, done), daemon=True, name="progress").start()
    try:
        with ThreadPool(AT_ONCE) as pool:  # its threads do not hold up the end of the process
            for _ in pool.imap_unordered(_fetch_one, missing):
                pass
    finally:
        done.set()


def _report(name: str, progress: Progress, done: Event) -> None:
    while not done.wait(LOG_SECONDS):
        progress.sample()
        log.info("downloading %s: %s", name, progress.text(), extra={"fields": progress.fields()})


def _fetch_one(file: hub.HubFile) -> None:
    """The file under its name, with the right hash: a damaged one is fetched once more, from its beginning."""
    lock = file.folder.parents[1] / ".locks" / file.folder.parent.name / f"{file.hash}.lock"  # huggingface_hub's own
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        for _ in range(2):
            if file.blob.exists():
                return
            _receive(file)
            if (found := _hash(file)) == file.hash:
                file.partial.replace(file.blob)
                return
            log.warning("%s arrived damaged: its hash is %s instead of %s", file.name, found, file.hash)
            file.partial.unlink()
    raise WeightsError(
        f"{file.name}: arrived damaged twice, its hash is {found} instead of {file.hash}; something between here and "
        f"{hub.place()} changes it (a proxy, a mirror, a bad disk under {file.folder})"
    )


def _receive(file: hub.HubFile) -> None:
    """All bytes of a file, through cut connections."""
    fruitless = 0
    while True:
        file.partial.touch()
        held = file.held_bytes
        if held > file.size:
            file.partial.unlink()
            continue
        if held == file.size:
            return
        try:
            _receive_once(file, held)
        except Cut as cut:
            fruitless = 0 if file.held_bytes > held else fruitless + 1
            if fruitless == FRUITLESS_TRIES:
                raise WeightsError(
                    f"{file.name}: the download was cut {fruitless} times in a row without a byte ({cut}); what is "
                    f"there, {file.held_bytes} of {file.size} bytes, is kept for the next start"
                ) from None
            log.warning("%s was cut at %d of %d bytes (%s), going on", file.name, file.held_bytes, file.size, cut)
            time.sleep(min(2**fruitless / 2, LONGEST_PAUSE_SECONDS))


def _receive_once(file: hub.HubFile, held: int) -> None:
    try:
        with file.partial.open("r+b") as target:
            target.seek(held)
            file_download.http_get(file.url, target, resume_size=held, headers=hub.headers(), expected_size=file.size)
            target.flush()
            os.fsync(target.fileno())
    except errors.HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        raise Cut(f"status {error.response.status_code}") from None
    except httpx2.HTTPError as error:
        raise Cut(type(error).__name__) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise Cut("it ended early") from None  # http_get's own error for an answer that is too short


def _hash(file: hub.HubFile) -> str:
    if len(file.hash) != SHA256_DIGITS:
        return git_hash(file.partial.read_bytes())
    with file.partial.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _lacking_bytes(wanted: Sequence[hub.HubFile]) -> int:
    """How much more space is needed than there is."""
    folder = wanted[0].folder
    return sum(file.size - file.held_bytes for file in wanted) - shutil.disk_usage(folder).free


def _no_space(name: str, wanted: Sequence[hub.HubFile]) -> WeightsError:
    total, free = sum(file.size for file in wanted), shutil.disk_usage(wanted[0].folder).free
    held, lacking = sum(file.held_bytes for file in wanted), _lacking_bytes(wanted)
    return WeightsError(
        f"--model {name}: {lacking / 1e9:.3g} GB of disk are missing: the model has {total / 1e9:.3g} GB, of which "
        f"{held / 1e9:.3g} GB are there, and {constants.HF_HUB_CACHE} has {free / 1e9:.3g} GB free; "
        "give the volume more space, or set HF_HOME to a larger one"
    )
