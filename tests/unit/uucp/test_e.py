"""Protocol e."""

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import MAIN, Data, EndOfFile
from relaynode.uucp.lines.e import HEADER_BYTES, LineE
from unit.uucp.streams import pair, receive_file, send_file


def test_a_file_stands_behind_its_length():
    caller, _ = pair(LineE)
    assert send_file(caller, b"abc") == b"3" + bytes(19) + b"abc"


def test_an_empty_file_ends_with_its_header():
    caller, called = pair(LineE)
    wire = send_file(caller, b"")
    assert len(wire) == HEADER_BYTES
    assert receive_file(called, [wire]) == (b"", True)


def test_the_header_of_a_resumed_file_counts_what_remains():
    caller, called = pair(LineE)
    wire = send_file(caller, b"rest", position=1000)
    assert wire.startswith(b"4\0")
    called.expect_file(MAIN, 1000)
    assert called.receive(wire, 0) == [Data(MAIN, 1000, b"rest"), EndOfFile(MAIN)]


@pytest.mark.parametrize(
    "header", [b"", b"abc", b"-1", b"3 4", b"1" * 19, b"9" * 20, b"0x10", b"1\0002", b"\xb3"]
)
def test_what_is_no_length_is_refused(header):
    _, called = pair(LineE)
    called.expect_file(MAIN, 0)
    with pytest.raises(RemoteProtocolError, match="length"):
        called.receive(header.ljust(HEADER_BYTES, b"\0"), 0)


def test_a_length_filled_with_blanks_is_understood():
    _, called = pair(LineE)
    assert receive_file(called, [b"3".ljust(HEADER_BYTES) + b"abc"]) == (b"abc", True)
