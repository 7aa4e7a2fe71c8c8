"""The serving benchmark itself: `.venv-images/bin/python -m benchmarks.serving_run --help`. Called by serving.

SmolLM2-135M-Instruct in bfloat16, greedy, over HTTP with streaming. Every figure is taken of all servers within a
minute, in rounds, and ratios are those of the medians over the rounds: on a shared machine nothing else means much.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import serving_loads as loads
from benchmarks.serving_servers import BATCHING, NAMES, OURS, PLAIN, Server, started
from serving_image.bench.figures import Figures, figures
from serving_image.bench.load import Answer
from serving_image.bench.report import write_picture

CONCURRENCY = (1, 4, 16, 32)
PLAIN_SECONDS = 20  # the plain server answers one after the other: what it says in this time shows its speed
SATURATING = 1.2  # times the capacity
Rows = dict[str, dict[str, list[Figures]]]  # by load, by server, one for each round


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--flag", action="append", default=[], help="for our server, as --flag=--threads=1")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    for part in chosen.parts:
        found |= PARTS[part](chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1, default=asdict) + "\n")
    if chosen.png and "loads" in found:
        write_picture(chosen.png, {name: _medians(found["loads"], name) for name in (OURS, BATCHING, PLAIN)})


def side_by_side(chosen: argparse.Namespace) -> dict[str, Any]:
    """The three servers: bursts, arrivals one by one, mixed lengths, gaps while others prefill."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    with started((OURS, BATCHING, PLAIN), tuple(chosen.flag)) as servers:
        for server in servers.values():
            with server.active():
                loads.burst(server, 2, 9000, PLAIN_SECONDS)
        for turn in range(chosen.rounds):
            for name, work, names in _plan(1000 * (turn + 1)):
                for server in [servers[each] for each in names]:
                    with server.active():
                        for suffix, one in work(server).items():
                            rows[name + suffix][server.name].append(one)
                print(_line(f"{turn + 1}. {name}", {each: rows[name][each][-1:] for each in names}), flush=True)
        peak = {name: server.peak_bytes for name, server in servers.items()}
    print("\nmedians of all rounds, tokens per second\n" + "\n".join(_line(name, one) for name, one in rows.items()))
    print(_detail("first token p50, s", rows, lambda one: one.first_token_p50))
    print(_detail("gap p95, s", rows, lambda one: one.gap_p95))
    for name in NAMES:
        print(f"{NAMES[name]:45} peak {peak[name] / 1e9:.1f} GB")
    return {"loads": rows, "peak_bytes": peak}


def starts(chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds from the start of each server to its first token: the first round, which reads all from disk, apart."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(1 + chosen.rounds):
        for name in NAMES:
            with started((name,), tuple(chosen.flag)) as servers:
                seconds[name].append(servers[name].start_seconds)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name in NAMES:
        ratio = medians[name] / medians[PLAIN]
        print(f"{NAMES[name]:45} first token after {medians[name]:.1f} s, {ratio:.2f} x the plain one's time")
    return {"start_seconds": seconds}


def _plan(salt: int) -> list[tuple[str, Callable[[Server], dict[str, Figures]], tuple[str, ...]]]:
    both, every = (OURS, BATCHING), (OURS, BATCHING, PLAIN)

    def burst(count: int) -> Callable[[Server], dict[str, Figures]]:
        def run(server: Server) -> dict[str, Figures]:
            limit = PLAIN_SECONDS if server.name == PLAIN else None
            return {"": loads.burst(server, count, salt + 50 * count, limit)}

        return run

    def gaps(server: Server) -> dict[str, Figures]:
        alone, disturbed = loads.gaps(server, salt + 700)
        return {"": alone, " while others prefill": disturbed}

    return [
        *((f"{count} at once", burst(count), every) for count in CONCURRENCY),
        ("16 one by one", lambda server: {"": loads.staggered(server, 16, salt + 300)}, both),
        ("32 one by one", lambda server: {"": loads.staggered(server, 32, salt + 400)}, both),
        ("16 clients", lambda server: {"": loads.steady(server, 16, salt + 600)}, both),
        ("32 clients", lambda server: {"": loads.steady(server, 32, salt + 800)}, both),
        ("mixed lengths", lambda server: {"": loads.mixed(server, salt + 500)}, both),
        ("4 long answers", gaps, both),
    ]


def adapters(chosen: argparse.Namespace) -> dict[str, Any]:
    """Sixteen at once on our server: the base model, one adapter, eight different ones."""
    from tests.serving import adapters as maker  # peft and torch

    speeds: dict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory() as place:
        names = [f"adapter{index}" for index in range(8)]
        flags = list(chosen.flag)
        for seed, name in enumerate(names):
            flags += ["--adapter", f"{name}={maker.make(Path(place) / name, seed, size=0.001)}"]
        with started((OURS,), tuple(flags)) as servers, servers[OURS].active() as server:
            kinds: dict[str, list[str | None]] = {"base": [None], "one": [names[0]], "eight": list(names)}
            for used in kinds.values():
                loads.adapted(server, used, 1)
            for turn in range(2 * chosen.rounds):
                for kind, used in kinds.items():
                    speeds[kind].append(loads.adapted(server, used, 100 * (turn + 1)).tokens_per_second)
    medians = {kind: statistics.median(values) for kind, values in speeds.items()}
    print(f"\nadapters, 16 at once: {medians['base']:.0f} tokens/s without", end="")
    print(f", one {medians['one'] / medians['base']:.2f} x, eight {medians['eight'] / medians['base']:.2f} x")
    return {"adapters": speeds}


def overload(chosen: argparse.Namespace) -> dict[str, Any]:
    """Ten times what our server can do: nobody accepted is lost, and the rest is refused at once.

    The throughput is compared with that under a load which just saturates it, before and after: arrivals of one kind,
    so that only what is refused differs.
    """
    with started((OURS,), tuple(chosen.flag)) as servers, servers[OURS].active() as server:
        loads.burst(server, 16, 1)
        capacity = loads.burst(server, 64, 100).tokens_per_second / loads.ANSWER_TOKENS  # answers per second

        def under(times: float, seconds: float, salt: int) -> tuple[float, Figures]:
            answers = loads.overload(server, times * capacity, seconds, salt)
            return _speed(answers, seconds / 3, seconds), figures(answers, 0)

        before, _ = under(SATURATING, chosen.overload_seconds / 2, 1000)
        speed, found = under(10, chosen.overload_seconds, 10_000)
        after, _ = under(SATURATING, chosen.overload_seconds / 2, 100_000)
    ratio = speed / statistics.mean((before, after))
    print(f"\noverload, {10 * capacity:.0f} requests/s for {chosen.overload_seconds:.0f} s: ", end="")
    print(f"{found.whole} whole, {found.lost} lost, {found.refused} refused ", end="")
    print(f"in {found.refusal_p50 * 1000:.1f} ms (median), ", end="")
    print(f"{ratio:.2f} x the throughput at {SATURATING} times the capacity before and after")
    return {"overload": {"before": before, "after": after, "during": speed, "ratio": ratio, "figures": found}}


def _speed(answers: Sequence[Answer], start: float, end: float) -> float:
    """Tokens per second from `start` to `end` seconds after the first request: the batch neither fills nor empties."""
    began = min(answer.sent for answer in answers)
    return sum(start <= at - began < end for answer in answers for at in answer.pieces) / (end - start)


def _medians(rows: Mapping[str, Mapping[str, list[Figures]]], server: str) -> list[Figures]:
    """Of the bursts, for the picture: the median round of each."""
    found = [rows[f"{count} at once"][server] for count in CONCURRENCY]
    return [sorted(one, key=lambda each: each.tokens_per_second)[len(one) // 2] for one in found]


def _line(load: str, by_server: Mapping[str, list[Figures]]) -> str:
    speeds = {name: statistics.median(one.tokens_per_second for one in rows) for name, rows in by_server.items()}
    ratios = [f"{speeds[OURS] / speeds[name]:5.1f} x {name}" for name in speeds if name != OURS and speeds[name]]
    return f"{load:38} ours {speeds[OURS]:6.1f}   {'   '.join(ratios)}"


def _detail(title: str, rows: Rows, value: Callable[[Figures], float]) -> str:
    lines = [f"\n{title:38} {'   '.join(f'{name:>8}' for name in (OURS, BATCHING, PLAIN))}"]
    for load, by_server in rows.items():
        values = [f"{statistics.median(map(value, one)):8.2f}" for one in by_server.values()]
        lines.append(f"{load:38} {'   '.join(values)}")
    return "\n".join(lines)


PARTS = {"starts": starts, "servers": side_by_side, "adapters": adapters, "overload": overload}

if __name__ == "__main__":
    main()
