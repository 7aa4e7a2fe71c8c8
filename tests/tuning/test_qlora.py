"""4 and 8 bit: gradients are those of the dequantized weights, also after a forward without gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import read
from test_training import curve, settings

from tuning_image import run as running
from tuning_image.training import batches, losses, model


def gradients(of: Any, batch: Any) -> dict[str, torch.Tensor]:
    of.zero_grad()
    losses.token_losses(of, batch).sum().backward()
    return {name: p.grad.clone() for name, p in of.named_parameters() if p.grad is not None}


EIGHT = ("--set", "QuantizationConfig.load_in_4bit=false", "--set", "QuantizationConfig.load_in_8bit=true")
FP4 = (
    "--set",
    "QuantizationConfig.bnb_4bit_quant_type=fp4",
    "--set",
    "QuantizationConfig.bnb_4bit_use_double_quant=false",
)
BITS = pytest.mark.parametrize("quantized", [(), FP4, EIGHT], ids=["nf4", "fp4", "8 bit"], indirect=True)


@pytest.fixture
def quantized(request: Any, tmp_path: Path, chats: Path, tiny_folder: Path) -> tuple[Any, Any]:
    """A quantized model in bfloat16 whose adapter already does something, and a batch."""
    output = tmp_path / "out"
    output.mkdir()
    flags = ("--method", "qlora", "--set", "ModelConfig.torch_dtype=bfloat16", *getattr(request, "param", ()))
    chosen = read(output, chats, *flags, model=tiny_folder)
    made = model.load(chosen, model.Precision(torch.bfloat16, "test"))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return made, batches.collate([tuple(running.prepare(chosen).train)])


def dequantize(of: Any) -> None:
    """Puts plain layers of the same weights in place of the quantized ones."""
    for parent in list(of.modules()):
        for name, child in list(parent.named_children()):
            if (weights := plain_weights(child)) is not None:
                plain = torch.nn.Linear(child.in_features, child.out_features, bias=False, dtype=torch.bfloat16)
                plain.weight = torch.nn.Parameter(weights.to(torch.bfloat16), requires_grad=False)
                setattr(parent, name, plain)


def plain_weights(layer: Any) -> torch.Tensor | None:
    """The numbers that a quantized layer stands for. Source: LLM.int8(), arXiv:2208.07339, equation 3."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    if isinstance(layer, Linear4bit):
        return dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    if isinstance(layer, Linear8bitLt):
        scales = layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB
        return layer.weight.data.float() * scales[:, None] / 127
    return None


@BITS
def test_gradients_are_those_of_the_dequantized_weights_after_an_evaluation(quantized: tuple[Any, Any]) -> None:
    of, batch = quantized
    of.eval()
    with torch.no_grad():
        losses.token_losses(of, batch)
    of.train()
    found = gradients(of, batch)
    dequantize(of)
    for name, expected in gradients(of, batch).items():
        cosine = torch.nn.functional.cosine_similarity(found[name].flatten(), expected.flatten(), dim=0)
        assert cosine > 0.98, name
        assert found[name].norm().item() == pytest.approx(expected.norm().item(), rel=0.1), name


@pytest.mark.parametrize(
    ("quantized", "kind", "doubly"), [((), "nf4", True), (FP4, "fp4", False)], indirect=["quantized"]
)
def test_the_weights_are_4_bit_of_the_kind_that_is_asked_for(
    quantized: tuple[Any, Any], kind: str, doubly: bool
) -> None:
    of, _ = quantized
    from bitsandbytes.nn import Linear4bit

    states = [module.weight.quant_state for module in of.modules() if isinstance(module, Linear4bit)]
    assert [(state.quant_type, state.nested) for state in states] == [(kind, doubly)] * 14
    assert all("lora_" in name for name, parameter in of.named_parameters() if parameter.requires_grad)


def test_in_8_bit_training_learns(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--method", "qlora", *EIGHT))
    assert curve(tmp_path / "out")[-1] < curve(tmp_path / "out")[0] - 0.5
