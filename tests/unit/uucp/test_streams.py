"""What t, e, f and y have in common, as far as a session sees it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Closed,
    Command,
    Data,
    EndOfFile,
    Resend,
    Settings,
    Started,
)
from relaynode.uucp.lines.e import LineE
from relaynode.uucp.lines.f import LineF
from relaynode.uucp.lines.patience import MAX_UNSEEN_BYTES, SLOWEST_BYTES_PER_SECOND
from relaynode.uucp.lines.plain import MAX_UNREAD_BYTES, MAX_UNSENT_BYTES
from relaynode.uucp.lines.t import LineT
from relaynode.uucp.lines.y import LineY
from unit.uucp.streams import (
    all_events,
    commands_in,
    in_pieces,
    new,
    pair,
    receive_file,
    send_file,
)
from uucp.line_sim import LineSim, Quality

ALL = [LineT, LineE, LineF, LineY]
WITH_RESTART = [LineT, LineE, LineY]

every_line = pytest.mark.parametrize("kind", ALL)

# CR ends a command of f, NUL those of the others; DLE begins the hang-up.
texts = st.binary(min_size=1, max_size=2000).filter(
    lambda text: not set(text) & {0, 0x0D} and text[:1] not in (b"\x10", b"\n", b"\x11", b"\x13")
)
cuts = st.lists(st.integers(0, 1 << 20), max_size=8)


# --- commands


@every_line
@given(sent=st.lists(texts, min_size=1, max_size=4), cut=cuts)
def test_commands_arrive_as_they_were_sent_however_the_line_cuts_them(kind, sent, cut):
    caller, called = pair(kind)
    for text in sent:
        caller.send_command(MAIN, text, 0)
    events = [
        event
        for piece in in_pieces(caller.data_to_send(), cut)
        for event in all_events(called, piece)
    ]
    assert events == [Command(MAIN, text) for text in sent]


@every_line
def test_what_follows_a_command_waits_until_the_session_has_said_what_it_is(kind):
    caller, called = pair(kind)
    called.send_command(MAIN, b"RY 0644 0x3", 0)
    wire = called.data_to_send() + send_file(called, b"abc")
    assert caller.receive(wire, 0) == [Command(MAIN, b"RY 0644 0x3")]
    assert caller.wake_at == 0
    caller.expect_file(MAIN, 0)
    assert caller.tick(0) == [Data(MAIN, 0, b"abc"), EndOfFile(MAIN)]


@every_line
@pytest.mark.parametrize("garbage", [b"a", b"ab" * 100])
def test_a_command_without_an_end_is_refused_before_it_fills_the_memory(kind, garbage):
    caller, _ = pair(kind)
    filler = garbage * (MAX_COMMAND_BYTES // len(garbage) + 1)
    with pytest.raises(RemoteProtocolError):
        for _ in range(3):
            caller.receive(filler, 0)


@every_line
def test_a_peer_that_speaks_on_and_awaits_no_answer_is_refused(kind):
    caller, called = pair(kind)
    called.send_command(MAIN, b"S a b c", 0)
    flood = b""
    while len(flood) <= MAX_UNREAD_BYTES:
        called.send_command(MAIN, b"S a b c", 0)
        flood += called.data_to_send()
    assert caller.receive(flood, 0)
    with pytest.raises(RemoteProtocolError, match="awaits no answer"):
        for _ in range(4):
            caller.receive(flood, 0)


# --- files


@every_line
@settings(max_examples=50)
@given(content=st.binary(max_size=5000), cut=cuts, piece_bytes=st.integers(1, 3000))
def test_files_arrive_as_they_were_sent_however_the_line_cuts_them(kind, content, cut, piece_bytes):
    caller, called = pair(kind)
    wire = send_file(caller, content, piece_bytes=piece_bytes)
    assert receive_file(called, in_pieces(wire, cut)) == (content, True)


@every_line
def test_every_byte_goes_through(kind):
    caller, called = pair(kind)
    content = bytes(range(256)) * 300
    assert receive_file(called, [send_file(caller, content)]) == (content, True)


@pytest.mark.parametrize("kind", WITH_RESTART)
def test_the_rest_of_a_broken_file_begins_where_it_is_said_to_begin(kind):
    caller, called = pair(kind)
    assert caller.can_restart
    wire = send_file(caller, b"rest", position=33792)
    called.expect_file(MAIN, 33792)
    assert called.receive(wire, 0)[0] == Data(MAIN, 33792, b"rest")


@every_line
def test_after_a_file_come_commands_again(kind):
    caller, called = pair(kind)
    assert receive_file(called, [send_file(caller, b"one")]) == (b"one", True)
    called.send_command(MAIN, b"CY", 0)
    assert commands_in(all_events(caller, called.data_to_send())) == [b"CY"]
    caller.send_command(MAIN, b"H", 0)
    assert commands_in(all_events(called, caller.data_to_send())) == [b"H"]
    assert receive_file(called, [send_file(caller, b"two")]) == (b"two", True)


@every_line
def test_there_is_room_for_a_bounded_part_of_a_file(kind):
    caller, _ = pair(kind)
    caller.begin_file(MAIN, 0, 1 << 20)
    caller.data_to_send()
    assert caller.room == MAX_UNSENT_BYTES
    while caller.room:
        caller.send_data(MAIN, bytes(min(caller.room, 4096)), 0)
    assert len(caller.data_to_send()) < 3 * MAX_UNSENT_BYTES
    assert caller.room == MAX_UNSENT_BYTES


# --- start, end, time


@every_line
def test_both_sides_start_once(kind):
    caller, called = new(kind, True), new(kind, False)
    for end in (caller, called):
        assert end.wake_at is None
        end.start(5)
    events = []
    for end, other in ((caller, called), (called, caller)):
        events += end.tick(5) + end.receive(other.data_to_send(), 5) + end.tick(5)
    assert events.count(Started()) == 2


@every_line
def test_closing_is_done_at_once(kind):
    caller, _ = pair(kind)
    caller.data_to_send()
    caller.close(7)
    assert caller.wake_at == 7
    assert caller.tick(7) == [Closed()]
    assert caller.wake_at is None
    assert caller.receive(b"\x10OOOOOO\0", 8) == []
    assert caller.data_to_send() == b""


@every_line
def test_a_peer_that_hangs_up_without_a_word_has_closed(kind):
    caller, _ = pair(kind)
    assert all_events(caller, b"\x10OOOOOO\0\x10OOOOOO\0") == [Closed()]
    assert caller.wake_at is None


@every_line
def test_a_silent_peer_is_given_up_after_the_time_out(kind):
    caller, _ = pair(kind, timeout=30)
    caller.data_to_send()
    assert caller.wake_at is not None
    at = caller.wake_at
    assert caller.tick(at - 1) == []
    with pytest.raises(LineLost, match="silent"):
        caller.tick(at)


@every_line
def test_data_that_trickles_in_keeps_the_call_alive(kind):
    caller, called = pair(kind, timeout=30)
    wire = send_file(called, b"slow" * 50)
    caller.expect_file(MAIN, 0)
    now, content = 0.0, b""
    for byte in wire:
        now += 29
        assert caller.wake_at > now
        for event in caller.receive(bytes([byte]), now):
            content += event.content if isinstance(event, Data) else b""
    assert content == b"slow" * 50


@every_line
def test_the_time_out_waits_for_what_is_still_on_a_slow_line(kind):
    caller, _ = pair(kind, timeout=30)
    wire = send_file(caller, bytes(range(32, 112)) * 500, now=100)
    at_slowest = len(wire) / SLOWEST_BYTES_PER_SECOND
    assert caller.wake_at > 100 + at_slowest


@every_line
def test_what_can_be_on_the_line_is_bounded_and_so_is_the_time_out(kind):
    caller, _ = pair(kind, timeout=30)
    send_file(caller, bytes(10 * MAX_UNSEEN_BYTES), piece_bytes=60000)
    assert caller.wake_at <= 30 + MAX_UNSEEN_BYTES / SLOWEST_BYTES_PER_SECOND


@every_line
def test_the_time_out_is_short_on_a_line_that_was_seen_to_be_fast(kind):
    caller, called = pair(kind, timeout=30)
    caller.send_command(MAIN, b"S " + b"x" * 500, 0)
    caller.data_to_send()
    called.send_command(MAIN, b"SY", 0)
    caller.receive(called.data_to_send(), 0.05)
    send_file(caller, bytes(20000), now=1)
    assert 31 < caller.wake_at < 31 + 60


@every_line
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"timeout": "0"}, "timeout"),
        ({"timeout": "ten"}, "timeout"),
        ({"timeout": "9" * 5000}, "timeout"),
        ({"window": "7"}, "window"),
    ],
)
def test_wrong_parameters_are_named(kind, parameters, named):
    with pytest.raises(ValueError, match=named):
        kind(Settings(True, parameters))


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_that_changed_while_it_was_sent_is_our_own_error_where_its_length_was_told(
    difference,
):
    caller, _ = pair(LineE)
    caller.begin_file(MAIN, 0, 10)
    with pytest.raises(LocalProtocolError):
        caller.send_data(MAIN, bytes(10 + difference), 0)
        caller.end_file(MAIN, 0)


# --- hostile bytes


def _in_state(kind, state):
    """A line in one of the states it can be in."""
    line = new(kind)
    if state == "not started":
        return line
    line.start(0)
    if state == "starting":
        return line
    line, _ = pair(kind)
    if state in ("receiving", "receiving on"):
        line.expect_file(MAIN, 7)
    if state == "receiving on":
        _, other = pair(kind)
        line.receive(send_file(other, b"beginning" * 9)[:30], 0)
    if state in ("sending", "sent"):
        line.begin_file(MAIN, 0, 10)
        line.send_data(MAIN, b"0123456789", 0)
    if state == "sent":
        line.end_file(MAIN, 0)
    if state == "closed":
        line.close(0)
    return line


STATES = "not started,starting,commands,receiving,receiving on,sending,sent,closed".split(",")


@every_line
@pytest.mark.parametrize("state", STATES)
@settings(max_examples=60)
@given(pieces=st.lists(st.binary(max_size=300), max_size=6), seed=st.integers(0, 99))
def test_random_bytes_in_any_state_bring_events_or_the_protocols_errors(kind, state, pieces, seed):
    line = _in_state(kind, state)
    chance = random.Random(seed)
    now = 0.0
    try:
        for piece in pieces:
            now += chance.random() * 10
            for event in all_events(line, piece, now):
                if isinstance(event, Command) and chance.random() < 0.3:
                    line.expect_file(MAIN, 0)
                if isinstance(event, Resend):
                    send_file(line, b"again")
            line.tick(now)
    except (RemoteProtocolError, LineLost):
        pass
    assert len(line._arrived) <= MAX_UNREAD_BYTES + 300


@every_line
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("byte", [0x00, 0x0D, 0x10, 0x20, 0x30, 0x7E, 0xFF])
def test_an_endless_row_of_one_byte_takes_no_memory(kind, state, byte):
    line = _in_state(kind, state)
    try:
        for _ in range(50):
            all_events(line, bytes([byte]) * 10000, 1)
            line.data_to_send()
    except (RemoteProtocolError, LineLost):
        pass
    assert len(line._arrived) <= MAX_UNREAD_BYTES + 10000


# --- a slow line


@every_line
@pytest.mark.parametrize(
    ("bits_per_second", "delay_seconds"), [(200, 1.5), (2400, 1), (128_000, 0.3)]
)
def test_a_file_goes_over_a_slow_line_and_is_answered(kind, bits_per_second, delay_seconds):
    content = random.Random(1).randbytes(12000)
    simulation = LineSim(new(kind, True), new(kind, False), Quality(bits_per_second, delay_seconds))
    _let_send(simulation, content)
    simulation.start()
    answer = Command(MAIN, b"CY")
    seconds = simulation.run(lambda: answer in simulation.caller.events, limit_seconds=20000)
    assert bytes(_received(simulation.called.events)) == content
    assert simulation.there.carried_bytes < 2.2 * len(content)
    assert seconds > len(content) * 8 / bits_per_second


def _let_send(simulation, content):
    """The caller sends a file as soon as it may, the called side answers it."""
    sender, receiver = simulation.caller, simulation.called
    left = bytearray(content)
    is_begun = False

    def work():
        nonlocal is_begun
        if Started() not in sender.events or (not is_begun and not left):
            return
        if not is_begun:
            sender.line.begin_file(MAIN, 0, len(left))
            is_begun = True
        while left and sender.line.room:
            piece = bytes(left[: min(sender.line.room, 4096)])
            del left[: len(piece)]
            sender.line.send_data(MAIN, piece, simulation.now)
            if not left:
                sender.line.end_file(MAIN, simulation.now)

    def answer(event):
        if event == Started():
            receiver.line.expect_file(MAIN, 0)
        if event == EndOfFile(MAIN):
            receiver.line.send_command(MAIN, b"CY", simulation.now)

    sender.work, receiver.on_event = work, answer


def _received(events):
    content = bytearray()
    for event in events:
        if isinstance(event, Data):
            content[event.position :] = event.content
    return content
