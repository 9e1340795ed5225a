from __future__ import annotations

import base64

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.pop3.events import Closed, Commit, LoginAttempt, NeedData, Retrieve
from relaynode.pop3.maildrop import Entry
from relaynode.pop3.server import Server
from relaynode.pop3.states import State
from unit.pop3.dialogue import LOG_IN, Mailbox, logged_in

ONE = b"Subject: one\r\n\r\nbody\r\n"
TWO = b"Subject: two\r\n\r\n.\r\n..dots\r\nlast line without end"
PLAIN = base64.b64encode(b"\0fred\0hunter2")

# Each dialogue in the order of the lines; "<" is what we say, ">" what the client says.
DIALOGUES = {
    "a whole session": b"""
        < +OK pop.example.net POP3 server ready
        > USER fred
        < +OK send the password
        > PASS hunter2
        < +OK maildrop has 2 messages
        > STAT
        < +OK 2 70
        > LIST
        < +OK 2 messages
        < 1 22
        < 2 48
        < .
        > LIST 2
        < +OK 2 48
        > UIDL
        < +OK 2 messages
        < 1 uid1
        < 2 uid2
        < .
        > UIDL 1
        < +OK 1 uid1
        > RETR 1
        < +OK 22 octets
        < Subject: one
        <
        < body
        < .
        > DELE 1
        < +OK message 1 is marked
        > NOOP
        < +OK nothing done
        > QUIT
        < +OK bye
        """,
    "dots are doubled and the last line is ended": b"""
        < +OK pop.example.net POP3 server ready
        > USER fred
        < +OK send the password
        > PASS hunter2
        < +OK maildrop has 2 messages
        > RETR 2
        < +OK 48 octets
        < Subject: two
        <
        < ..
        < ...dots
        < last line without end
        < .
        > TOP 2 1
        < +OK top follows
        < Subject: two
        <
        < ..
        < .
        > TOP 2 0
        < +OK top follows
        < Subject: two
        <
        < .
        """,
    "marked messages are gone until RSET": b"""
        < +OK pop.example.net POP3 server ready
        > USER fred
        < +OK send the password
        > PASS hunter2
        < +OK maildrop has 2 messages
        > DELE 1
        < +OK message 1 is marked
        > DELE 1
        < -ERR there is no message 1
        > RETR 1
        < -ERR there is no message 1
        > TOP 1 1
        < -ERR there is no message 1
        > LIST 1
        < -ERR there is no message 1
        > UIDL 1
        < -ERR there is no message 1
        > STAT
        < +OK 1 48
        > LIST
        < +OK 1 messages
        < 2 48
        < .
        > RSET
        < +OK all marks are taken back
        > STAT
        < +OK 2 70
        > QUIT
        < +OK bye
        """,
    "AUTH PLAIN in one line and in two": b"""
        < +OK pop.example.net POP3 server ready
        > AUTH PLAIN AGZyZWQAd3Jvbmc=
        < -ERR [AUTH] no
        > auth plain
        <+
        > *
        < -ERR AUTH was cancelled
        > AUTH PLAIN
        <+
        > AGZyZWQAaHVudGVyMg==
        < +OK maildrop has 2 messages
        """,
    "verbs in any case, numbers with blanks": b"""
        < +OK pop.example.net POP3 server ready
        > user fred
        < +OK send the password
        > Pass hunter2
        < +OK maildrop has 2 messages
        > list  2
        < +OK 2 48
        > noop
        < +OK nothing done
        > quit
        < +OK bye
        """,
    "what makes no sense before login": b"""
        < +OK pop.example.net POP3 server ready
        > HELO me
        < -ERR unknown command
        >
        < -ERR unknown command
        > PASS hunter2
        < -ERR PASS is not possible now
        > USER
        < -ERR USER needs a name
        > QUIT now
        < -ERR there is an argument too many
        > CAPA all
        < -ERR there is an argument too many
        > AUTH
        < -ERR AUTH is possible with PLAIN
        > AUTH CRAM-MD5
        < -ERR AUTH is possible with PLAIN
        > AUTH PLAIN !!!!
        < -ERR the response is not base64 of UTF-8
        > AUTH PLAIN AGZyZWQ=
        < -ERR the response is not one of PLAIN
        > AUTH PLAIN am9lAGZyZWQAaHVudGVyMg==
        < -ERR logging in for somebody else is not possible
        > USER fred
        < +OK send the password
        > STAT
        < -ERR STAT is not possible now
        > PASS hunter2
        < -ERR PASS is not possible now
        > USER fred
        < +OK send the password
        > PASS hunter2
        < +OK maildrop has 2 messages
        """,
    "what makes no sense after login": b"""
        < +OK pop.example.net POP3 server ready
        > USER fred
        < +OK send the password
        > PASS hunter2
        < +OK maildrop has 2 messages
        > STAT now
        < -ERR there is an argument too many
        > NOOP now
        < -ERR there is an argument too many
        > RSET now
        < -ERR there is an argument too many
        > RETR
        < -ERR 1 number expected
        > RETR one
        < -ERR 1 number expected
        > RETR 1 2
        < -ERR 1 number expected
        > TOP 1
        < -ERR 2 numbers expected
        > TOP 1 -1
        < -ERR 2 numbers expected
        > RETR 3
        < -ERR there is no message 3
        > RETR 0
        < -ERR there is no message 0
        > USER fred
        < -ERR USER is not possible now
        """,
}


def parsed(dialogue: bytes) -> list[tuple[bytes, bytes]]:
    """The dialogue as pairs: what the client says, and all that we answer to it."""
    pairs = [(b"", b"")]
    for line in dialogue.strip().splitlines():
        mark, text = line.strip()[:1], line.strip()[1:]
        text = b"+ " if text == b"+" else text.removeprefix(b" ")
        if mark == b">":
            pairs.append((text + b"\r\n", b""))
        else:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + text + b"\r\n")
    return pairs


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_goes_as_written_line_by_line(name: str) -> None:
    mailbox = Mailbox([ONE, TWO])
    for said, answer in parsed(DIALOGUES[name]):
        assert mailbox.says(said) == answer


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_goes_the_same_when_all_commands_are_pipelined_and_cut_anywhere(
    name: str,
) -> None:
    pairs = parsed(DIALOGUES[name])
    commands = b"".join(said for said, _ in pairs)
    answers = b"".join(answer for _, answer in pairs)
    for cut in range(len(commands)):
        mailbox = Mailbox([ONE, TWO], piece_bytes=1 + cut % 7)
        said = mailbox.says()
        said += mailbox.says(commands[:cut])
        said += mailbox.says(commands[cut:])
        assert said == answers


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_goes_the_same_byte_by_byte_and_with_bare_lf(name: str) -> None:
    pairs = parsed(DIALOGUES[name])
    answers = b"".join(answer for _, answer in pairs)
    for line_end in (b"\r\n", b"\n"):
        commands = b"".join(said for said, _ in pairs).replace(b"\r\n", line_end)
        mailbox = Mailbox([ONE, TWO])
        said = mailbox.says()
        for index in range(len(commands)):
            said += mailbox.says(commands[index : index + 1])
        assert said == answers


# --- capabilities ---------------------------------------------------------------------------

CAPABILITIES = b"UIDL\r\nTOP\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
CAPABILITIES += b"EXPIRE NEVER\r\nLOGIN-DELAY 0\r\n"


def test_capabilities_are_told_in_both_states() -> None:
    mailbox = Mailbox()
    mailbox.says()
    expected = (
        b"+OK capabilities follow\r\nUSER\r\nSASL PLAIN\r\n"
        + CAPABILITIES
        + b"IMPLEMENTATION relaynode\r\n.\r\n"
    )
    assert mailbox.says(b"CAPA\r\n") == expected
    mailbox.says(LOG_IN)
    assert mailbox.says(b"CAPA\r\n") == expected


def test_where_login_is_not_allowed_none_is_offered_and_none_is_granted() -> None:
    mailbox = Mailbox(allow_login=False)
    mailbox.says()
    capabilities = mailbox.says(b"CAPA\r\n")
    assert b"USER" not in capabilities
    assert b"SASL" not in capabilities
    for line in (b"USER fred", b"PASS hunter2", b"AUTH PLAIN", b"AUTH PLAIN " + PLAIN):
        assert (
            mailbox.says(line + b"\r\n") == b"-ERR [SYS/PERM] login is not allowed on this line\r\n"
        )
    assert mailbox.events == []
    assert mailbox.says(b"QUIT\r\n") == b"+OK bye\r\n"


# --- login ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commands",
    [LOG_IN, b"AUTH PLAIN " + PLAIN + b"\r\n", b"AUTH PLAIN\r\n" + PLAIN + b"\r\n"],
    ids=["USER PASS", "AUTH PLAIN with response", "AUTH PLAIN and response"],
)
def test_a_login_is_put_to_the_driver(commands: bytes) -> None:
    server = Server("pop.example.net")
    server.receive(commands)
    event = server.next_event()
    assert event == LoginAttempt("fred", "hunter2")
    assert "hunter2" not in repr(event)
    server.accept_login([])
    assert server.state is State.TRANSACTION
    assert server.next_event() == NeedData()


def test_plain_may_name_the_same_user_twice() -> None:
    server = Server("pop.example.net")
    server.receive(b"AUTH PLAIN " + base64.b64encode(b"fred\0fred\0hunter2") + b"\r\n")
    assert server.next_event() == LoginAttempt("fred", "hunter2")


def test_a_name_in_plain_holds_no_control_characters() -> None:
    server = Server("pop.example.net")
    server.receive(b"AUTH PLAIN " + base64.b64encode(b"\0fr\r\ned\0hunter2") + b"\r\n")
    assert server.next_event() == NeedData()
    assert server.data_to_send().splitlines()[1].startswith(b"-ERR ")


def test_blanks_belong_to_the_password() -> None:
    server = Server("pop.example.net")
    server.receive(b"USER fred\r\nPASS  two words \r\n")
    assert server.next_event() == LoginAttempt("fred", " two words ")


def test_a_long_response_of_plain_is_taken() -> None:
    server = Server("pop.example.net")
    password = "p" * 255
    server.receive(b"AUTH PLAIN\r\n")
    server.next_event()
    response = base64.b64encode(b"u" * 255 + b"\0" + b"u" * 255 + b"\0" + password.encode())
    server.receive(response + b"\r\n")
    assert server.next_event() == LoginAttempt("u" * 255, password)


@pytest.mark.parametrize("line", [b"PASS", b"PASS "])
def test_an_empty_password_is_no_login(line: bytes) -> None:
    mailbox = Mailbox()
    mailbox.says(b"USER fred\r\n")
    assert mailbox.says(line + b"\r\n") == b"-ERR PASS needs a password\r\n"
    assert mailbox.events == []
    assert mailbox.server.state is State.AUTHORIZATION


def test_repr_shows_the_state_and_nothing_else() -> None:
    mailbox = Mailbox()
    mailbox.says(b"USER fred\r\nPASS hunt")
    assert repr(mailbox.server) == "<pop3.Server password>"


def test_a_refused_login_names_its_response_code() -> None:
    mailbox = Mailbox()
    mailbox.says()
    mailbox.is_in_use = True
    assert mailbox.says(LOG_IN).endswith(b"-ERR [IN-USE] somebody else reads it\r\n")
    mailbox.is_in_use = False
    assert mailbox.says(LOG_IN).endswith(b"+OK maildrop has 0 messages\r\n")


def test_a_refusal_without_code_has_none() -> None:
    server = Server("pop.example.net")
    server.receive(LOG_IN)
    server.next_event()
    server.refuse_login("", "no")
    assert server.data_to_send().endswith(b"\r\n-ERR no\r\n")


def test_three_refused_logins_close_the_line() -> None:
    mailbox = Mailbox()
    wrong = b"USER fred\r\nPASS wrong\r\n"
    said = mailbox.says(wrong + wrong + wrong + LOG_IN)
    assert said.count(b"-ERR [AUTH] no\r\n") == 3
    assert said.endswith(b"-ERR [AUTH] no\r\n")
    assert mailbox.is_closed
    assert mailbox.events[-1] == Closed()


# --- content --------------------------------------------------------------------------------


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 100_000])
@pytest.mark.parametrize("length", [998, 10_000])
def test_long_lines_and_bytes_above_ascii_pass_unchanged(length: int, piece_bytes: int) -> None:
    text = b"A: b\r\n\r\n" + b"\xff" * length + b"\r\n"
    mailbox = logged_in([text], piece_bytes=piece_bytes)
    said = mailbox.says(b"RETR 1\r\n")
    assert said == b"+OK %d octets\r\n" % len(text) + text + b".\r\n"


def test_an_empty_message_is_a_lone_dot() -> None:
    assert logged_in([b""]).says(b"RETR 1\r\n") == b"+OK 0 octets\r\n.\r\n"


def test_top_asks_the_driver_for_no_more_than_it_needs() -> None:
    server = logged_in([ONE]).server
    server.receive(b"TOP 1 1\r\n")
    assert server.next_event() == Retrieve(1, 1)
    assert server.wants_content
    server.send_content(b"A: b\r\n\r\none\r\ntwo\r\n")
    assert not server.wants_content
    server.send_content(b"three\r\n")
    server.end_content()
    assert not server.wants_content
    assert server.data_to_send() == b"+OK top follows\r\nA: b\r\n\r\none\r\n.\r\n"


def test_retr_wants_content_to_its_end() -> None:
    server = logged_in([ONE]).server
    server.receive(b"RETR 1\r\n")
    assert server.next_event() == Retrieve(1, None)
    server.send_content(ONE)
    assert server.wants_content


def test_a_message_that_cannot_be_read_is_refused_and_the_session_goes_on() -> None:
    mailbox = logged_in([ONE])
    mailbox.unreadable.add(1)
    assert mailbox.says(b"RETR 1\r\n") == b"-ERR [SYS/TEMP] disk is on fire\r\n"
    assert mailbox.says(b"NOOP\r\n") == b"+OK nothing done\r\n"


def test_an_empty_piece_does_not_begin_a_message() -> None:
    server = logged_in([ONE]).server
    server.receive(b"RETR 1\r\n")
    server.next_event()
    server.send_content(b"")
    server.fail_content("gone")
    assert server.data_to_send() == b"-ERR [SYS/TEMP] gone\r\n"


def test_a_message_that_has_begun_cannot_be_refused() -> None:
    server = logged_in([ONE]).server
    server.receive(b"RETR 1\r\n")
    server.next_event()
    server.send_content(b"A")
    with pytest.raises(LocalProtocolError):
        server.fail_content("gone")


def test_pipelined_commands_wait_for_the_answer_to_the_one_before() -> None:
    server = logged_in([ONE]).server
    server.receive(b"RETR 1\r\nNOOP\r\n")
    assert server.next_event() == Retrieve(1, None)
    with pytest.raises(LocalProtocolError, match="not been answered"):
        server.next_event()
    assert server.data_to_send() == b""
    server.send_content(ONE)
    server.end_content()
    assert server.next_event() == NeedData()
    assert server.data_to_send().endswith(b".\r\n+OK nothing done\r\n")


# --- the end --------------------------------------------------------------------------------


def test_quit_commits_what_was_marked() -> None:
    mailbox = logged_in([ONE, TWO, ONE])
    said = mailbox.says(b"DELE 3\r\nDELE 1\r\nQUIT\r\nNOOP\r\n")
    assert said.endswith(b"+OK bye\r\n")
    assert mailbox.events == [Commit((1, 3)), Closed()]
    assert list(mailbox.messages) == [2]


def test_quit_commits_even_nothing_so_that_locks_are_given_back() -> None:
    mailbox = logged_in([ONE])
    mailbox.says(b"DELE 1\r\nRSET\r\nQUIT\r\n")
    assert mailbox.events == [Commit(()), Closed()]


def test_a_commit_that_failed_is_told_and_ends_the_session() -> None:
    mailbox = logged_in([ONE])
    mailbox.commit_fails = True
    said = mailbox.says(b"DELE 1\r\nQUIT\r\nNOOP\r\n")
    assert said.endswith(b"\r\n-ERR [SYS/TEMP] disk is on fire\r\n")
    assert mailbox.events == [Commit((1,)), Closed()]
    assert mailbox.is_closed


def test_quit_before_login_commits_nothing() -> None:
    mailbox = Mailbox([ONE])
    assert mailbox.says(b"QUIT\r\n").endswith(b"+OK bye\r\n")
    assert mailbox.events == [Closed()]


def test_quit_behind_user_commits_nothing() -> None:
    mailbox = Mailbox([ONE])
    mailbox.says(b"USER fred\r\nQUIT\r\n")
    assert mailbox.events == [Closed()]


def test_a_line_closed_without_quit_removes_nothing() -> None:
    mailbox = logged_in([ONE])
    mailbox.says(b"DELE 1\r\nQUI")
    mailbox.server.peer_closed()
    mailbox.says()
    assert mailbox.events == [Closed()]
    assert list(mailbox.messages) == [1]
    assert mailbox.is_closed


def test_commands_that_came_before_the_line_was_closed_are_carried_out() -> None:
    mailbox = logged_in([ONE])
    mailbox.server.receive(b"DELE 1\r\nQUIT\r\n")
    mailbox.server.peer_closed()
    mailbox.says()
    assert mailbox.events == [Commit((1,)), Closed()]


def test_what_comes_behind_the_end_is_ignored() -> None:
    mailbox = logged_in()
    mailbox.says(b"QUIT\r\n")
    mailbox.server.receive(b"STAT\r\n")
    assert mailbox.server.next_event() == Closed()
    assert mailbox.server.next_event() == Closed()
    assert mailbox.server.data_to_send() == b""


# --- the driver's own mistakes --------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda server: server.accept_login([]),
        lambda server: server.refuse_login("AUTH", "no"),
        lambda server: server.send_content(b"x"),
        lambda server: server.end_content(),
        lambda server: server.fail_content("no"),
        lambda server: server.committed(),
        lambda server: server.commit_failed("no"),
    ],
)
def test_an_answer_to_nothing_is_the_drivers_mistake(answer: object) -> None:
    assert callable(answer)
    server = Server("pop.example.net")
    server.data_to_send()
    with pytest.raises(LocalProtocolError):
        answer(server)
    assert server.data_to_send() == b""


@pytest.mark.parametrize(
    "entries", [[Entry(1, "")], [Entry(1, "a b")], [Entry(-1, "a")], [Entry(1, "a"), Entry(1, "a")]]
)
def test_entries_that_cannot_be_listed_leave_the_login_pending(entries: list[Entry]) -> None:
    server = Server("pop.example.net")
    server.receive(LOG_IN)
    server.next_event()
    with pytest.raises(LocalProtocolError):
        server.accept_login(entries)
    server.refuse_login("SYS/TEMP", "try later")
    assert server.data_to_send().endswith(b"-ERR [SYS/TEMP] try later\r\n")


@pytest.mark.parametrize("code", ["a b", "x]", "auth", "\r\n"])
def test_a_response_code_that_is_none_is_the_drivers_mistake(code: str) -> None:
    server = Server("pop.example.net")
    server.receive(LOG_IN)
    server.next_event()
    with pytest.raises(LocalProtocolError):
        server.refuse_login(code, "no")


@pytest.mark.parametrize("hostname", ["", "a b", "a\r\n", "é", "x" * 256])
def test_a_hostname_must_fit_the_greeting(hostname: str) -> None:
    with pytest.raises(LocalProtocolError):
        Server(hostname)


@pytest.mark.parametrize("text", ["a\r\n+OK fooled", "é" * 1000, "x" * 10_000, "\x1b[0m"])
def test_a_text_of_the_driver_is_one_line_of_allowed_length(text: str) -> None:
    server = Server("pop.example.net")
    server.receive(LOG_IN)
    server.next_event()
    server.data_to_send()
    server.refuse_login("AUTH", text)
    said = server.data_to_send()
    assert said.startswith(b"-ERR [AUTH] ")
    assert said.count(b"\r\n") == said.count(b"\n") == 1
    assert len(said) == min(512, len(text) + len(b"-ERR [AUTH] \r\n"))
    assert said.isascii()
