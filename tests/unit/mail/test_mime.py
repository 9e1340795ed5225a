"""The parts of a message by their offsets, and what is not looked into."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail import mime
from relaynode.mail.mime import Kind, Part, parts
from unit.mail import mime_tokens


def crlf(text: str) -> bytes:
    return text.encode("latin-1").replace(b"\n", b"\r\n")


def bodies(message: bytes) -> list[tuple[str, bytes]]:
    return [
        (part.media_type.decode(), message[part.body_start : part.end]) for part in parts([message])
    ]


def leaves(message: bytes) -> list[bytes]:
    return [message[p.body_start : p.end] for p in parts([message]) if p.kind is Kind.LEAF]


MULTIPART = crlf("""\
Content-Type: multipart/mixed; boundary="=x y"

before
--=x y
Content-Type: text/html

<b>
--=x y\t
Content-Type: message/rfc822

Subject: inner

in
--=x y--
behind
""")


def test_parts_come_when_they_end() -> None:
    assert bodies(MULTIPART) == [
        ("text/html", b"<b>"),
        ("text/plain", b"in"),
        ("message/rfc822", b"Subject: inner\r\n\r\nin"),
        ("multipart/mixed", MULTIPART.partition(b"\r\n\r\n")[2]),
    ]


def test_headers_are_where_they_say() -> None:
    for part in parts([MULTIPART]):
        assert MULTIPART[part.start :].startswith(part.header + b"\r\n")
        assert part.has_empty_line
        assert part.body_start == part.start + len(part.header) + 2


def test_only_what_goes_to_the_end_is_last() -> None:
    assert [part.is_last for part in parts([MULTIPART])] == [False, False, False, True]
    unclosed = MULTIPART.replace(b"\r\n--=x y--", b"")
    assert [part.is_last for part in parts([unclosed])] == [False, True, True, True]


@given(cuts=st.lists(st.integers(0, len(MULTIPART)), max_size=8))
def test_cuts_make_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(MULTIPART)]
    pieces = [MULTIPART[a:b] for a, b in pairwise(places)]
    shown = [(p.start, p.body_start, p.end, p.kind, p.bytes_8bit) for p in parts(pieces)]
    assert shown == [
        (p.start, p.body_start, p.end, p.kind, p.bytes_8bit) for p in parts([MULTIPART])
    ]


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("multipart/mixed; boundary=b", b"b"),
        ('multipart/mixed; boundary="a b"', b"a b"),
        (r'multipart/mixed; boundary="a\"b"', b'a"b'),
        ("Multipart/Mixed;\n\tBOUNDARY=b ; x=y", b"b"),
        ('multipart/mixed; name="; boundary=no"; boundary=yes', b"yes"),
        ("multipart/mixed; odd; boundary=b", b"b"),
        ('multipart/mixed; boundary="open', b'"open'),
    ],
)
def test_the_boundary_of_a_content_type(value: str, boundary: bytes) -> None:
    (part,) = [*parts([crlf(f"Content-Type: {value}\n\nx\n")])]
    assert part.boundary == boundary


@pytest.mark.parametrize(
    "value",
    [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        f"multipart/mixed; boundary={'b' * 201}",
        "multipart/signed; boundary=b",
        "message/partial; id=b",
        "message/delivery-status",
        "multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64",
        "text/plain\nContent-Transfer-Encoding: quoted-printable",
        "text/plain\nContent-Transfer-Encoding: x-uuencode",
    ],
)
def test_what_is_not_looked_into(value: str) -> None:
    (part,) = [*parts([crlf(f"Content-Type: {value}\n\n--b\n\n\xe4\n--b--\n")])]
    assert part.kind is Kind.OPAQUE
    assert part.bytes_8bit == 1


@pytest.mark.parametrize("value", ["8bit", "8BIT (as it is)", "(so) binary", "7bit;", ""])
def test_encodings_that_change_nothing(value: str) -> None:
    (part,) = [*parts([crlf(f"Content-Transfer-Encoding: {value}\n\nx\n")])]
    assert part.kind is Kind.LEAF


def test_a_boundary_that_is_the_beginning_of_another_ends_only_its_own_parts() -> None:
    message = crlf("""\
Content-Type: multipart/mixed; boundary=out

--out
Content-Type: multipart/mixed; boundary=outer

--outer

one
--outer--
--out

two
--out--
""")
    assert leaves(message) == [b"one", b"two"]


def test_an_outer_boundary_ends_what_is_inside() -> None:
    message = crlf("""\
Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=b

--b

one
--a

two
--b

still two
--a--
""")
    assert leaves(message) == [b"one", b"two\r\n--b\r\n\r\nstill two"]


def test_parts_of_a_digest_are_messages() -> None:
    message = crlf("Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: s\n\nx\n--d--\n")
    kinds = [(part.kind, part.is_message) for part in parts([message])]
    assert kinds == [(Kind.LEAF, True), (Kind.MESSAGE, False), (Kind.MULTIPART, True)]


def test_a_header_that_ends_without_an_empty_line() -> None:
    message = b"Subject: s\r\nno field\r\n\xe4\r\n"
    (part,) = parts([message])
    assert (part.header, part.has_empty_line) == (b"Subject: s\r\n", False)
    assert message[part.body_start : part.end] == b"no field\r\n\xe4\r\n"
    assert part.bytes_8bit == 1


def test_a_part_without_a_body() -> None:
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Only: header\r\n--b--"
    part, _ = parts([message])
    assert (part.header, part.body_start, part.end) == (b"X-Only: header\r\n", 66, 66)
    assert list(parts([])) != []


def nested(depth: int) -> bytes:
    inner = b"\xe4\r\n"
    for level in range(depth):
        name = b"b%d" % level
        head = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n" % name
        inner = head + b"--" + name + b"\r\n" + inner + b"--" + name + b"--\r\n"
    return inner


def test_it_goes_down_so_deep_and_no_deeper() -> None:
    assert next(parts([nested(mime.MAX_DEPTH - 1)])).kind is Kind.LEAF
    deepest = next(parts([nested(mime.MAX_DEPTH + 50)]))
    assert deepest.kind is Kind.OPAQUE
    assert deepest.depth == mime.MAX_DEPTH


def test_messages_within_messages_without_end() -> None:
    message = b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"\xe4"
    found = list(parts([message]))
    assert len(found) == mime.MAX_DEPTH + 1
    assert found[0].kind is Kind.OPAQUE


def test_too_many_parts_are_one_that_is_not_looked_into() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    found = list(parts([head + b"--b\r\n\r\n\xe4\r\n" * (mime.MAX_PARTS + 10)]))
    assert len(found) == mime.MAX_PARTS
    assert found[-1].kind is Kind.OPAQUE
    assert found[-1].bytes_8bit == 11


def test_a_line_of_a_megabyte_is_counted_and_not_kept() -> None:
    pieces = [b"Subject: s\r\n\r\n", *[b"--\xe4" + b"x" * 65533] * 16, b"\r\n\xe4"]
    (part,) = parts(pieces)
    assert part.bytes_8bit == 17
    assert part.end == sum(map(len, pieces))


def test_a_header_field_of_a_megabyte_is_not_looked_into() -> None:
    (part,) = parts([b"Subject: ", *[b"x" * 65536] * 16, b"\r\n\r\n\xe4"])
    assert part.kind is Kind.OPAQUE
    assert len(part.header) == 0


TOKENS = [*mime_tokens.TOKENS, b'"', b";"]


@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=60))
def test_whatever_comes_every_part_lies_within_its_parent(tokens: list[bytes]) -> None:
    message = b"".join(tokens)
    found = list(parts(tokens))
    assert found[-1].parent is None
    assert (found[-1].start, found[-1].end) == (0, len(message))
    assert all(_lies_well(part) for part in found)
    # Every 8-bit byte of a body is somebody's own.
    in_headers = sum(mime.count_8bit(part.header) for part in found)
    assert sum(part.bytes_8bit for part in found) <= mime.count_8bit(message) - in_headers


def _lies_well(part: Part) -> bool:
    is_ordered = part.start <= part.body_start <= part.end
    within = part.parent is None or part.parent.body_start <= part.start
    return is_ordered and within and (part.parent is None or part.end <= part.parent.end)
