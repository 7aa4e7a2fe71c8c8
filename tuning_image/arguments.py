"""The command line. Called by __main__, and by the contract test that parses what the tuning Job writes."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuning_image.errors import UserError

DATA_HELP = (
    "file, folder, URL or hf://datasets/OWNER/NAME[@REVISION][/PATH]; #sha256=…&weight=… may follow; repeatable "
    "($TUNING_DATA, places apart by spaces)"
)
PATHS = {"--model": "TUNING_MODEL", "--data": "TUNING_DATA", "--output": "TUNING_OUTPUT", "--config": "TUNING_CONFIG"}


@dataclass(frozen=True)
class Arguments:
    """The command line, parsed but not yet judged."""

    model: str
    data: tuple[str, ...]
    output: Path
    method: str
    revision: str | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()
    push_image: str | None = None
    plain_http: bool = False
    max_bad_rows: float = 0.01
    allow_private_data: bool = False
    checkpoint_minutes: float = 10.0
    early_stopping_patience: int | None = None
    merge: bool = False
    only_check: bool = False
    port: int | None = None
    then_serve: str | None = None
    processes: int | None = None
    samples: int = 3


def parse(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Arguments:
    """argv, and the paths in the environment that it leaves out → Arguments.

    Raises:
        UserError: With argparse's reason.
    """
    try:
        parsed = parser().parse_args([*_from(environment or {}, argv), *argv])
    except argparse.ArgumentError as error:
        raise UserError(f"command line: {error}; see python -m tuning_image --help") from None
    given = vars(parsed)
    return Arguments(**{**given, "data": tuple(given["data"]), "settings": tuple(given["settings"])})


def _from(environment: Mapping[str, str], argv: Sequence[str]) -> Iterator[str]:
    """Flags of variables; several places of data are apart by spaces."""
    for flag, variable in PATHS.items():
        value = environment.get(variable, "")
        if not any(word.partition("=")[0] == flag for word in argv):
            yield from (f"{flag}={one}" for one in (value.split() if flag == "--data" else [value]) if one)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse itself would exit with 2
        raise argparse.ArgumentError(None, message)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} must be 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The parser, for --help and the contract test."""
    result = _Parser(prog="python -m tuning_image", description=__doc__, allow_abbrev=False)
    add = result.add_argument
    add("--model", required=True, help="folder or Hugging Face id of the base model ($TUNING_MODEL)")
    add("--revision", help="commit, tag or branch of the Hugging Face id")
    add("--data", required=True, action="append", help=DATA_HELP)
    add("--output", required=True, type=Path, help="folder of all results ($TUNING_OUTPUT)")
    add("--method", choices=("lora", "qlora"), default="lora", help="adapters on the weights as they are, or in 4 bit")
    add("--config", type=Path, help="KAITO's training_config.yaml ($TUNING_CONFIG)")
    add("--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE", help="one value of it")
    add("--push-image", help="REGISTRY/NAME:TAG that the adapter is pushed to")
    add("--plain-http", action="store_true", help="push over http (a registry on this machine)")
    add("--max-bad-rows", type=float, default=0.01, help="share of bad rows that ends the run (default: 0.01)")
    add("--allow-private-data", action="store_true", help="let --data URLs name private addresses")
    add("--checkpoint-minutes", type=float, default=10.0, help="between checkpoints by time; 0: none (default: 10)")
    add("--early-stopping-patience", type=int, help="evaluations without improvement that end training")
    add("--merge", action="store_true", help="also write the full weights with the adapter merged in")
    add("--only-check", action="store_true", help="check settings and data, write the data report, load no model")
    add("--port", type=int, help="serve /health and /metrics here (default: $TUNING_PORT, 5000 in the container)")
    add("--processes", type=_positive, help="that train together, each on its GPU (default: one for each visible GPU)")
    add(
        "--samples",
        type=_count,
        default=3,
        help="validation prompts that base and tuned model answer at the end (default: 3)",
    )
    add("--then-serve", metavar="NAMESPACE/DEPLOYMENT", help="give this server a new pod when the adapter is there")
    return result
