"""LoRA adapters: several in one batch, beside the base model. Called by the stepper before each forward pass.

A linear layer adds `((x A) * mask) B`, where A and B are those of all adapters in the step side by side and the mask
keeps for each token the columns of its own adapter: three operations however many adapters there are, and layers that
are fed the same input share them.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from serving_image.errors import EngineError

BASE = -1  # the place of tokens without an adapter, and of those that only fill the line
SMALL = 512  # tokens x rank up to which CPUs add in float32: to start oneDNN for 16 bits takes longer than the sums
KEPT_STACKS = 8  # combinations of adapters whose matrices stay side by side


@dataclass(frozen=True, eq=False)
class Adapter:
    """One loaded adapter. `key` differs for each load, so that nothing computed with an older one is reused."""

    name: str
    key: str
    matrices: Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # by module: A (rank, in), B (out, rank), scaled


@dataclass(frozen=True)
class Stack:
    """Of one module, for one combination of adapters."""

    down: torch.Tensor  # (in, R)
    up: torch.Tensor  # (R, out)
    ranks: tuple[int, ...]  # columns of each adapter

    @cached_property
    def precise(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both matrices in float32."""
        return self.down.float(), self.up.float()


class Change(NamedTuple):
    """What a layer adds in this step: ((x down) * mask) up."""

    down: torch.Tensor  # (in, R)
    up: torch.Tensor  # (R, out)
    mask: torch.Tensor | None  # (T, R); None: all ones


@dataclass
class State:
    """What the layers of the running step see."""

    stacks: dict[str, Stack] = field(default_factory=dict)  # by module, and by modules that are multiplied together
    count: int = 0  # of adapters
    owners: torch.Tensor | None = None  # (T,) place of each token's adapter, or BASE; None: one for all
    masks: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)

    def mask(self, ranks: tuple[int, ...], like: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """(T, R): 1 where a column belongs to the token's adapter."""
        if ranks not in self.masks:
            assert self.owners is not None
            adapters = torch.arange(len(ranks)) % self.count
            places = adapters.repeat_interleave(torch.tensor(ranks)).to(like.device)
            filled = F.pad(self.owners, (0, like.shape[-2] - len(self.owners)), value=BASE)
            self.masks[ranks] = (filled[:, None] == places).to(dtype)
        return self.masks[ranks]

    def change(self, name: str, x: torch.Tensor) -> Change:
        """What the adapters change of what a layer makes of x (..., T, in)."""
        stack = self.stacks[name]
        is_small = x.device.type == "cpu" and x.shape[-2] * stack.down.shape[1] <= SMALL
        down, up = stack.precise if is_small else (stack.down, stack.up)
        return Change(down, up, None if self.owners is None else self.mask(stack.ranks, x, down.dtype))


class LoraLinear(nn.Module):
    """A linear layer that adapters target."""

    def __init__(self, inner: Any, name: str, state: State) -> None:
        super().__init__()
        self.inner = inner
        self.in_features, self.out_features = inner.in_features, inner.out_features
        self._name = name
        self._state = state

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        output: torch.Tensor = self.inner(x)
        if not self.active:
            return output
        inner, up = _inner(self._state.change(self._name, x), x)
        return (output + inner @ up).to(output.dtype)

    @property
    def active(self) -> bool:
        """An adapter of this step changes the layer."""
        return self._name in self._state.stacks


def change_of(layers: Sequence[Any], x: torch.Tensor) -> Change | None:
    """What adapters change of layers that make of the same x (T, in) what stands side by side; None: nothing."""
    active = [layer for layer in layers if isinstance(layer, LoraLinear) and layer.active]
    if not active:
        return None
    state, name = active[0]._state, active[0]._name
    if len(layers) > 1:
        name = " + ".join(["together", *(layer._name for layer in active)])
        if name not in state.stacks:
            state.stacks[name] = _joined(layers, state.stacks)
    return state.change(name, x)


def add_to(output: torch.Tensor, layers: Sequence[Any], x: torch.Tensor) -> torch.Tensor:
    """Change what layers made of x (T, in), side by side in `output`, in its place."""
    return changed(output, x, change_of(layers, x))


def changed(output: torch.Tensor, x: torch.Tensor, change: Change | None) -> torch.Tensor:
    """The same for a change that is known. TorchScript compiles it too (packed_layers.py)."""
    if change is None:
        return output
    inner, up = _inner(change, x)
    return output.addmm_(inner, up) if up.dtype == output.dtype else output.add_(inner @ up)


def _inner(change: Change, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two factors of what is added."""
    inner, mask = x.to(change.down.dtype) @ change.down, change.mask
    return (inner if mask is None else inner.mul_(mask)), change.up


def _joined(layers: Sequence[Any], stacks: Mapping[str, Stack]) -> Stack:
    """One stack for several layers: A side by side, B in blocks along the diagonal."""
    found = [stacks.get(layer._name) if isinstance(layer, LoraLinear) else None for layer in layers]
    present = [stack for stack in found if stack]
    blocks = [
        stack.up if stack else present[0].up.new_zeros((0, layer.out_features))
        for stack, layer in zip(found, layers, strict=True)
    ]
    ranks = tuple(rank for stack in present for rank in stack.ranks)
    return Stack(torch.cat([stack.down for stack in present], dim=1), torch.block_diag(*blocks), ranks)


class Adapters:
    """All adapters of a model, by name."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.loaded: dict[str, Adapter] = {}
        self._state = State()
        self._stacks: OrderedDict[tuple[str, ...], dict[str, Stack]] = OrderedDict()
        self._wrapped: set[str] = set()

    def add(self, adapter: Adapter) -> None:
        """Serve it; one of the same name stays with the requests that already use it."""
        for name in adapter.matrices.keys() - self._wrapped:
            parent, _, child = name.rpartition(".")
            owner = self.model.get_submodule(parent)
            setattr(owner, child, LoraLinear(getattr(owner, child), name, self._state))
            self._wrapped.add(name)
        self.loaded[adapter.name] = adapter

    def of(self, name: str | None) -> Adapter | None:
        """The adapter that a request names; None names none.

        Raises:
            EngineError: It was served when the request came, and is no more.
        """
        if name is None:
            return None
        if name not in self.loaded:
            raise EngineError(f"the adapter {name} was removed before the request began")
        return self.loaded[name]

    def remove(self, name: str) -> None:
        """Serve it no more."""
        del self.loaded[name]
        self._stacks.clear()

    def select(self, per_token: Sequence[Adapter | None]) -> None:
        """Prepare the layers for a step.

        Args:
            per_token: The adapter of each token of the line; None for the base model.
        """
        used = {adapter.key: adapter for adapter in per_token if adapter}
        self._state.masks = {}
        if not used:
            self._state.stacks = {}
            return
        keys = tuple(sorted(used))
        if keys not in self._stacks:
            self._stacks[keys] = _stack([used[key] for key in keys])
            while len(self._stacks) > KEPT_STACKS:
                self._stacks.popitem(last=False)
        self._stacks.move_to_end(keys)
        self._state.stacks = self._stacks[keys]
        self._state.owners, self._state.count = None, len(keys)
        if len(keys) == 1 and all(per_token):
            return
        places = {key: place for place, key in enumerate(keys)}
        owners = torch.tensor([places[adapter.key] if adapter else BASE for adapter in per_token])
        self._state.owners = owners.to(self.model.device)


def _stack(adapters: Sequence[Adapter]) -> dict[str, Stack]:
    stacks = {}
    for name in {name for adapter in adapters for name in adapter.matrices}:
        pairs = [adapter.matrices.get(name) for adapter in adapters]
        present = [pair for pair in pairs if pair]
        stacks[name] = Stack(
            torch.cat([down for down, _ in present]).t().contiguous(),
            torch.cat([up for _, up in present], dim=1).t().contiguous(),
            tuple(pair[0].shape[0] if pair else 0 for pair in pairs),
        )
    return stacks
