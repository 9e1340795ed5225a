"""Line ends and dots: streams cut anywhere give what the whole gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.lines import BareLineEnds, DotDecoder, DotEncoder, ToCrlf, ToLf, WireSize

# Mostly the bytes that matter, so that every kind of cut happens.
STREAM = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a"]), max_size=24).map(
    b"".join
)
CUTS = st.lists(st.integers(min_value=0, max_value=60), max_size=5)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces; empty ones among them."""
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def every_two_pieces(data: bytes) -> list[list[bytes]]:
    return [[data[:place], data[place:]] for place in range(len(data) + 1)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def to_crlf(pieces: Iterable[bytes]) -> bytes:
    transform = ToCrlf()
    return b"".join(transform.feed(piece) for piece in pieces)


def to_lf(pieces: Iterable[bytes]) -> bytes:
    transform = ToLf()
    return b"".join([transform.feed(piece) for piece in pieces] + [transform.finish()])


def has_bare(pieces: Iterable[bytes]) -> bool:
    watch = BareLineEnds()
    for piece in pieces:
        watch.feed(piece)
    return watch.finish()


def encode(pieces: Iterable[bytes]) -> bytes:
    encoder = DotEncoder()
    return b"".join([encoder.feed(piece) for piece in pieces] + [encoder.finish()])


def decode(pieces: Iterable[bytes]) -> tuple[bytes, bytes | None]:
    """The content, and what lies behind the end (None while the text is not complete)."""
    decoder = DotDecoder()
    text = b""
    behind = b""
    for piece in pieces:
        if decoder.is_complete:
            behind += piece
        else:
            text += decoder.feed(piece)
    return text, None if decoder.rest is None else decoder.rest + behind


VECTOR = b"a\r\nb\n\rc\r\r\n\n.\r\n..\n.\r\n\r\n."


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"a\rb\r", b"a\rb\r"),
        (b"\r\r\n\n", b"\r\r\n\r\n"),
    ],
)
def test_to_crlf_ends_lines_with_crlf_and_leaves_a_bare_cr(data: bytes, result: bytes) -> None:
    assert to_crlf([data]) == result
    assert to_crlf(bytewise(data)) == result


@pytest.mark.parametrize(
    ("data", "result"),
    [(b"a\r\nb\r\n", b"a\nb\n"), (b"a\nb\rc\r", b"a\nb\rc\r"), (b"\r\r\n", b"\r\n"), (b"", b"")],
)
def test_to_lf_ends_lines_with_lf_and_leaves_what_stands_alone(data: bytes, result: bytes) -> None:
    assert to_lf([data]) == result
    assert to_lf(bytewise(data)) == result


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\r\nb\r\n", False),
        (b"", False),
        (b"a\nb", True),
        (b"\n", True),
        (b"a\rb", True),
        (b"a\r", True),
        (b"\r\r\n", True),
        (b"\r\n\n", True),
    ],
)
def test_bare_line_ends_are_noticed(data: bytes, expected: bool) -> None:
    assert has_bare([data]) is expected
    assert has_bare(bytewise(data)) is expected


@pytest.mark.parametrize("run", [to_crlf, to_lf, has_bare, encode], ids=lambda run: run.__name__)
def test_a_cut_at_any_place_makes_no_difference(run: Callable[[Iterable[bytes]], object]) -> None:
    for pieces in [*every_two_pieces(VECTOR), bytewise(VECTOR)]:
        assert run(pieces) == run([VECTOR]), pieces


@given(STREAM, CUTS)
def test_no_transformation_sees_where_the_stream_was_cut(data: bytes, cuts: list[int]) -> None:
    pieces = cut(data, cuts)
    assert to_crlf(pieces) == to_crlf([data])
    assert to_lf(pieces) == to_lf([data])
    assert has_bare(pieces) == has_bare([data])
    assert encode(pieces) == encode([data])
    assert decode(pieces) == decode([data])


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"")))
def test_unix_text_survives_the_way_to_the_wire_and_back(data: bytes) -> None:
    assert to_lf([to_crlf([data])]) == data


@given(STREAM)
def test_to_crlf_leaves_no_bare_lf_and_changes_nothing_the_second_time(data: bytes) -> None:
    wire = to_crlf([data])
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert to_crlf([wire]) == wire


@given(STREAM, CUTS)
def test_bare_line_ends_are_those_left_when_crlf_is_taken_out(data: bytes, cuts: list[int]) -> None:
    # A CR before a CRLF is bare; take the pairs out from the right.
    rest = data.replace(b"\r\n", b"")
    assert has_bare(cut(data, cuts)) == (b"\r" in rest or b"\n" in rest)


# ---- dots


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".a\r\n..b\r\n", b"..a\r\n...b\r\n.\r\n"),
        (b"a.\r\n.", b"a.\r\n..\r\n.\r\n"),
        (b"a\n.\n", b"a\n.\n\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
    ],
)
def test_a_dot_at_the_start_of_a_line_is_doubled_and_the_end_is_a_lone_dot(
    content: bytes, wire: bytes
) -> None:
    assert encode([content]) == wire
    assert encode(bytewise(content)) == wire


@pytest.mark.parametrize(
    ("wire", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b"..a\r\n...b\r\n.\r\n", b".a\r\n..b\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"\r\n.\r\n.\r\n", b"\r\n", b".\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
    ],
)
def test_a_text_ends_at_the_lone_dot_and_loses_its_doubled_ones(
    wire: bytes, content: bytes, rest: bytes
) -> None:
    for pieces in [*every_two_pieces(wire), bytewise(wire)]:
        assert decode(pieces) == (content, rest), pieces


@pytest.mark.parametrize(
    "inside",
    [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\0.\r\n"],
)
def test_nothing_but_crlf_dot_crlf_ends_a_text(inside: bytes) -> None:
    smuggled = b"MAIL FROM:<mallory@example.com>"
    wire = b"body" + inside + smuggled + b"\r\n.\r\nREST"
    for pieces in [*every_two_pieces(wire), bytewise(wire)]:
        content, rest = decode(pieces)
        assert rest == b"REST", pieces
        assert content.endswith(smuggled + b"\r\n"), pieces


def test_a_text_without_its_end_is_never_complete() -> None:
    for wire in (b"", b"a\r\n", b"a\r\n.", b"a\r\n.\r", b"\r\n..\r\n", b"."):
        assert decode(bytewise(wire))[1] is None, wire


@given(STREAM, st.binary(max_size=12), CUTS)
def test_decoding_undoes_encoding_and_leaves_what_follows(
    content: bytes, rest: bytes, cuts: list[int]
) -> None:
    ended = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert decode(cut(encode([content]) + rest, cuts)) == (ended, rest)


@given(STREAM)
def test_encoded_content_holds_its_end_only_at_the_end(content: bytes) -> None:
    wire = b"\r\n" + encode([content])
    assert wire.find(b"\r\n.\r\n") == len(wire) - 5


def test_the_decoder_keeps_only_a_few_bytes_back() -> None:
    decoder = DotDecoder()
    given_back = 0
    for fed in range(1, 200):
        given_back += len(decoder.feed(b"abcdefghij"))
        assert fed * 10 - given_back <= 6


@given(STREAM, CUTS)
def test_the_size_with_crlf_is_counted_as_it_would_be_given(data: bytes, cuts: list[int]) -> None:
    size = WireSize()
    for piece in cut(data, cuts):
        size.feed(piece)
    assert size.bytes == len(to_crlf(cut(data, cuts)))
