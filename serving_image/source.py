"""Where the model's files are: a folder, a .gguf file, or a download from Hugging Face. Called by run.py first.

Every problem with the files themselves is found and named here, without loading them.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving_image import gguf_header
from serving_image.errors import WeightsError
from serving_image.progress import Progress
from serving_image.settings import Settings

WANTED = ("*.json", "*.safetensors", "*.jinja", "tokenizer*", "*.model", "*.txt", "*.tiktoken")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.*", "*.tiktoken", "tekken.json")
GENERATING = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")  # in names of architectures
IGNORED = ("*/*", "consolidated*")  # other forms of the same weights


@dataclass(frozen=True)
class Source:
    """The files of a model. `gguf` is the name of the one file in `folder` that holds everything."""

    folder: Path
    gguf: str = ""

    @property
    def weight_paths(self) -> list[Path]:
        """The files that hold weights."""
        return [self.folder / name for name in ([self.gguf] if self.gguf else _weight_files(self.folder))]

    @property
    def weight_bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(path.stat().st_size for path in self.weight_paths)

    @property
    def loading(self) -> dict[str, Any]:
        """What transformers needs to be told besides the folder."""
        return {"gguf_file": self.gguf} if self.gguf else {}


def find(settings: Settings, progress: Progress | None = None) -> Source:
    """The files, downloaded if need be and checked; `progress` tells how far the download is.

    Raises:
        WeightsError: With the file and what is wrong with it.
    """
    path = Path(settings.model)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise WeightsError(f"--model {path}: there is no such file")
        gguf_header.check(path)
        return Source(path.parent, path.name)
    if path.exists() or settings.model.startswith(("/", ".")):
        if settings.revision:
            raise WeightsError(f"--revision {settings.revision}: a folder has no revisions; leave it out")
        if name := _only_gguf(path):
            gguf_header.check(path / name)
            return Source(path, name)
        return check(Source(path))
    from serving_image import download, hub  # half a second, for downloads alone

    patterns = hub.Patterns(WANTED, IGNORED)
    return check(Source(download.fetch(settings.model, settings.revision, patterns, progress or Progress())))


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
    _check_config(folder / "config.json")
    if not any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        raise WeightsError(f"{folder}: the tokenizer is missing, {' or '.join(TOKENIZERS)}; copy it there too")
    names = _weight_files(folder)
    if not names:
        raise WeightsError(f"{folder}: there is no .safetensors file; pickled weights (.bin) are not read")
    for name in names:
        _check_file(folder / name)
    return source


def _check_config(path: Path) -> None:
    """It is there, and of a model that goes on with a text; the engine looks closer."""
    if not path.is_file():
        raise WeightsError(f"{path.parent}: config.json is missing; this is no folder of a Hugging Face model")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise WeightsError(f"{path}: is no JSON: {error}; download it again") from None
    if not isinstance(config, dict) or not config.get("model_type"):
        raise WeightsError(f"{path}: has no model_type; this is no configuration of a Hugging Face model")
    named = [str(name) for name in config.get("architectures") or []]
    if config.get("is_encoder_decoder") or (named and not any(part in name for name in named for part in GENERATING)):
        kind = ", ".join(named) or config["model_type"]
        raise WeightsError(
            f"{path}: architectures: {kind} does not go on with a text, it reads one; this server needs a model for "
            "generating, such as LlamaForCausalLM"
        )


def _weight_files(folder: Path) -> list[str]:
    return _named_files(folder) or sorted(path.name for path in folder.glob("*.safetensors"))


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
