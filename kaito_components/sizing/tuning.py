"""The memory that LoRA and QLoRA tuning takes: a sum of terms with sources and bounds. Called by plan.tuning.

All of it lies on every GPU of a node: training on several GPUs copies the model to each of them (accelerate, data
parallel). The tests hold the sum to peaks that PyTorch showed for four models (tests/data/tuning_peaks.csv).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kaito_components.presets import Preset
from kaito_components.sizing.terms import Term
from kaito_components.units import GIB

# QLoRA (arXiv:2305.14314): 4 bits a number, and constants of 0.127 bits with double quantization, 0.5 without.
FOUR_BITS, FOUR_BITS_PLAIN = 4.127, 4.5
# Per logit, transformers' loss holds 16 bits as computed, a float32 copy, its logarithms and their gradients.
LOGIT_BYTES, LOGIT_BYTES_LOW, LOGIT_BYTES_HIGH = 12, 2, 14  # low: a loss that is computed in pieces
# CUDA's context and the libraries' kernels and workspaces; high: KAITO 0.12's reserve (estimator.go).
RUNTIME, RUNTIME_LOW, RUNTIME_HIGH = 1.0 * GIB, 0.5 * GIB, 2.3 * GIB
FRAGMENTATION, FRAGMENTATION_HIGH = 0.05, 0.10  # of all others; KAITO 0.12 counts 0.05 (estimator.go)
COMMON_VOCABULARY, LARGEST_VOCABULARY = 128256, 262208  # Llama 3's and Gemma 3's, where a preset does not say


@dataclass(frozen=True)
class Training:
    """What of a training decides its memory. `rows` of `row_tokens` each go through the model at once, on each GPU."""

    weight_bits: int  # 4, 8, 16 or 32
    value_bytes: int = 2  # of an activation
    rank: int = 8
    targets: tuple[str, ...] = ()  # the linear layers that get an adapter; none named: all
    row_tokens: int = 1024
    rows: int = 1
    checkpointing: bool = True


@dataclass(frozen=True)
class _Layers:
    """A model's layers; `is_known` says whether the preset named their width and the vocabulary."""

    count: int
    hidden: int
    queries: int  # width of all heads together
    linear: dict[str, tuple[int, int]]  # name -> (in, out)
    feed_forward: int
    vocabulary: int
    is_known: bool

    @property
    def linear_parameters(self) -> int:
        names = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
        return self.count * sum(self.linear[name][0] * self.linear[name][1] for name in names)


def terms(preset: Preset, training: Training) -> tuple[Term, ...]:
    """What one GPU must hold while this model is tuned."""
    layers = _layers(preset)
    parts = [_weights(preset, layers, training), *_adapters(layers, training), *_activations(layers, training)]
    if training.weight_bits < 16:
        parts.append(_dequantized(layers, training))
    parts.append(Term("runtime", int(RUNTIME), int(RUNTIME_LOW), int(RUNTIME_HIGH), "KAITO 0.12 estimator.go: at most"))
    likely, high = sum(one.likely for one in parts), sum(one.high for one in parts)
    rest = Term("fragmentation", int(FRAGMENTATION * likely), 0, int(FRAGMENTATION_HIGH * high), "KAITO 0.12: 5 %")
    return (*parts, rest)


def _layers(preset: Preset) -> _Layers:
    hidden, queries = preset.hidden_size, preset.heads * _head_size(preset)
    values = preset.kv_heads * _head_size(preset)
    vocabulary = preset.vocabulary_size or COMMON_VOCABULARY
    wide = preset.intermediate_size or _width(preset, vocabulary)
    linear = {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, values),
        "v_proj": (hidden, values),
        "qkv_proj": (hidden, queries + 2 * values),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, wide),
        "up_proj": (hidden, wide),
        "gate_up_proj": (hidden, 2 * wide),
        "down_proj": (wide, hidden),
    }
    is_known = preset.vocabulary_size is not None and preset.intermediate_size is not None
    return _Layers(preset.layers, hidden, queries, linear, wide, vocabulary, is_known)


def _parameters(preset: Preset) -> int:
    """Its numbers; where no source tells (a preset that cannot be tuned), as many as its files hold in 16 bits."""
    return preset.parameters or preset.weights_bytes // 2


def _head_size(preset: Preset) -> int:
    """Width of a head; where no source tells (a preset that cannot be tuned), an equal share of the layer."""
    return preset.head_size or preset.hidden_size // preset.heads


def _width(preset: Preset, vocabulary: int) -> int:
    """The feed-forward width that makes up the parameters, with a gate as nearly all models have it."""
    attention = 2 * preset.hidden_size * _head_size(preset) * (preset.heads + preset.kv_heads)
    rest = (_parameters(preset) - 2 * vocabulary * preset.hidden_size) / preset.layers - attention
    return max(preset.hidden_size, int(rest / (3 * preset.hidden_size)))


def _weights(preset: Preset, layers: _Layers, training: Training) -> Term:
    """Embeddings, norms and the output layer are never quantized, and peft prepares them in 32 bits."""
    bits, parameters = training.weight_bits, _parameters(preset)
    linear = min(layers.linear_parameters, parameters)
    if bits >= 16:
        loaded = parameters * bits // 8
        return Term("weights", loaded, loaded, int(1.02 * loaded), f"parameters in {bits} bits; KAITO 0.12: 2 % more")
    rest = parameters - linear
    if bits == 8:
        likely, high, source = linear + 4 * rest, linear + 4 * rest, "bitsandbytes: a byte a number"
        return Term("weights", likely, linear + 2 * rest, int(1.02 * high), source)
    four, plain = int(FOUR_BITS / 8 * linear), int(FOUR_BITS_PLAIN / 8 * linear)
    return Term("weights", four + 4 * rest, four + 2 * rest, plain + 4 * rest, "QLoRA, arXiv:2305.14314; peft")


def _adapted(layers: _Layers, training: Training) -> list[tuple[int, int]]:
    """(in, out) of the linear layers of one layer that get an adapter; names that are not known count as all."""
    named = [layers.linear[name] for name in training.targets if name in layers.linear]
    if named and len(named) == len(training.targets):
        return named
    return [layers.linear[name] for name in ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")]


def _adapters(layers: _Layers, training: Training) -> Iterator[Term]:
    sides = sum(into + out for into, out in _adapted(layers, training))
    numbers = layers.count * training.rank * sides
    yield Term("adapter", 4 * numbers, 2 * numbers, 4 * numbers, "LoRA, arXiv:2106.09685: rank x (in + out), float32")
    yield Term("gradients", 4 * numbers, 2 * numbers, 4 * numbers, "one for each number of the adapter, float32")
    yield Term("optimizer", 8 * numbers, 2 * numbers, 8 * numbers, "AdamW: two float32; low: its 8-bit form")


def _activations(layers: _Layers, training: Training) -> Iterator[Term]:
    """What the forward pass keeps for the backward pass, and what the loss holds on top.

    With checkpointing each layer keeps its input alone; one layer at a time is computed again, when the loss is done.
    """
    tokens = training.rows * training.row_tokens
    logits, layer = LOGIT_BYTES * tokens * layers.vocabulary, tokens * _kept_per_token(layers, training)
    kept = layers.count * layer
    if training.checkpointing:
        kept = layers.count * tokens * layers.hidden * training.value_bytes + max(0, 2 * layer - logits)
    spread = 1.3 if layers.is_known else 2
    source = "tensors saved by transformers' layers with SDPA; arXiv:2205.05198 for checkpointing"
    yield Term("activations", int(1.05 * kept), int(0.9 * kept), int(spread * kept), source)
    widest = layers.vocabulary if layers.is_known else LARGEST_VOCABULARY
    bounds = LOGIT_BYTES_LOW * tokens * layers.vocabulary, LOGIT_BYTES_HIGH * tokens * widest
    yield Term("logits", logits, *bounds, "transformers' loss: tokens x vocabulary, 12 bytes each")


def _kept_per_token(layers: _Layers, training: Training) -> int:
    """Bytes of one layer and token: norms in 32 bits; queries, keys, values and output of attention; gate, its
    activation and the other half; and the input of each linear layer with an adapter."""
    inputs = sum(into for into, _ in _adapted(layers, training))
    return 8 * layers.hidden + training.value_bytes * (3 * layers.feed_forward + 4 * layers.queries + inputs)


def _dequantized(layers: _Layers, training: Training) -> Term:
    """The largest linear layer, unpacked to compute with it."""
    widest = max(into * out for into, out in layers.linear.values()) * training.value_bytes
    return Term("unpacking", widest, 0, 2 * widest, "bitsandbytes: one layer at a time is unpacked")
