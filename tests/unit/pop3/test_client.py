from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError, ServerNotProven
from relaynode.mail.status import Status
from relaynode.pop3.client import Client
from relaynode.pop3.events import (
    Bye,
    Capabilities,
    Deleted,
    Done,
    Greeting,
    ListEnd,
    ListItem,
    LoggedIn,
    MessageData,
    MessageEnd,
    MessageStart,
    Refused,
    Stat,
    TlsReady,
    UidlEnd,
    UidlItem,
)
from relaynode.pop3.limits import MAX_AUTH_COMMAND_BYTES, MAX_OUTSTANDING, MAX_PIECE_BYTES
from relaynode.pop3.states import Command, State
from relaynode.sasl import CramMd5, External, Scram
from unit.pop3.dialogue import PASSWORD, client_in, heard, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.pop3.events import Event

PLAIN = base64.b64encode(b"\0fred\0hunter2")
NOT_NOW = Status(450, "4.2.0", "no")


@dataclass(frozen=True)
class Vector:
    """In `state`, `call` writes `sent`; then `reply` is heard as `events` and leads to `after`."""

    name: str
    state: State
    call: Callable[[Client], None]
    sent: bytes
    reply: bytes
    events: list[Event]
    after: State


def nothing(client: Client) -> None:
    pass


def user_and_pass(client: Client) -> None:
    client.login_user("fred", PASSWORD, pipelined=True)


def plain(client: Client) -> None:
    client.login_plain("fred", PASSWORD)


def window(client: Client) -> None:
    client.retr(1)
    client.dele(1)
    client.top(2, 0)
    client.quit()


BEGIN, LOGIN, MAIL = State.GREETING, State.AUTHORIZATION, State.TRANSACTION

VECTORS = [
    Vector("greeting", BEGIN, nothing, b"", b"+OK hi\r\n", [Greeting("hi", None)], LOGIN),
    Vector("bare greeting", BEGIN, nothing, b"", b"+OK\r\n", [Greeting("", None)], LOGIN),
    Vector(
        "greeting with timestamp",
        BEGIN,
        nothing,
        b"",
        b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n",
        [
            Greeting(
                "POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
                "<1896.697170952@dbc.mtview.ca.us>",
            )
        ],
        LOGIN,
    ),
    Vector(
        "greeting with no blank",
        BEGIN,
        nothing,
        b"",
        b"+OK<1.2@host>\r\n",
        [Greeting("<1.2@host>", "<1.2@host>")],
        LOGIN,
    ),
    Vector(
        "greeting with no timestamp in angles",
        BEGIN,
        nothing,
        b"",
        b"+OK <a b@c> <d>\r\n",
        [Greeting("<a b@c> <d>", None)],
        LOGIN,
    ),
    Vector(
        "refusal at the greeting",
        BEGIN,
        nothing,
        b"",
        b"-ERR busy\r\n",
        [Refused(Command.GREETING, None, Status(421, "4.3.2", "busy"))],
        State.CLOSED,
    ),
    Vector(
        "capabilities",
        LOGIN,
        Client.capa,
        b"CAPA\r\n",
        b"+OK list\r\nTOP\r\nsasl PLAIN cram-md5\r\nUIDL\r\n\r\nEXPIRE 60\r\nPipelining\r\n.\r\n",
        [Capabilities(frozenset({"TOP", "SASL", "UIDL", "EXPIRE", "PIPELINING"}))],
        LOGIN,
    ),
    Vector(
        "capabilities of a server that has none",
        LOGIN,
        Client.capa,
        b"CAPA\r\n",
        b"-ERR what?\r\n",
        [Capabilities(frozenset())],
        LOGIN,
    ),
    Vector("STLS", LOGIN, Client.stls, b"STLS\r\n", b"+OK\r\n", [TlsReady()], State.TLS),
    Vector(
        "refused STLS",
        LOGIN,
        Client.stls,
        b"STLS\r\n",
        b"-ERR no\r\n",
        [Refused(Command.STLS, None, Status(454, "4.7.0", "no"))],
        LOGIN,
    ),
    Vector(
        "USER and PASS in one write",
        LOGIN,
        user_and_pass,
        b"USER fred\r\nPASS hunter2\r\n",
        b"+OK\r\n+OK\r\n",
        [LoggedIn()],
        MAIL,
    ),
    Vector(
        "refused PASS",
        LOGIN,
        user_and_pass,
        b"USER fred\r\nPASS hunter2\r\n",
        b"+OK\r\n-ERR no\r\n",
        [Refused(Command.PASS, None, Status(535, "5.7.8", "no"))],
        LOGIN,
    ),
    Vector(
        "refused USER swallows the reply to PASS",
        LOGIN,
        user_and_pass,
        b"USER fred\r\nPASS hunter2\r\n",
        b"-ERR no\r\n-ERR really\r\n",
        [Refused(Command.USER, None, Status(535, "5.7.8", "no"))],
        LOGIN,
    ),
    Vector(
        "AUTH PLAIN",
        LOGIN,
        plain,
        b"AUTH PLAIN " + PLAIN + b"\r\n",
        b"+OK\r\n",
        [LoggedIn()],
        MAIL,
    ),
    Vector(
        "refused AUTH PLAIN",
        LOGIN,
        plain,
        b"AUTH PLAIN " + PLAIN + b"\r\n",
        b"-ERR no\r\n",
        [Refused(Command.AUTH, None, Status(535, "5.7.8", "no"))],
        LOGIN,
    ),
    Vector("QUIT before login", LOGIN, Client.quit, b"QUIT\r\n", b"+OK\r\n", [Bye()], State.CLOSED),
    Vector("STAT", MAIL, Client.stat, b"STAT\r\n", b"+OK 2 320\r\n", [Stat(2, 320)], MAIL),
    Vector("wordy STAT", MAIL, Client.stat, b"STAT\r\n", b"+OK 0 0 mail\r\n", [Stat(0, 0)], MAIL),
    Vector(
        "LIST",
        MAIL,
        Client.list,
        b"LIST\r\n",
        b"+OK 2 messages\r\n1 120\r\n3 200 and more\r\n.\r\n",
        [ListItem(1, 120), ListItem(3, 200), ListEnd()],
        MAIL,
    ),
    Vector("empty LIST", MAIL, Client.list, b"LIST\r\n", b"+OK\r\n.\r\n", [ListEnd()], MAIL),
    Vector(
        "UIDL",
        MAIL,
        Client.uidl,
        b"UIDL\r\n",
        b"+OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2  .\x21~ \r\n10 \xc3\xa9\xe9\r\n.\r\n",
        [
            UidlItem(1, "whqtswO00WBw418f9t5JxYwZ"),
            UidlItem(2, ".!~"),
            UidlItem(10, "\xc3\xa9\xe9"),
            UidlEnd(),
        ],
        MAIL,
    ),
    Vector("empty UIDL", MAIL, Client.uidl, b"UIDL\r\n", b"+OK\r\n.\r\n", [UidlEnd()], MAIL),
    Vector(
        "the same unique-id twice is for the caller to judge",
        MAIL,
        Client.uidl,
        b"UIDL\r\n",
        b"+OK\r\n1 a\r\n2 a\r\n.\r\n",
        [UidlItem(1, "a"), UidlItem(2, "a"), UidlEnd()],
        MAIL,
    ),
    Vector(
        "unique-id of 255 bytes",
        MAIL,
        Client.uidl,
        b"UIDL\r\n",
        b"+OK\r\n1 " + b"u" * 255 + b"\r\n.\r\n",
        [UidlItem(1, "u" * 255), UidlEnd()],
        MAIL,
    ),
    Vector(
        "listings with bare LF",
        MAIL,
        Client.list,
        b"LIST\r\n",
        b"+OK\n1 120\n.\n",
        [ListItem(1, 120), ListEnd()],
        MAIL,
    ),
    Vector(
        "RETR",
        MAIL,
        lambda client: client.retr(7),
        b"RETR 7\r\n",
        b"+OK 3 octets\r\nSubject: x\r\n\r\n..\r\n...two\r\n. \r\nfin\0\xff.\r\n.\r\n",
        [
            MessageStart(7),
            MessageData(7, b"Subject: x\r\n\r\n.\r\n..two\r\n \r\nfin\0\xff.\r\n"),
            MessageEnd(7, 35),
        ],
        MAIL,
    ),
    Vector(
        "only CRLF dot CRLF ends a message",
        MAIL,
        lambda client: client.retr(1),
        b"RETR 1\r\n",
        b"+OK\r\na\n.\nb\r\n.\nc\r.\r\nd\r\n.\r\n",
        [MessageStart(1), MessageData(1, b"a\n.\nb\r\n\nc\r.\r\nd\r\n"), MessageEnd(1, 16)],
        MAIL,
    ),
    Vector(
        "empty message",
        MAIL,
        lambda client: client.retr(1),
        b"RETR 1\r\n",
        b"+OK\r\n.\r\n",
        [MessageStart(1), MessageEnd(1, 0)],
        MAIL,
    ),
    Vector(
        "TOP",
        MAIL,
        lambda client: client.top(2, 10),
        b"TOP 2 10\r\n",
        b"+OK\r\nA: b\r\n\r\n.\r\n",
        [MessageStart(2), MessageData(2, b"A: b\r\n\r\n"), MessageEnd(2, 8)],
        MAIL,
    ),
    Vector(
        "refused RETR",
        MAIL,
        lambda client: client.retr(2),
        b"RETR 2\r\n",
        b"-ERR no\r\n",
        [Refused(Command.RETR, 2, NOT_NOW)],
        MAIL,
    ),
    Vector(
        "DELE",
        MAIL,
        lambda client: client.dele(4),
        b"DELE 4\r\n",
        b"+OK\r\n",
        [Deleted(4)],
        MAIL,
    ),
    Vector(
        "refused DELE",
        MAIL,
        lambda client: client.dele(4),
        b"DELE 4\r\n",
        b"-ERR no\r\n",
        [Refused(Command.DELE, 4, NOT_NOW)],
        MAIL,
    ),
    Vector(
        "refused UIDL",
        MAIL,
        Client.uidl,
        b"UIDL\r\n",
        b"-ERR no\r\n",
        [Refused(Command.UIDL, None, NOT_NOW)],
        MAIL,
    ),
    Vector("NOOP", MAIL, Client.noop, b"NOOP\r\n", b"+OK\r\n", [Done(Command.NOOP)], MAIL),
    Vector("RSET", MAIL, Client.rset, b"RSET\r\n", b"+OK\r\n", [Done(Command.RSET)], MAIL),
    Vector("QUIT", MAIL, Client.quit, b"QUIT\r\n", b"+OK bye\r\n", [Bye()], State.CLOSED),
    Vector(
        "refused QUIT is no Bye",
        MAIL,
        Client.quit,
        b"QUIT\r\n",
        b"-ERR no\r\n",
        [Refused(Command.QUIT, None, NOT_NOW)],
        State.CLOSED,
    ),
    Vector(
        "a window of commands",
        MAIL,
        window,
        b"RETR 1\r\nDELE 1\r\nTOP 2 0\r\nQUIT\r\n",
        b"+OK\r\nA: b\r\n\r\n..\r\n.\r\n+OK gone\r\n-ERR no\r\n+OK bye\r\n",
        [
            MessageStart(1),
            MessageData(1, b"A: b\r\n\r\n.\r\n"),
            MessageEnd(1, 11),
            Deleted(1),
            Refused(Command.TOP, 2, NOT_NOW),
            Bye(),
        ],
        State.CLOSED,
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_dialogue_is_understood_wherever_it_is_cut(vector: Vector) -> None:
    for cut in range(len(vector.reply)):
        client = client_in(vector.state)
        vector.call(client)
        assert client.data_to_send() == vector.sent
        assert heard(client, vector.reply, [cut]) == vector.events
        assert client.state is vector.after
        assert client.outstanding == 0


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_dialogue_is_understood_byte_by_byte(vector: Vector) -> None:
    client = client_in(vector.state)
    vector.call(client)
    assert heard(client, vector.reply, range(len(vector.reply))) == vector.events
    assert client.state is vector.after
    assert client.outstanding == 0


# --- what a refusal means -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        (b"[SYS/TEMP] x", 451, "4.3.0"),
        (b"[sys/temp] x", 451, "4.3.0"),
        (b"[SYS/TEMP/DISK] x", 451, "4.3.0"),
        (b"[IN-USE] x", 450, "4.2.0"),
        (b"[LOGIN-DELAY] x", 450, "4.7.0"),
        (b"[SYS/PERM] x", 554, "5.3.0"),
        (b"[AUTH] x", 535, "5.7.8"),
        (b"[AUTH]", 535, "5.7.8"),
    ],
)
@pytest.mark.parametrize("command", ["greeting", "PASS", "RETR"])
def test_a_response_code_decides_what_a_refusal_means(
    command: str, text: bytes, code: int, enhanced: str
) -> None:
    status = refusal_of(command, text)
    assert (status.code, status.enhanced) == (code, enhanced)


@pytest.mark.parametrize("text", [b"x", b"", b"[SYS] x", b"[NEW] x", b"[ AUTH] x", b"x [AUTH]"])
@pytest.mark.parametrize(
    ("command", "code", "enhanced"),
    [
        ("greeting", 421, "4.3.2"),
        ("USER", 535, "5.7.8"),
        ("PASS", 535, "5.7.8"),
        ("AUTH", 535, "5.7.8"),
        ("RETR", 450, "4.2.0"),
        ("UIDL", 450, "4.2.0"),
        ("STAT", 450, "4.2.0"),
    ],
)
def test_without_a_known_response_code_the_refused_command_decides(
    command: str, code: int, enhanced: str, text: bytes
) -> None:
    status = refusal_of(command, text)
    assert (status.code, status.enhanced) == (code, enhanced)


def refusal_of(command: str, text: bytes) -> Status:
    refusal = b"-ERR " + text + b"\r\n"
    if command == "greeting":
        client = client_in(State.GREETING)
    elif command in ("USER", "PASS", "AUTH"):
        client = client_in(State.AUTHORIZATION)
        (plain if command == "AUTH" else user_and_pass)(client)
        if command == "PASS":
            client.receive(b"+OK\r\n")
    else:
        client = client_in(State.TRANSACTION)
        {"RETR": lambda: client.retr(1), "UIDL": client.uidl, "STAT": client.stat}[command]()
    (event,) = client.receive(refusal)
    assert isinstance(event, Refused)
    assert event.command == command
    return event.status


def test_the_text_of_a_refusal_is_one_printable_line() -> None:
    status = refusal_of("RETR", b"no\x1b[31m \xc3\xa9\rx\xff")
    assert status.text == "no?[31m é?x\ufffd"


def test_a_refusal_without_text_says_so() -> None:
    assert refusal_of("RETR", b"").text == "RETR was refused without a reason"


# --- logging in -----------------------------------------------------------------------------


def test_without_pipelining_pass_waits_for_the_answer_to_user() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", PASSWORD, pipelined=False)
    assert client.data_to_send() == b"USER fred\r\n"
    assert client.outstanding == 1
    assert client.receive(b"+OK\r\n") == []
    assert client.data_to_send() == b"PASS hunter2\r\n"
    assert client.outstanding == 1
    assert client.receive(b"+OK\r\n") == [LoggedIn()]


def test_without_pipelining_a_refused_user_keeps_the_password_here() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", PASSWORD, pipelined=False)
    client.data_to_send()
    (event,) = client.receive(b"-ERR who?\r\n")
    assert isinstance(event, Refused)
    assert event.command is Command.USER
    assert client.data_to_send() == b""
    assert client.outstanding == 0


def test_a_refused_login_can_be_tried_again() -> None:
    client = client_in(State.AUTHORIZATION)
    user_and_pass(client)
    client.receive(b"+OK\r\n-ERR no\r\n")
    plain(client)
    client.receive(b"-ERR no\r\n")
    client.login_user("fred", PASSWORD, pipelined=False)
    assert client.receive(b"+OK\r\n+OK\r\n"[:5]) == []
    assert client.receive(b"+OK\r\n") == [LoggedIn()]


def test_a_login_behind_a_refused_user_is_not_confused_by_the_swallowed_reply() -> None:
    client = client_in(State.AUTHORIZATION)
    user_and_pass(client)
    client.receive(b"-ERR no\r\n")
    plain(client)
    assert client.receive(b"-ERR no USER before\r\n+OK\r\n") == [LoggedIn()]


def test_a_password_kept_here_is_not_sent_by_a_later_login() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", "other", pipelined=False)
    client.receive(b"-ERR who?\r\n")
    client.data_to_send()
    user_and_pass(client)
    client.receive(b"+OK\r\n")
    assert client.data_to_send() == b"USER fred\r\nPASS hunter2\r\n"
    assert client.outstanding == 1


def test_quit_before_pass_keeps_the_password_here() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("fred", PASSWORD, pipelined=False)
    client.quit()
    assert client.data_to_send() == b"USER fred\r\nQUIT\r\n"
    assert client.receive(b"+OK\r\n+OK\r\n") == [Bye()]
    assert client.data_to_send() == b""


def test_commands_may_follow_a_pipelined_login_at_once() -> None:
    client = client_in(State.AUTHORIZATION)
    user_and_pass(client)
    client.uidl()
    client.quit()
    assert client.outstanding == 4
    assert client.receive(b"+OK\r\n+OK\r\n+OK\r\n1 a\r\n.\r\n+OK\r\n") == [
        LoggedIn(),
        UidlItem(1, "a"),
        UidlEnd(),
        Bye(),
    ]


def test_commands_behind_a_refused_pipelined_login_have_their_own_refusals() -> None:
    client = client_in(State.AUTHORIZATION)
    user_and_pass(client)
    client.uidl()
    client.retr(1)
    events = client.receive(b"-ERR a\r\n-ERR b\r\n-ERR c\r\n-ERR d\r\n")
    assert [event.command for event in events if isinstance(event, Refused)] == [
        "USER",
        "UIDL",
        "RETR",
    ]
    assert client.state is State.AUTHORIZATION
    with pytest.raises(LocalProtocolError):
        client.stat()


def test_granting_pass_after_refusing_user_is_a_fault() -> None:
    client = client_in(State.AUTHORIZATION)
    user_and_pass(client)
    client.receive(b"-ERR no\r\n")
    with pytest.raises(RemoteProtocolError, match="refused USER"):
        client.receive(b"+OK\r\n")


def test_the_response_of_plain_is_sent_again_when_the_server_asks_for_it() -> None:
    client = client_in(State.AUTHORIZATION)
    plain(client)
    assert client.data_to_send() == b"AUTH PLAIN " + PLAIN + b"\r\n"
    assert client.receive(b"+ \r\n") == []
    assert client.state is State.SASL
    assert client.data_to_send() == PLAIN + b"\r\n"
    assert client.outstanding == 1
    assert client.receive(b"+OK\r\n") == [LoggedIn()]


def test_a_long_response_of_plain_waits_for_the_server() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_plain("fred", "p" * 200)
    assert client.data_to_send() == b"AUTH PLAIN\r\n"
    assert client.receive(b"+\r\n") == []
    assert base64.b64decode(client.data_to_send()) == b"\0fred\0" + b"p" * 200


def test_an_auth_command_never_exceeds_what_a_server_must_take() -> None:
    for length in range(150, 200):
        client = client_in(State.AUTHORIZATION)
        client.login_plain("fred", "p" * length)
        assert len(client.data_to_send()) <= MAX_AUTH_COMMAND_BYTES


def test_a_challenge_and_the_reply_behind_it_may_come_in_one_read() -> None:
    client = client_in(State.AUTHORIZATION)
    plain(client)
    assert client.receive(b"+ \r\n+OK\r\n") == [LoggedIn()]


def test_a_refused_response_of_plain_leads_back_to_authorization() -> None:
    client = client_in(State.SASL)
    client.receive(b"-ERR no\r\n")
    assert client.state is State.AUTHORIZATION
    plain(client)
    assert client.receive(b"+OK\r\n") == [LoggedIn()]


def test_a_second_challenge_is_a_fault() -> None:
    client = client_in(State.AUTHORIZATION)
    plain(client)
    client.receive(b"+ \r\n")
    client.data_to_send()
    assert client.receive(b"+ \r\n") == []
    assert client.data_to_send() == b"*\r\n"  # RFC 5034 section 4: the login is called off
    with pytest.raises(RemoteProtocolError, match="twice"):
        client.receive(b"-ERR cancelled\r\n")


def test_a_login_of_several_steps_ends_in_the_mailbox() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_sasl(CramMd5("tim", "tanstaaftanstaaf"))
    assert client.data_to_send() == b"AUTH CRAM-MD5\r\n"
    challenge = base64.b64encode(b"<1896.697170952@postoffice.reston.mci.net>")
    assert client.receive(b"+ " + challenge + b"\r\n") == []
    # RFC 2195 section 2
    answer = base64.b64encode(b"tim b913a602c7eda7a495b4e6e7334d3890")
    assert client.data_to_send() == answer + b"\r\n"
    assert client.receive(b"+OK in\r\n") == [LoggedIn()]
    assert client.state is State.TRANSACTION


def test_a_server_that_has_not_proven_itself_is_not_believed() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_sasl(Scram("SHA-1", "tim", "secret"))
    with pytest.raises(ServerNotProven):
        client.receive(b"+OK in\r\n")


def test_an_empty_initial_response_is_written_as_a_sign() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_sasl(External())
    assert client.data_to_send() == b"AUTH EXTERNAL =\r\n"


def test_names_and_passwords_beyond_ascii_are_sent_as_utf8() -> None:
    client = client_in(State.AUTHORIZATION)
    client.login_user("frédéric", "pass wörd", pipelined=True)
    assert client.data_to_send() == "USER frédéric\r\nPASS pass wörd\r\n".encode()


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\ud800"])
@pytest.mark.parametrize("pipelined", [True, False])
def test_an_argument_that_would_break_the_line_queues_nothing(bad: str, pipelined: bool) -> None:
    client = client_in(State.AUTHORIZATION)
    for user, password in ((f"fr{bad}ed", PASSWORD), ("fred", f"hunter2{bad}DELE 1")):
        with pytest.raises(LocalProtocolError) as caught:
            client.login_user(user, password, pipelined=pipelined)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(LocalProtocolError) as caught:
            client.login_plain(user, password)
        assert "hunter2" not in str(caught.value)
    assert client.data_to_send() == b""
    assert client.outstanding == 0
    user_and_pass(client)  # and the session is as good as before


@pytest.mark.parametrize("number", [0, -1])
def test_a_message_number_below_one_queues_nothing(number: int) -> None:
    client = client_in(State.TRANSACTION)
    for call in (client.retr, client.dele, lambda number: client.top(number, 1)):
        with pytest.raises(LocalProtocolError):
            call(number)
    with pytest.raises(LocalProtocolError):
        client.top(1, -1)
    assert client.data_to_send() == b""
    assert client.outstanding == 0


def test_a_runaway_caller_is_stopped() -> None:
    client = client_in(State.TRANSACTION)
    for number in range(1, MAX_OUTSTANDING + 1):
        client.dele(number)
    with pytest.raises(LocalProtocolError, match="too many"):
        client.noop()
    assert client.outstanding == MAX_OUTSTANDING


def test_a_login_that_has_no_room_for_both_commands_queues_neither() -> None:
    client = client_in(State.AUTHORIZATION)
    for _ in range(MAX_OUTSTANDING - 1):
        client.capa()
    client.data_to_send()
    with pytest.raises(LocalProtocolError, match="too many"):
        user_and_pass(client)
    assert client.data_to_send() == b""


# --- capabilities and TLS -------------------------------------------------------------------


def test_capabilities_are_remembered_until_asked_again() -> None:
    client = client_in(State.AUTHORIZATION)
    assert not client.can_pipeline
    client.capa()
    client.receive(b"+OK\r\npipelining\r\nSASL plain LOGIN\r\n.\r\n")
    assert client.can_pipeline
    assert client.capabilities == {"PIPELINING", "SASL"}
    assert client.sasl_mechanisms == {"PLAIN", "LOGIN"}
    client.capa()
    client.receive(b"-ERR not now\r\n")
    assert client.capabilities == client.sasl_mechanisms == frozenset()
    client.capa()
    client.receive(b"+OK\r\nTOP\r\n.\r\n")
    assert client.capabilities == {"TOP"}
    assert client.sasl_mechanisms == frozenset()
    assert not client.can_pipeline


def test_capabilities_said_in_the_clear_are_forgotten_under_tls() -> None:
    client = client_in(State.AUTHORIZATION)
    client.capa()
    client.receive(b"+OK\r\nPIPELINING\r\nSASL PLAIN\r\nSTLS\r\n.\r\n")
    client.stls()
    client.receive(b"+OK\r\n")
    client.after_tls()
    assert client.capabilities == frozenset()
    assert client.sasl_mechanisms == frozenset()
    assert not client.can_pipeline
    assert client.state is State.AUTHORIZATION
    user_and_pass(client)
    assert client.receive(b"+OK\r\n+OK\r\n") == [LoggedIn()]


def test_tls_is_asked_for_once() -> None:
    client = client_in(State.TLS)
    client.after_tls()
    with pytest.raises(LocalProtocolError):
        client.stls()
    with pytest.raises(LocalProtocolError):
        client.after_tls()


def test_tls_does_not_begin_before_the_server_agreed() -> None:
    client = client_in(State.AUTHORIZATION)
    client.stls()
    with pytest.raises(LocalProtocolError):
        client.after_tls()


# --- content --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [998, 10_000, 200_000])
def test_a_line_of_a_message_may_have_any_length(length: int) -> None:
    client = client_in(State.TRANSACTION)
    client.retr(1)
    line = b"x" * length + b"\r\n"
    events = joined(client.receive(b"+OK\r\n" + line + b".\r\n"))
    assert events == [MessageStart(1), MessageData(1, line), MessageEnd(1, length + 2)]


def test_a_message_is_handed_on_in_pieces_and_never_collected() -> None:
    client = client_in(State.TRANSACTION)
    client.retr(1)
    total, text = 0, b"0123456789abcd\r\n" * 64
    client.receive(b"+OK\r\n")
    for _ in range(1000):
        events = client.receive(text)
        got = sum(len(event.data) for event in events if isinstance(event, MessageData))
        total += got
        assert abs(got - len(text)) < 8
    assert client.receive(b".\r\n")[-1] == MessageEnd(1, len(text) * 1000)


def test_one_large_read_gives_bounded_pieces() -> None:
    client = client_in(State.TRANSACTION)
    client.retr(1)
    events = client.receive(b"+OK\r\n" + b"line of text\r\n" * 50_000 + b".\r\n")
    sizes = [len(event.data) for event in events if isinstance(event, MessageData)]
    assert sum(sizes) == 14 * 50_000
    assert max(sizes) <= MAX_PIECE_BYTES + 8


def test_many_messages_in_one_read_are_told_apart() -> None:
    client = client_in(State.TRANSACTION)
    for number in range(1, 501):
        client.retr(number)
    reply = b"".join(b"+OK\r\n%d\r\n.\r\n" % number for number in range(1, 501))
    events = client.receive(reply)
    assert [event.data for event in events if isinstance(event, MessageData)] == [
        b"%d\r\n" % number for number in range(1, 501)
    ]


# --- the end --------------------------------------------------------------------------------


def test_a_line_closed_after_bye_is_no_loss() -> None:
    client_in(State.CLOSED).peer_closed()


def test_a_line_closed_after_a_refused_greeting_is_no_loss() -> None:
    client = Client()
    client.receive(b"-ERR full\r\n")
    client.peer_closed()


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_a_line_closed_before_quit_was_answered_is_lost(state: State) -> None:
    with pytest.raises(LineLost):
        client_in(state).peer_closed()


def test_a_line_closed_inside_a_message_is_lost() -> None:
    client = client_in(State.TRANSACTION)
    client.retr(1)
    client.receive(b"+OK\r\ntext\r\n")
    with pytest.raises(LineLost, match="RETR"):
        client.peer_closed()


def test_a_lost_quit_is_a_lost_line_and_no_bye() -> None:
    client = client_in(State.TRANSACTION)
    client.dele(1)
    client.quit()
    assert client.receive(b"+OK\r\n+OK by") == [Deleted(1)]
    with pytest.raises(LineLost, match="QUIT"):
        client.peer_closed()


def test_what_comes_behind_bye_is_ignored() -> None:
    client = client_in(State.TRANSACTION)
    client.quit()
    assert client.receive(b"+OK\r\nand \0more\r\n") == [Bye()]
    assert client.receive(b"even more") == []


def test_bytes_to_send_are_given_once() -> None:
    client = client_in(State.AUTHORIZATION)
    client.capa()
    assert client.data_to_send() == b"CAPA\r\n"
    assert client.data_to_send() == b""


def test_the_greeting_is_the_first_reply_owed() -> None:
    client = Client()
    assert client.outstanding == 1
    client.receive(b"+OK\r\n")
    assert client.outstanding == 0
