"""Our calls with real Taylor UUCP: every protocol, both ways round, every kind of work."""

from __future__ import annotations

import random
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from relaynode.uucp.answerer import Answerer
from relaynode.uucp.call import Talk
from relaynode.uucp.caller import Caller
from relaynode.uucp.chat import ChatSettings
from relaynode.uucp.features import BARE, NONE, OURS, Features
from relaynode.uucp.handshake import CalledSettings, CallerSettings, Verdict
from relaynode.uucp.record import Status
from relaynode.uucp.session import SessionSettings
from relaynode.uucp.work import Ending
from uucp.driver import drive, drive_socket
from uucp.memory import MemorySink, MemoryWork, OpenGate, fetch_job, mail_job, send_job
from uucp.real import Beta

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relaynode.uucp.call import Call

PROTOCOLS = "tivj"
"""The others go through whole nodes, in tests/interop/test_uucp_taylor.py."""
SIZES = (0, 1, 4096, 1 << 20)
CHAT = ChatSettings(r"ogin: \L word: \P".split(), {"L": b"Ualpha", "P": b"secret"})


def content(size: int, seed: int) -> bytes:
    return random.Random(seed * 7919 + size).randbytes(size)


@pytest.fixture
def beta(tmp_path: Path) -> Iterator[Beta]:
    home = make_home("uucp")
    yield Beta(home / "beta")
    leave_home(home, tmp_path / "uucp", ())


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """A connection over loopback: Taylor offers t and e on sockets only."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return ours, theirs


def we_call(
    beta: Beta, work: MemoryWork, protocol: str, chat: ChatSettings | None = None, **settings
) -> Caller:
    """Call beta, and wait until both have done."""
    beta.speak(protocol)
    handshake = CallerSettings("alpha", ("beta",), protocol, **settings)
    call = Caller("beta", handshake, Talk(SessionSettings("alpha")), work, chat)
    ours, theirs = tcp_pair()
    uucico = beta.answer(theirs, asks_login=chat is not None)
    theirs.close()
    drive_socket(call, ours)
    uucico.wait(30)
    return call


def we_answer(
    beta: Beta,
    work: MemoryWork,
    protocol: str,
    gate: OpenGate | None = None,
    *,
    asks_login: bool = False,
    **settings,
) -> Answerer:
    """Be called by beta, and wait until both have done."""
    gate = gate or OpenGate(("beta",))
    call = Answerer(
        CalledSettings("alpha", protocol, **settings),
        lambda neighbour: Talk(SessionSettings("alpha")),
        lambda login: gate,
        lambda neighbour: work,
        check=(lambda name, password: (name, password) == ("Ubeta", b"secret"))
        if asks_login
        else None,
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        login = "chat ogin: Ubeta word: secret" if asks_login else ""
        beta.speak(protocol, login, server.getsockname()[1])
        uucico = beta.begin_call()
        connection, _ = server.accept()
        drive_socket(call, connection)
        uucico.wait(30)
    return call


CALLS = pytest.mark.parametrize("call", [we_call, we_answer], ids=["we-call", "we-answer"])


@CALLS
@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_files_and_executions_go_both_ways_unchanged(beta, call, protocol):
    fetched = [MemorySink() for _ in SIZES]
    work = MemoryWork(
        [send_job(content(size, 1), n, f"~/sent{size}") for n, size in enumerate(SIZES, 1)]
        + [fetch_job(f"~/offered{size}", fetched[n]) for n, size in enumerate(SIZES)]
        + [mail_job(content(size, 2), 10 + n) for n, size in enumerate(SIZES)],
        public={f"ours{size}": content(size, 3) for size in SIZES},
    )
    for size in SIZES:
        beta.put_public(f"offered{size}", content(size, 4))
        beta.queue_file(content(size, 5), f"~/came{size}", f"out{size}")
        beta.queue_fetch(f"~/ours{size}", f"fetched{size}")
        beta.queue_mail(content(size, 6), "dave")
    done = call(beta, work, protocol)
    log = beta.log()
    assert done.record.status is Status.COMPLETE, log
    assert [outcome.ending for _, outcome in work.outcomes] == [Ending.DONE] * 12, log
    assert not beta.has_jobs
    came = {"/".join(one.target.components): bytes(one.sink.content) for one in public(work)}
    for n, size in enumerate(SIZES):
        assert beta.public(f"sent{size}") == content(size, 1)
        assert bytes(fetched[n].content) == content(size, 4)
        assert came[f"came{size}"] == content(size, 5)
        assert beta.public(f"fetched{size}") == content(size, 3)
    mails = sorted(arrived.data for arrived in beta.arrived("alpha"))
    assert mails == sorted(content(size, 2) for size in SIZES)
    assert all("C rmail bob" in arrived.lines for arrived in beta.arrived("alpha"))
    assert sorted(work.executions) == sorted(("rmail dave", content(size, 6)) for size in SIZES)
    assert "ERROR" not in log


def public(work: MemoryWork):
    return [one for one in work.received if hasattr(one.target, "components")]


@CALLS
@pytest.mark.parametrize("features", [OURS, BARE, NONE, Features.RESTART])
def test_mail_goes_both_ways_whatever_we_say_we_can(beta, call, features):
    beta.queue_mail(b"from beta", "dave")
    work = MemoryWork([mail_job(b"from alpha")])
    done = call(beta, work, "t", features=features)
    assert done.record.status is Status.COMPLETE
    (arrived,) = beta.arrived("alpha")
    assert arrived.data == b"from alpha"
    assert "C rmail bob" in arrived.lines
    assert work.files[0] == b"from beta"
    if not features & Features.EXECUTE:
        assert b"C rmail dave" in work.files[1]


@pytest.mark.parametrize("protocol", list("ti"))
def test_an_empty_call_ends_at_once(beta, protocol):
    for call in (we_call, we_answer):
        done = call(beta, MemoryWork(), protocol)
        assert done.record.status is Status.COMPLETE
        assert done.record.seconds < 9
    assert "ERROR" not in beta.log()


def test_we_log_in_at_its_prompts(beta):
    done = we_call(beta, MemoryWork([mail_job(b"x")]), "t", CHAT)
    assert done.record.status is Status.COMPLETE
    assert len(beta.arrived("alpha")) == 1


def test_it_logs_in_at_our_prompts(beta):
    beta.queue_mail(b"from beta", "dave")
    work = MemoryWork()
    done = we_answer(beta, work, "t", asks_login=True)
    assert done.record.login == "Ubeta"
    assert work.executions == [("rmail dave", b"from beta")]


def test_a_wrong_password_is_met_with_silence(beta):
    chat = ChatSettings(CHAT.script, {"L": b"Ualpha", "P": b"wrong"})
    done = we_call(beta, MemoryWork(), "t", chat)
    assert done.record.status is Status.HANDSHAKE_FAILED
    assert "Bad login" in beta.log()


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (OpenGate(("gamma",)), "You are unknown to me"),
        (OpenGate(("beta",), fits=False), "LOGIN"),
        (OpenGate(("beta",), is_free=False), "LCK"),
        (OpenGate(("beta",), sequence=5), "BADSEQ"),
    ],
)
def test_it_understands_our_refusals(beta, gate, line):
    beta.queue_mail(b"from beta", "dave")
    done = we_answer(beta, MemoryWork(), "t", gate)
    assert done.record.status is Status.HANDSHAKE_FAILED
    assert f"Handshake failed ({line})" in beta.log()
    assert beta.has_jobs


def test_it_takes_a_call_back_for_success(beta):
    done = we_answer(beta, MemoryWork(), "t", OpenGate(("beta",), back=True))
    assert done.record.wants_call_back
    assert "Remote system will call back" in beta.log()


def test_we_understand_that_we_are_unknown(beta):
    beta.speak("t")
    handshake = CallerSettings("stranger", ("beta",), "t")
    call = Caller("beta", handshake, Talk(SessionSettings("stranger")), MemoryWork())
    ours, theirs = tcp_pair()
    uucico = beta.answer(theirs)
    theirs.close()
    drive_socket(call, ours)
    uucico.wait(30)
    assert call.record.refusal is Verdict.UNKNOWN


@pytest.mark.parametrize("protocol", list("ti"))
def test_both_sides_understand_what_the_other_refuses(tmp_path, protocol):
    """Taylor writes a letter about each refusal to sendmail. Where there is none, it takes the
    broken pipe for the end of its call, now and then: such a call says nothing of us."""
    for attempt in range(10):
        home = make_home("uucp")
        beta = Beta(home / "beta")
        is_told_of = refuse_each_other(beta, protocol)
        leave_home(home, tmp_path / f"uucp{attempt}", ())
        if is_told_of:
            return
    pytest.fail("Taylor's letters have broken each of its calls")


def refuse_each_other(beta, protocol):
    """One such call; False if a letter broke it."""
    work = MemoryWork(
        [
            send_job(b"x", 1, "/etc/evil"),
            fetch_job("/etc/passwd"),
            send_job(b"y", 2, "~/good"),
            mail_job(b"z", 3),
        ]
    )
    beta.queue_file(b"evil", "/etc/evil")
    beta.queue_fetch("/etc/passwd", "passwd")
    beta.queue_mail(b"good", "dave")
    done = we_call(beta, work, protocol)
    if "SIGPIPE" in beta.log():
        return False
    assert done.record.status is Status.COMPLETE, beta.log() + done.record.error
    endings = {job.request.target: outcome.ending for job, outcome in work.outcomes}
    assert endings["/etc/evil"] is endings["/home/u/got"] is Ending.REFUSED
    assert endings["~/good"] is Ending.DONE
    assert work.executions == [("rmail dave", b"good")]
    assert work.files == [b"good"]
    assert beta.public("good") == b"y"
    assert not (beta.folder / "public" / "passwd").exists()
    return True


# --- what breaks


def cut_when(bytes_sent: int, *, sent: bool):
    def is_time(call: Call) -> bool:
        record = call.record
        return (record.sent_bytes if sent else record.received_bytes) > bytes_sent

    return is_time


@pytest.mark.parametrize("protocol", list("tey"))
def test_a_file_of_ours_that_was_cut_goes_on_where_it_broke(beta, protocol):
    beta.speak(protocol)
    file = content(1 << 20, 9)
    work = MemoryWork([send_job(file, 1, "~/big")])
    total = 0
    for attempt in range(4):
        handshake = CallerSettings("alpha", ("beta",), protocol)
        call = Caller("beta", handshake, Talk(SessionSettings("alpha")), work)
        ours, theirs = tcp_pair()
        # What the kernel takes at once must not be all of it.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        uucico = beta.answer(theirs)
        theirs.close()
        if attempt < 3:
            with ours:
                drive(call, ours.fileno(), ours.fileno(), until=cut_when(250_000, sent=True))
                ours.shutdown(socket.SHUT_WR)
                uucico.wait(60)
            call.abort("cut", 0)
            ((job, outcome),) = work.outcomes
            assert outcome.ending is Ending.LATER
            work.outcomes.clear()
            work.jobs.append(replace(job, was_begun=True))
        else:
            drive_socket(call, ours)
            uucico.wait(60)
        total += call.record.sent_file_bytes
    assert work.outcomes[0][1].ending is Ending.DONE
    assert beta.public("big") == file
    assert total < 1.1 * len(file)


@pytest.mark.parametrize("protocol", list("te"))
def test_a_file_of_its_own_that_was_cut_goes_on_where_it_broke(beta, protocol):
    file = content(1 << 20, 9)
    beta.queue_file(file, "~/big")
    beta.speak(protocol)
    work = MemoryWork()
    total = 0
    for attempt in range(4):
        handshake = CallerSettings("alpha", ("beta",), protocol)
        call = Caller("beta", handshake, Talk(SessionSettings("alpha")), work)
        ours, theirs = tcp_pair()
        uucico = beta.answer(theirs)
        theirs.close()
        if attempt < 3:
            with ours:
                drive(call, ours.fileno(), ours.fileno(), until=cut_when(250_000, sent=False))
            call.abort("cut", 0)
            work.keep_parts()
        else:
            drive_socket(call, ours)
        uucico.wait(60)
        total += call.record.received_bytes
    assert work.files == [file]
    assert not beta.has_jobs
    assert total < 1.5 * len(file)


def test_it_tells_a_mail_that_it_has_already(beta):
    """Its mark is written from the second lost confirmation on: the first is lost with it."""
    beta.speak("t")
    work = MemoryWork()
    for number in (1, 2):
        work.jobs.append(mail_job(b"mail %d" % number, number))
        handshake = CallerSettings("alpha", ("beta",), "t")
        call = Caller("beta", handshake, Talk(SessionSettings("alpha")), work)
        ours, theirs = tcp_pair()
        uucico = beta.answer(theirs)
        theirs.close()
        with ours:
            # Cut as soon as all has been written: its CY finds nobody.
            drive(call, ours.fileno(), ours.fileno(), until=lambda call: _all_sent(call))
        uucico.wait(60)
        call.abort("cut", 0)
        ((job, outcome),) = work.outcomes
        assert outcome.is_doubtful
        work.outcomes.clear()
    work.jobs.append(replace(job, was_begun=True))
    done = we_call(beta, work, "t")
    assert done.record.status is Status.COMPLETE
    assert work.outcomes[0][1].ending is Ending.DONE


def _all_sent(call: Call) -> bool:
    """Whether the file and its end have been handed to the connection."""
    session = call.session
    return session is not None and any(task.is_all_sent for task in session._asking.tasks.values())
