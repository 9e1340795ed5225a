"""Protocol i with a program that is not ours, when both send files: see i_duplex."""

from __future__ import annotations

import pytest

from relaynode.uucp.line import Channel, Settings
from relaynode.uucp.lines.i import LineI
from relaynode.uucp.lines.i_duplex import FIRST_BYTES, Arrivals, Departures
from relaynode.uucp.lines.i_outgoing import MAX_WAITING_REPLIES, Outgoing
from relaynode.uucp.lines.i_pace import Pace
from relaynode.uucp.lines.i_packet import Kind, Packet, Scanner, encode
from relaynode.uucp.lines.i_parameters import Wishes, encode_wishes, read_parameters
from relaynode.uucp.lines.i_sender import Sender

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

    def send_file(self, size, channel=OURS):
        self.line.begin_file(channel, 0, size)
        self.line.send_data(channel, bytes(size), self.now)
        self.line.end_file(channel, self.now)

    def say(self, channel, text):
        self.line.send_command(channel, text, self.now)

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

    def peer_sends_file(self, packets, rate, size=PACKET_BYTES):
        """So many packets as fast as the line is; what we say meanwhile."""
        self.peer_sends(b"S a\0")
        said = []
        for _ in range(packets):
            said += self.pass_time((size + 10) / rate)
            self.peer_sends(bytes(size), acknowledged=8)
        return said + self.pass_time(2)


def test_little_is_sent_before_the_peer_is_heard():
    call = Call()
    call.send_file(15_000)
    first = sum(len(packet.content) for packet in call.said())
    assert first <= FIRST_BYTES + PACKET_BYTES
    call.peer_sends(b"SY\0")
    assert first + sum(len(packet.content) for packet in call.said()) > 14_000


def test_little_is_sent_to_a_peer_that_sends_before_the_speed_is_known():
    call = Call()
    call.send_file(15_000)
    call.peer_sends(b"S a\0")
    assert sum(len(packet.content) for packet in call.said()) <= FIRST_BYTES + PACKET_BYTES
    call.peer_sends(bytes(900))
    call.now += 0.1
    call.peer_sends(bytes(1024))
    assert len(call.said()) > 5


@pytest.mark.parametrize(
    ("rate", "size", "held"),
    [(VERY_SLOW, 30_000, 4), (SLOW, 30_000, 2), (FAST, 30_000, 0), (SLOW, 100, 0)],
)
def test_the_last_packets_are_acknowledged_late_if_both_send_over_a_slow_line(rate, size, held):
    call = Call()
    call.send_file(size)
    said = call.peer_sends_file(8, rate)
    assert said[-1].acknowledged == call.number - held


def test_short_packets_are_acknowledged_at_once():
    call = Call()
    call.send_file(30_000)
    said = call.peer_sends_file(30, VERY_SLOW, size=200)
    assert said[-1].acknowledged == call.number


def test_a_few_short_packets_among_long_ones_change_nothing():
    call = Call()
    call.send_file(30_000)
    call.peer_sends_file(8, VERY_SLOW)
    said = call.peer_sends_file(4, VERY_SLOW, size=10)
    assert said[-1].acknowledged == call.number - 4


@pytest.mark.parametrize(("size", "may_answer"), [(1000, False), (100, True)])
def test_answers_wait_for_numbers_to_spare_unless_packets_are_short(size, may_answer):
    sender = Sender(read_parameters("i", {}), Pace(10))
    sender.open(Wishes(PACKET_BYTES, 16), 0)
    for count in range(1, 31):
        sent = sender.add(Kind.DATA, 1, 0, bytes(size), float(count))
        if count <= 16:
            assert sender.may_answer
            sender.acknowledge(sent.number, 0, float(count))
    assert not sender.has_spare_numbers
    assert sender.may_answer is may_answer


def test_when_our_files_are_gone_all_is_acknowledged():
    call = Call()
    call.send_file(30_000)
    assert call.peer_sends_file(8, VERY_SLOW)[-1].acknowledged < call.number
    for acknowledged in (16, 24, 30):
        call.peer_sends(b"", acknowledged=acknowledged)
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


def test_a_request_waits_until_its_file_is_next():
    call = Call()
    for number in (1, 2, 3):
        call.say(Channel(number), b"S a")
    for number in (1, 2, 3):
        call.send_file(500, Channel(number))
    channels = [packet.local for packet in call.said() if packet.kind is Kind.DATA]
    assert channels == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def scarce(*, spare, files=(2000, 2000)):
    """What waits where numbers are scarce: files, the first of which has begun."""
    outgoing = Outgoing()
    outgoing.saves_numbers = True
    for number, size in enumerate(files, 1):
        outgoing.begin(Channel(number), 0, size)
        outgoing.data(Channel(number), bytes(size))
        outgoing.end(Channel(number))
    outgoing.next_piece(PACKET_BYTES)
    outgoing.may_answer = spare
    return outgoing


def texts(outgoing):
    """What goes, file data as nothing."""
    said = []
    while piece := outgoing.next_piece(PACKET_BYTES):
        said.append(piece.content.strip(b"\0").decode())
    return said


@pytest.mark.parametrize(
    ("spare", "replies", "said"),
    [
        (True, 1, ["", "SY", "", ""]),
        (False, 1, ["", "", "", "SY"]),
        (False, MAX_WAITING_REPLIES + 2, ["", "SY", "SY", "", "", *["SY"] * MAX_WAITING_REPLIES]),
    ],
)
def test_replies_wait_for_the_end_of_a_file_where_numbers_are_scarce(spare, replies, said):
    outgoing = scarce(spare=spare)
    for number in range(replies):
        outgoing.command(Channel(number + 1, is_ours=False), b"SY\0")
    assert not outgoing.has_urgent
    assert texts(outgoing) == said


def test_in_the_middle_of_a_long_file_replies_go():
    outgoing = scarce(spare=True, files=(20_000,))
    outgoing.command(Channel(1, is_ours=False), b"SY\0")
    assert outgoing.has_urgent
    assert texts(outgoing)[0] == "SY"


def test_before_the_first_acknowledgement_nothing_goes_in_the_middle_of_a_file():
    outgoing = scarce(spare=True, files=(20_000,))
    outgoing.command(Channel(1, is_ours=False), b"SY\0")
    outgoing.may_interrupt = False
    assert not outgoing.has_urgent


def test_a_file_is_near_its_end_before_all_of_it_has_been_read():
    outgoing = Outgoing()
    outgoing.saves_numbers = True
    outgoing.begin(OURS, 0, 4096)
    outgoing.data(OURS, bytes(3000))
    outgoing.next_piece(PACKET_BYTES)
    outgoing.command(Channel(2), b"S b\0")
    assert not outgoing.next_piece(PACKET_BYTES).content.startswith(b"S")


def test_requests_without_a_file_do_not_wait_for_other_files():
    outgoing = scarce(spare=False)
    outgoing.command(Channel(3), b"S c\0")
    assert texts(outgoing) == ["", "", "", "S c"]
    outgoing = scarce(spare=False)
    outgoing.command(Channel(3), b"R c\0")
    assert texts(outgoing) == ["", "R c", "", ""]


def test_the_speed_of_what_comes_is_that_without_pauses():
    arrivals = Arrivals()
    for at in (0, 2, 4, 6, 30, 33, 36, 100, 104, 108):
        arrivals.came(600, at)
    assert arrivals.bytes_per_second == 300


def test_a_heap_of_what_came_is_not_the_speed():
    arrivals = Arrivals()
    for at in range(10):
        arrivals.came(1000, at)
    arrivals.came(1000, 9.1)
    arrivals.came(1000, 9.2)
    assert arrivals.bytes_per_second == 1000
    for at in range(12, 20):
        arrivals.came(4000, at)
    assert arrivals.bytes_per_second == pytest.approx(4000)


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
