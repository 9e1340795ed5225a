from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.pop3.top import TopCutter

MESSAGE = b"From: a\r\nTo: b\r\n\r\none\r\ntwo\r\n\r\nfour"

VECTORS = [
    ("header only", MESSAGE, 0, b"From: a\r\nTo: b\r\n\r\n"),
    ("one line", MESSAGE, 1, b"From: a\r\nTo: b\r\n\r\none\r\n"),
    ("an empty line is a line", MESSAGE, 3, b"From: a\r\nTo: b\r\n\r\none\r\ntwo\r\n\r\n"),
    ("more lines than there are", MESSAGE, 9, MESSAGE),
    ("no body", b"A: b\r\n\r\n", 2, b"A: b\r\n\r\n"),
    ("no empty line", b"A: b\r\nC: d\r\n", 0, b"A: b\r\nC: d\r\n"),
    ("no header", b"\r\none\r\ntwo\r\n", 1, b"\r\none\r\n"),
    ("empty lines behind the header", b"A: b\r\n\r\n\r\n\r\nx\r\n", 1, b"A: b\r\n\r\n\r\n"),
    (
        "bare LF ends nothing",
        b"A: b\n\nC: d\r\n\r\nx\ny\r\nz\r\n",
        1,
        b"A: b\n\nC: d\r\n\r\nx\ny\r\n",
    ),
    ("CR CR LF", b"A: b\r\r\n\r\nx\r\r\ny\r\n", 1, b"A: b\r\r\n\r\nx\r\r\n"),
    ("empty message", b"", 3, b""),
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector[0])
def test_the_top_ends_behind_header_and_lines_wherever_it_is_cut(
    vector: tuple[str, bytes, int, bytes],
) -> None:
    _, message, lines, top = vector
    for cut in range(len(message) + 1):
        cutter = TopCutter(lines)
        assert cutter.feed(message[:cut]) + cutter.feed(message[cut:]) == top
    cutter = TopCutter(lines)
    assert b"".join(cutter.feed(message[i : i + 1]) for i in range(len(message))) == top


def test_no_more_is_wanted_behind_the_top() -> None:
    cutter = TopCutter(1)
    cutter.feed(b"A: b\r\n\r\none\r")
    assert not cutter.is_complete
    assert cutter.feed(b"\ntwo\r\n") == b"\n"
    assert cutter.is_complete
    assert cutter.feed(b"three\r\n") == b""


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b".", b"\r\n\r\n"]), max_size=30),
    st.integers(0, 5),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_the_top_is_the_same_however_it_is_cut(
    words: list[bytes], lines: int, cuts: list[int]
) -> None:
    message = b"".join(words)
    cutter, start, top = TopCutter(lines), 0, b""
    for cut in [*sorted(cuts), len(message)]:
        top += cutter.feed(message[start:cut])
        start = max(start, cut)
    header, empty_line, body = (b"\r\n" + message).partition(b"\r\n\r\n")
    kept = body.split(b"\r\n")[:lines]
    expected = header + empty_line + b"\r\n".join(kept)
    if len(kept) == lines and lines and body.count(b"\r\n") >= lines:
        expected += b"\r\n"
    assert top == expected[2:]
