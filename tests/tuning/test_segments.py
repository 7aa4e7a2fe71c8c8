"""Attention on a GPU, where one kernel computes all rows: as if each were alone."""

from collections.abc import Iterator

import pytest
import torch

from tuning_image.training import segments

SEGMENTS = (5, 130, 1, 64)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def computed(window: int | None) -> Iterator[torch.Tensor]:
    """The output, and the gradients of queries, keys and values."""
    generator = torch.Generator("cuda").manual_seed(1)
    given = [
        torch.randn((1, heads, sum(SEGMENTS), 64), device="cuda", dtype=torch.bfloat16, generator=generator)
        for heads in (4, 2, 2)
    ]
    states = [each.requires_grad_() for each in given]
    output, _ = segments.attention(None, *states, None, segments=SEGMENTS, sliding_window=window)
    output.float().square().sum().backward()
    yield output
    yield from (each.grad for each in states)


@pytest.mark.parametrize("window", [None, 7])
def test_rows_together_have_the_output_and_the_gradients_of_rows_apart(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = list(computed(window))
    monkeypatch.setattr(segments, "_has_flash", lambda query: False)
    for one, other in zip(together, computed(window), strict=True):
        assert one.shape == other.shape
        assert torch.linalg.vector_norm(one.float() - other.float()) < 0.01 * torch.linalg.vector_norm(other.float())
