"""Protocol i with a program that is not ours, when both send files: see i_duplex."""

from __future__ import annotations

import pytest

from relaynode.uucp.line import Channel, Settings
from relaynode.uucp.lines.i import LineI
from relaynode.uucp.lines.i_duplex import FIRST_BYTES, Arrivals, Departures
from relaynode.uucp.lines.i_packet import Kind, Packet, Scanner, encode
from relaynode.uucp.lines.i_parameters import Wishes, encode_wishes

OURS = Channel(1)
PACKET_BYTES = 1024
VERY_SLOW, SLOW, FAST = 300.0, 4200.0, 16_000.0
"""Bytes per second."""


class Call:
    """Our side, as the caller, of a call with Taylor's program."""

    def __init__(self):
        self.now = 0.0
        self.line = LineI(Settings(True))
        self.line.start(0)
        self.line.data_to_send()
        self._peer_says(Packet(Kind.SYNC, content=encode_wishes(Wishes(PACKET_BYTES, 16))))
        self.number = 0
        """The peer's last packet."""

    def _peer_says(self, packet):
        self.line.receive(encode(packet._replace(is_from_caller=False)), self.now)

    def peer_sends(self, content, *, acknowledged=0):
        self.number += 1
        self._peer_says(Packet(Kind.DATA, self.number, 1, acknowledged, content=content))

    def peer_repeats(self, number):
        self._peer_says(Packet(Kind.DATA, number, 1, content=bytes(PACKET_BYTES)))

    def send_file(self, size):
        self.line.begin_file(OURS, 0, size)
        self.line.send_data(OURS, bytes(size), self.now)
        self.line.end_file(OURS, self.now)

    def said(self):
        return list(Scanner(is_caller=False).feed(self.line.data_to_send(), 0))

    def pass_time(self, seconds):
        """The packets that are said meanwhile."""
        until, said = self.now + seconds, self.said()
        while (at := self.line.wake_at) is not None and at <= until:
            self.now = max(self.now, at)
            self.line.tick(self.now)
            said += self.said()
        self.now = until
        return said

    def peer_sends_file(self, packets, rate):
        """So many packets as fast as the line is; what we say meanwhile."""
        self.peer_sends(b"S a\0")
        said = []
        for _ in range(packets):
            said += self.pass_time((PACKET_BYTES + 10) / rate)
            self.peer_sends(bytes(PACKET_BYTES), acknowledged=8)
        return said + self.pass_time(2)


def test_little_is_sent_before_the_peer_is_heard():
    call = Call()
    call.send_file(15_000)
    first = sum(len(packet.content) for packet in call.said())
    assert first <= FIRST_BYTES + PACKET_BYTES
    call.peer_sends(b"SY\0")
    assert first + sum(len(packet.content) for packet in call.said()) > 14_000


@pytest.mark.parametrize(
    ("rate", "size", "held"),
    [(VERY_SLOW, 30_000, 4), (SLOW, 30_000, 3), (FAST, 30_000, 0), (SLOW, 100, 0)],
)
def test_the_last_packets_are_acknowledged_late_if_both_send_over_a_slow_line(rate, size, held):
    call = Call()
    call.send_file(size)
    said = call.peer_sends_file(8, rate)
    assert said[-1].acknowledged == call.number - held


def test_when_our_files_are_gone_all_is_acknowledged():
    call = Call()
    call.send_file(30_000)
    assert call.peer_sends_file(8, VERY_SLOW)[-1].acknowledged < call.number
    call.peer_sends(b"", acknowledged=24)
    said = call.pass_time(60)
    assert any(packet.kind is Kind.DATA and not packet.content for packet in said)
    assert said[-1].acknowledged == call.number


def test_when_the_peer_repeats_a_packet_all_is_acknowledged():
    call = Call()
    call.send_file(30_000)
    call.peer_sends_file(8, VERY_SLOW)
    call.peer_repeats(call.number)
    assert call.said()[-1].acknowledged == call.number


def test_what_waits_before_a_slow_line_is_little_more_than_a_packet():
    call = Call()
    call.send_file(16_000)
    call.peer_sends_file(3, VERY_SLOW)
    before = call.now
    sent = sum(len(packet.content) for packet in call.pass_time(8))
    assert sent <= VERY_SLOW * (call.now - before) + PACKET_BYTES


def test_the_speed_of_what_comes_is_that_without_pauses():
    arrivals = Arrivals()
    for at in (0, 2, 4, 6, 30, 33, 36, 100, 104, 108):
        arrivals.came(600, at)
    assert arrivals.bytes_per_second == 300


def test_the_speed_of_what_goes_is_not_that_within_a_heap():
    departures = Departures()
    for at in (1.0, 1.01, 1.02, 30.0):
        departures.acknowledged(4096, at, False)
    assert departures.bytes_per_second == 0
    departures.acknowledged(4096, 31.02, False)
    assert departures.bytes_per_second == pytest.approx(8192 / 30)


def test_a_line_that_ran_empty_tells_no_lower_speed():
    departures = Departures()
    departures.acknowledged(1, 0, False)
    departures.acknowledged(8192, 10, False)
    departures.acknowledged(8192, 110, True)
    assert departures.bytes_per_second == 819.2
    departures.acknowledged(8192, 120, False)
    departures.acknowledged(8192, 140, False)
    assert departures.bytes_per_second < 819.2
