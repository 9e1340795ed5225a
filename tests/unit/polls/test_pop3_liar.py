"""POP3 servers that are odd or hostile: each visit ends with a named error or a right result, and
when the server behaves again nothing is lost and nothing doubled. And lines that are cut."""

import os
import random
import tracemalloc

import pytest

from peers.pop3_double import CLOSE
from relaynode.errors import ProtocolError, RefusedError, WireError
from unit.polls.pop3_visits import letter, mailbox, play

KIB = 1024
OK = b"+OK\r\n"


class Once(tuple):
    """These answers first, then the usual ones."""

    def begin(self):
        left = iter(self)
        return lambda line: next(left, None)


# What is said instead of the usual; and what the visit raises (None: it goes well).
LIES = {
    "the greeting is SMTP's": ({"greeting": b"220 smtp\r\n"}, ProtocolError),
    "the greeting is refused": ({"greeting": b"-ERR too many connections\r\n"}, RefusedError),
    "the greeting never comes": ({"greeting": b""}, WireError),
    "the greeting has no end": ({"greeting": b"+OK " + b"x" * 9000}, ProtocolError),
    "more than a greeting": ({"greeting": OK * 3}, ProtocolError),
    "close at greeting": ({"greeting": CLOSE}, WireError),
    "close at CAPA": ({"CAPA": CLOSE}, WireError),
    "close at USER": ({"USER": CLOSE}, WireError),
    "close at PASS": ({"PASS": CLOSE}, WireError),
    "close at UIDL": ({"UIDL": CLOSE}, WireError),
    "close at LIST": ({"LIST": CLOSE}, WireError),
    "close at RETR": ({"RETR": CLOSE}, WireError),
    "close at DELE": ({"DELE": CLOSE}, WireError),
    "close at QUIT": ({"QUIT": CLOSE}, WireError),
    "capabilities without end": ({"CAPA": OK + b"X-A\r\n" * 600}, ProtocolError),
    "a capability of 100 KB": ({"CAPA": OK + b"X" * 100 * KIB}, ProtocolError),
    "a NUL among capabilities": ({"CAPA": OK + b"UI\0DL\r\n.\r\n"}, ProtocolError),
    "no CAPA at all": ({"CAPA": b"-ERR what\r\n"}, None),
    "an empty CAPA": ({"CAPA": OK + b".\r\n"}, None),
    "logins are busy": ({"PASS": b"-ERR [IN-USE] busy\r\n"}, RefusedError),
    "the login is answered twice": ({"PASS": OK + OK}, ProtocolError),
    "PASS is granted behind a refused USER": ({"USER": b"-ERR\r\n", "PASS": OK}, RefusedError),
    "a password echoed": ({"PASS": b"-ERR PASS secret\r\n"}, RefusedError),
    "UIDL with numbers that fall": ({"UIDL": OK + b"2 a\r\n1 b\r\n.\r\n"}, ProtocolError),
    "UIDL with one number twice": ({"UIDL": OK + b"1 a\r\n1 b\r\n.\r\n"}, ProtocolError),
    "UIDL with message 0": ({"UIDL": OK + b"0 a\r\n.\r\n"}, ProtocolError),
    "UIDL without numbers": ({"UIDL": OK + b"a\r\nb\r\n.\r\n"}, ProtocolError),
    "UIDL with an id of 9 KB": ({"UIDL": OK + b"1 " + b"u" * 9000 + b"\r\n.\r\n"}, ProtocolError),
    "UIDL with an escape sequence": ({"UIDL": OK + b"1 \x1b[2J\r\n.\r\n"}, ProtocolError),
    "UIDL with a NUL": ({"UIDL": OK + b"1 a\0b\r\n.\r\n"}, ProtocolError),
    "UIDL of other messages than LIST": ({"UIDL": OK + b"7 a\r\n8 b\r\n.\r\n"}, ProtocolError),
    "UIDL of fewer messages than LIST": ({"UIDL": OK + b"1 u1\r\n.\r\n"}, None),
    "UIDL of more messages than LIST": (
        {"UIDL": OK + b"1 u1\r\n2 u2\r\n3 u3\r\n4 u4\r\n.\r\n"},
        None,
    ),
    "UIDL without an end": ({"UIDL": OK + b"1 u1\r\n"}, (WireError, ProtocolError)),
    "UIDL refused for now": ({"UIDL": b"-ERR [SYS/TEMP] wait\r\n"}, RefusedError),
    "no UIDL": ({"UIDL": b"-ERR what\r\n"}, None),
    "the same id for all": ({"UIDL": OK + b"1 u\r\n2 u\r\n3 u\r\n.\r\n"}, None),
    "LIST refused": ({"LIST": b"-ERR what\r\n"}, RefusedError),
    "LIST with a size of 30 digits": (
        {"LIST": OK + b"1 " + b"9" * 30 + b"\r\n.\r\n"},
        ProtocolError,
    ),
    "LIST with a size below 0": ({"LIST": OK + b"1 -5\r\n.\r\n"}, ProtocolError),
    "LIST with sizes of nothing": ({"LIST": OK + b"1 0\r\n2 0\r\n3 0\r\n.\r\n"}, None),
    "LIST with sizes too large": ({"LIST": OK + b"1 9999\r\n2 9999\r\n3 9999\r\n.\r\n"}, None),
    "LIST with a size beyond all": ({"LIST": OK + b"1 55\r\n2 99999999999\r\n3 5\r\n.\r\n"}, None),
    "RETR refused in the middle": ({"RETR": Once((None, b"-ERR gone\r\n"))}, None),
    "RETR answered with a riddle": ({"RETR": Once((b"maybe\r\n",))}, ProtocolError),
    "a message that stops short": (
        {"RETR": OK + b"Subject: 1\r\n\r\nbo"},
        (WireError, ProtocolError),
    ),
    "a message without an end": ({"RETR": OK + b"x" * 200 * KIB}, ProtocolError),
    "a line of 100 KB without an end": ({"RETR": OK + b"\0" * 100 * KIB}, ProtocolError),
    "DELE refused": ({"DELE": b"-ERR read only\r\n"}, None),
    "QUIT refused": ({"QUIT": b"-ERR some stay\r\n"}, RefusedError),
    "QUIT answered with a riddle": ({"QUIT": b"bye\r\n"}, ProtocolError),
    "texts full of colours": ({"USER": b"+OK \x1b[31m\xff\x80\r\n"}, None),
    "bare line feeds everywhere": ({"CAPA": b"+OK\nUSER\nUIDL\nPIPELINING\n.\n"}, None),
}


SILENT = {
    "the greeting never comes",
    "capabilities without end",
    "UIDL without an end",
    "a message that stops short",
    "a message without an end",
    "a line of 100 KB without an end",
}
"""Where a real server would be waited for until the line is given up."""


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("has_memory", [False, True], ids=["stranger", "known"])
def test_a_lie_ends_with_a_named_error_or_a_right_result_and_costs_no_mail(
    tmp_path, name, has_memory
):
    answers, expected = LIES[name]

    async def scenario(home):
        if has_memory:
            messages, home.box.messages = home.box.messages, []
            await home.visit()
            home.box.messages = messages
        home.be_patient(0.05 if name in SILENT else 60)
        home.box.answers = {
            word: odd.begin() if isinstance(odd, Once) else odd for word, odd in answers.items()
        }
        result = await home.visit()
        problem, before = home.problem, await home.queued()
        home.box.answers = {}
        home.be_patient(60)
        await home.visit()
        await home.visit()
        assert home.problem is None
        return problem, result, before, await home.queued(), home.box.messages

    problem, _, before, after, left = play(
        tmp_path, scenario, mailbox(3), timeout_seconds=60, max_message_bytes=50 * KIB
    )
    if expected is None:
        assert problem is None
    else:
        assert isinstance(problem, expected), problem
        assert "secret" not in str(problem)
        assert str(problem).isprintable()
    assert before == sorted(before)
    assert sorted(after) == ["1", "2", "3"]
    assert left == []


def test_odd_content_comes_as_it_is(tmp_path):
    odd = [
        b".\r\n..\r\n.x\r\n" + letter(1),
        letter(2, b"\0" * 100),
        letter(3, b"x" * 70_000),
        letter(4, b"\r\n.\r\n" * 10),
        letter(5, bytes(range(14, 256)) * 3),
    ]

    async def scenario(home):
        await home.visit()
        return home.contents(), home.problem

    box = mailbox(0)
    box.messages = [(f"u{n}", content) for n, content in enumerate(odd)]
    contents, problem = play(tmp_path, scenario, box)
    assert problem is None
    assert sorted(contents) == sorted(odd)


def test_a_list_of_lies_needs_no_memory(tmp_path):
    """A listing without end is given up; what it has cost is a few bytes an entry."""
    many = b"".join(b"%d u%d\r\n" % (n, n) for n in range(1, 20_001))

    async def scenario(home):
        home.box.answers["UIDL"] = OK + many
        home.box.answers["LIST"] = b""
        tracemalloc.start()
        await home.visit()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, home.problem

    peak, problem = play(tmp_path, scenario, mailbox(0), timeout_seconds=0.05)
    assert isinstance(problem, WireError)
    assert peak < 20 * len(many)


CUTS = 1000 if os.environ.get("RELAYNODE_SOAK") else 100


@pytest.mark.parametrize("keep", [False, True], ids=["deleting", "keeping"])
def test_cuts_anywhere_lose_nothing_double_nothing_and_cost_one_message_each(tmp_path, keep):
    chance = random.Random(7)
    count = 12

    async def scenario(home):
        total = all_cuts = 0
        while all_cuts < CUTS // 2:
            messages = [
                (f"r{total + n}", letter(total + n, b"x" * chance.randrange(3000)))
                for n in range(count)
            ]
            total += count
            longest = max(len(content) for _, content in messages)
            home.box.messages = [*(home.box.messages if keep else []), *messages]
            home.box.content_bytes = cuts = 0
            for _ in range(count):
                home.box.cut_after = chance.randrange(sum(len(text) for _, text in messages))
                await home.visit()
                cuts += home.problem is not None
            await home.visit()
            assert home.problem is None
            sent = sum(len(content) for _, content in messages)
            assert home.fetched_bytes - sent <= cuts * (longest + 200)
            home.fetched_bytes = 0
            all_cuts += cuts
        return total, await home.queued(), home.box.messages

    total, queued, left = play(tmp_path, scenario, mailbox(0), keep=keep)
    assert sorted(queued, key=int) == [str(number) for number in range(total)]
    assert len(left) == (total if keep else 0)
