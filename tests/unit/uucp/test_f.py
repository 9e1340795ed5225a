"""Protocol f."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.line import MAIN, Command, Data, EndOfFile, Remark, Resend
from relaynode.uucp.lines.f import LineF
from unit.uucp.streams import all_events, new, pair, receive_file, send_file


@given(content=st.binary(max_size=500))
def test_nothing_but_printable_seven_bit_characters_and_the_last_cr_is_sent(content):
    caller, _ = pair(LineF)
    wire = send_file(caller, content)
    assert wire.endswith(b"\r")
    assert all(0x20 <= byte <= 0x7E for byte in wire[:-1])


def test_each_range_of_bytes_has_its_prefix():
    caller, _ = pair(LineF)
    wire = send_file(caller, bytes.fromhex("001f 20 79 7a7f 809f a0f9 faff"))
    assert wire.partition(b"~~")[0] == b"z@z_" + b" y" + b"{:{?" + b"|@|_" + b"} }y" + b"~:~?"


def test_a_good_file_is_accepted_before_the_session_answers():
    caller, called = pair(LineF)
    receive_file(called, [send_file(caller, b"abc")])
    called.send_command(MAIN, b"CY", 0)
    assert called.data_to_send() == b"G\rCY\r"


def test_a_damaged_file_is_asked_for_again_and_replaces_what_came_before():
    caller, called = pair(LineF)
    good = send_file(caller, b"abcdef")
    called.expect_file(MAIN, 0)
    first = called.receive(good.replace(b"c", b"XX", 1), 0)
    assert first[0] == Data(MAIN, 0, b"abXXdef")
    assert isinstance(first[1], Remark)
    assert called.data_to_send() == b"R\r"
    assert called.receive(good, 0) == [Data(MAIN, 0, b"abcdef"), EndOfFile(MAIN)]
    assert called.data_to_send() == b"G\r"
    assert called.counts.damaged == 1


def test_the_sender_is_told_to_send_the_file_again():
    caller, _ = pair(LineF)
    first = send_file(caller, b"abc")
    assert [type(event) for event in caller.receive(b"R\r", 0)] == [Remark, Resend]
    assert caller.counts.rejected == 1
    assert send_file(caller, b"abc") == first
    assert all_events(caller, b"G\rCY\r") == [Command(MAIN, b"CY")]


@pytest.mark.parametrize("damage", [b"\r", b"z\r", b"~\r", b"abc~~fff\r", b"~~0000\r"])
def test_whatever_is_wrong_with_a_file_it_is_asked_for_again(damage):
    _, called = pair(LineF)
    called.expect_file(MAIN, 0)
    events = all_events(called, damage)
    assert EndOfFile(MAIN) not in events
    assert called.data_to_send().startswith(b"R\r")


def test_a_prefix_before_a_byte_that_it_cannot_change_is_damage_whatever_the_checksum():
    _, called = pair(LineF)
    called.expect_file(MAIN, 0)
    all_events(called, b"z0~~ffff\r")
    assert called.data_to_send() == b"R\r"


def test_noise_without_an_end_is_dropped_and_the_file_asked_for_again():
    caller, called = pair(LineF)
    called.expect_file(MAIN, 0)
    for _ in range(100):
        called.receive(b"~~no end" * 1000, 0)
    called.receive(b"\r", 0)
    assert called.data_to_send() == b"R\r"
    assert receive_file(called, [send_file(caller, b"abc")]) == (b"abc", True)


def test_a_file_that_is_damaged_every_time_is_given_up_and_the_peer_told():
    _, called = pair(LineF, retries=2)
    called.expect_file(MAIN, 0)
    for _ in range(2):
        called.receive(b"abc~~0000\r", 0)
        assert called.data_to_send() == b"R\r"
    with pytest.raises(LineLost, match="3 times"):
        called.receive(b"abc~~0000\r", 0)
    assert called.data_to_send() == b"Q\r"


def test_each_file_has_all_its_retries():
    caller, called = pair(LineF, retries=1)
    for _ in range(3):
        called.expect_file(MAIN, 0)
        called.receive(b"abc~~0000\r", 0)
        assert receive_file(called, [send_file(caller, b"abc")]) == (b"abc", True)


@pytest.mark.parametrize(("answer", "error"), [(b"Q\r", LineLost), (b"X\r", RemoteProtocolError)])
def test_a_peer_that_gives_up_or_speaks_nonsense_ends_the_call(answer, error):
    caller, _ = pair(LineF)
    send_file(caller, b"abc")
    with pytest.raises(error):
        caller.receive(answer, 0)


def test_flow_control_characters_and_parity_of_the_line_do_no_harm():
    caller, called = pair(LineF)
    wire = send_file(caller, b"abc\xff")
    with_parity = bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in wire)
    noisy = b"\x11" + with_parity[:3] + b"\x13\x11\0\n" + with_parity[3:]
    assert receive_file(called, [noisy]) == (b"abc\xff", True)


def test_a_restart_is_not_possible():
    assert not new(LineF).can_restart
