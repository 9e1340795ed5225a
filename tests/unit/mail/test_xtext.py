"""xtext of RFC 3461 section 4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import AddressError
from relaynode.mail.xtext import xtext_decode, xtext_encode


@pytest.mark.parametrize(
    ("text", "xtext"),
    [
        ("alice@example.org", "alice@example.org"),
        ("a+b=c", "a+2Bb+3Dc"),
        ("a b\r\n", "a+20b+0D+0A"),
        ("é", "+C3+A9"),
        ("", ""),
    ],
)
def test_xtext_stands_for_its_text(text: str, xtext: str) -> None:
    assert xtext_encode(text) == xtext
    assert xtext_decode(xtext) == text


@pytest.mark.parametrize("wrong", ["a b", "a=b", "a+", "a+2", "a+2b", "a+GG", "é", "a\n"])
def test_what_is_no_xtext_is_refused(wrong: str) -> None:
    with pytest.raises(AddressError, match="xtext"):
        xtext_decode(wrong)


@given(st.text())
def test_decoding_undoes_encoding(text: str) -> None:
    assert xtext_decode(xtext_encode(text)) == text
    assert xtext_encode(text).isascii()


@given(st.binary())
def test_octets_that_are_no_utf_8_survive(octets: bytes) -> None:
    text = octets.decode("utf-8", "surrogateescape")
    assert xtext_decode(xtext_encode(text)) == text
