"""Quoted-printable and base64 that decode to every byte they were made of, however it was cut."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relaynode.mail.transfer_encoding import Encoding, encoder

PIECES = st.lists(
    st.one_of(
        st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b".", b"=", b"a" * 76, b"\xe4" * 30]),
        st.binary(max_size=20),
    ),
    max_size=20,
)
LINE_BYTES = 76


def encoded(encoding: Encoding, pieces: list[bytes]) -> bytes:
    encode = encoder(encoding)
    return b"".join([*(encode.feed(piece) for piece in pieces), encode.finish()])


def decoded(encoding: Encoding, text: bytes) -> bytes:
    if encoding is Encoding.BASE64:
        return base64.b64decode(text)
    # Python's decoder takes a bare CR or LF for a line end; there is none in what we write.
    return quopri.decodestring(text)


@pytest.mark.parametrize("encoding", list(Encoding))
@given(pieces=PIECES)
@example(pieces=[b"a" * 4096, b"\r", b"\n"])
@example(pieces=[b"a" * 4095, b"\r", b"\r\n", b" "])
@example(pieces=[b"\xe4" * 9000, b"\r\n"])
@example(pieces=[b"a" * 76, b"\n"])
@example(pieces=[b"a" * 74, b"\n\n"])
def test_decoding_gives_back_every_byte(encoding: Encoding, pieces: list[bytes]) -> None:
    text = encoded(encoding, pieces)
    assert decoded(encoding, text) == b"".join(pieces)
    assert text.isascii()
    lines = text.split(b"\r\n")
    assert all(len(line) <= LINE_BYTES for line in lines)
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    assert all(not line.endswith((b" ", b"\t")) for line in lines)
    assert text == encoded(encoding, [b"".join(pieces)]), "cuts make no difference"


def test_text_stays_readable() -> None:
    text = "Schöne Grüße = hier. \r\nFrom here\r\n\r\nend".encode("latin-1")
    assert encoded(Encoding.QUOTED_PRINTABLE, [text]) == (
        b"Sch=F6ne Gr=FC=DFe =3D hier.=20\r\nFrom here\r\n\r\nend"
    )


def test_a_line_without_end_is_not_kept_whole() -> None:
    encode = encoder(Encoding.QUOTED_PRINTABLE)
    assert all(encode.feed(b"\xe4" * 8192) for _ in range(100))
    assert len(encode.finish()) <= 3 * 4096 * LINE_BYTES // (LINE_BYTES - 3)
