"""`relaynode why --json` names the right code, whatever is the matter with a mail."""

import contextlib
import errno
import json
import socket
import ssl

import pytest

from homes import NOW, Home
from oddball import CLOSES, Oddball, ehlo
from peers.certificates import make_certificate
from peers.processes import free_port
from peers.zone import ZoneServer
from relaynode.cli.main import main
from relaynode.links import next_hops
from relaynode.mail.status import temporary
from relaynode.policy import rewrite
from relaynode.queue.content import INLINE_BYTES
from relaynode.queue.model import Verb
from relaynode.queue.retry import DAY
from relaynode.wire import tcp


def why(home, capsys, what="A1"):
    """What `relaynode why --json` says of the only recipient."""
    capsys.readouterr()
    assert main(["--config", str(home.node.path), "why", "--json", what]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    (recipient,) = one["recipients"]
    return recipient


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1")


def reason_after_a_run(home, capsys, **mail):
    home.queue(**mail)
    home.flush()
    return why(home, capsys)["reason"]


LOGIN = 'tls = "none"\nuser = "ann"\npassword_file = "password"'
STARTTLS = 'tls = "starttls"'

SERVERS = [
    ("delivered", {}, (), ""),
    ("greeting-refused", {b"greeting": b"554 5.7.1 not you\r\n"}, (), ""),
    ("closing-421", {b"greeting": b"421 4.3.2 too busy\r\n"}, (), ""),
    ("closing-421", {b".": b"421 4.3.2 shutting down\r\n"}, (), ""),
    ("protocol-error", {b"greeting": b"hello there\r\n"}, (), ""),
    (
        "hello-refused",
        {b"EHLO": b"550 5.7.1 bad name\r\n", b"HELO": b"550 5.7.1 bad name\r\n"},
        (),
        "",
    ),
    ("mail-loop", {b"EHLO": b"250-bsd.home\r\n250 PIPELINING\r\n"}, (), ""),
    ("tls-not-offered", {}, (), STARTTLS),
    ("tls-refused", {b"STARTTLS": b"454 4.7.0 not now\r\n"}, ("STARTTLS",), STARTTLS),
    ("auth-refused", {b"AUTH": b"535 5.7.8 wrong password\r\n"}, ("AUTH PLAIN LOGIN",), LOGIN),
    ("auth-no-mechanism", {}, ("AUTH X-UNHEARD-OF",), LOGIN),
    (
        "secret-unavailable",
        {},
        ("AUTH PLAIN LOGIN",),
        'tls = "none"\nuser = "ann"\npassword_command = ["false"]',
    ),
    ("auth-required", {b"MAIL": b"530 5.7.0 log in first\r\n"}, (), ""),
    ("rejected-sender", {b"MAIL": b"550 5.7.1 not from you\r\n"}, (), ""),
    ("rejected-recipient", {b"RCPT": b"550 no such user\r\n"}, (), ""),
    ("rejected-content", {b".": b"554 5.7.1 spam\r\n"}, (), ""),
    ("mailbox-full", {b"RCPT": b"452 4.2.2 over quota\r\n"}, (), ""),
    ("mailbox-full", {b"RCPT": b"552 5.2.2 over quota\r\n"}, (), ""),
    ("server-full", {b"MAIL": b"452 4.3.1 disk full\r\n"}, (), ""),
    ("too-large", {}, ("SIZE 5",), ""),
    ("too-large", {b".": b"552 5.3.4 too big\r\n"}, (), ""),
    ("greylisted", {b"RCPT": b"450 4.7.1 greylisted, try again in 300 s\r\n"}, (), ""),
    ("deferred-by-server", {b"RCPT": b"451 4.3.0 later\r\n"}, (), ""),
    ("line-lost", {b"MAIL": CLOSES}, (), ""),
    ("may-have-been-accepted", {b".": CLOSES}, (), ""),
    ("timed-out", {b"greeting": b""}, (), ""),
]


@pytest.mark.parametrize(
    ("reason", "answers", "extensions", "keys"),
    SERVERS,
    ids=[f"{reason}-{number}" for number, (reason, *_) in enumerate(SERVERS)],
)
def test_what_a_server_does_is_named(tmp_path, capsys, reason, answers, extensions, keys):
    if extensions:
        answers = {b"EHLO": ehlo("PIPELINING", "8BITMIME", *extensions), **answers}
    with Oddball(answers) as server:
        home = Home(tmp_path, server.port, keys)
        assert reason_after_a_run(home, capsys) == reason
        assert server.sessions == 1


def test_addresses_that_the_server_cannot_take_are_named(tmp_path, capsys):
    with Oddball() as server:
        home = Home(tmp_path, server.port)
        assert reason_after_a_run(home, capsys, to="jürgen@x.example") == "no-smtputf8"


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_named(tmp_path, capsys, certificate, tls):
    context = certificate.server_context()
    answers = {b"EHLO": ehlo("STARTTLS")}
    with Oddball(answers, context=context, is_tls=tls == "tls") as server:
        home = Home(tmp_path, server.port, f'tls = "{tls}"')
        assert reason_after_a_run(home, capsys) == "tls-certificate"


def test_a_failed_handshake_is_named(tmp_path, capsys):
    without_certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with Oddball({b"EHLO": ehlo("STARTTLS")}, context=without_certificate) as server:
        home = Home(tmp_path, server.port, STARTTLS)
        assert reason_after_a_run(home, capsys) == "tls-failed"


# ---- nobody there


def test_a_closed_port_is_named(tmp_path, capsys):
    assert reason_after_a_run(Home(tmp_path, free_port()), capsys) == "connect-refused"


def test_a_host_that_does_not_answer_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(next_hops, "CONNECT_SECONDS", 0.2)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # the kernel drops what comes when the queue is full
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        home = Home(tmp_path, listener.getsockname()[1])
        assert reason_after_a_run(home, capsys) == "connect-timeout"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(socket.EAI_NONAME, "dns-no-such-host"), (socket.EAI_AGAIN, "dns-temporary")],
)
def test_what_the_dns_says_is_named(tmp_path, capsys, monkeypatch, code, reason):
    def fail(*_, **__):
        raise socket.gaierror(code, "as the test says")

    home = Home(tmp_path, more='[smart_host.other]\nhost = "mx.other.example"\ntls = "none"\n')
    home.node.path.write_text(
        home.node.path.read_text().replace("127.0.0.1:25", "mx.nowhere.example")
    )
    home.queue()
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    home.flush()
    assert why(home, capsys)["reason"] == reason


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENETUNREACH, "no-network"), (errno.EHOSTUNREACH, "no-route")]
)
def test_a_network_that_is_not_there_is_named(tmp_path, capsys, monkeypatch, number, reason):
    async def fail(*_, **__):
        raise OSError(number, "as the test says")

    monkeypatch.setattr(tcp, "open_connection", fail)
    assert reason_after_a_run(Home(tmp_path), capsys) == reason


@pytest.fixture(scope="module")
def zone():
    records = {
        "MX": {
            "null.example": [(0, ".")],
            "loop.example": [(10, "bsd.home")],
            "empty.example": [(10, "nobody.example")],
            "closed.example": [(10, "mx.closed.example")],
        },
        "A": {"mx.closed.example": "127.0.0.13"},
    }
    with ZoneServer(records, failing={"failing.example"}) as server:
        yield server


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("null.example", "null-mx"),
        ("nowhere.example", "dns-no-such-host"),
        ("empty.example", "dns-no-such-host"),
        ("failing.example", "dns-temporary"),
        ("loop.example", "mail-loop"),
        ("closed.example", "connect-refused"),
    ],
)
def test_what_the_dns_says_of_a_domain_is_named(tmp_path, capsys, zone, domain, reason):
    home = Home(tmp_path, None, more=zone.toml)
    home.options = {"smtp_port": free_port()}
    assert reason_after_a_run(home, capsys, to=f"bob@{domain}") == reason


# ---- what we do with it ourselves


def test_a_link_that_is_down_is_named_with_what_it_waits_for(tmp_path, capsys):
    home = Home(tmp_path, free_port(), kind="event")
    home.queue()
    found = why(home, capsys)
    assert found["reason"] == "link-down"
    assert found["next"] == {"at": None, "event": "link isp comes up"}
    home.flush()  # by hand: what came of it is told beside
    found = why(home, capsys)
    assert (found["reason"], found["last_reason"]) == ("link-down", "connect-refused")


@pytest.mark.parametrize(
    ("hold_reason", "verb", "reason"),
    [
        ("", None, "waiting"),
        ("", Verb.HOLD, "held"),
        ("", Verb.REMOVE, "removed"),
        ("spammer", None, "quarantined"),
    ],
)
def test_what_the_operator_did_is_named(tmp_path, capsys, hold_reason, verb, reason):
    home = Home(tmp_path)
    home.queue(hold_reason=hold_reason)
    if verb is not None:
        home.operate(verb)
    assert why(home, capsys)["reason"] == reason


def test_a_message_that_breaks_us_is_named_and_set_aside(tmp_path, capsys, monkeypatch):
    def breaks(*_, **__):
        raise ZeroDivisionError("surprise")

    with Oddball() as server:
        home = Home(tmp_path, server.port)
        with monkeypatch.context() as patched:
            patched.setattr(rewrite, "header", breaks)
            assert reason_after_a_run(home, capsys) == "message-broke"
            home.flush()
            home.flush()
        home.flush()
        found = why(home, capsys)
        assert (found["reason"], found["last_reason"]) == ("poison", "message-broke")
        home.operate(Verb.RELEASE)
        assert why(home, capsys)["reason"] == "message-broke"
    assert any(b"was set aside" in mail for mail in home.node.mails("postmaster"))


def test_content_that_is_gone_is_our_own_error(tmp_path, capsys):
    with Oddball() as server:
        home = Home(tmp_path, server.port)
        home.queue(size=2 * INLINE_BYTES)
        for file in (home.node.folder / "spool" / "content").iterdir():
            file.unlink()
        home.flush()
        assert why(home, capsys)["reason"] == "local-error"


def test_mail_that_was_tried_long_enough_has_expired(tmp_path, capsys):
    with Oddball({b"RCPT": b"451 4.3.0 later\r\n"}) as server:
        home = Home(tmp_path, server.port)
        home.queue()
        for _ in range(6):
            home.flush()
            home.now += DAY
        found = why(home, capsys)
    assert (found["state"], found["reason"]) == ("failed", "expired")
    assert found["status"] == "451 4.3.0 later"


def test_a_program_that_fails_is_named(tmp_path, capsys):
    home = Home(tmp_path)
    assert reason_after_a_run(home, capsys, to="|exit 69", mailer="prog") == "program-failed"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x.example error:5.7.1:550 closed\n", "rejected-by-table"),
        ("x.example discard:\n", "discarded"),
    ],
)
def test_what_a_table_says_is_named(tmp_path, capsys, line, reason):
    home = Home(tmp_path, tables={"mailertable": line})
    assert reason_after_a_run(home, capsys) == reason


def test_a_table_that_cannot_be_read_is_named(tmp_path, capsys):
    home = Home(tmp_path)
    home.queue()
    (home.node.folder / "tables" / "mailertable").mkdir()
    assert why(home, capsys)["reason"] == "table-unreadable"


# ---- the rest of it


def test_an_address_finds_mail_to_it_and_from_it_also_what_has_ended(tmp_path, capsys):
    with Oddball({b"RCPT": b"550 5.1.1 no such user\r\n"}) as server:
        home = Home(tmp_path, server.port)
        home.queue()
        for what in ("bob@x.example", "BOB@X.example", "user@bsd.home", "user"):
            assert why(home, capsys, what)["reason"] == "waiting"
        home.flush()
    assert why(home, capsys, "bob@x.example")["reason"] == "rejected-recipient"
    ended = home.node.run("why", "stranger@x.example")
    assert ended.returncode == 65
    assert "no message is known by that" in ended.stderr


def test_a_person_is_told_route_link_last_reply_and_next_chance(tmp_path, capsys):
    with Oddball({b"RCPT": b"450 4.7.1 greylisted \x1b[31m\r\n"}) as server:
        tables = {"mailertable": "y.example smtp:y\n"}
        home = Home(tmp_path, server.port, kind="event", tables=tables)
        home.queue()
        home.flush()
    assert main(["--config", str(home.node.path), "why", "A1"]) == 0
    told = capsys.readouterr().out
    assert "<bob@x.example>  waiting: link-down" in told
    assert "1 attempt, the latest 2027-01-15" in told
    assert ": greylisted" in told
    assert "450 4.7.1 greylisted" in told
    assert "mailertable x.example: no entry" in told
    assert "isp (event), down" in told
    assert "when link isp comes up" in told
    assert "deferred <bob@x.example>" in told
    assert "\x1b" not in told


def test_what_is_left_before_mail_is_returned_is_told(tmp_path, capsys):
    with Oddball({b"RCPT": b"450 4.3.0 later\r\n"}) as server:
        home = Home(tmp_path, server.port)
        home.queue()
        home.flush()
        home.now += DAY / 2
        home.flush()
        found = why(home, capsys)
    assert found["gives_up"] == {"attempts_left": 3, "seconds_left": 4.5 * DAY}
    assert found["next"]["at"] >= NOW
    assert temporary("later", "4.3.0", 450).text in found["status"]
