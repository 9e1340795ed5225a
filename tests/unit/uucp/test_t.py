"""Protocol t."""

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import MAIN, Command, Data, EndOfFile
from relaynode.uucp.lines.t import BLOCK_BYTES, COMMAND_UNIT_BYTES, LineT
from unit.uucp.streams import all_events, pair, receive_file, send_file


@pytest.mark.parametrize(
    ("text_bytes", "sent_bytes"), [(1, 512), (511, 512), (512, 1024), (1023, 1024), (1024, 1536)]
)
def test_a_command_is_filled_up_to_whole_units_with_at_least_one_nul(text_bytes, sent_bytes):
    caller, called = pair(LineT)
    text = b"S" * text_bytes
    caller.send_command(MAIN, text, 0)
    wire = caller.data_to_send()
    assert wire == text.ljust(sent_bytes, b"\0")
    assert called.receive(wire, 0) == [Command(MAIN, text)]


def test_what_old_programs_leave_behind_the_end_of_a_command_is_skipped():
    _, called = pair(LineT)
    wire = b"SY\0" + b"rubbish\0H\0".ljust(COMMAND_UNIT_BYTES - 3, b"x")
    assert all_events(called, wire + b"CY".ljust(COMMAND_UNIT_BYTES, b"\0")) == [
        Command(MAIN, b"SY"),
        Command(MAIN, b"CY"),
    ]


def test_a_command_is_told_before_its_padding_has_come_over_a_slow_line():
    caller, called = pair(LineT)
    assert called.receive(b"S a b c\0", 0) == [Command(MAIN, b"S a b c")]
    called.expect_file(MAIN, 0)
    rest = bytes(COMMAND_UNIT_BYTES - 8)
    assert called.receive(rest[:300], 1) == []
    assert called.receive(rest[300:] + send_file(caller, b"abc"), 2) == [
        Data(MAIN, 0, b"abc"),
        EndOfFile(MAIN),
    ]


def test_blocks_of_any_length_are_taken():
    _, called = pair(LineT)
    blocks = [b"a", b"b" * 70000, b"c" * 5]
    wire = b"".join(len(block).to_bytes(4, "big") + block for block in blocks) + bytes(4)
    assert receive_file(called, [wire]) == (b"".join(blocks), True)


def test_what_has_come_of_a_block_is_told_before_the_rest_of_it():
    _, called = pair(LineT)
    called.expect_file(MAIN, 0)
    assert called.receive((1000).to_bytes(4, "big") + b"half", 0) == [Data(MAIN, 0, b"half")]
    assert called.receive(b"way", 0) == [Data(MAIN, 4, b"way")]


def test_a_file_is_sent_in_blocks_that_lose_little_when_the_call_breaks():
    caller, _ = pair(LineT)
    wire = send_file(caller, bytes(2500), piece_bytes=2500)
    assert wire[:4] == BLOCK_BYTES.to_bytes(4, "big")
    assert len(wire) == 2500 + 3 * 4 + 4


def test_an_empty_file_is_one_empty_block():
    caller, _ = pair(LineT)
    assert send_file(caller, b"") == bytes(4)


def test_an_absurd_block_is_refused():
    _, called = pair(LineT)
    called.expect_file(MAIN, 0)
    with pytest.raises(RemoteProtocolError, match="block"):
        called.receive(b"\xff\xff\xff\xff", 0)
