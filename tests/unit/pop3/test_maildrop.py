from __future__ import annotations

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.pop3.maildrop import Entry, Maildrop


def three() -> Maildrop:
    return Maildrop([Entry(10, "a"), Entry(20, "b"), Entry(30, "c")])


def test_messages_are_numbered_from_one() -> None:
    assert list(three()) == [(1, Entry(10, "a")), (2, Entry(20, "b")), (3, Entry(30, "c"))]


def test_a_marked_message_is_gone_from_listing_count_and_size_but_numbers_stay() -> None:
    maildrop = three()
    maildrop.delete(2)
    assert [number for number, _ in maildrop] == [1, 3]
    assert (maildrop.count, maildrop.size) == (2, 40)
    assert maildrop.get(2) is None
    assert maildrop.get(3) == Entry(30, "c")


@pytest.mark.parametrize("number", [-1, 0, 4, 10**9])
def test_a_number_outside_has_no_message(number: int) -> None:
    assert three().get(number) is None


def test_reset_takes_all_marks_back() -> None:
    maildrop = three()
    maildrop.delete(3)
    maildrop.delete(1)
    assert maildrop.deleted == (1, 3)
    maildrop.reset()
    assert not maildrop.deleted
    assert maildrop.count == 3


@pytest.mark.parametrize("uid", ["", "a b", "u" * 71, "\x7f", "é", "a\n"])
def test_a_unique_id_that_rfc_1939_forbids_is_not_handed_out(uid: str) -> None:
    with pytest.raises(LocalProtocolError):
        Maildrop([Entry(1, uid)])


def test_unique_ids_are_unique() -> None:
    with pytest.raises(LocalProtocolError):
        Maildrop([Entry(1, "a"), Entry(2, "a")])


def test_a_message_has_no_negative_size() -> None:
    with pytest.raises(LocalProtocolError):
        Maildrop([Entry(-1, "a")])
