"""The largest preset that a size holds is one that fits, and no heavier one does."""

import pytest

from kaito_components.plan.largest import largest_model
from kaito_components.presets import load_preset, preset_names, presets_by_weight
from tests.unit.workspaces import A100, CPU, EXISTING, T4, codes, inference, planned, template, tuning

TOO_SMALL = "Standard_NV6ads_A10_v5"  # 4 GiB


@pytest.mark.parametrize("size", [A100, T4, CPU, "Standard_ND96isr_H200_v5"])
def test_it_fits_one_node_and_no_heavier_one_does(size: str) -> None:
    first = planned(inference(size, "smollm2-135m-instruct"))
    found = largest_model(first)
    assert found

    def fits(name: str) -> bool:
        made = planned(inference(size, name))
        same = made.runtime == first.runtime and made.node_count == 1
        return same and codes(made, "error") <= {"gated-without-secret"}

    heavier = [name for weight, name in presets_by_weight() if weight > found.weights_bytes]
    assert fits(found.name) and not any(fits(name) for name in heavier)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_largest_to_tune_can_be_tuned_there(method: str) -> None:
    found = largest_model(planned(tuning(T4, method=method)))
    assert found and found.tuning
    assert "does-not-fit" not in codes(planned(tuning(T4, found.name, method=method)), "error")


def test_where_nothing_can_be_said_there_is_none() -> None:
    assert largest_model(planned(template())) is None
    assert largest_model(planned(inference(None), nodes=EXISTING)) is None


def test_presets_come_heaviest_first_with_the_weights_of_their_files() -> None:
    listed = presets_by_weight()
    assert sorted(name for _, name in listed) == preset_names()
    assert [weight for weight, _ in listed] == sorted((weight for weight, _ in listed), reverse=True)
    assert all(load_preset(name).weights_bytes == weight for weight, name in listed)
