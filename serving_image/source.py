"""Where the model's files are: a folder, a .gguf file, or a download from Hugging Face. Called by run.py first.

Every problem with the files themselves is found and named here, without loading them.
"""

import json
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving_image.errors import WeightsError
from serving_image.settings import Settings

log = logging.getLogger("serving")
PATTERNS = ("*.json", "*.safetensors", "*.jinja", "tokenizer*", "*.model", "*.txt")


@dataclass(frozen=True)
class Source:
    """The files of a model. `gguf` is the name of the one file in `folder` that holds everything."""

    folder: Path
    gguf: str = ""

    @property
    def weight_bytes(self) -> int:
        """Size of the weights on disk."""
        names = [self.gguf] if self.gguf else [path.name for path in self.folder.glob("*.safetensors")]
        return sum((self.folder / name).stat().st_size for name in names)

    @property
    def loading(self) -> dict[str, Any]:
        """What transformers needs to be told besides the folder."""
        return {"gguf_file": self.gguf} if self.gguf else {}


def find(settings: Settings) -> Source:
    """The files, downloaded if need be and checked.

    Raises:
        WeightsError: With the file and what is wrong with it.
    """
    path = Path(settings.model)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise WeightsError(f"--model {path}: there is no such file")
        return Source(path.parent, path.name)
    if path.exists() or settings.model.startswith(("/", ".")):
        if settings.revision:
            raise WeightsError(f"--revision {settings.revision}: a folder has no revisions; leave it out")
        if name := _only_gguf(path):
            return Source(path, name)
        return check(Source(path))
    return check(Source(_download(settings)))


def _only_gguf(folder: Path) -> str:
    """The one .gguf file of a folder without other weights: pods and model images name folders."""
    files = sorted(path.name for path in folder.glob("*.gguf"))
    if not files or any(folder.glob("*.safetensors")):
        return ""
    if len(files) > 1:
        raise WeightsError(f"{folder}: has {len(files)} .gguf files, {', '.join(files)}; name one of them by --model")
    return files[0]


def check(source: Source) -> Source:
    """The same, if all files are there and whole."""
    folder = source.folder
    if not folder.is_dir():
        raise WeightsError(f"--model {folder}: there is no such folder")
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder}: config.json is missing; this is no folder of a Hugging Face model")
    names = _named_files(folder) or sorted(path.name for path in folder.glob("*.safetensors"))
    if not names:
        raise WeightsError(f"{folder}: there is no .safetensors file; pickled weights (.bin) are not read")
    for name in names:
        _check_file(folder / name)
    return source


def _named_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{index}: cannot be read: {error!r}; download it again") from None


def _check_file(path: Path) -> None:
    """A safetensors file says in its header how long it is."""
    if not path.is_file():
        raise WeightsError(f"{path}: is missing, though the index names it; download it again")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        try:
            header = json.loads(file.read(length)) if length < size else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise WeightsError(f"{path}: is no safetensors file, or its beginning is damaged; download it again")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise WeightsError(f"{path}: has {size} bytes instead of {wanted}: it is cut; download it again")


def _download(settings: Settings) -> Path:
    """From Hugging Face, resumed where an earlier try ended, into its cache (HF_HOME)."""
    import huggingface_hub
    from huggingface_hub import errors

    name = settings.model
    log.info("downloading %s%s", name, f" at {settings.revision}" if settings.revision else "")
    try:
        return Path(
            huggingface_hub.snapshot_download(name, revision=settings.revision or None, allow_patterns=list(PATTERNS))
        )
    except errors.GatedRepoError:
        raise WeightsError(
            f"--model {name}: is gated; accept its licence at https://huggingface.co/{name} and set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"--revision {settings.revision}: {name} has no such revision") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise WeightsError(
            f"--model {name}: is neither a folder here nor a model that Hugging Face shows you; if it is private, "
            "set HF_TOKEN"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HfHubHTTPError) as error:
        raise WeightsError(
            f"--model {name}: Hugging Face cannot be reached and the cache does not hold it: {error}"
        ) from None
    except OSError as error:
        raise WeightsError(f"--model {name}: the download cannot be written: {error}") from None
