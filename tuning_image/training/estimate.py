"""The memory that a training takes, term by term, told before anything is loaded. Called by training.fitting.

The terms are those of the plan (kaito_components/sizing/tuning.py; tests/unit/test_tuning_memory.py compares both). The
plan counts on KAITO's image too; here is what this one does: the loss in pieces, rows as long as the data has them,
and no number turned into 32 bits that is not trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass

GIB = 1024**3
# QLoRA (arXiv:2305.14314): 4 bits a number, and constants of 0.127 bits with double quantization, 0.5 without.
FOUR_BITS, FOUR_BITS_PLAIN = 4.127, 4.5
LOGIT_BYTES = 12  # the logit as computed, in float32, and what its loss and its gradient need besides
OPTIMIZER_BYTES = {"adamw_torch": 8, "paged_adamw_32bit": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2}  # others: none
ACTIVATIONS, ACTIVATIONS_LEAST = 1.05, 0.9  # of what is counted; tests/tuning/test_estimate.py counts what is kept
RUNTIME = {"cuda": 1.0 * GIB, "cpu": 0.25 * GIB}  # kernels, workspaces, what the libraries keep for themselves
FREED = ("gradients", "activations", "logits")  # when a step is done
FRAGMENTATION = 0.05  # of all others; KAITO 0.12 counts 0.05 (estimator.go)


@dataclass(frozen=True)
class Shape:
    """A model and the adapter on it, in numbers."""

    numbers: int  # of the base model
    linear: int  # of them, what is quantized: linear layers but the output layer
    widest: int  # of the largest linear layer
    trained: int
    layers: int
    hidden: int
    queries: int  # width of all heads together
    feed_forward: int
    vocabulary: int
    adapted_inputs: int  # of one layer: the widths of what goes into each linear layer with an adapter, added up
    keys: int = 0  # width of the heads of keys together
    adapted_outputs: int = 0  # of one layer: the widths of what comes out of these layers
    dora: bool = False
    lean: bool = False  # whether training.lean computes its layers


@dataclass(frozen=True)
class Training:
    """What of the settings, the hardware and the data decides memory. Rows are counted at their longest."""

    weight_bits: int  # 4, 8, 16 or 32
    value_bytes: int  # of an activation
    row_tokens: int
    row_learned: int  # of these tokens
    rows: int = 1  # at a time
    checkpointing: bool = True
    double_quantized: bool = True
    optimizer: str = "adamw_torch"
    piece_logits: int | None = None  # as many logits at a time; None: those of all learned tokens
    device: str = "cuda"
    eval_rows: int = 0  # at a time; 0: nothing is evaluated
    eval_tokens: int = 0  # of the longest of these rows
    eval_learned: int = 0


@dataclass(frozen=True)
class Term:
    """One part of the sum, in bytes: what is likely, what it takes in any case, and how it comes about."""

    name: str
    likely: int
    least: int
    how: str


def terms(shape: Shape, training: Training) -> tuple[Term, ...]:
    """What the device must hold."""
    step = [*_adapter(shape, training), *_activations(shape, training)]
    parts = [_weights(shape, training), *step, *_evaluation(shape, training, step)]
    if training.weight_bits < 16:
        how = "the widest layer, unpacked to compute with it"
        parts.append(Term("unpacking", shape.widest * training.value_bytes, 0, how))
    parts.append(Term("runtime", int(RUNTIME[training.device]), 0, "kernels and workspaces of the libraries"))
    rest = int(FRAGMENTATION * sum(one.likely for one in parts))
    return (*parts, Term("fragmentation", rest, 0, f"{FRAGMENTATION:.0%} of the others"))


def _weights(shape: Shape, training: Training) -> Term:
    bits = training.weight_bits
    if bits >= 16:
        taken = shape.numbers * bits // 8
        return Term("weights", taken, taken, f"{shape.numbers:,} numbers in {bits} bits")
    each = 8.0 if bits == 8 else FOUR_BITS if training.double_quantized else FOUR_BITS_PLAIN
    rest = shape.numbers - shape.linear
    taken = int(each * shape.linear / 8) + rest * training.value_bytes
    how = f"{shape.linear:,} numbers in {each:g} bits, {rest:,} in {8 * training.value_bytes}"
    return Term("weights", taken, taken, how)


def _adapter(shape: Shape, training: Training) -> Iterator[Term]:
    each = OPTIMIZER_BYTES.get(training.optimizer, 0)
    optimizer, paged = each * shape.trained, training.optimizer.startswith("paged")
    yield Term("adapter", 4 * shape.trained, 4 * shape.trained, f"{shape.trained:,} numbers in 32 bits")
    yield Term("gradients", 4 * shape.trained, 4 * shape.trained, "one for each number of the adapter")
    yield Term("optimizer", optimizer, 0 if paged else optimizer, f"{training.optimizer}: {each} bytes a number")


def _activations(shape: Shape, training: Training) -> Iterator[Term]:
    """What the forward pass keeps for the backward pass, and the logits.

    With checkpointing each layer keeps its input alone; one layer at a time is computed again, when the loss is done.
    """
    tokens = training.rows * training.row_tokens
    count = _logits(shape, training, training.rows * training.row_learned)
    logits, layer = LOGIT_BYTES * count, tokens * kept_per_token(shape, training)
    kept = fewest = shape.layers * layer
    how = f"{tokens} tokens at a time, all that {shape.layers} layers need to go back"
    if training.checkpointing:
        inputs = shape.layers * tokens * shape.hidden * training.value_bytes
        kept, fewest = inputs + max(0, 2 * layer - logits), inputs + max(0, layer - logits)
        how = f"{tokens} tokens at a time, the inputs of {shape.layers} layers and one layer in full"
    yield Term("activations", int(ACTIVATIONS * kept), int(ACTIVATIONS_LEAST * fewest), how)
    yield Term("logits", logits, 2 * count, f"{count // shape.vocabulary} tokens of {shape.vocabulary} at a time")


def _evaluation(shape: Shape, training: Training, step: list[Term]) -> Iterator[Term]:
    """What an evaluation takes beyond the parts of a step that are free by then: one layer at a time, nothing is kept.

    It takes fewer rows at a time where memory runs out, so it asks for nothing in any case.
    """
    tokens = training.eval_rows * training.eval_tokens
    logits = LOGIT_BYTES * _logits(shape, training, training.eval_rows * training.eval_learned)
    freed = sum(one.likely for one in step if one.name in FREED)
    more = tokens * kept_per_token(shape, training) + logits - freed
    if more > 0:
        yield Term("evaluation", more, 0, f"{tokens} tokens at a time, beyond what a step takes")


def _logits(shape: Shape, training: Training, tokens: int) -> int:
    """Numbers that are there at a time."""
    count = tokens * shape.vocabulary
    return count if training.piece_logits is None else min(count, training.piece_logits)


def kept_per_token(shape: Shape, training: Training) -> int:
    """Bytes of one layer and token: norms in 32 bits; queries, keys, values and output of attention; gate, its
    activation and the other half; and what goes into linear layers with an adapter, shared by those with the same.

    Lean layers keep the inputs of norms, queries, keys and values, gate and the other half, each once and as it is.
    """
    each = training.value_bytes
    inputs = each * min(shape.adapted_inputs, 2 * shape.hidden + shape.queries + shape.feed_forward)
    adapted = inputs if not shape.dora else _kept_by_dora(shape, each, inputs)
    if shape.lean:
        return each * 2 * (shape.hidden + shape.keys + shape.feed_forward) + each * shape.queries + adapted
    return 8 * shape.hidden + each * (3 * shape.feed_forward + 4 * shape.queries) + adapted


def _kept_by_dora(shape: Shape, each: int, inputs: int) -> int:
    """Each adapter keeps its own input in 32 bits, what the layer gives, and what it gives itself in 32 bits."""
    return (inputs if each == 4 else 4 * shape.adapted_inputs) + (each + 4) * shape.adapted_outputs


def likely(parts: tuple[Term, ...]) -> int:
    """The sum."""
    return sum(one.likely for one in parts)


def least(parts: tuple[Term, ...]) -> int:
    """What no run takes less than."""
    return sum(one.least for one in parts)
