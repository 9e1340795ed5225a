"""Servers that lie, flood and break rules: each ends with a named error, and little is kept."""

import random
import zlib

import pytest

from relaynode.errors import RemoteProtocolError
from relaynode.imap import events as imap
from relaynode.imap.client import Client
from unit.imap.test_client import greeted, selected

MUCH = 6_000_000


def logging_in():
    client = greeted()
    client.login("ann", "secret")
    client.data_to_send()
    return client


def listing():
    client = selected()
    client.fetch_items(b"1:*")
    return client


def fetching():
    client = selected()
    client.fetch([1, 2])
    return client


def searching():
    client = selected()
    client.search()
    return client


def idling():
    client = selected()
    client.idle()
    client.receive(b"+ idling\r\n")
    return client


# Name; where the session stands; what comes, once and then again and again; the error.
CASES = [
    ("no greeting", Client, b"220 smtp.example ESMTP\r\n", b"", "is none"),
    ("greeted by NO", Client, b"* NO go away\r\n", b"", "greeting is none"),
    ("greeted by data", Client, b"* 3 EXISTS\r\n", b"", "greeting is none"),
    ("greeted with a tag", Client, b"a1 OK hello\r\n", b"", "greeting is none"),
    ("greeted twice", greeted, b"* PREAUTH again\r\n", b"", "in the midst"),
    ("a greeting without end", Client, b"* OK ", b"x" * 1000, "line longer than"),
    ("a line without end", listing, b"* 1 FETCH (UID 1 ", b"x" * 1000, "line longer than"),
    ("a NUL", listing, b"* 1 FETCH (UID\0 1)\r\n", b"", "NUL"),
    ("lists too deep", listing, b"* 1 FETCH (X " + b"(" * 60 + b")" * 60 + b")\r\n", b"", "deeper"),
    ("a list without end", listing, b"* 1 FETCH (UID 1\r\n", b"", "without its end"),
    ("an end without a list", listing, b"* 1 FETCH (UID 1))\r\n", b"", "not begun"),
    ("a quote without end", listing, b'* 1 FETCH (UID "1)\r\n', b"", "makes no sense"),
    ("half a pair", listing, b"* 1 FETCH (UID)\r\n", b"", "makes no sense"),
    ("a UID that is none", listing, b"* 1 FETCH (UID x)\r\n", b"", "number"),
    ("a UID of too many bits", listing, b"* 1 FETCH (UID 4294967296)\r\n", b"", "number"),
    ("a size below nothing", listing, b"* 1 FETCH (RFC822.SIZE -1)\r\n", b"", "number"),
    ("a huge literal elsewhere", listing, b"* LIST () {99999999}\r\n", b"", "none that long"),
    ("literals without end", listing, b"* LIST ()", b" {1}\r\nx", "more than 100 literals"),
    ("items without end", idling, b"", b"* 1 FETCH (FLAGS ())\r\n" * 50, "without end"),
    ("expunges without end", idling, b"", b"* 1 EXPUNGE\r\n" * 50, "without end"),
    ("texts without end", logging_in, b"", b"* OK still here\r\n" * 50, "without end"),
    ("found without end", searching, b"", b"* ESEARCH UID ALL 1:900000\r\n", "found more than"),
    ("a range too wide", searching, b"* ESEARCH UID ALL 1:4294967295\r\n", b"", "found more than"),
    ("a number that is none", searching, b"* SEARCH 1 x\r\n", b"", "number"),
    ("a number without end", searching, b"* SEARCH ", b"7" * 1000, "a number that is none"),
    (
        "capabilities without end",
        greeted,
        b"* CAPABILITY" + b" X" * 600 + b"\r\n",
        b"",
        "more than",
    ),
    ("an answer to nothing", greeted, b"a1 OK done\r\n", b"", "was not sent"),
    ("an answer twice", selected, b"a2 OK done\r\n", b"", "was not sent"),
    ("an answer to what is held", None, b"a4 OK\r\n", b"", "was not sent"),
    ("asked to go on", logging_in, b"+ go on\r\n", b"", "nothing follows"),
    ("content unasked for", selected, b"* 1 FETCH (UID 1 BODY[] {9}\r\n", b"", "nobody asked for"),
    ("content of nobody", fetching, b"* 1 FETCH (BODY[] {1}\r\nx)\r\n", b"", "did not say"),
    (
        "content of two",
        fetching,
        b"* 1 FETCH (UID 1 BODY[] {1}\r\nx UID 2)\r\n",
        b"",
        "two UIDs",
    ),
    (
        "two contents",
        fetching,
        b"* 1 FETCH (UID 1 BODY[] {1}\r\nx BODY[] {1}\r\ny)\r\n",
        b"",
        "two contents",
    ),
    ("content in a list", fetching, b"* 1 FETCH (UID 1 BODY[] (x))\r\n", b"", "content must be"),
    ("a literal too short", fetching, b"* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\n", b"", "sense"),
    (
        "a literal too long",
        fetching,
        b"* 1 FETCH (UID 1 BODY[] {9}\r\nabc)\r\na3 OK\r\n",
        b"",
        "without its end",
    ),
]


def held():
    client = idling()
    client.noop()
    return client


@pytest.mark.parametrize(
    ("stage", "first", "again", "error"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_broken_rule_is_named_before_much_is_kept(stage, first, again, error):
    client = (stage or held)()
    with pytest.raises(RemoteProtocolError, match=error):
        client.receive(first)
        fed = 0
        while again and fed < MUCH:
            client.receive(again)
            fed += len(again)
        client.receive(b" )\r\n")
    with pytest.raises(RemoteProtocolError, match=error):
        client.receive(b"* OK\r\n")


def compressed():
    client = fetching()
    client.compress()
    client.data_to_send()
    client.receive(b"a4 OK now\r\n")
    return client


def test_a_bomb_is_unpacked_piece_by_piece():
    client = compressed()
    packer = zlib.compressobj(9, wbits=-15)
    start = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % MUCH
    bomb = packer.compress(start + b"0" * MUCH) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < MUCH / 500
    events = client.receive(bomb)
    total = 0
    while True:
        held = sum(len(one.data) for one in events if isinstance(one, imap.MessageData))
        assert held <= 70_000
        total += held
        if not client.has_more:
            break
        events = client.receive(b"")
    assert total == MUCH


@pytest.mark.parametrize("data", [b"\xff" * 50, b"* OK not compressed\r\n"])
def test_what_is_not_compressed_is_named(data):
    with pytest.raises(RemoteProtocolError, match="cannot be unpacked"):
        compressed().receive(data)


def test_what_comes_behind_the_end_of_the_compression_is_named():
    client = compressed()
    packer = zlib.compressobj(wbits=-15)
    end = packer.compress(b"* OK\r\n") + packer.flush()
    with pytest.raises(RemoteProtocolError, match="behind the end"):
        client.receive(end + b"more")
    other = compressed()
    other.receive(end)
    with pytest.raises(RemoteProtocolError, match="behind the end"):
        other.receive(b"more")


def test_whatever_comes_there_is_no_other_error():
    chance = random.Random(20261122)
    words = [b"* ", b"a3 ", b"OK", b"FETCH", b"(", b")", b"UID", b" ", b"1", b"BODY[]", b"{3}"]
    words += [b"\r\n", b'"', b"\\", b"[", b"]", b"SEARCH", b"+ ", b"<0>", b"NIL", b"BYE", b"\xff"]
    for _ in range(800):
        client = fetching()
        try:
            for _ in range(12):
                client.receive(b"".join(chance.choices(words, k=4)))
        except RemoteProtocolError:
            pass
