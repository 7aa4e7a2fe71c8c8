"""The figures as a table, JSON and a picture. Called by the bench command and benchmarks/."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving_image.bench.figures import Figures

HEADER = f"{'at a time':>9} {'tokens/s':>9} {'first token p50 / p95':>22} {'gap p50 / p95':>18}  whole  lost 429s"


def line(found: Figures) -> str:
    """One row under HEADER."""
    first = f"{found.first_token_p50:.2f} / {found.first_token_p95:.2f} s"
    gaps = f"{found.gap_p50 * 1000:.0f} / {found.gap_p95 * 1000:.0f} ms"
    counts = f"{found.whole:6} {found.lost:5} {found.refused:4}"
    return f"{found.concurrency:9} {found.tokens_per_second:9.1f} {first:>22} {gaps:>18} {counts}"


def write_json(path: Path, about: Mapping[str, Any], rows: Sequence[Figures]) -> None:
    """What was asked and every row."""
    path.write_text(json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def write_picture(path: Path, series: Mapping[str, Sequence[Figures]]) -> None:
    """Tokens per second and the first token over the requests at a time, one line for each name."""
    from matplotlib.figure import Figure  # a second to import: only where a picture is wanted

    figure = Figure(figsize=(9, 4), layout="constrained")
    speeds, firsts = figure.subplots(1, 2)
    for name, rows in series.items():
        places = [row.concurrency for row in rows]
        speeds.plot(places, [row.tokens_per_second for row in rows], marker="o", label=name)
        firsts.plot(places, [row.first_token_p50 for row in rows], marker="o", label=name)
    for axes, label in ((speeds, "tokens per second"), (firsts, "first token, seconds (median)")):
        axes.set(xlabel="requests at a time", ylabel=label, ylim=(0, None))
        axes.grid(alpha=0.3)
    speeds.legend()
    figure.savefig(path)
