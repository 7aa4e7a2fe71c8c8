"""The VM sizes that can serve a model, with their prices. Called by cli.models."""

from dataclasses import dataclass

from kaito_components.presets import Preset
from kaito_components.prices import UnitPrice, price_of, region_name, regions_of
from kaito_components.sizing.smallest import Room, rooms


@dataclass(frozen=True)
class Home:
    """Nodes that can serve a model; `price` is of one node in `region`, None where no price is known."""

    room: Room
    region: str | None = None
    price: UnitPrice | None = None

    @property
    def per_hour(self) -> float | None:
        """Money an hour for all nodes."""
        return self.price.per_hour * self.room.nodes if self.price else None


def homes(preset: Preset, region: str | None) -> list[Home]:
    """All of them: fewest nodes, least GPU memory, lowest price first; without a region with that of the cheapest."""
    return sorted((_home(room, region) for room in rooms(preset)), key=_by_size)


def _by_size(home: Home) -> tuple[int, int, float]:
    vm = home.room.vm
    return home.room.nodes, vm.gpus * vm.gpu_memory_bytes, home.per_hour if home.per_hour is not None else float("inf")


def _home(room: Room, region: str | None) -> Home:
    where = region_name(region) if region else next(iter(regions_of(room.vm.name)), None)
    return Home(room, where, price_of(room.vm.name, where) if where else None)
