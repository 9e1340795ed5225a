"""The digest by which a message is known again."""

import pytest

from relaynode.mail.digest import ContentDigest

PLAIN = b"Received: by x\r\nSubject: hi\r\n there\r\n\r\nStatus: of the body\r\nx\r\n"


def digest(content, size=None):
    one = ContentDigest()
    for start in range(0, len(content), size or len(content) or 1):
        one.feed(content[start : start + (size or len(content))])
    return one.hexdigest()


@pytest.mark.parametrize(
    "added",
    [
        b"Status: RO\r\n",
        b"X-UIDL: 1234\r\n",
        b"x-uidl : 1234\r\n with a second line\r\n",
        b"X-Status: \r\nX-Keywords: a\r\n b\r\nContent-Length: 12\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, None])
@pytest.mark.parametrize("place", [0, 16])
def test_what_a_server_adds_at_each_visit_changes_nothing(added, size, place):
    assert digest(PLAIN[:place] + added + PLAIN[place:], size) == digest(PLAIN)


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace(b"hi", b"ho"),
        PLAIN.replace(b"there", b"here"),
        PLAIN.replace(b"Status: of", b"Status: in"),
        PLAIN.replace(b"Received: by x", b"Received: by y"),
        PLAIN + b"x",
        PLAIN.replace(b"Subject", b"X-UIDLs"),
    ],
)
def test_every_other_difference_shows(other):
    assert digest(other) != digest(PLAIN)


@pytest.mark.parametrize(
    "content", [PLAIN, b"", b"a", b"\r\n", b"Statu", b"no colon\r\nx", b"\0" * 99]
)
def test_how_it_was_cut_makes_no_difference(content):
    assert len({digest(content, size) for size in (1, 2, 3, 5, 100)}) == 1


def test_a_line_without_end_is_not_kept():
    one = ContentDigest()
    for _ in range(100):
        one.feed(b"x" * 10_000)
    assert len(one._held) < 100
