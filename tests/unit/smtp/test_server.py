"""The server's side. Most of it is text: see dialogues/ and talk.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LocalProtocolError
from relaynode.mail.status import Status, ok
from relaynode.smtp import phases
from relaynode.smtp.events import (
    Closed,
    ContentEnd,
    ContentRefused,
    ContentStart,
    Hello,
    Mail,
    NeedData,
    Rcpt,
    TransactionReset,
)
from relaynode.smtp.security import MAX_AUTH_LINE_BYTES
from relaynode.smtp.server import (
    MAX_COMMAND_BYTES,
    Phase,
    Session,
)
from relaynode.smtp.terms import MAX_ERRORS, MAX_REFUSALS
from unit.smtp.talk import (
    HELLO,
    MAIL,
    MAX_RECIPIENTS,
    NO_ROOM,
    RCPT,
    Desk,
    Message,
    desk_in,
    footprint,
    pieces,
    read_dialogue,
)

DIALOGUES = sorted((Path(__file__).parent / "dialogues").glob("*.txt"))
BARE = b"554 5.6.0 Bare CR or LF in message: lines end with CRLF\r\n"
ACCEPTED = b"250 2.0.0 Accepted\r\n"


# --- dialogues


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_each_group_of_commands_is_answered_before_the_next(path: Path) -> None:
    dialogue = read_dialogue(path)
    desk = Desk()
    for turn in dialogue.turns:
        assert desk.says(turn.sent) == turn.said
    assert desk.messages == dialogue.messages


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_a_dialogue_cut_anywhere_gives_the_same_answers(path: Path) -> None:
    dialogue = read_dialogue(path)
    whole = dialogue.sent
    for cut in range(len(whole) + 1):
        desk = Desk()
        assert desk.says() + desk.says(whole[:cut]) + desk.says(whole[cut:]) == dialogue.said, cut
        assert desk.messages == dialogue.messages, cut


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_a_dialogue_byte_by_byte_gives_the_same_answers(path: Path) -> None:
    dialogue = read_dialogue(path)
    desk = Desk()
    said = desk.says() + b"".join(desk.says(byte) for byte in pieces(dialogue.sent, range(10_000)))
    assert said == dialogue.said
    assert desk.messages == dialogue.messages


# --- EHLO


def test_ehlo_announces_what_we_do_and_helo_nothing() -> None:
    desk = desk_in(Phase.START, max_size_bytes=123456)
    assert (desk.session.hello_name, desk.session.is_extended) == ("", False)
    lines = desk.says(HELLO).decode().splitlines()
    assert [line[4:] for line in lines[1:]] == [
        "ENHANCEDSTATUSCODES",
        "PIPELINING",
        "CHUNKING",
        "8BITMIME",
        "SMTPUTF8",
        "SIZE 123456",
        "DSN",
        "LIMITS RCPTMAX=3",
    ]
    assert desk.events == [Hello("pc.lan", True)]
    assert desk.session.is_extended
    assert desk.says(b"HELO [192.0.2.1]\r\n").count(b"\r\n") == 1
    assert desk.events[1:] == [Hello("[192.0.2.1]", False)]
    assert (desk.session.hello_name, desk.session.is_extended) == ("[192.0.2.1]", False)


@pytest.mark.parametrize("name", ["", "a b", "a\x01b", "\x7f", "x" * 256, "\u0085"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    desk = desk_in(Phase.START)
    assert desk.says(f"EHLO {name}\r\n".encode()).startswith(b"501 ")
    assert desk.session.phase is Phase.START
    assert desk.events == []


# --- every verb in every phase

VERBS = {
    "HELO": b"HELO pc.lan\r\n",
    "EHLO": HELLO,
    "MAIL": MAIL,
    "RCPT": RCPT,
    "DATA": b"DATA\r\n",
    "BDAT": b"BDAT 0 LAST\r\n",
    "NOOP": b"NOOP\r\n",
    "RSET": b"RSET\r\n",
    "QUIT": b"QUIT\r\n",
    "VRFY": b"VRFY bob\r\n",
    "HELP": b"HELP\r\n",
}
EVERYWHERE = {"NOOP", "RSET", "QUIT", "VRFY", "HELP"}
ALLOWED = {
    Phase.START: {"HELO", "EHLO"},
    Phase.READY: {"HELO", "EHLO", "MAIL"},
    Phase.MAIL: {"HELO", "EHLO", "RCPT"},
    Phase.RCPT: {"HELO", "EHLO", "RCPT", "DATA", "BDAT"},
    Phase.BDAT: {"HELO", "EHLO", "BDAT"},
}
# Where each verb leads from where it is allowed.
LEADS_TO = {
    "HELO": Phase.READY,
    "EHLO": Phase.READY,
    "MAIL": Phase.MAIL,
    "RCPT": Phase.RCPT,
    "DATA": Phase.DATA,
    "BDAT": Phase.READY,
    "RSET": Phase.READY,
    "QUIT": Phase.CLOSED,
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("phase", ALLOWED, ids=lambda phase: phase.name)
def test_a_verb_is_taken_where_the_table_says_so_and_refused_elsewhere(
    phase: Phase, verb: str
) -> None:
    desk = desk_in(phase)
    code = int(desk.says(VERBS[verb])[:3])
    if verb in ALLOWED[phase] | EVERYWHERE:
        assert code < 400
        leads_to = LEADS_TO.get(verb, phase)
        is_too_early = phase is Phase.START and verb == "RSET"
        assert desk.session.phase is (Phase.START if is_too_early else leads_to)
    else:
        assert code in (503, 554)
        # A BDAT with LAST ends a transaction, for it was to be its content.
        ends = verb == "BDAT" and phase is Phase.MAIL
        assert desk.session.phase is (Phase.READY if ends else phase)
        assert desk.events == []


def test_the_table_in_the_docstring_is_the_truth() -> None:
    assert phases.__doc__ is not None
    rows = dict(re.findall(r"^    ([A-Z]{4,6})  .* {2,}((?:[A-Z]{4} ?)+)$", phases.__doc__, re.M))
    assert {Phase[name]: set(verbs.split()) for name, verbs in rows.items()} == ALLOWED
    everywhere = re.search(r"any that takes commands +(.*)", phases.__doc__)
    assert everywhere is not None
    assert set(everywhere[1].split()) == EVERYWHERE


@pytest.mark.parametrize("verb", VERBS)
def test_in_data_and_in_a_chunk_a_verb_is_content(verb: str) -> None:
    for phase, end in ((Phase.DATA, b".\r\n"), (Phase.CHUNK, b"-" * (100 - len(VERBS[verb])))):
        desk = desk_in(phase)
        assert desk.says(VERBS[verb]) == b""
        assert desk.says(end + b"BDAT 0 LAST\r\n"[: 13 * (phase is Phase.CHUNK)])
        assert [message.content.startswith(VERBS[verb]) for message in desk.messages] == [True]


@pytest.mark.parametrize("verb", VERBS)
def test_after_the_end_nothing_is_answered(verb: str) -> None:
    desk = desk_in(Phase.CLOSED)
    assert desk.says(VERBS[verb]) == b""
    assert desk.events == [Closed()]


def test_helo_and_rset_end_a_transaction_and_the_driver_is_told() -> None:
    for phase in (Phase.MAIL, Phase.RCPT, Phase.BDAT):
        desk = desk_in(phase)
        desk.says(b"RSET\r\n")
        assert desk.events == [TransactionReset()]
        desk = desk_in(phase)
        desk.says(HELLO)
        assert desk.events == [Hello("pc.lan", True)]
    desk = desk_in(Phase.READY)
    desk.says(b"RSET\r\n")
    assert desk.events == []


# --- the arguments of MAIL and RCPT


@pytest.mark.parametrize(
    ("argument", "mail"),
    [
        ("FROM:<>", Mail("", None, "", False)),
        ("from:<a@b>", Mail("a@b", None, "", False)),
        ("FROM: <a@b>", Mail("a@b", None, "", False)),
        ("FROM:a@b", Mail("a@b", None, "", False)),
        ("FROM:<a@b.>", Mail("a@b", None, "", False)),
        ("FROM:<@x,@y:a@b>", Mail("a@b", None, "", False)),
        ("FROM:<a@b> SIZE=0", Mail("a@b", 0, "", False)),
        ("FROM:<a@b> size=1000 body=8bitmime", Mail("a@b", 1000, "8BITMIME", False)),
        ("FROM:<a@b> BODY=7BIT", Mail("a@b", None, "7BIT", False)),
        ("FROM:<a@b>  SMTPUTF8\t SIZE=1", Mail("a@b", 1, "", True)),
        ("FROM:<ä@ö> SMTPUTF8", Mail("ä@ö", None, "", True)),
        ('FROM:<"a>b c"@d>', Mail('"a>b c"@d', None, "", False)),
        (r'FROM:<"a\">\\"@d> SIZE=5', Mail(r'"a\">\\"@d', 5, "", False)),
    ],
)
def test_mail_is_understood(argument: str, mail: Mail) -> None:
    desk = desk_in(Phase.READY)
    assert desk.says(f"MAIL {argument}\r\n".encode()) == b"250 2.0.0 Sender ok\r\n"
    assert desk.events == [mail]


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ("", "501 5.5.2"),
        ("<a@b>", "501 5.5.2"),
        ("FROM:", "501 5.5.2"),
        ("TO:<a@b>", "501 5.5.2"),
        ("FROM <a@b>", "501 5.5.2"),
        ("FROM:<a@b", "553 5.1.7"),
        ("FROM:<a b@c>", "553 5.1.7"),
        ("FROM:<a\0b@c>", "553 5.1.7"),
        ('FROM:<"a>b@c>', "555 5.5.4"),
        ("FROM:<ä@b>", "553 5.1.7"),
        (f"FROM:<{'a' * 65}@b>", "553 5.1.7"),
        ("FROM:<a@b> SIZE", "501 5.5.4 SIZE requires a value"),
        ("FROM:<a@b> SIZE=", "501 5.5.4 SIZE requires a value"),
        ("FROM:<a@b> SIZE=-1", "501 5.5.4 Bad SIZE"),
        ("FROM:<a@b> SIZE=1e3", "501 5.5.4 Bad SIZE"),
        ("FROM:<a@b> SIZE=²", "501 5.5.4 Bad SIZE"),
        (f"FROM:<a@b> SIZE={'1' * 21}", "501 5.5.4 Bad SIZE"),
        (f"FROM:<a@b> SIZE={'9' * 20}", "552 5.3.4"),
        ("FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4 Syntax error"),
        ("FROM:<a@b> SIZE=1 size=2", "501 5.5.4 Syntax error"),
        ("FROM:<a@b> BODY", "501 5.5.4 BODY requires a value"),
        ("FROM:<a@b> BODY=", "501 5.5.4 BODY requires a value"),
        ("FROM:<a@b> BODY=BINARYMIME", "501 5.5.4 Unknown BODY"),
        ("FROM:<a@b> SMTPUTF8=yes", "501 5.5.4 SMTPUTF8 takes no value"),
        ("FROM:<a@b> =1", "501 5.5.4 Syntax error"),
        ("FROM:<a@b> AUTH=<>", "555 5.5.4 AUTH parameter unrecognized"),
        ("FROM:<a@b> RET=ALL", "501 5.5.4 RET must be FULL or HDRS"),
        ("FROM:<a@b> x\0y", "555 5.5.4 X?Y parameter unrecognized"),
    ],
)
def test_mail_that_is_wrong_is_refused_with_the_reason(argument: str, answer: str) -> None:
    desk = desk_in(Phase.READY)
    said = desk.says(f"MAIL {argument}\r\n".encode())
    assert said.decode().startswith(answer)
    assert (desk.events, desk.session.phase) == ([], Phase.READY)


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("TO:<postmaster>", "postmaster"),
        ("to: <b@c>", "b@c"),
        ('TO:<"b>"@c>', '"b>"@c'),
        ("TO:<@x:b@c>", "b@c"),
        ("TO:<b@[192.0.2.1]>", "b@[192.0.2.1]"),
        ("TO:<ü@c>", "ü@c"),
    ],
)
def test_rcpt_is_understood(argument: str, path: str) -> None:
    desk = desk_in(Phase.MAIL)
    assert desk.says(f"RCPT {argument}\r\n".encode()) == b"250 2.1.5 Recipient ok\r\n"
    assert desk.events == [Rcpt(path)]


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ("TO:<>", "553 5.1.3"),
        ("TO:", "501 5.5.2"),
        ("FROM:<b@c>", "501 5.5.2"),
        ("TO:<b@c", "553 5.1.3"),
        ("TO:<b@c\x7f>", "553 5.1.3"),
        ("TO:<b@>", "553 5.1.3"),
        ("TO:<b@c> SIZE=1", "555 5.5.4"),
    ],
)
def test_rcpt_that_is_wrong_is_refused_with_the_reason(argument: str, answer: str) -> None:
    desk = desk_in(Phase.MAIL)
    assert desk.says(f"RCPT {argument}\r\n".encode()).decode().startswith(answer)
    assert (desk.events, desk.session.phase) == ([], Phase.MAIL)


def test_a_mail_that_the_driver_refuses_begins_nothing() -> None:
    desk = desk_in(Phase.READY)
    group = b"MAIL FROM:<blocked@x>\r\n" + RCPT + b"DATA\r\n"
    assert [line[:3] for line in desk.says(group).split(b"\r\n")] == [b"550", b"503", b"503", b""]
    assert desk.session.phase is Phase.READY


def test_more_recipients_than_we_take_do_not_end_the_session() -> None:
    desk = desk_in(Phase.MAIL)
    said = desk.says(RCPT * (MAX_RECIPIENTS + 10 * MAX_ERRORS) + b"BDAT 2 LAST\r\nhi")
    assert said.count(b"250 2.1.5 ") == MAX_RECIPIENTS
    assert said.count(b"452 4.5.3 ") == 10 * MAX_ERRORS
    assert said.endswith(ACCEPTED)


def test_no_answer_carries_a_control_character_of_the_client() -> None:
    for line in (
        b"\x1b[2J",
        b"MAIL \x07",
        b"MAIL FROM:<a@b> \x08=1",
        b"VRFY \x01",
        b"\x00\x01\x02",
    ):
        said = desk_in(Phase.READY).says(line + b"\r\n")
        assert said.endswith(b"\r\n")
        assert all(byte >= 0x20 and byte != 0x7F for byte in said[:-2])


# --- lines that are too long


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_longest_line_is_taken_however_it_is_cut(end: bytes) -> None:
    line = b"NOOP " + b"x" * (MAX_COMMAND_BYTES - 5 - len(end)) + end
    for cut in (0, 1, len(line) - 2, len(line) - 1):
        desk = desk_in(Phase.START)
        assert desk.says(line[:cut]) + desk.says(line[cut:]) == b"250 2.0.0 OK\r\n"
        desk = desk_in(Phase.START)
        longer = b"NOOP x" + line[5:]
        said = desk.says(longer[:cut]) + desk.says(longer[cut:])
        assert said == b"500 5.5.2 Line too long\r\n"


@pytest.mark.parametrize("cut", range(MAX_COMMAND_BYTES - 3, MAX_COMMAND_BYTES + 15))
def test_the_rest_of_a_line_that_is_too_long_is_no_command(cut: int) -> None:
    desk = desk_in(Phase.READY)
    line = b"NOOP " + b"x" * (MAX_COMMAND_BYTES - 5) + b"QUIT\r\nNOOP\r\n"
    said = desk.says(line[:cut]) + desk.says(line[cut:])
    assert said == b"500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n"


def test_a_line_without_end_is_not_kept() -> None:
    desk = desk_in(Phase.READY)
    assert desk.says() == b""
    empty = footprint(desk.session)
    for _ in range(1000):
        assert desk.says(b"x" * 1000) == b""
        assert footprint(desk.session) < empty + 2 * MAX_COMMAND_BYTES
    assert desk.says(b"\nNOOP\r\n") == b"500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n"


# --- DATA

NO_ENDS = [
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\n\r\n",
]


@pytest.mark.parametrize("no_end", NO_ENDS)
def test_only_crlf_dot_crlf_ends_the_data(no_end: bytes) -> None:
    smuggled = no_end + MAIL.replace(b"alice", b"mallory") + RCPT + b"DATA\r\nevil\r\n"
    is_refused = b"\0" not in no_end
    sent = b"Subject: x\r\n\r\nhello" + smuggled + b".\r\nNOOP\r\n"
    for cut in range(len(sent) + 1):
        desk = desk_in(Phase.DATA)
        said = desk.says(sent[:cut]) + desk.says(sent[cut:])
        assert said == (BARE if is_refused else ACCEPTED) + b"250 2.0.0 OK\r\n", cut
        assert not any(isinstance(event, Mail) for event in desk.events)
        assert len(desk.messages) == (not is_refused)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n."]), max_size=20),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_data_ends_at_the_first_line_of_one_dot_and_nowhere_else(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    end = (b"\r\n" + data).find(b"\r\n.\r\n")
    desk = desk_in(Phase.DATA)
    said = b"".join(desk.says(piece) for piece in pieces(data, cuts) or [b""])
    if end < 0:
        assert (said, desk.session.phase) == (b"", Phase.DATA)
        return
    content = data[:end]
    plain = (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]
    if re.search(rb"(?<!\r)\n|\r(?!\n)", plain):
        assert said.startswith(BARE)
        assert desk.messages == []
    else:
        assert said.startswith(ACCEPTED)
        assert [message.content for message in desk.messages] == [plain]


def test_data_takes_no_argument() -> None:
    desk = desk_in(Phase.RCPT)
    assert desk.says(b"DATA now\r\n").startswith(b"501 5.5.4 ")
    assert desk.session.phase is Phase.RCPT


def test_what_the_driver_says_to_the_content_is_the_answer() -> None:
    desk = desk_in(Phase.DATA)
    desk.refuses_content = NO_ROOM
    assert desk.says(b"hi\r\n.\r\n") == b"452 4.3.1 No room\r\n"
    assert desk.session.phase is Phase.READY
    assert desk.events == [ContentEnd()]


@pytest.mark.parametrize(
    ("phase", "begin", "end"),
    [(Phase.DATA, b"", b"\r\n.\r\n"), (Phase.RCPT, b"BDAT 1000000 LAST\r\n", b"")],
    ids=["DATA", "BDAT"],
)
def test_a_message_that_is_too_large_is_read_to_its_end_and_not_kept(
    phase: Phase, begin: bytes, end: bytes
) -> None:
    desk = desk_in(phase)
    before = footprint(desk.session)
    said = desk.says(begin)
    for _ in range(1000):
        said += desk.says(b"x" * 1000)
        assert footprint(desk.session) < before + 1000
    said += desk.says(end + b"NOOP\r\n")
    too_big = b"552 5.3.4 Message size exceeds the maximum of 1000 bytes\r\n"
    assert said == too_big + b"250 2.0.0 OK\r\n"
    assert isinstance(desk.events[-1], ContentRefused)
    assert desk.messages == []


def test_content_of_exactly_the_largest_size_is_taken() -> None:
    desk = desk_in(Phase.DATA)
    assert desk.says(b"x" * 998 + b"\r\n.\r\n") == ACCEPTED
    desk = desk_in(Phase.DATA)
    assert desk.says(b"x" * 999 + b"\r\n.\r\n").startswith(b"552 5.3.4 ")
    desk = desk_in(Phase.DATA)  # the dots that only the wire needs do not count
    assert desk.says(b".." + b"x" * 997 + b"\r\n.\r\n") == ACCEPTED


# --- BDAT


@pytest.mark.parametrize(
    "argument", [b"", b"x", b"-1", b"1.5", b"LAST", b"5 FIRST", b"5 LAST x", b"9" * 19, b"0x5"]
)
def test_a_chunk_whose_size_is_not_clear_ends_the_session(argument: bytes) -> None:
    desk = desk_in(Phase.RCPT)
    said = desk.says(b"BDAT " + argument + b"\r\nQUIT\r\n")
    assert [line[:9] for line in said.splitlines()] == [b"501 5.5.4", b"421 4.3.2"]
    assert desk.events == [Closed()]


def test_a_chunk_of_any_size_is_never_kept() -> None:
    desk = desk_in(Phase.RCPT)
    desk.says(b"BDAT 999999999999999999\r\n")
    before = footprint(desk.session)
    for _ in range(100):
        assert desk.says(b"x" * 10_000) == b""
    assert footprint(desk.session) < before + 1000


def test_refused_chunks_are_never_given_to_the_driver() -> None:
    desk = desk_in(Phase.MAIL)
    said = desk.says(b"BDAT 5\r\nQUIT\nBDAT 3\r\nabcBDAT 0 LAST\r\nNOOP\r\n")
    assert said == b"554 5.5.1 No valid recipients\r\n" * 3 + b"250 2.0.0 OK\r\n"
    assert (desk.events, desk.messages) == ([], [])


def test_the_driver_is_told_when_content_that_began_is_refused() -> None:
    desk = desk_in(Phase.RCPT)
    desk.says(b"BDAT 2\r\n\n\nBDAT 0 LAST\r\n")
    assert isinstance(desk.events[0], ContentStart)
    assert isinstance(desk.events[1], ContentRefused)
    assert desk.events[1].status.enhanced == "5.6.0"


# --- ends


def test_too_many_errors_end_the_session() -> None:
    desk = desk_in(Phase.READY)
    said = desk.says(b"NOOP\r\nFOO\r\n" * (MAX_ERRORS - 1))
    assert said.count(b"500 5.5.1 ") == MAX_ERRORS - 1
    said = desk.says(b"RCPT TO:<x>\r\nNOOP\r\n")
    assert [line[:3] for line in said.splitlines()] == [b"503", b"421"]
    assert desk.events == [Closed()]


def test_what_the_driver_refuses_ends_the_session_too_but_not_so_soon() -> None:
    desk = desk_in(Phase.MAIL)
    said = desk.says(b"RCPT TO:<nobody@x>\r\n" * (MAX_REFUSALS + 5))
    assert [line[:3] for line in said.splitlines()] == [b"550"] * MAX_REFUSALS + [b"421"]
    assert desk.session.phase is Phase.CLOSED
    desk = desk_in(Phase.MAIL)
    desk.says(b"RCPT TO:<nobody@x>\r\n" * (MAX_REFUSALS - 1) + RCPT + b"BDAT 0 LAST\r\n")
    desk.refuses_content = NO_ROOM
    said = desk.says(MAIL + RCPT + b"BDAT 0 LAST\r\n")
    assert [line[:3] for line in said.splitlines()] == [b"250", b"250", b"452", b"421"]


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (b"MAIL FROM: <a@b.>", "<a@b.>"),
        (b"MAIL FROM:a@b SIZE=5", "a@b"),
        (b"MAIL FROM:<>", "<>"),
        (b"MAIL FROM:<@x,@y:a@b>", "<@x,@y:a@b>"),
    ],
)
def test_the_driver_is_told_a_path_as_it_was_typed(command: bytes, given: str) -> None:
    desk = desk_in(Phase.READY)
    desk.says(command + b"\r\nRCPT TO: " + given.replace("<>", "joe").encode() + b"\r\n")
    mail, rcpt = desk.events[-2:]
    assert isinstance(mail, Mail) and isinstance(rcpt, Rcpt)
    assert (mail.given, rcpt.given) == (given, given.replace("<>", "joe"))


DENIAL = Status(550, "5.7.1", "Access denied")


def denied(denial: Status = DENIAL) -> Session:
    return Session("mx.example.net", max_size_bytes=1000, denial=denial)


def answers(session: Session, data: bytes) -> list[bytes]:
    session.receive(data)
    while not isinstance(session.next_event(), NeedData | Closed):
        pass
    return session.data_to_send().splitlines()


def test_a_client_that_is_not_welcome_hears_so_at_each_command_that_would_serve_it() -> None:
    session = denied()
    assert session.data_to_send() == b"220 mx.example.net ESMTP relaynode\r\n"
    assert answers(session, b"EHLO x\r\n")[1:] == [b"250 ENHANCEDSTATUSCODES"]
    for command in ("MAIL FROM:<>", "MAIL nonsense", "RCPT TO:<a>", "DATA", "HELP", "VRFY a"):
        assert answers(session, command.encode() + b"\r\n") == [b"550 5.7.1 Access denied"]
    for command in ("EXPN a", "ETRN a", "AUTH PLAIN", "STARTTLS"):
        assert answers(session, command.encode() + b"\r\n") == [b"550 5.7.1 Access denied"]
    codes = [line[:3] for line in answers(session, b"HELO x\r\nNOOP\r\nRSET\r\nFOO\r\nQUIT\r\n")]
    assert codes == [b"250", b"250", b"250", b"500", b"221"]


def test_the_bytes_of_a_chunk_that_is_not_welcome_are_no_commands() -> None:
    session = denied()
    session.data_to_send()
    said = answers(session, b"EHLO x\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert [line[:3] for line in said[2:]] == [b"550", b"250"]


def test_421_ends_the_session_at_the_greeting() -> None:
    session = denied(Status(421, "4.0.0", "go away"))
    assert session.next_event() == Closed()
    assert session.data_to_send() == b"421 4.0.0 go away\r\n"


@pytest.mark.parametrize("phase", [*ALLOWED, Phase.DATA, Phase.CHUNK], ids=lambda phase: phase.name)
def test_we_can_end_the_session_at_any_time(phase: Phase) -> None:
    session = desk_in(phase).session
    session.shut_down("going home")
    session.shut_down("twice")
    assert session.data_to_send() == b"421 4.3.2 mx.example.net going home\r\n"
    session.receive(b"NOOP\r\n")
    assert session.next_event() == Closed()
    assert session.data_to_send() == b""


def test_a_session_can_end_while_an_answer_is_owed() -> None:
    session = desk_in(Phase.READY).session
    session.receive(MAIL + RCPT)
    assert isinstance(session.next_event(), Mail)
    session.shut_down("going home")
    assert session.next_event() == Closed()
    with pytest.raises(LocalProtocolError):
        session.reply(ok("late"))


def test_after_quit_what_was_pipelined_is_not_heard() -> None:
    desk = desk_in(Phase.READY)
    said = desk.says(b"QUIT\r\n" + MAIL)
    assert said == b"221 2.0.0 mx.example.net closing connection\r\n"
    assert desk.events == [Closed()]


# --- the driver's misuse


def test_a_driver_that_does_not_answer_is_told_so() -> None:
    session = desk_in(Phase.READY).session
    session.receive(MAIL + b"NOOP\r\n")
    assert isinstance(session.next_event(), Mail)
    with pytest.raises(LocalProtocolError, match="Mail was not answered"):
        session.next_event()
    session.reply(ok("go on"))
    assert session.next_event() == NeedData()


def test_a_driver_that_answers_without_being_asked_is_told_so() -> None:
    session = desk_in(Phase.READY).session
    with pytest.raises(LocalProtocolError, match="no event waits"):
        session.reply(ok("yes?"))
    session.receive(MAIL)
    session.next_event()
    session.reply(ok("yes"))
    with pytest.raises(LocalProtocolError):
        session.reply(ok("yes, I said"))


def test_what_a_client_pipelined_waits_for_the_answer() -> None:
    session = desk_in(Phase.READY).session
    session.receive(MAIL + b"QUIT\r\n")
    session.next_event()
    assert session.data_to_send() == b""
    session.reply(ok("Sender ok"))
    assert session.data_to_send() == b"250 2.0.0 Sender ok\r\n"
    assert session.next_event() == Closed()


# --- anything at all

FRAGMENTS = [
    *VERBS.values(),
    b"BDAT 3\r\n",
    b"BDAT 3 LAST\r\n",
    b"BDAT x\r\n",
    b"RCPT TO:<nobody@x>\r\n",
    b"MAIL FROM:<",
    b'"',
    b">",
    b"\r\n.\r\n",
    b".",
    b"\r",
    b"\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b" SIZE=",
    b"x" * 3000,
]
NOISE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=20)), max_size=30)


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase is not Phase.TLS], ids=lambda phase: phase.name
)
@given(noise=NOISE)
def test_no_bytes_raise_an_error_and_few_are_kept(phase: Phase, noise: list[bytes]) -> None:
    desk = desk_in(phase)
    before = footprint(desk.session)
    for piece in noise:
        said = desk.says(piece)
        assert said == b"" or said.endswith(b"\r\n")
        if desk.session.phase is not Phase.CLOSED:  # a driver feeds nothing more then
            most = MAX_AUTH_LINE_BYTES if phase is Phase.AUTH else MAX_COMMAND_BYTES
            assert footprint(desk.session) < before + 2 * most


@given(noise=NOISE, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_where_the_bytes_are_cut_is_no_matter(noise: list[bytes], cuts: list[int]) -> None:
    data = b"".join(noise)
    whole, cut = desk_in(Phase.RCPT), desk_in(Phase.RCPT)
    said = b"".join(cut.says(piece) for piece in pieces(data, cuts))
    assert said == whole.says(data)
    assert cut.messages == whole.messages
    assert cut.events == whole.events


def test_a_message_is_what_was_accepted() -> None:
    desk = desk_in(Phase.DATA)
    desk.says(b"hi\r\n.\r\n")
    assert desk.messages == [Message("alice@example.org", ("bob@example.net",), b"hi\r\n")]


def test_a_session_greets_first() -> None:
    session = Session("mx.example.net", max_size_bytes=1)
    assert session.data_to_send() == b"220 mx.example.net ESMTP relaynode\r\n"
    assert session.next_event() == NeedData()


# --- mail that is known again


def session_that_knows_again() -> Session:
    session = Session("mx.example.net", max_size_bytes=1000, knows_again=True)
    session.data_to_send()
    return session


def after(session: Session, command: bytes) -> bytes:
    """The answer to a command, or nothing if it is the driver's to give."""
    session.receive(command + b"\r\n")
    session.next_event()
    return session.data_to_send()


def test_a_server_that_knows_mail_again_says_so_and_hands_the_id_on() -> None:
    session = session_that_knows_again()
    assert b"250 XRELAYNODE-ONCE\r\n" in after(session, b"EHLO a.example")
    session.receive(b"MAIL FROM:<a@x.example> xonce=A1.17+2B@a.example SIZE=9\r\n")
    mail = session.next_event()
    assert isinstance(mail, Mail)
    assert mail.once_id == "A1.17+2B@a.example"


@pytest.mark.parametrize("value", ["", "=", "=+2", "=a=b", "=\u00e4", "=" + "a" * 513])
def test_an_id_that_is_no_xtext_of_a_sane_length_is_refused(value: str) -> None:
    session = session_that_knows_again()
    after(session, b"EHLO a.example")
    answer = after(session, b"MAIL FROM:<a@x.example> XONCE" + value.encode())
    assert answer.startswith(b"501 5.5.4 ")


def test_a_server_that_knows_nothing_again_neither_offers_to_nor_pretends() -> None:
    session = Session("mx.example.net", max_size_bytes=1000)
    session.data_to_send()
    assert b"ONCE" not in after(session, b"EHLO a.example")
    answer = after(session, b"MAIL FROM:<a@x.example> XONCE=A1@a.example")
    assert answer == b"555 5.5.4 XONCE parameter unrecognized\r\n"
