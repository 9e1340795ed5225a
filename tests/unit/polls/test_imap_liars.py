"""IMAP servers that lie to the poller: a named error or a right result, and nothing lost.

What a liar says to a command stands here as data; to all others it says what is true.
"""

import asyncio

import pytest

from relaynode.errors import LineLost, RefusedError, RemoteProtocolError
from unit.polls.imap_home import Home, letter
from unit.polls.imap_server import Box, Session

ONE = letter(1)
FIRST = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%b)\r\n" % (len(ONE), ONE)
SECOND = b"* 2 FETCH (UID 2 BODY[] {%d}\r\n%b)\r\n" % (len(ONE), letter(2))
ITEM = b"* %d FETCH (UID %d RFC822.SIZE 99 FLAGS (%b))\r\n"

# Name; which answer, to which of its requests; what it says; the error; what is queued by then.
LIARS = [
    ("a UID nobody asked for", "BODY", FIRST.replace(b"UID 1", b"UID 9"), "nobody asked", []),
    ("a message twice", "BODY", FIRST + FIRST, "nobody asked", [1]),
    ("another section", "BODY", FIRST.replace(b"BODY[]", b"BODY[TEXT]"), "nobody asked", []),
    ("a header instead", "BODY", FIRST.replace(b"BODY[]", b"BODY[HEADER]"), "nobody asked", []),
    ("from another place", "BODY", FIRST.replace(b"[]", b"[]<5>"), "another place", []),
    ("too large", "BODY", b"* 1 FETCH (UID 1 BODY[] {4000000000}\r\n", "more than", []),
    ("a false end", "BODY", FIRST.replace(b"{9", b"{8"), "without its end", []),
    ("BYE in the middle", "BODY", FIRST + b"* BYE [UNAVAILABLE] restart\r\n", RefusedError, [1]),
    ("an end in the middle", "BODY", FIRST + SECOND[:90] + b"END", LineLost, [1]),
    ("no content", "BODY", b"* 1 FETCH (UID 1 BODY[] NIL)\r\n" + SECOND, None, [2]),
    ("nothing at all", "BODY", b"", None, []),
    ("a refusal", "BODY", FIRST + b"{tag} NO [SERVERBUG] cannot\r\n", None, [1]),
    ("BAD", "BODY", b"{tag} BAD what\r\n", None, []),
    ("expunges between", "BODY", b"* 2 EXPUNGE\r\n* 9 EXISTS\r\n" + FIRST + SECOND, None, [1, 2]),
    ("flags between", "BODY", FIRST + b"* 2 FETCH (FLAGS (\\Seen))\r\n" + SECOND, None, [1, 2]),
    ("the other order", "BODY", SECOND + FIRST, None, [1, 2]),
    ("content in the listing", "SIZE", FIRST, "before it is asked", []),
    ("the same UID twice", "SIZE", ITEM % (1, 1, b"") + ITEM % (2, 1, b""), None, [1]),
    ("a UID that is not there", "SIZE", ITEM % (1, 7, b""), None, []),
    ("a refused listing", "SIZE", b"{tag} NO not now\r\n", RefusedError, []),
    ("no UIDVALIDITY", "SELECT", b"* 2 EXISTS\r\n", "no UIDVALIDITY", []),
    ("a refused folder", "SELECT", b"{tag} NO [NOPERM] not yours\r\n", None, []),
    ("BYE for a login", "LOGIN", b"* BYE [LIMIT] enough\r\n", RefusedError, []),
    ("a busy login", "LOGIN", b"{tag} NO [INUSE] elsewhere\r\n", RefusedError, []),
    ("a refused deletion", "STORE", b"{tag} NO [READ-ONLY] no\r\n", None, [1, 2]),
    ("deletion and an end", "STORE", b"END", LineLost, [1, 2]),
]


class Liar(Session):
    def __init__(self, box, stream, where, says):
        super().__init__(box, stream)
        self.where, self.says = where, says

    async def write(self, data):
        if self.says is not None and self.where in self.box.asked:
            says, self.says = self.says, None
            await self.lie(says, self.box.tag)
            self.box.is_quiet = True
        if not self.box.is_quiet:
            await super().write(data)
        elif data.startswith(self.box.tag + b" "):
            self.box.is_quiet = False
            if not self.box.has_answered:
                await super().write(data)

    async def lie(self, says, tag):
        self.box.has_answered = b"{tag}" in says
        await super().write(says.replace(b"{tag}", tag).removesuffix(b"END"))
        if says.endswith(b"END"):
            self.stream.abort()


class LiarsBox(Box):
    """Knows which command is being answered."""

    is_quiet = False
    has_answered = False

    @property
    def asked(self):
        return self.current.partition(b" ")[2].decode()

    @property
    def tag(self):
        return self.current.partition(b" ")[0]


@pytest.mark.parametrize(
    ("where", "says", "error", "queued"), [one[1:] for one in LIARS], ids=[one[0] for one in LIARS]
)
def test_a_lie_is_named_and_what_was_complete_is_kept(
    tmp_path, monkeypatch, where, says, error, queued
):
    box = LiarsBox(capabilities="IMAP4rev1 UIDPLUS")
    for number in (1, 2):
        box.put(letter(number))
    monkeypatch.setattr(
        "unit.polls.imap_server.Session", lambda box, stream: Liar(box, stream, where, says)
    )
    home = Home(tmp_path, box)
    asyncio.run(home.visit())
    if error is None:
        assert home.error is None
    elif isinstance(error, str):
        assert isinstance(home.error, RemoteProtocolError) and error in str(home.error)
    else:
        assert isinstance(home.error, error)
    assert sorted(asyncio.run(home.subjects())) == queued
    monkeypatch.undo()
    asyncio.run(home.visit())
    assert home.error is None
    assert sorted(asyncio.run(home.subjects())) == [1, 2]
