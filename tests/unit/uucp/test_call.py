"""Whole calls, ours with ours, over bytes in memory and a clock by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relaynode.uucp.answerer import Answerer
from relaynode.uucp.call import HANG_UP_SECONDS, Talk
from relaynode.uucp.caller import Caller
from relaynode.uucp.chat import ChatSettings
from relaynode.uucp.events import LogLine
from relaynode.uucp.features import BARE, NONE, OURS, Features
from relaynode.uucp.handshake import CalledSettings, CallerSettings, Verdict
from relaynode.uucp.line import Settings
from relaynode.uucp.protocols import make_line, usual_protocols
from relaynode.uucp.record import Status
from relaynode.uucp.session import SILENCE_SECONDS, SessionSettings
from relaynode.uucp.work import Ending
from uucp.memory import MemorySink, MemoryWork, OpenGate, fetch_job, mail_job, send_job
from uucp.pair import Pair, answerer, caller, joined

PROTOCOLS = "tefyigGvj"
RESTARTING = "teyigGvj"
CHAT = ChatSettings(r"ogin: \L ssword: \P".split(), {"L": b"Ualpha", "P": b"secret"})


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def need(protocol: str) -> None:
    try:
        make_line(protocol, Settings(True))
    except ModuleNotFoundError:
        pytest.skip(f"no protocol {protocol}")


def texts(pair: Pair, is_caller: bool) -> list[str]:
    return [event.text for event in pair.events[is_caller] if isinstance(event, LogLine)]


def no_chat(work: MemoryWork, protocols: str = "t", chat: ChatSettings | None = CHAT) -> Caller:
    handshake = CallerSettings("alpha", ("beta",), protocols)
    return Caller("beta", handshake, Talk(SessionSettings("alpha")), work, chat)


def asks_login(work: MemoryWork, gates: list[str] | None = None) -> Answerer:
    def gate_for(login: str) -> OpenGate:
        if gates is not None:
            gates.append(login)
        return OpenGate()

    return Answerer(
        CalledSettings("beta", "t"),
        lambda neighbour: Talk(SessionSettings("beta")),
        gate_for,
        lambda neighbour: work,
        check=lambda name, password: (name, password) == ("Ualpha", b"secret"),
    )


# --- work both ways over each protocol


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("piece", [1, 61, 100_000])
def test_all_kinds_of_work_are_done_both_ways(protocol, piece):
    need(protocol)
    got, back = MemorySink(), MemorySink()
    ours = MemoryWork(
        [
            mail_job(content(4096), 1),
            send_job(b"", 2, "~/empty"),
            send_job(b"x", 3, "~/one"),
            send_job(content(20_000, 2), 4, "~/big"),
            fetch_job("~/theirs", got),
        ],
        public={"ours": content(5000, 3)},
    )
    theirs = MemoryWork(
        [mail_job(content(3000, 4), 1), send_job(content(1024, 5), 2), fetch_job("~/ours", back)],
        public={"theirs": content(6000, 6)},
    )
    pair = joined(ours, theirs, protocol, piece=piece)
    assert [outcome.ending for _, outcome in ours.outcomes] == [Ending.DONE] * 5
    assert [outcome.ending for _, outcome in theirs.outcomes] == [Ending.DONE] * 3
    assert theirs.executions == [("rmail bob", content(4096))]
    assert sorted(theirs.files) == sorted(
        [content(4096), b"", b"x", content(20_000, 2)],
    )
    assert sorted(ours.files) == sorted([content(3000, 4), content(1024, 5)])
    assert bytes(got.content) == content(6000, 6)
    assert bytes(back.content) == content(5000, 3)
    for call in (pair.caller, pair.answerer):
        assert call.record.status is Status.COMPLETE
        assert call.record.protocol == protocol
        assert call.record.failed_files == 0
    assert pair.caller.record.sent_files == 5
    assert pair.caller.record.received_files == 4 - 1
    assert pair.caller.record.sent_bytes == pair.answerer.record.received_bytes
    assert not ours.marks
    assert not theirs.marks


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_an_empty_call_ends_by_itself(protocol):
    need(protocol)
    pair = joined(MemoryWork(), MemoryWork(), protocol)
    assert pair.caller.record.status is pair.answerer.record.status is Status.COMPLETE
    assert texts(pair, True)[-1].startswith("Call complete (")


@pytest.mark.parametrize("features", [OURS, BARE, NONE, Features.RESTART])
@pytest.mark.parametrize("is_caller_old", [True, False])
def test_mail_goes_to_peers_of_every_age(features, is_caller_old):
    ours, theirs = MemoryWork([mail_job(b"hello")]), MemoryWork([mail_job(b"back", 2)])
    old, new = {"features": features}, {}
    pair = Pair(
        caller(ours, **(old if is_caller_old else new)),
        answerer(theirs, **(new if is_caller_old else old)),
    ).run()
    assert pair.caller.record.status is Status.COMPLETE
    for work, sent in ((ours, b"back"), (theirs, b"hello")):
        assert work.files[0] == sent
        assert len(work.files) == (1 if features & Features.EXECUTE else 2)


def test_over_t_the_calls_are_as_short_as_they_can_be():
    pair = Pair(caller(MemoryWork([mail_job(b"hello")])), answerer(MemoryWork())).start()
    flights = 0
    while pair.exchange():
        flights += 1
    # Shere, S, ROK+P, U+E, EY, file, CY, H, HY+O, HY+O: each exchange carries one each way
    assert flights <= 6


# --- login


def test_the_caller_logs_in_and_the_login_is_given_to_the_gate():
    gates: list[str] = []
    pair = Pair(no_chat(MemoryWork([mail_job(b"x")])), asks_login(MemoryWork(), gates)).run()
    assert gates == ["Ualpha"]
    assert pair.answerer.record.login == "Ualpha"
    assert "Login successful" in texts(pair, True)
    assert pair.traffic[False].startswith(b"login: Password:\x10Shere=beta\0")


def test_a_bad_login_ends_the_call_without_a_word():
    chat = ChatSettings(CHAT.script, {"L": b"Ualpha", "P": b"wrong"})
    pair = Pair(no_chat(MemoryWork(), chat=chat), asks_login(MemoryWork())).run()
    assert pair.traffic[False] == b"login: Password:"
    assert pair.answerer.record.status is Status.LOGIN_FAILED
    assert texts(pair, False) == ["ERROR: Bad login"]
    assert pair.caller.record.status is Status.HANDSHAKE_FAILED


def test_a_chat_that_gets_no_answer_is_a_failed_login():
    pair = Pair(no_chat(MemoryWork()), answerer(MemoryWork())).run()
    assert pair.caller.record.status is Status.LOGIN_FAILED
    assert "ogin:" in pair.caller.record.error


def test_no_password_is_in_any_line_of_a_log():
    for chat in (CHAT, ChatSettings(CHAT.script, {"L": b"Ualpha", "P": b"wrong"})):
        pair = Pair(no_chat(MemoryWork(), chat=chat), asks_login(MemoryWork())).run()
        for line in texts(pair, True) + texts(pair, False):
            assert "secret" not in line and "wrong" not in line


# --- refusals of the handshake


@pytest.mark.parametrize(
    ("gate", "verdict", "line"),
    [
        (OpenGate(names=()), Verdict.UNKNOWN, "ERROR: Call from unknown system alpha"),
        (
            OpenGate(fits=False),
            Verdict.WRONG_LOGIN,
            "ERROR: System alpha used wrong login name ",
        ),
        (OpenGate(is_free=False), Verdict.LOCKED, "ERROR: System already locked"),
        (OpenGate(sequence=5), Verdict.BAD_SEQUENCE, "ERROR: Call rejected: no sequence number"),
    ],
)
def test_a_refused_call_is_a_failed_handshake(gate, verdict, line):
    work = MemoryWork([mail_job(b"x")])
    pair = Pair(caller(work), answerer(MemoryWork(), gate=gate)).run()
    for call in (pair.caller, pair.answerer):
        assert call.record.status is Status.HANDSHAKE_FAILED
        assert call.record.refusal is verdict
    assert texts(pair, False) == [line]
    assert texts(pair, True) == [f"ERROR: Handshake failed ({verdict.value})"]
    assert len(work.jobs) == 1


def test_a_call_back_counts_as_success():
    pair = Pair(caller(MemoryWork()), answerer(MemoryWork(), gate=OpenGate(back=True))).run()
    for call in (pair.caller, pair.answerer):
        assert call.record.status is Status.COMPLETE
        assert call.record.wants_call_back
    assert texts(pair, True) == ["Remote system will call back"]
    assert texts(pair, False) == ["Will call back"]


def test_a_wrong_system_is_told_apart():
    ours = Caller(
        "delta", CallerSettings("alpha", ("delta",), "t"), Talk(SessionSettings("a")), MemoryWork()
    )
    pair = Pair(ours, answerer(MemoryWork())).run()
    assert texts(pair, True) == ["ERROR: Called wrong system (beta)"]
    assert pair.answerer.record.status is Status.HANDSHAKE_FAILED


def test_systems_without_a_common_protocol_part():
    pair = Pair(caller(MemoryWork(), "e"), answerer(MemoryWork(), "t")).run()
    assert pair.caller.record.refusal is Verdict.NO_PROTOCOL
    assert pair.answerer.record.refusal is Verdict.NO_PROTOCOL


# --- what breaks


def cut(pair: Pair, after_bytes: int, is_from_caller: bool = True) -> None:
    """Run a call whose line breaks when so much went one way; both then see its end."""
    pair.start()
    while len(pair.traffic[is_from_caller]) < after_bytes:
        if not pair.exchange():
            pair.let_time_pass()
    for call in (pair.caller, pair.answerer):
        pair.events[call is pair.caller] += call.peer_closed(pair.now)
        assert call.is_finished


@pytest.mark.parametrize("protocol", list(RESTARTING))
def test_a_file_that_was_cut_goes_on_where_it_broke(protocol):
    need(protocol)
    file = content(700_000)
    ours, theirs = MemoryWork([send_job(file)]), MemoryWork()
    total = 0
    for _ in range(3):
        pair = Pair(caller(ours, protocol), answerer(theirs, protocol))
        cut(pair, 80_000)
        total += len(pair.traffic[True])
        theirs.keep_parts()
        assert pair.caller.record.status is Status.CALL_FAILED
        ((job, outcome),) = ours.outcomes
        assert outcome.ending is Ending.LATER
        ours.outcomes.clear()
        ours.jobs.append(replace(job, was_begun=True))
    pair = joined(ours, theirs, protocol)
    total += len(pair.traffic[True])
    assert theirs.files == [file]
    assert ours.outcomes[0][1].ending is Ending.DONE
    assert total < 1.1 * len(file)


@pytest.mark.parametrize("protocol", list(RESTARTING))
def test_a_lost_confirmation_does_not_deliver_twice(protocol):
    need(protocol)
    ours, theirs = MemoryWork([mail_job(b"hello")]), MemoryWork()
    pair = Pair(caller(ours, protocol), answerer(theirs, protocol))
    is_cut = False

    def lose_the_word(data: bytes, is_from_caller: bool) -> bytes:
        nonlocal is_cut
        is_cut = is_cut or (not is_from_caller and bool(theirs.files))
        return b"" if is_cut else data

    pair.damage = lose_the_word
    pair.start()
    while not is_cut:
        if not pair.exchange():
            pair.let_time_pass()
    for call in (pair.caller, pair.answerer):
        call.peer_closed(pair.now)
    ((job, outcome),) = ours.outcomes
    assert outcome.is_doubtful
    assert theirs.marks == {"D.0001"}
    ours.jobs.append(replace(job, was_begun=True))
    ours.outcomes.clear()
    joined(ours, theirs, protocol)
    assert ours.outcomes[0][1].ending is Ending.DONE
    assert theirs.executions == [("rmail bob", b"hello")]
    assert not theirs.marks


def noise(seed: int, one_in_bytes: int):
    """A line that changes, loses and doubles bytes, once the handshake is over."""
    chance = random.Random(seed)
    gone = {True: 0, False: 0}

    def damage(data: bytes, is_from_caller: bool) -> bytes:
        gone[is_from_caller] += len(data)
        if gone[is_from_caller] < 500:
            return data
        pieces = []
        for start in range(0, len(data), one_in_bytes):
            piece = bytearray(data[start : start + one_in_bytes])
            at = chance.randrange(2 * one_in_bytes)
            if at < len(piece):
                piece[at : at + 1] = chance.choice((b"", b"~", bytes(piece[at : at + 1]) * 2))
            pieces.append(bytes(piece))
        return b"".join(pieces)

    return damage


@pytest.mark.parametrize("protocol", list("ijgGv"))
@pytest.mark.parametrize("seed", range(4))
def test_files_come_through_a_noisy_line(protocol, seed):
    need(protocol)
    files = [content(size, seed) for size in (0, 100, 20_000)]
    ours = MemoryWork([send_job(file, n) for n, file in enumerate(files, 1)])
    theirs = MemoryWork([mail_job(file, n) for n, file in enumerate(files, 1)])
    has_strong_sums = protocol in "ij"
    damage = noise(seed, 1000 if has_strong_sums else 4000)
    pair = joined(ours, theirs, protocol, damage=damage, piece=512)
    assert pair.caller.record.error == ""
    assert any(call.record.counts.resent for call in (pair.caller, pair.answerer))
    assert {outcome.ending for _, outcome in ours.outcomes + theirs.outcomes} == {Ending.DONE}
    for work in (ours, theirs):
        if has_strong_sums:
            assert sorted(work.files) == sorted(files)
        else:  # the sums of g let a damaged byte pass now and then
            assert sorted(map(len, work.files)) == sorted(map(len, files))


def test_a_peer_that_says_nothing_is_given_up_in_each_stage():
    for said in (b"", b"\x10Shere=beta\0", b"\x10Shere=beta\0\x10ROKN047\0\x10Pt\0"):
        call = caller(MemoryWork([mail_job(b"x")]))
        now = 0.0
        call.start(now)
        call.receive(said, now)
        while not call.is_finished:
            while call.data_to_send(now):
                pass
            assert call.wake_at is not None and call.wake_at >= now
            now = call.wake_at
            call.tick(now)
        assert now <= SILENCE_SECONDS * 2
        assert call.record.status in (Status.HANDSHAKE_FAILED, Status.CALL_FAILED)


def say(call: Caller, *commands: bytes) -> bytes:
    """What a caller over t answers to commands."""
    call.receive(b"".join(text.ljust(512, b"\0") for text in commands), 0)
    return call.data_to_send(0)


@pytest.fixture
def talking() -> Caller:
    """A caller without work that has asked to end."""
    call = caller(MemoryWork())
    call.start(0)
    call.receive(b"\x10Shere=beta\0\x10ROKN047\0\x10Pt\0", 0)
    assert call.data_to_send(0).endswith(b"H".ljust(512, b"\0"))
    return call


def test_who_was_agreed_with_says_its_os_and_waits_for_nothing(talking):
    assert say(talking, b"HY").endswith(b"\x10OOOOOO\0\x10OOOOOO\0")
    assert talking.is_finished and talking.record.status is Status.COMPLETE


def test_who_has_agreed_waits_for_the_peers_os_but_only_so_long(talking):
    say(talking, b"HN")
    assert say(talking, b"H").endswith(b"\x10OOOOOO\0\x10OOOOOO\0")
    assert not talking.is_finished
    assert talking.wake_at == HANG_UP_SECONDS
    talking.tick(HANG_UP_SECONDS)
    assert talking.is_finished and talking.record.status is Status.COMPLETE


@pytest.mark.parametrize("os", [b"\x10OOOOOO\0", b"\x10OOOOOOO\0", b"noise\x10OOOOOO\n"])
def test_six_or_seven_os_end_the_call(talking, os):
    say(talking, b"HN", b"H")
    for byte in b"HY".ljust(512, b"\0") + os:
        assert not talking.is_finished
        talking.receive(bytes((byte,)), 0)
    assert talking.is_finished and talking.record.status is Status.COMPLETE


def test_a_peer_that_closes_without_os_is_no_error(talking):
    say(talking, b"HN", b"H")
    talking.peer_closed(0)
    assert talking.record.status is Status.COMPLETE


def test_a_call_can_be_stopped_and_aborted():
    ours = MemoryWork([mail_job(b"a", 1), mail_job(b"b", 2)])
    pair = Pair(caller(ours), answerer(MemoryWork()))
    pair.caller.stop_taking_work()
    pair.run()
    assert len(ours.jobs) == 2
    call = caller(MemoryWork())
    call.start(0)
    call.abort("the link went down", 0)
    assert call.is_finished and call.record.error == "the link went down"


def test_wrong_parameters_of_a_protocol_end_the_call_with_what_would_be_right():
    talk = Talk(SessionSettings("alpha"), {"t": {"window": "7"}})
    ours = Caller("beta", CallerSettings("alpha", ("beta",), "t"), talk, MemoryWork())
    Pair(ours, answerer(MemoryWork())).run()
    assert "window" in ours.record.error


# --- which protocols


def test_the_offer_fits_the_connection():
    from relaynode.uucp.protocols import Connection

    assert usual_protocols(Connection(is_end_to_end=True))[:2] == "it"
    assert "t" not in usual_protocols(Connection())
    assert not set("tefy") & set(usual_protocols(Connection(is_reliable=False)))
    assert usual_protocols(Connection(is_eight_bit=False)) == "f"


# --- random


SAID = st.one_of(
    st.sampled_from(
        [
            b"login: ",
            b"Password:",
            b"\x10Shere=beta\0",
            b"\x10ROKN047\0\x10Pt\0",
            b"\x10Salpha -R -N047\0",
            b"\x10Ut\0",
            b"Ualpha\rsecret\r",
            b"SY".ljust(512, b"\0"),
            b"CY".ljust(512, b"\0"),
            b"HN".ljust(512, b"\0"),
            b"HY".ljust(512, b"\0"),
            b"H".ljust(512, b"\0"),
            b"S a ~/b u - D.1 0666  ".ljust(512, b"\0"),
            b"\0\0\0\x03abc\0\0\0\0",
            b"\x10OOOOOO\0",
        ]
    ),
    st.binary(max_size=40),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(SAID, st.floats(0, 100)), max_size=20), st.booleans())
def test_whatever_is_said_a_call_ends_in_order(pieces, is_caller):
    work = MemoryWork([mail_job(b"hello"), send_job(b"x", 2)])
    call = no_chat(work) if is_caller else asks_login(work)
    now = 0.0
    call.start(now)
    for data, seconds in pieces:
        call.receive(data, now)
        while call.data_to_send(now):
            pass
        now += seconds
        call.tick(now)
    call.peer_closed(now)
    assert call.is_finished
    assert call.record.status is not Status.TALKING
    assert len(work.outcomes) == 2 - len(work.jobs)
