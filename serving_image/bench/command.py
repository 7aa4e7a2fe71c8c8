"""`python -m serving_image bench`: how fast a running server is, at several numbers of requests at a time.

Called by __main__.
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from serving_image.bench import report
from serving_image.bench.figures import Figures, figures
from serving_image.bench.load import Ask, chat, send, story
from serving_image.errors import SettingsError
from serving_image.setting_types import nonnegative, whole


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where an accepted answer was lost."""
    chosen = parser().parse_args(argv)
    key = _key(chosen.api_key_file)
    print(report.HEADER, flush=True)
    rows = []
    for concurrency in chosen.concurrency:
        try:
            rows.append(asyncio.run(_measure(chosen, concurrency, key)))
        except (OSError, RuntimeError) as error:
            raise SettingsError(f"bench: --url {chosen.url}: {error or type(error).__name__}") from None
        print(report.line(rows[-1]), flush=True)
    about = {"url": chosen.url, "words": chosen.words, "answer_tokens": chosen.answer_tokens}
    if chosen.json:
        report.write_json(chosen.json, about, rows)
    if chosen.png:
        report.write_picture(chosen.png, {chosen.model or chosen.url: rows})
    return 1 if any(row.lost for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m serving_image bench",
        description="Send greedy, streaming chats to a running server and print tokens per second, the time to the "
        "first token and the gaps between tokens.",
    )
    add = result.add_argument
    add("--url", default="http://127.0.0.1:5000", help="of the server (default: %(default)s)")
    add("--model", help="a name of /v1/models, such as an adapter's; default: the server's own")
    add("--concurrency", type=_each, default=[1, 4, 16, 32], help="requests at a time (default: 1,4,16,32)")
    add("--waves", type=_type(whole), default=2, help="how often all of them are sent (default: %(default)s)")
    add("--words", type=_type(nonnegative), default=29, help="of each prompt's text (default: %(default)s)")
    add("--answer-tokens", type=_type(whole), default=64, help="longest answer (default: %(default)s)")
    add("--api-key-file", type=Path, help="the first key of this file is sent")
    add("--json", type=Path, help="write the figures here")
    add("--png", type=Path, help="write a picture here")
    return result


async def _measure(chosen: argparse.Namespace, concurrency: int, key: str) -> Figures:
    """The waves one after the other, summed up as one load."""
    waves = []
    for wave in range(chosen.waves):
        first = 100 + wave * concurrency
        bodies = [
            chat(
                story(first + index, chosen.words),
                chosen.answer_tokens,
                chosen.model,
                stream_options={"include_usage": True},
            )
            for index in range(concurrency)
        ]
        waves += await send(chosen.url, [Ask(0, body) for body in bodies], key=key)
    return figures(waves, concurrency)


def _key(path: Path | None) -> str:
    if not path:
        return ""
    lines = [line.strip() for line in path.read_text().splitlines()]
    keys = [line.split()[0] for line in lines if line and not line.startswith("#")]
    if not keys:
        raise SettingsError(f"bench: --api-key-file {path}: there is no key in it")
    return keys[0]


def _each(text: str) -> list[int]:
    return [_type(whole)(part) for part in text.split(",")]


def _type(parse: Callable[[str], int]) -> Callable[[str], int]:
    """A parser of setting_types for argparse, which shows the text of only this error."""

    def read(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from None

    return read
