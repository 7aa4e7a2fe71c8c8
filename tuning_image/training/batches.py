"""Rows → batches without padding: rows lie end to end, each with its own positions. Called by training.trainer.

The order of rows depends on seed and epoch alone, so that the same rows make up a step whatever it is spread over.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from tuning_image.data.tokens import NOT_LEARNED, Tokens

Bin = tuple[Tokens, ...]
NOTHING = Tokens([0, 0], [0, 0])


class Share(Sampler[list[int]]):
    """One process' batches of an epoch: of the next `at_once` x `processes` rows in order, every so manyth.

    Where an epoch ends with too few rows for all, a share may be empty: `collate` makes a batch that does not count.
    """

    def __init__(self, rows: int, at_once: int, rank: int, processes: int, seed: int | None) -> None:
        self._rows, self._step, self._rank, self._processes = rows, at_once * processes, rank, processes
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._rows // self._step)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self._rows))
        if self._seed is not None:
            generator = torch.Generator().manual_seed(self._seed + self._epoch)
            order = torch.randperm(self._rows, generator=generator).tolist()
        for start in range(0, self._rows, self._step):
            yield order[start : start + self._step][self._rank :: self._processes]


class Loader(DataLoader[Any]):
    """Hands the number of the epoch on to its Share."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


def bins(rows: Sequence[Tokens], max_length: int | None) -> list[Bin]:
    """One row each; or, with a length, as many rows as fit into it (best fit, longest first)."""
    if max_length is None:
        return [(row,) for row in rows]
    full: list[list[Tokens]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda r: -len(r.ids)):
        fitting = [(left, index) for index, left in enumerate(room) if left >= len(row.ids)]
        if fitting:
            index = min(fitting)[1]
            full[index].append(row)
            room[index] -= len(row.ids)
        else:
            full.append([row])
            room.append(max_length - len(row.ids))
    return [tuple(rows) for rows in full]


def collate(chosen: Sequence[Bin]) -> dict[str, Any]:
    """Bins → one batch. Of pairs, each chosen row is followed by its rejected one.

    `input_ids` and `position_ids` are (1, T); `keep` (K,) are the positions whose next token is learned, `targets` (K,)
    those tokens, `owner` (K,) the number of the row each belongs to. No bins make a batch that does not count.
    """
    if not chosen:
        return {**collate([(NOTHING, NOTHING)]), "counts": False}
    rows = [part for bin_ in chosen for row in bin_ for part in (row, row.rejected) if part]
    keep, targets, owner, start = [], [], [], 0
    for number, row in enumerate(rows):
        for at, label in enumerate(row.labels[1:]):
            if label != NOT_LEARNED:
                keep.append(start + at)
                targets.append(label)
                owner.append(number)
        start += len(row.ids)
    return {
        "input_ids": torch.tensor([[i for row in rows for i in row.ids]]),
        "position_ids": torch.tensor([[at for row in rows for at in range(len(row.ids))]]),
        "segments": tuple(len(row.ids) for row in rows),
        "keep": torch.tensor(keep),
        "targets": torch.tensor(targets),
        "owner": torch.tensor(owner),
        "counts": True,
        "names": tuple(f"{row.file}: row {row.number}" for row in rows if row.file),
    }
