"""Changes of a header: what is not changed keeps its bytes."""

import pytest

from relaynode.milter.header_edits import EditedHeader
from relaynode.milter.replies import AddHeader, ChangeHeader, InsertHeader

HEADER = b"From:  a@b\r\nX-A: one\r\nsubject: s\r\n\tfolded  \r\nx-a: two\r\n"


@pytest.mark.parametrize(
    ("edits", "above", "below"),
    [
        ([], b"", HEADER),
        ([AddHeader(b"X-B", b"1\n\t2")], b"", HEADER + b"X-B: 1\r\n\t2\r\n"),
        ([InsertHeader(0, b"X-B", b"1")], b"X-B: 1\r\n", HEADER),
        ([InsertHeader(1, b"X-B", b"1")], b"", b"X-B: 1\r\n" + HEADER),
        (
            [InsertHeader(0, b"X-B", b"1"), InsertHeader(1, b"X-C", b"2")],
            b"X-B: 1\r\nX-C: 2\r\n",
            HEADER,
        ),
        ([InsertHeader(2**32 - 1, b"X-B", b"1")], b"", HEADER + b"X-B: 1\r\n"),
        ([ChangeHeader(2, b"X-A", b"new")], b"", HEADER.replace(b"x-a: two", b"x-a: new")),
        ([ChangeHeader(1, b"x-a", b"")], b"", HEADER.replace(b"X-A: one\r\n", b"")),
        (  # places do not move when a field is taken away
            [ChangeHeader(1, b"x-a", b""), ChangeHeader(2, b"x-a", b"new")],
            b"",
            HEADER.replace(b"X-A: one\r\n", b"").replace(b"two", b"new"),
        ),
        ([ChangeHeader(3, b"X-A", b"more")], b"", HEADER + b"X-A: more\r\n"),
        ([ChangeHeader(3, b"X-A", b"")], b"", HEADER),
    ],
)
def test_fields_are_added_changed_and_taken_away(edits, above, below):
    edited = EditedHeader(b"", HEADER, keeps_blank=False)
    edited.apply(edits)
    assert (edited.above, edited.below) == (above, below)


def test_a_value_cannot_begin_another_field():
    edited = EditedHeader(b"", b"", keeps_blank=False)
    edited.apply([AddHeader(b"X-A", b"1\r\nBcc: x@y\r\r\n\n z\n")])
    assert edited.below == b"X-A: 1\r\n\tBcc: x@y\r\n z\r\n"


def test_a_filter_that_keeps_the_blank_brings_its_own():
    edited = EditedHeader(b"", b"", keeps_blank=True)
    edited.apply([AddHeader(b"X-A", b"1"), AddHeader(b"X-B", b"  2")])
    assert edited.below == b"X-A:1\r\nX-B:  2\r\n"


def test_what_an_earlier_filter_put_above_counts():
    edited = EditedHeader(b"X-Up: 1\r\n", HEADER, keeps_blank=False)
    edited.apply([InsertHeader(1, b"X-B", b"1"), ChangeHeader(1, b"X-Up", b"2")])
    assert (edited.above, edited.below) == (b"X-Up: 2\r\nX-B: 1\r\n", HEADER)
