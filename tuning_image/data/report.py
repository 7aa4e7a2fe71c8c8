"""The data report: `data_report.json` and `lengths.png` in the output folder. Called by __main__."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuning_image.data.loading import SHOWN_BAD_ROWS
from tuning_image.data.rows import BadRow
from tuning_image.data.tokens import NOT_LEARNED, Tokens


def summary(train: Sequence[Tokens], validation: Sequence[Tokens], bad: Sequence[BadRow]) -> dict[str, Any]:
    """Counts of rows and tokens."""
    lengths = sorted(len(row.ids) for row in train)
    learned = sum(label != NOT_LEARNED for row in train for label in row.labels)
    return {
        "rows_train": len(train),
        "rows_validation": len(validation),
        "rows_bad": len(bad),
        "bad_rows": [f"{row.file}: row {row.number}: {row.reason}" for row in bad[:SHOWN_BAD_ROWS]],
        "tokens": sum(lengths),
        "tokens_learned": learned,
        "length_median": lengths[len(lengths) // 2],
        "length_p95": lengths[int(len(lengths) * 0.95)],
        "length_max": lengths[-1],
        "truncated_share": round(sum(row.truncated for row in train) / len(train), 4),
    }


def write(folder: Path, report: dict[str, Any], train: Sequence[Tokens], max_length: int) -> None:
    """Both files."""
    (folder / "data_report.json").write_text(json.dumps(report, indent=2) + "\n")
    _histogram(folder / "lengths.png", [len(row.ids) for row in train], max_length)


def line(report: dict[str, Any]) -> str:
    """The report in one line of the log."""
    r = report
    return (
        f"data: {r['rows_train']} rows to learn, {r['rows_validation']} to evaluate, {r['rows_bad']} bad; "
        f"{r['tokens']} tokens, {r['tokens_learned']} of them learned; length median {r['length_median']}, "
        f"95 % below {r['length_p95']}, longest {r['length_max']}; {r['truncated_share']:.1%} truncated"
    )


def _histogram(path: Path, lengths: Sequence[int], max_length: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(lengths, bins=min(50, max(5, len(set(lengths)))), color="#4477aa")
    if max(lengths) > 0.8 * max_length:
        axes.axvline(max_length, color="#cc3311", linestyle="--", label=f"max_length {max_length}")
        axes.legend()
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set(title="Length of the training rows", xlabel="tokens", ylabel="rows")
    figure.savefig(path, dpi=110)
