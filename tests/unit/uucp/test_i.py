"""Protocol i: packets, what is said when, and files over lines of every kind."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Channel,
    Closed,
    Command,
    Data,
    EndOfFile,
    Remark,
    Settings,
    Started,
)
from relaynode.uucp.lines.i import LineI
from relaynode.uucp.lines.i_bundle import BUNDLE_CHANNELS, Record, decode_records, encode_record
from relaynode.uucp.lines.i_packet import (
    MAX_CONTENT_BYTES,
    STALE_SECONDS,
    Damaged,
    Kind,
    Packet,
    Scanner,
    crc,
    encode,
)
from relaynode.uucp.lines.i_parameters import Wishes, decode_wishes, encode_wishes
from uucp.line_sim import LineSim, Quality
from uucp.two_way_play import Play

RECORDED = json.loads((Path(__file__).parents[2] / "uucp" / "vectors.json").read_text())
VECTORS = [vector for vector in RECORDED["vectors"] if vector["protocol"] == "i"]
COMMAND = b'E D.0001 D.alphaN0001 uucp -C D.0001 0666 "" 0x48 rmail bob'
OURS = Channel(1)
THEIRS = Channel(1, is_ours=False)

PLAIN = {"plain": "1"}
"""As Taylor's program does it."""


def line(is_caller=True, **parameters):
    named = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
    return LineI(Settings(is_caller, named))


def packets(data, from_caller=True):
    """What a side has sent; nothing in it is damaged."""
    found = list(Scanner(is_caller=not from_caller).feed(data, 0))
    assert all(isinstance(packet, Packet) for packet in found)
    assert b"".join(encode(packet) for packet in found) == data
    return found


def sync(size=1024, window=16, channels=7, *, from_caller=False):
    content = encode_wishes(Wishes(size, window, channels))
    return encode(Packet(Kind.SYNC, is_from_caller=from_caller, content=content))


def started(is_caller=True, peer=None, **parameters):
    """A line whose peer has said SYNC; Taylor's if nothing else is given."""
    one = line(is_caller, **parameters)
    one.start(0)
    one.data_to_send()
    assert one.receive(peer or sync(from_caller=not is_caller), 0) == [Started()]
    return one


def from_peer(kind, number=0, content=b"", *, local=0, remote=0, ack=0):
    """A packet of a called peer."""
    return encode(Packet(kind, number, local, ack, remote, False, content))


def acknowledge(one, number, now):
    return one.receive(from_peer(Kind.ACK, ack=number), now)


def send_file(one, channel, content, position=0, now=0.0):
    one.begin_file(channel, position, len(content))
    one.send_data(channel, content, now)
    one.end_file(channel, now)


def kinds(data):
    return [packet.kind for packet in packets(data)]


# --- bytes


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_recorded_packet_is_read_and_written_again(vector):
    wire = bytes.fromhex(vector["hex"])
    (packet,) = packets(wire, vector["direction"].startswith("caller"))
    assert packet.kind.name == vector["name"].split("-")[1]


def test_the_crc_is_not_inverted():
    assert crc(bytes.fromhex("04001007")) == 0x857F3046


def test_what_a_recorded_sync_asks_for():
    (vector,) = [vector for vector in VECTORS if vector["name"] == "i-SYNC-17"]
    (packet,) = packets(bytes.fromhex(vector["hex"]))
    assert decode_wishes(packet.content) == Wishes(128, 4, 7)
    assert encode_wishes(Wishes(128, 4, 7)) == packet.content


def recorded_call(name, direction):
    """Everything one side said in a call, from the first packet to the O's."""
    pieces = [piece for piece in RECORDED["sessions"][name] if piece["direction"] == direction]
    said = b"".join(bytes.fromhex(piece["hex"]) for piece in pieces)
    begin = said.index(b"\x07\x00")
    return said[begin : said.index(b"\x10OOOOOO")]


def test_the_caller_of_a_recorded_call_is_followed_to_the_byte():
    says, hears = (recorded_call("mail_i", side) for side in ("caller->called", "called->caller"))
    heard = [encode(packet) for packet in packets(hears, from_caller=False)]
    content = packets(says)[3].content
    caller = line(True, plain=1)
    caller.start(0)
    assert caller.receive(heard[0], 0) == [Started()]
    caller.send_command(OURS, COMMAND, 0)
    send_file(caller, OURS, content)
    said = caller.data_to_send()
    assert caller.receive(heard[1] + heard[2], 0) == [
        Command(OURS, b"EY 0x48"),
        Command(OURS, b"CY"),
    ]
    caller.send_command(MAIN, b"H", 0)
    said += caller.data_to_send()
    assert caller.receive(heard[3], 0) == [Command(MAIN, b"HY")]
    caller.send_command(MAIN, b"HY", 0)
    events = caller.receive(b"".join(heard[4:]), 0)
    assert events == [Command(MAIN, b"HY"), Command(MAIN, b"HY"), Closed()]
    ours, theirs = packets(said + caller.data_to_send()), packets(says)
    assert [packet._replace(acknowledged=0) for packet in ours] == [
        packet._replace(acknowledged=0) for packet in theirs
    ]
    assert ours[:6] == theirs[:6]  # with the acknowledgements: both sides had heard the same


def test_the_called_side_of_a_recorded_call_hears_the_mail():
    said = recorded_call("mail_i", "caller->called")
    called = line(False)
    called.start(0)
    events = called.receive(said, 0)
    assert [event for event in events if not isinstance(event, Data)] == [
        Started(),
        Command(THEIRS, COMMAND),
        EndOfFile(THEIRS),
        Command(MAIN, b"H"),
        Command(MAIN, b"HY"),
        Closed(),
    ]
    (data,) = [event for event in events if isinstance(event, Data)]
    assert (data.channel, data.position, len(data.content)) == (THEIRS, 0, 72)


@given(
    st.sampled_from(Kind),
    st.integers(0, 31),
    st.integers(0, 7),
    st.integers(0, 31),
    st.integers(0, 7),
    st.booleans(),
    st.binary(max_size=MAX_CONTENT_BYTES),
)
def test_what_is_written_is_read(kind, number, local, ack, remote, from_caller, content):
    if kind is Kind.SYNC:
        content = (content + bytes(4))[:6]
    if kind is Kind.SPOS:
        content = (content + bytes(4))[:4]
    packet = Packet(kind, number, local, ack, remote, from_caller, content)
    wire = encode(packet)
    scanner = Scanner(is_caller=not from_caller)
    found = [*scanner.feed(wire[:7], 0), *scanner.feed(wire[7:], 0)]
    assert found == [packet]


# --- start


def test_both_sides_say_at_once_what_they_ask_for():
    one = line()
    one.start(0)
    (packet,) = packets(one.data_to_send())
    assert decode_wishes(packet.content) == Wishes(1024, 16, 7, largest=MAX_CONTENT_BYTES)


def test_what_the_user_sets_is_asked_for():
    one = line(packet_size=512, window=8)
    one.start(0)
    (packet,) = packets(one.data_to_send())
    assert decode_wishes(packet.content) == Wishes(512, 8, 7, largest=512)


def test_a_lost_sync_is_said_again_every_other_time_as_taylor_says_it():
    one = line()
    one.start(0)
    one.data_to_send()
    assert one.wake_at == 10
    one.tick(10)
    (packet,) = packets(one.data_to_send())
    assert packet.content == bytes.fromhex("04001007")


def test_a_peer_that_never_begins_is_given_up():
    one = line(sync_retries=2)
    one.start(0)
    one.tick(10)
    one.tick(20)
    with pytest.raises(LineLost, match="does not begin"):
        one.tick(30)


def test_a_peer_that_has_not_heard_our_sync_hears_it_again():
    one = started()
    one.receive(sync(), 10)
    assert kinds(one.data_to_send()) == [Kind.SYNC]
    one.receive(sync(), 11)
    assert one.data_to_send() == b"", "two sides must not answer each other for ever"


def test_data_before_the_peers_sync_makes_us_say_ours_again():
    one = line()
    one.start(0)
    one.data_to_send()
    assert one.receive(from_peer(Kind.DATA, 1, b"H\0"), 6) == []
    assert kinds(one.data_to_send()) == [Kind.SYNC]


@pytest.mark.parametrize("content", ["000010", "040000", "04001000"])
def test_a_peer_that_asks_for_nothing_breaks_the_protocol(content):
    one = line()
    one.start(0)
    with pytest.raises(RemoteProtocolError):
        one.receive(from_peer(Kind.SYNC, content=bytes.fromhex(content)), 0)


@pytest.mark.parametrize(
    "parameters",
    [{"window": "17"}, {"packet-size": "4096"}, {"window": "x"}, {"colour": "red"}],
)
def test_parameters_that_cannot_be_are_refused(parameters):
    with pytest.raises(ValueError, match="protocol i"):
        LineI(Settings(True, parameters))


# --- commands and files


def test_the_peers_wishes_are_obeyed():
    one = started(peer=sync(size=128, window=4))
    one.send_command(OURS, COMMAND, 0)
    send_file(one, OURS, bytes(1000))
    sent = packets(one.data_to_send())
    assert len(sent) == 4
    assert max(len(packet.content) for packet in sent) <= 128


def test_the_remote_packet_size_overrides_the_peers_wish():
    one = started(remote_packet_size=2000)
    send_file(one, OURS, bytes(6000))
    assert [len(packet.content) for packet in packets(one.data_to_send())] == [2000] * 3 + [0]


def test_a_file_is_cut_into_even_pieces():
    one = started()
    send_file(one, OURS, bytes(1100))
    assert [len(packet.content) for packet in packets(one.data_to_send())] == [550, 550, 0]


def test_a_position_is_sent_only_where_it_is_needed():
    one = started()
    send_file(one, OURS, bytes(3000))
    assert Kind.SPOS not in kinds(one.data_to_send())
    one.send_command(Channel(2), b"S x", 0)
    send_file(one, Channel(2), b"x")
    data, position, content, end = packets(one.data_to_send())
    assert data.content == b"S x\0"
    assert (position.kind, position.content) == (Kind.SPOS, bytes(4))
    assert (content.content, end.content) == (b"x", b"")


def test_an_empty_file_is_an_empty_packet():
    one = started()
    one.send_command(OURS, b"S x", 0)
    send_file(one, OURS, b"")
    assert [packet.content for packet in packets(one.data_to_send())] == [b"S x\0", b""]


def test_a_restarted_file_begins_where_the_peer_wants_it():
    one = started()
    one.begin_file(OURS, 0, 100_000)
    one.send_data(OURS, bytes(16_000), 0)
    acknowledge(one, packets(one.data_to_send())[0].number, 1)
    one.data_to_send()
    one.begin_file(OURS, 50_000, 50_000)
    acknowledge(one, 16, 1)
    one.send_data(OURS, b"x" * 4000, 1)
    position, *pieces = packets(one.data_to_send())
    assert int.from_bytes(position.content, "big") == 50_000
    assert all(set(piece.content) == {ord("x")} for piece in pieces)


def test_an_abandoned_file_is_ended_once_and_its_rest_dropped():
    one = started(peer=sync(window=2))
    one.begin_file(OURS, 0, 100_000)
    one.send_data(OURS, bytes(10_000), 0)
    one.data_to_send()
    one.abandon_file(OURS, 0)
    one.abandon_file(OURS, 0)
    one.send_data(OURS, bytes(100), 0)
    one.end_file(OURS, 0)
    acknowledge(one, 2, 1)
    assert [packet.content for packet in packets(one.data_to_send())] == [b""]


def test_a_command_goes_before_file_data_that_is_not_in_a_packet():
    one = started(peer=sync(window=2))
    one.begin_file(OURS, 0, 100_000)
    one.send_data(OURS, bytes(10_000), 0)
    one.data_to_send()
    one.send_command(Channel(3, is_ours=False), b"SY", 0)
    acknowledge(one, 1, 1)
    (packet,) = packets(one.data_to_send())
    assert (packet.content, packet.local, packet.remote) == (b"SY\0", 0, 3)


def test_a_request_waits_for_the_near_end_of_a_file_that_has_begun():
    one = started(peer=sync(window=2))
    send_file(one, OURS, b"x" * 3000)
    one.send_command(Channel(2), b"S y", 0)
    one.send_command(THEIRS, b"SY", 0)
    said = packets(one.data_to_send())
    for number in (2, 4, 6):
        acknowledge(one, number, 1)
        said += packets(one.data_to_send())
    texts = [packet.content for packet in said if packet.kind is Kind.DATA]
    assert [text for text in texts if not text.startswith(b"x")] == [b"SY\0", b"", b"S y\0"]


def test_no_more_than_the_window_waits_in_memory():
    one = started()
    one.begin_file(OURS, 0, 10**6)
    given = 0
    while one.room:
        given += one.room
        one.send_data(OURS, bytes(one.room), 0)
    assert given <= 2 * 16 * 1100


def test_a_long_command_takes_several_packets():
    one, other = started(peer=sync(size=10)), started(False)
    one.send_command(OURS, b"S a-command-of-some-length", 0)
    events = other.receive(one.data_to_send(), 0)
    assert events == [Command(THEIRS, b"S a-command-of-some-length")]


def test_a_command_without_an_end_is_refused():
    one = started()
    with pytest.raises(RemoteProtocolError, match="without an end"):
        for number in range(1, 2 + MAX_COMMAND_BYTES // 1000):
            one.receive(from_peer(Kind.DATA, number % 32, b"x" * 1000, local=1), 0)


def test_a_command_that_cannot_be_sent_is_our_defect():
    with pytest.raises(LocalProtocolError):
        started().send_command(MAIN, b"S a\0b", 0)
    with pytest.raises(LocalProtocolError):
        started().begin_file(OURS, 0, 1 << 33)


def test_a_file_follows_its_command_and_other_transfers_come_between():
    one = started()
    wire = [
        from_peer(Kind.DATA, 1, b"S a\0", local=1),
        from_peer(Kind.DATA, 2, b"S b\0", local=2),
        from_peer(Kind.SPOS, 3, bytes(4)),
        from_peer(Kind.DATA, 4, b"aaa", local=1),
        from_peer(Kind.SPOS, 5, bytes.fromhex("00000100")),
        from_peer(Kind.DATA, 6, b"bb", local=2),
        from_peer(Kind.DATA, 7, b"b\0", local=2),
        from_peer(Kind.DATA, 8, b"", local=1),
        from_peer(Kind.DATA, 9, b"CY\0", remote=4),
        from_peer(Kind.DATA, 10, b"", local=2),
    ]
    second = Channel(2, is_ours=False)
    assert one.receive(b"".join(wire), 0) == [
        Command(THEIRS, b"S a"),
        Command(second, b"S b"),
        Data(THEIRS, 0, b"aaa"),
        Data(second, 256, b"bb"),
        Data(second, 258, b"b\0"),
        EndOfFile(THEIRS),
        Command(Channel(4), b"CY"),
        EndOfFile(second),
    ]


def test_a_fetched_file_follows_the_reply():
    one = started()
    wire = from_peer(Kind.DATA, 1, b"RY 0644 0x3\0", remote=1) + from_peer(Kind.SPOS, 2, bytes(4))
    wire += from_peer(Kind.DATA, 3, b"abc", remote=1) + from_peer(Kind.DATA, 4, remote=1)
    assert one.receive(wire, 0) == [
        Command(OURS, b"RY 0644 0x3"),
        Data(OURS, 0, b"abc"),
        EndOfFile(OURS),
    ]


def refusing():
    """A line whose peer has asked to send a file, and was refused."""
    one = started()
    assert one.receive(from_peer(Kind.DATA, 1, b"S a\0", local=1), 0) == [Command(THEIRS, b"S a")]
    one.refuse_file(THEIRS)
    one.send_command(THEIRS, b"SN2", 0)
    return one


NEXT = from_peer(Kind.DATA, 5, b"S b\0", local=1)


def test_a_refused_file_that_was_begun_comes_to_its_end():
    one = refusing()
    late = from_peer(Kind.SPOS, 2, bytes(4)) + from_peer(Kind.DATA, 3, b"late", local=1)
    events = one.receive(late + from_peer(Kind.DATA, 4, local=1) + NEXT, 0)
    assert events == [Data(THEIRS, 0, b"late"), EndOfFile(THEIRS), Command(THEIRS, b"S b")]


def test_a_refused_file_may_be_ended_where_it_was_not_begun():
    one = refusing()
    end = from_peer(Kind.SPOS, 2, b"\0\0\0\x64") + from_peer(Kind.DATA, 3, local=1)
    other = from_peer(Kind.DATA, 4, b"S c\0", local=2)
    assert one.receive(end + other + NEXT, 0) == [
        EndOfFile(THEIRS),
        Command(Channel(2, is_ours=False), b"S c"),
        Command(THEIRS, b"S b"),
    ]


def test_a_command_may_follow_a_refused_file_that_was_not_begun():
    """As Taylor's uucico has it when our refusal comes before it opens the file."""
    one = refusing()
    others = from_peer(Kind.DATA, 2, b"S c\0", local=2) + from_peer(Kind.SPOS, 3, bytes(4))
    others += from_peer(Kind.DATA, 4, b"data", local=2)
    assert one.receive(others, 0)[-1] == Data(Channel(2, is_ours=False), 0, b"data")
    first, second = NEXT, from_peer(Kind.DATA, 6, b"-x\0", local=1)
    assert one.receive(first, 0) == [EndOfFile(THEIRS), Command(THEIRS, b"S b")]
    assert one.receive(second, 0) == [Data(THEIRS, 8, b"-x\0")], "the file of S b"


def test_a_long_command_may_follow_a_refused_file_that_was_not_begun():
    one = refusing()
    assert one.receive(from_peer(Kind.DATA, 2, b"S b", local=1), 0) == [EndOfFile(THEIRS)]
    rest = from_peer(Kind.DATA, 3, b" c\0", local=1)
    assert one.receive(rest, 0) == [Command(THEIRS, b"S b c")]


def test_an_end_of_file_for_a_file_that_was_complete_says_nothing():
    one = started()
    wire = from_peer(Kind.DATA, 1, b"S a\0", local=1) + from_peer(Kind.DATA, 2, local=1)
    assert len(one.receive(wire, 0)) == 2
    assert one.receive(from_peer(Kind.DATA, 3, local=1), 0) == []


# --- acknowledging and asking again


def test_an_acknowledgement_rides_on_data():
    one = started()
    one.receive(from_peer(Kind.DATA, 1, b"H\0"), 0)
    one.send_command(MAIN, b"HY", 0)
    (packet,) = packets(one.data_to_send())
    assert (packet.kind, packet.acknowledged) == (Kind.DATA, 1)
    assert one.wake_at is not None
    one.tick(1)
    assert one.data_to_send() == b""


def test_an_acknowledgement_waits_a_little_for_data_to_ride_on():
    one = started()
    one.receive(from_peer(Kind.DATA, 1, b"SY\0", remote=1), 5)
    assert one.data_to_send() == b""
    one.tick(one.wake_at)
    (packet,) = packets(one.data_to_send())
    assert (packet.kind, packet.acknowledged) == (Kind.ACK, 1)


@pytest.mark.parametrize(("parameters", "after"), [({}, 2), ({"ack_frequency": 8}, 8)])
def test_so_many_packets_are_acknowledged_at_once(parameters, after):
    one = started(**parameters)
    for number in range(1, after + 1):
        assert one.data_to_send() == b""
        one.receive(from_peer(Kind.DATA, number, b"x", local=1), 0)
    (packet,) = packets(one.data_to_send())
    assert (packet.kind, packet.acknowledged) == (Kind.ACK, after)


def test_every_missing_packet_is_asked_for_at_once_and_the_early_ones_are_kept():
    one = started()
    said = [b"H", b"S a", b"SY", b"CY", b"HY"]
    wire = [from_peer(Kind.DATA, i + 1, text + b"\0") for i, text in enumerate(said)]
    assert one.receive(wire[0] + wire[4], 0) == [Command(MAIN, b"H")]
    asked = packets(one.data_to_send())
    assert [(packet.kind, packet.number) for packet in asked] == [
        (Kind.NAK, 2),
        (Kind.NAK, 3),
        (Kind.NAK, 4),
    ]
    assert {packet.acknowledged for packet in asked} == {1}
    assert one.receive(wire[2] + wire[3], 1) == []
    assert one.receive(wire[1], 2) == [Command(MAIN, text) for text in said[1:]]
    assert one.counts.received == 5
    assert one.counts.out_of_order == 3


def test_a_damaged_packet_is_asked_for_at_once():
    one = started()
    wire = bytearray(from_peer(Kind.DATA, 1, b"H\0"))
    wire[-1] ^= 1
    assert one.receive(bytes(wire), 0) == [Remark("damaged packet 1")]
    (packet,) = packets(one.data_to_send())
    assert (packet.kind, packet.number) == (Kind.NAK, 1)


def test_only_the_packet_that_was_asked_for_is_sent_again_and_only_once():
    one = started()
    send_file(one, OURS, bytes(5000))
    sent = packets(one.data_to_send())
    asked = from_peer(Kind.NAK, 2, ack=1)
    assert one.receive(asked, 1) == [Remark("packet 2 sent again")]
    assert packets(one.data_to_send()) == [sent[1]]
    one.receive(asked, 1.1)
    assert one.data_to_send() == b""
    assert (one.counts.resent, one.counts.rejected) == (1, 2)


def test_a_repeated_packet_is_acknowledged_again_but_not_told_again():
    one = started()
    wire = from_peer(Kind.DATA, 1, b"H\0")
    one.receive(wire, 0)
    one.tick(1)
    one.data_to_send()
    assert one.receive(wire, 2) == []
    assert kinds(one.data_to_send()) == [Kind.ACK]


def test_an_acknowledgement_of_what_was_not_sent_means_nothing():
    one = started()
    one.send_command(MAIN, b"H", 0)
    one.data_to_send()
    acknowledge(one, 9, 1)
    assert not one._sender.is_all_acknowledged


def test_after_a_silence_the_oldest_and_the_newest_are_sent_again():
    one = started()
    send_file(one, OURS, bytes(3000))
    sent = packets(one.data_to_send())
    one.tick(one.wake_at)
    assert packets(one.data_to_send()) == [sent[0], sent[-1]]


def test_a_silent_peer_is_given_up_after_the_retries():
    one = started(retries=2, timeout=5)
    one.send_command(MAIN, b"H", 0)
    one.data_to_send()
    with pytest.raises(LineLost, match="no acknowledgement"):
        while True:
            one.tick(one.wake_at)
    assert one.counts.resent == 2


def test_a_peer_with_nothing_to_say_is_given_up_some_time():
    one = started()
    with pytest.raises(LineLost, match="silent"):
        one.tick(one.wake_at)


def test_too_many_damaged_packets_end_the_call_if_the_user_says_so():
    one = started(errors=3, error_decay=1000)
    wire = from_peer(Kind.DATA, 1, b"H\0")[:-1] + b"x"
    with pytest.raises(LineLost, match="damaged"):
        for _ in range(4):
            one.receive(wire, 0)


# --- noise


def test_noise_between_packets_is_skipped():
    one = started()
    noise = b"\r\nlogin: \x07\x07\x00\xff"
    wire = from_peer(Kind.DATA, 1, b"H\0")
    events = one.receive(noise + wire + noise, 0)
    assert Command(MAIN, b"H") in events


def test_our_own_echo_is_skipped():
    one = started()
    one.send_command(MAIN, b"H", 0)
    assert one.receive(one.data_to_send(), 1) == []
    assert one.counts.received == 0


def test_the_packet_behind_one_that_lost_bytes_is_found():
    one = started()
    short = from_peer(Kind.DATA, 1, bytes(100), local=1)[:-20]
    events = one.receive(short + from_peer(Kind.DATA, 2, b"H\0") + bytes(40), 0)
    assert events[0] == Remark("damaged packet 1")
    assert [packet.number for packet in packets(one.data_to_send())] == [1]
    assert one.receive(from_peer(Kind.DATA, 1, b"HY\0"), 1) == [
        Command(MAIN, b"HY"),
        Command(MAIN, b"H"),
    ]


def test_a_packet_inside_a_damaged_file_is_not_the_peers():
    one = started()
    inside = from_peer(Kind.DATA, 1, b"H\0")
    wire = bytearray(from_peer(Kind.DATA, 1, inside + bytes(200), local=1))
    wire[-1] ^= 1
    assert one.receive(bytes(wire), 0) == [Remark("damaged packet 1")]


def test_noise_that_looks_like_a_header_is_dropped_after_a_silence():
    scanner = Scanner(is_caller=True)
    header = encode(Packet(Kind.DATA, 1, content=bytes(4000)))[:6]
    packet = from_peer(Kind.DATA, 1, b"H\0")
    assert list(scanner.feed(header, 0)) == []
    assert list(scanner.feed(packet, STALE_SECONDS - 1)) == []
    (found,) = scanner.feed(packet, 2 * STALE_SECONDS)
    assert found.content == b"H\0"


def test_a_stretch_of_noise_is_told_of_once():
    found = list(Scanner(is_caller=True).feed(b"noise\x07noise" * 10, 0))
    assert found == [Damaged(None)]


# --- end


def test_close_goes_behind_the_commands_and_is_answered():
    one = started()
    one.send_command(MAIN, b"HY", 0)
    one.close(0)
    assert kinds(one.data_to_send()) == [Kind.DATA, Kind.CLOSE]
    assert one.receive(from_peer(Kind.CLOSE, 1), 1) == [Closed()]
    assert one.wake_at is None
    assert one.receive(b"\x10OOOOOO\0", 2) == []


def test_an_unexpected_close_is_answered():
    one = started()
    assert one.receive(from_peer(Kind.CLOSE, 1), 1) == [Closed()]
    assert kinds(one.data_to_send()) == [Kind.CLOSE]


def test_what_was_said_before_the_peer_closes_still_goes():
    one = started()
    one.send_command(MAIN, b"HY", 0)
    assert one.receive(from_peer(Kind.CLOSE, 1), 1) == [Closed()]
    assert kinds(one.data_to_send()) == [Kind.DATA, Kind.CLOSE]


def test_a_close_that_is_never_answered_ends_all_the_same():
    one = started()
    one.close(0)
    events = []
    while Closed() not in events:
        events += one.tick(one.wake_at)


def test_a_call_can_be_closed_before_it_began():
    one = line()
    one.start(0)
    one.close(1)
    assert one.tick(one.wake_at) == [Closed()]


# --- whole transfers

SIZES = (0, 1, 4096, 1 << 20)
QUIET = Quality(33_600, 0.1)
CLICKS = Quality(33_600, 0.1, damage=1e-5, drop=1e-5, duplicate=1e-5)
NOISY = Quality(33_600, 0.1, damage=1e-4, drop=1e-4, duplicate=1e-4)


def files(*sizes):
    return [random.Random(i).randbytes(size) for i, size in enumerate(sizes)]


def play(quality, there, back=(), seed=1, parameters=None):
    """Send files over a line, and hang up; the two lines."""
    ends = [LineI(Settings(is_caller, parameters or {})) for is_caller in (True, False)]
    sim = LineSim(*ends, quality, seed=seed)
    both = Play(sim, list(there), list(back))
    both.transfer()
    both.hang_up()
    return sim


@pytest.mark.parametrize("parameters", [{}, PLAIN], ids=["bundles", "plain"])
@pytest.mark.parametrize("is_both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("quality", [QUIET, CLICKS, NOISY], ids=["quiet", "clicks", "noisy"])
def test_files_arrive_whatever_the_line_does(quality, is_both, parameters):
    sent = files(*SIZES)
    sim = play(quality, sent, sent if is_both else (), parameters=parameters)
    resent = [end.line.counts.resent for end in (sim.caller, sim.called)]
    if quality is QUIET:
        assert resent == [0, 0]
    else:
        assert resent[0] > 0
        remarks = [e for e in sim.caller.events if isinstance(e, Remark)]
        assert any("sent again" in remark.text for remark in remarks)
        assert resent[0] < sim.caller.line.counts.sent / 4


@pytest.mark.parametrize("parameters", [{}, PLAIN], ids=["bundles", "plain"])
@pytest.mark.parametrize("is_both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize(
    "quality", [Quality(200, 3), Quality(2400, 0.5), Quality(128_000, 0.3), Quality(1e9, 0.0001)]
)
def test_nothing_is_sent_twice_over_a_clean_line(quality, is_both, parameters):
    sent = files(0, 1, 4096, 20_000)
    sim = play(quality, sent, sent if is_both else (), parameters=parameters)
    assert [end.line.counts.resent for end in (sim.caller, sim.called)] == [0, 0]


def test_ours_and_a_plain_peer_understand_each_other():
    ends = [LineI(Settings(True)), LineI(Settings(False, PLAIN))]
    sent = files(0, 1, 4096, 100_000)
    Play(LineSim(*ends, CLICKS, seed=3), sent, sent).transfer()


@pytest.mark.parametrize(
    ("rate", "round_trip", "count", "one_way", "both_ways"),
    [(33_600, 0.2, 100, 1.045, 1.07), (128_000, 0.6, 100, 1.08, 1.12), (2400, 1.0, 10, 1.06, 1.08)],
)
def test_a_line_is_used_for_what_it_carries(rate, round_trip, count, one_way, both_ways):
    quality = Quality(rate, round_trip / 2)
    sent = files(*[4096] * count)
    ideal = sum(map(len, sent)) * 8 / rate
    for back, limit in (((), one_way), (sent, both_ways)):
        ends = [LineI(Settings(is_caller)) for is_caller in (True, False)]
        seconds = Play(LineSim(*ends, quality), sent, list(back)).transfer()
        assert seconds <= limit * ideal


def test_a_whole_lost_window_comes_back_in_a_few_round_trips():
    one = line(True)
    sim = LineSim(one, line(False), Quality(100_000, 0.5))
    sim.start()
    sim.run(lambda: Started() in sim.caller.events and Started() in sim.called.events)
    one.send_command(OURS, b"S x", sim.now)
    one.begin_file(OURS, 0, 48_000)
    for _ in range(6):
        one.send_data(OURS, bytes(8000), sim.now)
        sim.run(lambda: one._sender.is_all_acknowledged)
    one.begin_file(OURS, 0, 8000)
    send_file(one, OURS, bytes(8000), now=sim.now)
    assert len(packets(one.data_to_send())) > 2  # and this is lost
    lost_at = sim.now
    sim.run(lambda: EndOfFile(THEIRS) in sim.called.events)
    assert sim.now - lost_at < 8


# --- bundles

records = st.builds(
    Record,
    st.builds(Channel, st.integers(0, BUNDLE_CHANNELS), st.booleans()),
    st.binary(max_size=300),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)


@given(st.lists(records, max_size=8))
def test_the_records_of_a_bundle_are_read_as_they_were_written(several):
    assert decode_records(b"".join(map(encode_record, several))) == several


def test_a_bundle_that_is_cut_short_breaks_the_protocol():
    whole = encode_record(Record(OURS, b"abc", is_file=True))
    with pytest.raises(RemoteProtocolError):
        decode_records(whole[:-1])


def test_a_peer_of_our_kind_gets_commands_and_files_in_one_packet():
    ours = from_peer(Kind.SYNC, content=encode_wishes(Wishes(1024, 16, 7, 4095)))
    one = started(peer=ours)
    one.send_command(OURS, b"S x", 0)
    one.begin_file(OURS, 7, 3)
    one.send_data(OURS, b"abc", 0)
    one.end_file(OURS, 0)
    (bundle,) = packets(one.data_to_send())
    assert decode_records(bundle.content[2:]) == [
        Record(OURS, b"S x\0"),
        Record(OURS, b"abc", True, True, 7),
    ]


def test_answers_leave_numbers_for_the_data_that_waits():
    ours = from_peer(Kind.SYNC, content=encode_wishes(Wishes(1024, 16, 7, 4095)))
    one = started(peer=ours)
    one.begin_file(OURS, 0, 1_000_000)
    one.send_data(OURS, bytes(100_000), 0)
    one.data_to_send()
    sent = 0
    for _ in range(100):
        one.send_command(THEIRS, b"CY", 0)
        sent += len(packets(one.data_to_send()))
    assert 0 < sent < 16


def test_who_knows_the_peer_begins_at_once():
    one = LineI(Settings(True, begins_at_once=True, is_among_ours=True))
    one.start(0)
    assert one.receive(b"", 0) == [Started()]
    one.send_command(OURS, b"S x", 0)
    sync, bundle = packets(one.data_to_send())
    assert (sync.kind, bundle.kind) == (Kind.SYNC, Kind.BUNDLE)
    assert (
        one.receive(from_peer(Kind.SYNC, content=encode_wishes(Wishes(1024, 16, 7, 4095))), 1) == []
    )


def test_who_was_told_parameters_does_not_begin_at_once():
    one = LineI(Settings(True, {"window": "8"}, begins_at_once=True))
    one.start(0)
    assert one.receive(b"", 0) == []


@pytest.mark.parametrize("seed", range(5))
def test_beginning_at_once_bears_noise(seed):
    ends = [LineI(Settings(True, begins_at_once=True, is_among_ours=True)), LineI(Settings(False))]
    sent = files(0, 1, 4096, 50_000)
    Play(
        LineSim(*ends, Quality(9600, 0.3, damage=3e-4, drop=3e-4), seed=seed), sent, sent
    ).transfer()


def test_beginning_at_once_outlives_a_lost_beginning():
    ends = [LineI(Settings(True, begins_at_once=True, is_among_ours=True)), LineI(Settings(False))]
    sim = LineSim(*ends, Quality(9600, 0.3))
    ends[0].start(0)
    ends[0].data_to_send()
    both = Play(sim, files(5000), files(5000))
    ends[0].start = lambda now: None
    both.transfer()


@pytest.mark.parametrize("wishes", [{}, {"window": "3"}, {"packet-size": "100"}])
def test_who_begins_at_once_without_knowing_the_peer_may_be_wrong_about_its_wishes(wishes):
    ends = [LineI(Settings(True, begins_at_once=True)), LineI(Settings(False, {**PLAIN, **wishes}))]
    Play(LineSim(*ends, Quality(33_600, 0.3)), files(5000, 1, 40_000), files(5000)).transfer()


def test_a_file_in_a_bundle_must_have_been_announced():
    one = started()
    record = encode_record(Record(OURS, b"abc", is_file=True))
    with pytest.raises(RemoteProtocolError, match="announced"):
        one.receive(from_peer(Kind.BUNDLE, 1, bytes(2) + record), 0)


def test_replies_do_not_wait_behind_a_long_queue():
    """Both sides send a long file at 9600 bit/s, and ask for something meanwhile."""
    sim = LineSim(LineI(Settings(True)), LineI(Settings(False)), Quality(9600, 0.1))
    sent = files(500_000)
    both = Play(sim, sent, sent)
    sim.start()
    sim.run(lambda: sim.now > 100)
    sim.caller.line.send_command(Channel(7), b"X ask", sim.now)
    asked_at = sim.now
    asked = Command(Channel(7, is_ours=False), b"X ask")
    both.called.end.on_event = lambda event: None if event == asked else both.called.on_event(event)
    sim.run(lambda: asked in sim.called.events)
    assert sim.now - asked_at < 6


# --- hostile peers


def open_states():
    """Lines in every state, as a called peer meets them."""
    yield lambda: _begun(line())
    yield started
    yield lambda: started(peer=from_peer(Kind.SYNC, content=bytes.fromhex("04001007 0fff")))
    yield lambda: _sending(started())
    yield lambda: _closing(started())


def _begun(one):
    one.start(0)
    return one


def _sending(one):
    one.send_command(OURS, COMMAND, 0)
    send_file(one, OURS, bytes(20_000))
    return one


def _closing(one):
    one.close(0)
    return one


hostile_packets = st.builds(
    lambda kind, number, local, ack, remote, content: encode(
        Packet(kind, number, local, ack, remote, False, content)
    ),
    st.sampled_from(Kind),
    st.integers(0, 31),
    st.integers(0, 7),
    st.integers(0, 31),
    st.integers(0, 7),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"S a\0", b"RY\0", b"H\0", bytes(4095)])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(open_states())),
    st.lists(st.one_of(st.binary(max_size=200), hostile_packets), max_size=60),
)
def test_no_bytes_do_more_than_break_the_protocol(make, pieces):
    one = make()
    now = 0.0
    try:
        for piece in pieces:
            now += 0.3
            one.receive(piece, now)
            if one.wake_at is not None and one.wake_at <= now:
                one.tick(now)
            assert kept_bytes(one) < 16 * 4200 + 15 * MAX_COMMAND_BYTES + 5000
            one.data_to_send()
    except (RemoteProtocolError, LineLost):
        pass


def kept_bytes(one):
    """What the peer has made us keep."""
    return (
        len(one._scanner._arrived)
        + sum(len(packet.content) for packet in one._receiver._early.values())
        + sum(len(state.text) for state in one._incoming._states.values())
    )
