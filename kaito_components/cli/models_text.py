"""The models for people: one line each on a wide screen, two on a narrow one. Called by cli.models."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kaito_components.cli.homes import Home
from kaito_components.presets import Preset
from kaito_components.presets.licenses import license_of
from kaito_components.presets.sources import SOURCES
from kaito_components.units import gib

if TYPE_CHECKING:
    from rich.console import Console

Found = tuple[Preset, Sequence[Home]]
WIDE = 120  # columns from which a model has one line
OTHERS_WIDTH = 101  # columns that a line takes without the licence
HOMES_SHOWN = 4
KIB = 1024


def show(found: Sequence[Found]) -> None:
    """All models."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.width >= WIDE:
        _table(console, found)
    else:
        for preset, homes in found:
            _two_lines(console, preset, homes)
    console.print(_foot(found), style="dim")


def _table(console: "Console", found: Iterable[Found]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("MODEL", no_wrap=True)
    for title in ("PARAMS", "GiB", "CONTEXT"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("LICENCE", max_width=console.width - OTHERS_WIDTH, no_wrap=True)
    table.add_column("RUNTIMES", no_wrap=True)
    table.add_column("TUNE", no_wrap=True)
    table.add_column("SMALLEST SIZE", no_wrap=True)
    table.add_column("USD/H", justify="right", no_wrap=True)
    for preset, homes in found:
        table.add_row(*_cells(preset, homes))
    console.print(table)


def _cells(preset: Preset, homes: Sequence[Home]) -> tuple[str, ...]:
    runtimes = "vllm, tf" if "transformers" in preset.runtimes else "vllm"
    size = preset.weights_bytes / 1024**3
    return (
        preset.name,
        _count(preset.parameters),
        f"{size:.1f}",
        _tokens(preset.context_length),
        preset.license,
        runtimes,
        "yes" if preset.tuning else "",
        _size(homes[0]) if homes else "none",
        _money(homes[0]) if homes else "",
    )


def _two_lines(console: "Console", preset: Preset, homes: Sequence[Home]) -> None:
    from rich.text import Text

    numbers = f"{_count(preset.parameters):>6} {gib(preset.weights_bytes):>10} {_tokens(preset.context_length):>6}"
    console.print(Text.assemble((f"{preset.name:<48}", "bold"), numbers))
    can = [*preset.runtimes, *(["tunable"] if preset.tuning else [])]
    home = f"{_size(homes[0])} {_money(homes[0])} USD/h" if homes else "fits no size"
    console.print(Text(f"  {', '.join(can)}; {preset.license}; {home}", overflow="fold"), style="dim")


def _foot(found: Sequence[Found]) -> str:
    prices = [homes[0].price for _, homes in found if homes and homes[0].price]
    source = f" ({prices[0].source}, {prices[0].as_of})" if prices else ""
    regions = {homes[0].region for _, homes in found if homes}
    where = f"in {regions.pop()}" if len(regions) == 1 else "in the cheapest region known; --region names another"
    return (
        f"\n{len(found)} models. The size is the one with least GPU memory that holds weights and 2048 tokens, "
        f"without Standard_. Its price is of all nodes, {where}{source}. tf: transformers. "
        "`kaito models NAME` explains one, `kaito models add ORG/NAME` makes another known."
    )


def explain(preset: Preset, homes: Sequence[Home]) -> None:
    """All that is known of one model, and from where."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(preset.name, style="bold", markup=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for label, value in rows(preset, homes):
        table.add_row(Text(label, style="dim"), Text(value, overflow="fold"))
    console.print(table)


def rows(preset: Preset, homes: Sequence[Home]) -> Iterator[tuple[str, str]]:
    """(label, value) of everything there is to say."""
    if preset.aliases:
        yield "also", ", ".join(preset.aliases)
    yield "from", f"https://huggingface.co/{preset.model}\n{_revision(preset)}{_gate(preset)}"
    yield "licence", _licence(preset)
    yield "size", _weight(preset)
    yield "layers", _layers(preset)
    yield "context", f"{preset.context_length} tokens, {preset.kv_bytes_per_token / KIB:g} KiB each, 16 bits a value"
    yield "served", _served(preset)
    yield "tuning", _tuning(preset)
    yield "fits", "\n".join(_place(home) for home in homes[:HOMES_SHOWN]) or "no known VM size"
    if preset.unknown:
        yield "unknown", f"{', '.join(preset.unknown)}: no source tells"
    yield (
        "sources",
        "\n".join(f"{', '.join(fields)}: {SOURCES.get(key, key)}" for key, fields in preset.sources.items()),
    )


def _revision(preset: Preset) -> str:
    if preset.revision:
        return f"at revision {preset.revision}"
    return "no revision is pinned: the weights are those of the day on which they are fetched"


def _gate(preset: Preset) -> str:
    return "\ngated: name a Secret with your token in presetOptions.modelAccessSecret" if preset.gated else ""


def _licence(preset: Preset) -> str:
    known = license_of(preset.license)
    use = {True: "", False: "; not for commercial use", None: "; whether for commercial use is not known"}
    pass_on = {
        True: "weights may be passed on",
        False: "weights may not be passed on freely",
        None: "whether weights may be passed on is not known",
    }
    lines = [f"{preset.license}: {pass_on[preset.redistributable]}{use[known.commercial]}", known.terms, known.source]
    return "\n".join(line for line in lines if line)


def _weight(preset: Preset) -> str:
    numbers = f"{_count(preset.parameters)} parameters" if preset.parameters else "number of parameters not known"
    bits = f" with {preset.quantization_bits} bits" if preset.quantization_bits else ""
    packed = f", {preset.quantization}{bits}" if preset.quantization else f", {preset.dtype}"
    return f"{numbers}, {gib(preset.weights_bytes)} of weights{packed}; {gib(preset.disk_bytes)} of disk on a node"


def _layers(preset: Preset) -> str:
    heads = f"{preset.heads} heads, {preset.kv_heads} of keys and values"
    if preset.kv_lora_rank:
        heads = f"{preset.heads} heads, latent attention of rank {preset.kv_lora_rank}"
    lines = [f"{preset.layers} of width {preset.hidden_size}, {heads} ({', '.join(preset.architectures)})"]
    if preset.attention_layers is not None:
        lines.append(f"{preset.attention_layers} of them keep keys and values of the whole context")
    if preset.window_layers:
        lines.append(f"{preset.window_layers} of them keep those of the last {preset.window_tokens} tokens")
    return "\n".join(lines)


def _served(preset: Preset) -> str:
    parsers = [("tools", preset.tool_call_parser), ("reasoning", preset.reasoning_parser)]
    parsers.append(("chat template", preset.chat_template))
    extras = [f"{label} {value}" for label, value in parsers if value]
    return ", ".join([f"by {' or '.join(preset.runtimes)}", *extras, *preset.vllm_arguments])


def _tuning(preset: Preset) -> str:
    if preset.tuning is None:
        return "not supported"
    return f"{', '.join(preset.tuning.target_modules)} by default; {gib(preset.tuning.disk_bytes)} of disk"


def _place(home: Home) -> str:
    memory = f"{home.room.vm.gpu_label}, {gib(home.room.vm.gpu_memory_bytes)} each"
    price = f"{_money(home)} USD/h in {home.region}" if home.price else "price not known"
    return f"{home.room.nodes} x {home.room.vm.name} ({memory}), {price}"


def _size(home: Home) -> str:
    short = home.room.vm.name.removeprefix("Standard_")
    return f"{home.room.nodes} x {short}" if home.room.nodes > 1 else short


def _money(home: Home) -> str:
    return f"{home.per_hour:.2f}" if home.per_hour is not None else "?"


def _count(parameters: int | None) -> str:
    """`3.8B`, `135M`, `?`."""
    if parameters is None:
        return "?"
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.3g}M"


def _tokens(count: int) -> str:
    """`128K`, `1M`; in powers of two where they are."""
    for size, letter in ((1024**2, "M"), (1024, "K")):
        if count % size == 0:
            return f"{count // size}{letter}"
    return str(count)
