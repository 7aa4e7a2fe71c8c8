"""The loads of the serving benchmark, each one function from a server to its figures. Called by serving_run."""

import asyncio
import random
from collections.abc import Sequence

from benchmarks.serving_servers import WORDS, Server
from serving_image.bench.figures import Figures, figures
from serving_image.bench.load import Answer, Ask, send, story

ANSWER_TOKENS = 64
LONG_WORDS = 400


def _run(server: Server, asks: Sequence[Ask], concurrency: int, limit_seconds: float | None = None) -> Figures:
    answers = asyncio.run(send(server.url, asks, limit_seconds=limit_seconds))
    return figures(answers, concurrency, cut=limit_seconds is not None)


def burst(server: Server, concurrency: int, salt: int, limit_seconds: float | None = None) -> Figures:
    """All at once: 69 tokens in, 64 out."""
    asks = [Ask(0, server.body(story(salt + index, WORDS), ANSWER_TOKENS)) for index in range(concurrency)]
    return _run(server, asks, concurrency, limit_seconds)


def staggered(server: Server, concurrency: int, salt: int) -> Figures:
    """The same, one every 100 ms: the later ones join a batch that runs."""
    texts = [story(salt + index, WORDS) for index in range(concurrency)]
    asks = [Ask(index * 0.1, server.body(text, ANSWER_TOKENS)) for index, text in enumerate(texts)]
    return _run(server, asks, concurrency)


def steady(server: Server, concurrency: int, salt: int, each: int = 3) -> Figures:
    """So many clients, one more every 100 ms, who send their next request when the last one is answered."""

    async def client(number: int) -> list[Answer]:
        texts = [story(salt + concurrency * turn + number, WORDS) for turn in range(each)]
        asks = [Ask(0, server.body(text, ANSWER_TOKENS)) for text in texts]
        await asyncio.sleep(number * 0.1)
        return [answer for ask in asks for answer in await send(server.url, [ask])]

    async def all_clients() -> list[list[Answer]]:
        return await asyncio.gather(*(client(number) for number in range(concurrency)))

    return figures([answer for answers in asyncio.run(all_clients()) for answer in answers], concurrency)


def mixed(server: Server, salt: int, count: int = 24) -> Figures:
    """16 to 512 tokens in and 16 to 128 out, arriving at random within a few seconds; the same for every server."""
    chance = random.Random(salt)
    asks = []
    at = 0.0
    for index in range(count):
        at += chance.expovariate(6)
        text = story(salt + index, chance.randint(1, 472))
        asks.append(Ask(at, server.body(text, chance.choice((16, 32, 64, 128)))))
    return _run(server, asks, count)


def gaps(server: Server, salt: int) -> tuple[Figures, Figures]:
    """Four answers by themselves, and four while a prompt of 440 tokens arrives every half second."""
    four = [Ask(0, server.body(story(salt + index, WORDS), 2 * ANSWER_TOKENS)) for index in range(4)]
    alone = asyncio.run(send(server.url, four))
    others = [Ask(0.5 + index * 0.5, server.body(story(salt + 10 + index, LONG_WORDS), 1)) for index in range(8)]
    disturbed = asyncio.run(send(server.url, [*four, *others]))
    return figures(alone, 4), figures(disturbed[:4], 4)


def adapted(server: Server, adapters: Sequence[str | None], salt: int) -> Figures:
    """Sixteen at once, each with the next of these adapters."""
    asks = [
        Ask(0, server.body(story(salt + index, WORDS), ANSWER_TOKENS, adapters[index % len(adapters)]))
        for index in range(16)
    ]
    return _run(server, asks, 16)


def overload(server: Server, per_second: float, seconds: float, salt: int) -> list[Answer]:
    """Requests at a steady rate that the server cannot meet."""
    asks = [
        Ask(index / per_second, server.body(story(salt + index, WORDS), ANSWER_TOKENS))
        for index in range(int(per_second * seconds))
    ]
    return asyncio.run(send(server.url, asks))
