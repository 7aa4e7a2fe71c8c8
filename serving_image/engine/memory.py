"""How much memory there is, and whether a model fits: weights, cache, activations. Called by weights.py and build.py.

In a container the smallest limit of its cgroups counts, not the memory of the machine. Pages of files can be given back
at any time, so they count as free, except for weights that are used where they lie in their files, on CPUs.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from serving_image.errors import WeightsError

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# (limit, usage, statistics) of both versions. Source: kernel.org, cgroup-v2 and cgroup-v1/memory.
FILES = {
    "": ("memory.max", "memory.current", ("inactive_file", "active_file")),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}
SMALLEST_CONTEXT_TOKENS = 128


def free_bytes(device: torch.device) -> int:
    """What may still be taken on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = min([int(psutil.virtual_memory().available), *_free_in_cgroups(CGROUPS, OWN_CGROUPS.read_text())])
    return max(0, free - sum(map(len, mapped())))


def mapped(maps: str | None = None) -> list[range]:
    """Addresses of files that this process has mapped, libraries apart: weights, which every step reads whole."""
    found = []
    for line in (Path("/proc/self/maps").read_text() if maps is None else maps).splitlines():
        span, *_, path = line.split(maxsplit=5)
        if path.startswith("/") and not path.startswith("/dev/") and ".so" not in path:
            begin, end = span.split("-")
            found.append(range(int(begin, 16), int(end, 16)))
    return found


def _free_in_cgroups(mounted: Path, own: str) -> list[int]:
    """What each limit above this process leaves. `own` is /proc/self/cgroup: `NUMBER:CONTROLLERS:PATH` a line."""
    found = []
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in FILES:
            top = mounted / controllers
            folder = top / path.lstrip("/")
            inside = [folder, *folder.parents]
            found += [_left(each, *FILES[controllers]) for each in inside if each == top or top in each.parents]
    return [each for each in found if each is not None]


def _left(folder: Path, limit: str, usage: str, reclaimable: tuple[str, ...]) -> int | None:
    """None where there is no limit, or no such folder: a container may see its own cgroup as the top one."""
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if not most.isdigit():
        return None
    return max(0, int(most) - used + sum(int(statistics.get(name, 0)) for name in reclaimable))


@dataclass(frozen=True)
class Needed:
    """Bytes that a model takes before anybody asked."""

    weights: int
    cache: int  # of the shortest context that is served
    activations: int  # of the largest step

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.activations

    def check(self, what: str, free: int, device: torch.device) -> None:
        """Nothing, where it fits.

        Raises:
            WeightsError: With the sum.
        """
        if self.total > free:
            raise WeightsError(
                f"{what}: does not fit: {_gib(self.total)} = weights {_gib(self.weights)} + cache {_gib(self.cache)} + "
                f"activations {_gib(self.activations)}, and {device.type} has {_gib(free)} free; use a smaller "
                "--dtype, --quantization, --max-model-len, or more memory"
            )


def cache_bytes(config: object, context_tokens: int | None, item_bytes: int) -> int:
    """Keys and values of one context, where the configuration says their shape."""
    layers, heads = _number(config, "num_hidden_layers"), _number(config, "num_attention_heads")
    dim = _number(config, "head_dim") or (_number(config, "hidden_size") // heads if heads else 0)
    kept = _number(config, "num_key_value_heads") or heads
    return 2 * layers * kept * dim * item_bytes * (context_tokens or SMALLEST_CONTEXT_TOKENS)


def activation_bytes(config: object, tokens: int, sequences: int, item_bytes: int) -> int:
    """Of one step: a layer's inputs, attention and the middle of its feed-forward part, and the last logits twice."""
    per_token = 6 * _number(config, "hidden_size") + 3 * _number(config, "intermediate_size")
    return tokens * per_token * item_bytes + 2 * sequences * _number(config, "vocab_size") * 4


def _number(config: object, name: str) -> int:
    value = getattr(config, name, None)
    return value if isinstance(value, int) else 0


def _gib(number: int) -> str:
    return f"{number / 2**30:.2f} GiB"
