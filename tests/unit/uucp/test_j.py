"""Protocol j: the list of bytes to avoid, the wrapping, and what is i's inside."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.line import MAIN, Channel, Closed, Command, Data, EndOfFile, Settings, Started
from relaynode.uucp.lines.i_packet import Kind, Scanner
from relaynode.uucp.lines.j import MAX_CONTENT_BYTES, LineJ
from relaynode.uucp.lines.j_packet import (
    MAX_LIST_BYTES,
    MAX_SENT_BYTES,
    Unwrapper,
    Wrapper,
    encode_list,
    find_list,
    is_avoidable,
    unwrap,
)
from uucp.line_sim import LineSim, Quality
from uucp.two_way_play import Play

RECORDED = json.loads((Path(__file__).parents[2] / "uucp" / "vectors.json").read_text())
VECTORS = [vector for vector in RECORDED["vectors"] if vector["protocol"] == "j"]
LISTS = [vector for vector in VECTORS if vector["name"].startswith("j-avoid")]
PACKETS = [vector for vector in VECTORS if vector["name"].startswith("j-packet")]
XON_XOFF = frozenset(b"\x11\x13")
AVOIDED_BY = {"j-packet-plain": XON_XOFF}
FOUR = frozenset(b"\x11\x13\xff\x00")

avoidable = st.frozensets(st.sampled_from([byte for byte in range(256) if is_avoidable(byte)]))


def line(is_caller=True, **parameters):
    named = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
    return LineJ(Settings(is_caller, named))


def started(peer_list=r"^\021\023~", **parameters):
    one = line(**parameters)
    one.start(0)
    one.receive(peer_list.encode(), 0)
    one.data_to_send()
    sync = bytes.fromhex("5e20363d202e4007000020042404001007857f30467e")
    assert one.receive(sync, 0) == [Started()]
    return one


def inner(data, from_caller=True):
    return list(Scanner(is_caller=not from_caller).feed(Unwrapper().feed(data, 0), 0))


# --- bytes


@pytest.mark.parametrize("vector", LISTS, ids=lambda vector: vector["name"])
def test_a_recorded_list_is_read_and_written_again(vector):
    wire = bytes.fromhex(vector["hex"])
    expected = b"\x11\x13" if vector["name"] == "j-avoid-default" else b"\x11\x13\xff\x00"
    assert find_list(wire) == (tuple(expected), len(wire))
    assert encode_list(expected) == wire


def test_the_default_list_is_taylors_to_the_byte():
    one = line()
    one.start(0)
    assert one.data_to_send() == rb"^\021\023~"


def test_a_list_keeps_the_users_order():
    one = line(avoid=r"\021\023\377\000")
    one.start(0)
    assert one.data_to_send() == rb"^\021\023\377\000~"


@pytest.mark.parametrize("vector", PACKETS, ids=lambda vector: vector["name"])
def test_a_recorded_packet_is_unwrapped_and_wrapped_again(vector):
    wire = bytes.fromhex(vector["hex"])
    packet = unwrap(wire)
    assert packet is not None
    if "inner" in vector:
        assert packet == bytes.fromhex(vector["inner"])
    assert Wrapper(AVOIDED_BY.get(vector["name"], FOUR)).wrap(packet) == wire
    assert Unwrapper().feed(wire, 0) == packet


@given(st.binary(max_size=MAX_SENT_BYTES), avoidable)
def test_what_is_wrapped_is_unwrapped_and_avoids_what_it_should(packet, avoided):
    wire = Wrapper(avoided).wrap(packet)
    assert not avoided & set(wire)
    assert unwrap(wire) == packet


def test_every_byte_at_every_place_can_be_avoided():
    avoided = frozenset(byte for byte in range(256) if is_avoidable(byte))
    packet = (bytes(range(256)) * 12)[:MAX_SENT_BYTES]
    for shift in range(32):
        turned = packet[shift:] + packet[:shift]
        assert unwrap(Wrapper(avoided).wrap(turned)) == turned


def test_what_no_printable_byte_is_left_of_changes_its_bit_20_hex():
    wire = Wrapper(frozenset(b"\x11\x91\xe1")).wrap(b"\x11\x91\xe1")
    assert wire[7:10] == b"\x31\x31\x61"
    assert wire[10:16] == b" @" + b" a" + b' "'


@pytest.mark.parametrize("text", ["^\\040~", "^\\176~", "^\\777~"])
def test_a_peer_that_avoids_printable_bytes_breaks_the_protocol(text):
    with pytest.raises(RemoteProtocolError):
        find_list(text.encode())


@pytest.mark.parametrize("text", ["x", "\\8", "\\101", "\\21"])
def test_a_parameter_that_cannot_be_avoided_is_refused(text):
    with pytest.raises(ValueError, match="protocol j"):
        line(avoid=text)


def test_the_parameters_of_i_are_js_too():
    one = started(packet_size=4095, window=4)
    assert one._parameters.window == 4
    assert one._parameters.packet_size == MAX_CONTENT_BYTES
    with pytest.raises(ValueError, match="protocol j"):
        line(window="99")


# --- the lists are exchanged


def test_sync_waits_for_the_peers_list_and_both_lists_are_avoided():
    one = line()
    one.start(0)
    one.data_to_send()
    assert one.receive(b"Password ok\r\n^\\0", 1) == []
    assert one.data_to_send() == b""
    one.receive(rb"00\377~", 2)
    wire = one.data_to_send()
    (sync,) = inner(wire)
    assert sync.kind is Kind.SYNC
    assert not set(wire) & FOUR


def test_a_recorded_call_is_followed_from_the_callers_side():
    pieces = RECORDED["sessions"]["mail_j"]
    said = b"".join(
        bytes.fromhex(piece["hex"]) for piece in pieces if piece["direction"] == "called->caller"
    )
    one = line()
    one.start(0)
    events = one.receive(said[said.index(rb"^\021") :], 0)
    assert events == [
        Started(),
        Command(Channel(1), b"EY"),
        Command(Channel(1), b"CY"),
        Command(MAIN, b"HY"),
        Command(MAIN, b"HY"),
        Closed(),
    ]


def test_a_recorded_call_is_followed_from_the_called_side():
    pieces = RECORDED["sessions"]["mail_j"]
    said = b"".join(
        bytes.fromhex(piece["hex"]) for piece in pieces if piece["direction"] == "caller->called"
    )
    one = line(is_caller=False)
    one.start(0)
    events = one.receive(said[said.index(rb"^\021") :], 0)
    kinds = [type(event) for event in events]
    assert kinds == [Started, Command, Data, EndOfFile, Command, Command, Command, Closed]
    (data,) = [event for event in events if isinstance(event, Data)]
    assert data.content.endswith(b"Hello\n")


def test_a_list_that_was_lost_is_said_again():
    one = line()
    one.start(0)
    one.data_to_send()
    one.tick(one.wake_at)
    assert one.data_to_send() == rb"^\021\023~"


def test_a_peer_that_has_not_heard_our_list_hears_it_again():
    one = line()
    one.start(0)
    one.receive(rb"^\021\023~", 0)
    one.data_to_send()
    one.receive(rb"^\021\023~", 10)
    assert one.data_to_send() == rb"^\021\023~"


def test_a_peer_without_a_list_is_given_up():
    one = line(sync_retries=1)
    one.start(0)
    one.tick(one.wake_at)
    with pytest.raises(LineLost, match="does not begin"):
        one.tick(one.wake_at)


def test_a_call_can_be_closed_before_the_list_came():
    one = line()
    one.start(0)
    one.close(1)
    assert one.tick(one.wake_at) == [Closed()]


# --- noise and bounds


def test_the_packet_behind_a_damaged_one_is_found():
    good = Wrapper(XON_XOFF).wrap(b"good")
    long = Wrapper(XON_XOFF).wrap(bytes(200))
    found = Unwrapper().feed(b"^noise~" + long[:-10] + good + good + bytes(10), 0)
    assert found == b"good" * 2


@pytest.mark.parametrize("quality", [Quality(33_600, 0.1, 1e-4, 1e-4, 1e-4), Quality(200, 3)])
@pytest.mark.parametrize("is_both", [False, True])
def test_files_arrive_whatever_the_line_does(quality, is_both):
    sizes = (0, 1, 4096, 100_000 if quality.damage else 3000)
    sent = [random.Random(i).randbytes(size) for i, size in enumerate(sizes)]
    ends = [LineJ(Settings(is_caller, {"avoid": r"\000\377"})) for is_caller in (True, False)]
    play = Play(LineSim(*ends, quality, seed=2), sent, sent if is_both else [])
    play.transfer()
    play.hang_up()
    if quality.damage:
        assert ends[0].counts.resent > 0
    else:
        assert [end.counts.resent for end in ends] == [0, 0]


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(st.binary(max_size=300), max_size=30), st.booleans())
def test_no_bytes_do_more_than_break_the_protocol(is_open, pieces, is_wrapped):
    one = started() if is_open else line()
    if not is_open:
        one.start(0)
    now = 0.0
    try:
        for piece in pieces:
            now += 0.5
            one.receive(Wrapper(XON_XOFF).wrap(piece) if is_wrapped else piece, now)
            assert len(one._arrived) <= MAX_LIST_BYTES
            assert len(one._unwrapper._arrived) <= 6100
            one.data_to_send()
    except (RemoteProtocolError, LineLost):
        pass
