"""Names that Azure and Kubernetes accept, and quantities."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito_components.names import pool_name
from kaito_components.units import GIB, gib, parse_bytes, quantity

text = st.text(min_size=1, max_size=63)


@given(text, text, st.dictionaries(text, st.integers() | st.booleans() | text))
def test_every_pool_name_is_one_that_aks_takes(namespace: str, workspace: str, immutable: dict[str, object]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]{0,11}", pool_name(namespace, workspace, immutable))


def test_a_pool_name_says_whose_it_is_and_what_it_is() -> None:
    name = pool_name("default", "phi", {"vmSize": "A", "spot": False})
    assert name == pool_name("default", "phi", {"spot": False, "vmSize": "A"})
    assert (
        name[:7] == pool_name("default", "phi", {"vmSize": "B"})[:7] != pool_name("other", "phi", {"vmSize": "B"})[:7]
    )
    assert name[7:] != pool_name("default", "phi", {"vmSize": "B"})[7:]


def test_pool_names_do_not_move() -> None:
    """A changed name is a new pool for every user."""
    assert pool_name("default", "phi", {"vmSize": "Standard_NC24ads_A100_v4"}) == "wse800f06700"


@pytest.mark.parametrize(
    ("written", "count"), [("7.15Gi", int(7.15 * GIB)), ("80Gi", 80 * GIB), ("512", 512), ("2Ti", 2**41)]
)
def test_quantities_are_read_as_bytes(written: str, count: int) -> None:
    assert parse_bytes(written) == count


@pytest.mark.parametrize("written", ["", "Gi", "7 GB", "1e3Gx"])
def test_what_is_no_quantity_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        parse_bytes(written)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_quantity_is_never_less_than_its_bytes(count: int) -> None:
    assert 0 <= parse_bytes(quantity(count)) - count < GIB


def test_bytes_for_people_have_one_digit() -> None:
    assert gib(int(7.15 * GIB)) == "7.1 GiB"
