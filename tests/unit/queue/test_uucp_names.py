"""Names that jobs go by at a neighbour."""

from hypothesis import given
from hypothesis import strategies as st

from relaynode.queue.uucp.names import (
    NUMBERS_OF_FOUR_DIGITS,
    first_number,
    remote_name,
    temp_name,
    x_temp_name,
)


def test_the_names_are_those_that_taylor_makes():
    assert temp_name(1) == "D.0001"
    assert x_temp_name(2) == "D.X0002"
    assert remote_name("D", "alpha", "N", 1) == "D.alphaN0001"
    assert remote_name("X", "alpha", "N", 36**4 - 1) == "X.alphaNZZZZ"


@given(st.integers(0, 36**5 - 1), st.text("abcxyz", min_size=1, max_size=30))
def test_a_name_fits_an_old_system_and_tells_numbers_apart(number, system):
    names = {remote_name("D", system, "C", one) for one in (number, number + 1)}
    assert len(names) == 2
    assert all(len(name) <= 14 for name in names)


def test_a_spool_made_anew_does_not_begin_with_the_names_of_the_old_one():
    week = 7 * 24 * 3600
    distance = first_number(1_800_000_000 + week) - first_number(1_800_000_000)
    assert distance % NUMBERS_OF_FOUR_DIGITS == week
