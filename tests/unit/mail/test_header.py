"""Finding, counting and removing header fields in raw bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.header import (
    count,
    fields,
    find_header_end,
    first_value,
    has,
    header_of,
    locate,
    names,
    remove,
)

MESSAGE = b"Subject: a\r\n  b\r\nTO : x,\r\n\ty\r\nX-8bit: caf\xe9\r\nto: z\r\n\r\nFrom: body\r\n"


def test_fields_are_found_with_their_folded_lines() -> None:
    found = [
        (field.name, MESSAGE[field.start : field.end], MESSAGE[field.value_start : field.end])
        for field in fields(MESSAGE)
    ]
    assert found == [
        (b"Subject", b"Subject: a\r\n  b\r\n", b" a\r\n  b\r\n"),
        (b"TO", b"TO : x,\r\n\ty\r\n", b" x,\r\n\ty\r\n"),
        (b"X-8bit", b"X-8bit: caf\xe9\r\n", b" caf\xe9\r\n"),
        (b"to", b"to: z\r\n", b" z\r\n"),
    ]


def test_names_are_compared_without_regard_to_case() -> None:
    assert [field.is_named(b"tO") for field in fields(MESSAGE)] == [False, True, False, True]
    assert has(MESSAGE, b"SUBJECT")
    assert not has(MESSAGE, b"from")
    assert count(MESSAGE, b"To") == 2


def test_the_first_value_comes_unfolded_and_stripped() -> None:
    assert first_value(MESSAGE, b"subject") == b"a  b"
    assert first_value(MESSAGE, b"to") == b"x,\ty"
    assert first_value(MESSAGE, b"cc") is None
    assert first_value(b"Subject:\r\n", b"subject") == b""


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"A: b\r\n\r\nbody\r\n", b"A: b\r\n\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"A: b", b"A: b"),
        (b"A: b\r\n c", b"A: b\r\n c"),
        (b"", b""),
        (b"\r\nbody\r\n", b"\r\n"),
        # a line that is no field ends the header and is itself body
        (b"Subject: x\r\nthis is not a header\r\nTo: y\r\n\r\nbody\r\n", b"Subject: x\r\n"),
        (b"just text\r\nmore\r\n", b""),
        (b" continued nothing\r\nA: b\r\n", b""),
        (b"A: b\r\n>From x\r\n", b"A: b\r\n"),
        (b"A: b\r\n--boundary: x\r\n", b"A: b\r\n"),
        (b"A: b\r\n: no name\r\n", b"A: b\r\n"),
        (b"A: b\r\ncaf\xe9: x\r\n", b"A: b\r\n"),
        # a line of blanks continues the field; a bare LF or CR ends nothing
        (b"A: b\r\n \t\r\nC: d\r\n\r\n", b"A: b\r\n \t\r\nC: d\r\n\r\n"),
        (b"A: b\n\nC: d\r\r\r\n\r\nbody", b"A: b\n\nC: d\r\r\r\n\r\n"),
    ],
)
def test_the_header_ends_where_the_body_begins(content: bytes, header: bytes) -> None:
    assert content[: find_header_end(content)] == header


def test_removing_fields_takes_their_continuations_along_and_nothing_else() -> None:
    assert remove(MESSAGE, (b"To", b"x-none")) == (
        b"Subject: a\r\n  b\r\nX-8bit: caf\xe9\r\n\r\nFrom: body\r\n"
    )


def test_a_header_that_lacks_its_empty_line_needs_one() -> None:
    assert locate(b"A: b\r\n\r\nx", is_whole=True).separator == b""
    assert locate(b"A: b\r\n", is_whole=True).separator == b""
    assert locate(b"A: b\r\ntext", is_whole=True).separator == b"\r\n"
    assert locate(b"just text", is_whole=True).separator == b"\r\n"
    assert locate(b"", is_whole=True).separator == b""


@pytest.mark.parametrize(
    ("prefix", "end", "separator"),
    [
        (b"A: b\r\nTo: alice@exam", 6, b""),  # the field goes on
        (b"A: b\r\nTo: alice\r\n", 6, b""),  # its continuation may follow
        (b"A: b\r\nTo: alice\r\n\r", 17, b""),  # the empty line, half
        (b"A: b\r\nTo: alice\r\nSubj", 17, b""),  # a field name, half
        (b"A: b\r\nTo: alice\r\n\r\n", 19, b""),
        (b"A: b\r\nno field\r\n", 6, b"\r\n"),
        (b"no fiel", 0, b"\r\n"),
        (b"A: b", 0, b""),
        (b"", 0, b""),
    ],
)
def test_a_cut_header_is_edited_only_as_far_as_it_is_known(
    prefix: bytes, end: int, separator: bytes
) -> None:
    head = locate(prefix, is_whole=False)
    assert (head.end, head.separator) == (end, separator)


LINES = st.lists(
    st.sampled_from(
        [b"To: a\r\n", b"\tb\r\n", b"\r\n", b"text\r\n", b"Bcc: c\r\n", b"\r", b"\n", b":", b"\xff"]
    ),
    max_size=12,
).map(b"".join)


@given(st.one_of(LINES, st.binary(max_size=60)))
def test_fields_cover_the_header_without_gaps_whatever_the_bytes(content: bytes) -> None:
    position = 0
    for field in fields(content):
        assert field.start == position
        assert field.start < field.value_start <= field.end
        position = field.end
    assert content[position : find_header_end(content)] in (b"", b"\r\n")


@given(LINES)
def test_removing_nothing_changes_nothing_and_removing_is_complete(content: bytes) -> None:
    assert remove(content, ()) == content
    assert remove(content, [b"x-absent"]) == content
    assert not has(remove(content, [b"bcc"]), b"bcc")


@given(LINES, st.integers(min_value=0, max_value=80))
def test_what_is_editable_in_a_cut_message_is_editable_in_the_whole(
    content: bytes, cut: int
) -> None:
    head = locate(content[:cut], is_whole=cut >= len(content))
    assert head.end <= find_header_end(content)
    assert list(fields(content[: head.end])) == [
        field for field in fields(content) if field.end <= head.end
    ]


@given(st.binary(max_size=64) | st.text(alphabet="A: \t\r\n-.", max_size=40).map(str.encode))
def test_what_stands_behind_the_empty_line_does_not_change_the_header(content):
    header = header_of(content)
    found = list(fields(content))
    end = found[-1].end if found else 0
    assert header == content[: end + 2 if content.startswith(b"\r\n", end) else end]
    assert list(fields(header)) == found
    if header.endswith(b"\r\n\r\n"):
        assert header_of(header + b"A: b\r\n\r\n") == header


def test_the_names_of_a_header_are_in_lower_case_and_in_order():
    header = b"To: a\r\nSUBJECT: s\r\n more: of it\r\nto : b\r\n\r\nFrom: c\r\n"
    assert names(header) == (b"to", b"subject", b"to")
    assert names(header * 1000) == names(header)
