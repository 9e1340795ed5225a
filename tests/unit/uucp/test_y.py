"""Protocol y."""

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.line import MAIN, Closed, Command, Data, EndOfFile, Started
from relaynode.uucp.lines.y import (
    Control,
    LineY,
    Packet,
    control_packet,
    data_packet,
    sync_content,
    take_packet,
)
from unit.uucp.streams import all_events, new, pair, receive_file, send_file


def packets_in(wire):
    arrived, found = bytearray(wire), []
    while packet := take_packet(arrived):
        found.append(packet)
    assert not arrived
    return found


def test_both_sides_say_first_what_they_take():
    caller = new(LineY, packet_size=2048)
    caller.start(0)
    assert packets_in(caller.data_to_send()) == [data_packet(0, b"\x01\x08\0\0")]
    assert caller.tick(0) == []
    assert caller.receive(data_packet(0, sync_content(1024)).encoded(), 1) == [Started()]


@pytest.mark.parametrize(("ours", "theirs", "used"), [(1024, 512, 512), (512, 1024, 512)])
def test_the_smaller_packet_is_used(ours, theirs, used):
    caller = new(LineY, packet_size=ours)
    caller.start(0)
    caller.data_to_send()
    caller.receive(data_packet(0, sync_content(theirs)).encoded(), 0)
    lengths = [packet.length for packet in packets_in(send_file(caller, bytes(1500), 0, 1500))]
    assert lengths == [used] * (1500 // used) + [1500 % used, 0]


@pytest.mark.parametrize(
    "packet", [data_packet(0, b""), data_packet(0, b"\x01\0\0\0"), control_packet(0, 0xFFFE)]
)
def test_a_peer_that_does_not_say_what_it_takes_is_refused(packet):
    caller = new(LineY)
    caller.start(0)
    with pytest.raises(RemoteProtocolError):
        caller.receive(packet.encoded(), 0)


def test_a_long_command_goes_over_several_packets():
    caller, called = pair(LineY, packet_size=256)
    text = b"E " + b"x" * 600
    caller.send_command(MAIN, text, 0)
    wire = caller.data_to_send()
    assert [packet.length for packet in packets_in(wire)] == [256, 256, 91]
    assert called.receive(wire, 0) == [Command(MAIN, text)]


def test_a_file_ends_with_an_empty_packet_and_is_acknowledged():
    caller, called = pair(LineY)
    wire = send_file(caller, b"abc")
    assert packets_in(wire)[-1] == Packet(2, 0, 0xFFFF)
    called.expect_file(MAIN, 0)
    assert called.receive(wire, 0) == [Data(MAIN, 0, b"abc"), EndOfFile(MAIN)]
    assert packets_in(called.data_to_send()) == [Packet(1, Control.RECEIVED, 0)]


def test_the_checksum_that_manuals_give_an_empty_packet_is_taken_too():
    _, called = pair(LineY)
    assert receive_file(called, [Packet(1, 0, 0).encoded()]) == (b"", True)


def test_a_damaged_packet_ends_the_call_and_the_peer_is_told():
    caller, called = pair(LineY)
    called.expect_file(MAIN, 0)
    wire = bytearray(send_file(caller, b"abc"))
    wire[7] ^= 1
    with pytest.raises(RemoteProtocolError, match="damaged"):
        called.receive(bytes(wire), 0)
    assert packets_in(called.data_to_send())[-1].length == Control.DAMAGED
    assert called.counts.damaged == 1


@pytest.mark.parametrize("sequence", [0, 2, 65535])
def test_a_packet_out_of_order_ends_the_call_and_the_peer_is_told(sequence):
    _, called = pair(LineY)
    with pytest.raises(RemoteProtocolError, match="order"):
        called.receive(data_packet(sequence, b"H\0").encoded(), 0)
    assert packets_in(called.data_to_send())[-1].length == Control.WRONG
    assert called.counts.out_of_order == 1


@pytest.mark.parametrize("control", [Control.DAMAGED, Control.WRONG, 0x8000])
def test_a_peer_that_refuses_a_packet_has_ended_the_call(control):
    caller, _ = pair(LineY)
    with pytest.raises(RemoteProtocolError, match="peer ends"):
        caller.receive(control_packet(1, control).encoded(), 0)


def test_a_file_without_acknowledgement_is_an_error():
    caller, called = pair(LineY)
    send_file(caller, b"abc")
    called.send_command(MAIN, b"CY", 0)
    with pytest.raises(RemoteProtocolError, match="acknowledge"):
        caller.receive(called.data_to_send(), 0)


def test_an_acknowledgement_in_the_middle_of_a_file_is_an_error():
    _, called = pair(LineY)
    called.expect_file(MAIN, 0)
    with pytest.raises(RemoteProtocolError, match="middle"):
        called.receive(control_packet(1, Control.RECEIVED).encoded(), 0)


def test_sequence_numbers_begin_again_behind_the_last():
    caller, called = pair(LineY)
    commands = 0
    for _ in range(0x10000 // 0x100 + 1):
        for _ in range(0x100):
            caller.send_command(MAIN, b"H", 0)
        commands += len(all_events(called, caller.data_to_send()))
    assert commands == 0x10100


def test_the_hang_up_in_place_of_a_packet_is_understood():
    caller, _ = pair(LineY)
    assert caller.receive(b"\x10OO", 0) == []
    assert caller.receive(b"OOOO\0", 0) == [Closed()]


def test_packets_are_counted():
    caller, called = pair(LineY)
    receive_file(called, [send_file(caller, bytes(2000), 0, 2000)])
    assert (caller.counts.sent, called.counts.received) == (4, 4)
