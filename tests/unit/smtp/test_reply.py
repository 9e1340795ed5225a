"""Replies on the wire: parse of format is identity, and every bound holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import RemoteProtocolError
from relaynode.mail.status import Status
from relaynode.smtp.reply import MAX_LINE_BYTES, MAX_REPLY_BYTES, Reply, ReplyParser, encode
from unit.smtp.talk import pieces


def parse(data: bytes, cuts: list[int] | range = range(0)) -> list[Reply]:
    parser = ReplyParser()
    replies = [reply for piece in pieces(data, cuts) for reply in parser.feed(piece)]
    assert not parser.pending_bytes
    return replies


# --- reading


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250 OK\r\n", Reply(250, ("OK",))),
        (b"250 OK\n", Reply(250, ("OK",))),
        (b"250\r\n", Reply(250, ("",))),
        (b"250 \r\n", Reply(250, ("",))),
        (b"250-\r\n250 \r\n", Reply(250, ("", ""))),
        (b"250-a\r\n250\r\n", Reply(250, ("a", ""))),
        (b"250-one\r\n250-two\r\n250 three\r\n", Reply(250, ("one", "two", "three"))),
        (b"354 go\r\n", Reply(354, ("go",))),
        (b"599 x\r\n", Reply(599, ("x",))),
        (b"220 \xc3\xa4\r\n", Reply(220, ("ä",))),
        (b"220 \xff\r\n", Reply(220, ("\\xff",))),
    ],
)
def test_a_reply_is_understood_however_it_is_cut(wire: bytes, reply: Reply) -> None:
    assert parse(wire) == [reply]
    assert parse(wire, range(len(wire))) == [reply]
    for cut in range(len(wire)):
        assert parse(wire, [cut]) == [reply]


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"\n",
        b"OK\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"250\tx\r\n",
        b"250x\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"099 x\r\n",
        b" 250 x\r\n",
        b"250-x\r\n251 y\r\n",
        b"250-x\r\ny\r\n",
        b"\xb2\xb5\xb0 x\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x16\x03\x01\r\n",
    ],
)
def test_what_is_no_reply_is_a_violation(wire: bytes) -> None:
    for cuts in ([], range(len(wire))):
        with pytest.raises(RemoteProtocolError):
            parse(wire, cuts)


def test_the_replies_before_a_violation_are_given() -> None:
    found = []
    with pytest.raises(RemoteProtocolError, match="no SMTP reply: 'nonsense'"):
        for reply in ReplyParser().feed(b"250 one\r\n250 two\r\nnonsense\r\n250 three\r\n"):
            found.append(reply)
    assert [reply.lines for reply in found] == [("one",), ("two",)]


def test_a_reply_begun_is_pending() -> None:
    parser = ReplyParser()
    assert not parser.pending_bytes
    for piece in (b"2", b"50-a\r\n", b"250"):
        assert list(parser.feed(piece)) == []
        assert parser.pending_bytes
    assert list(parser.feed(b" b\r\n")) == [Reply(250, ("a", "b"))]
    assert not parser.pending_bytes


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_longest_line_is_taken_however_it_is_cut(end: bytes) -> None:
    line = b"250 " + b"x" * (MAX_LINE_BYTES - 4 - len(end)) + end
    for cut in (1, len(line) - 2, len(line) - 1):
        assert len(parse(line, [cut])) == 1
        with pytest.raises(RemoteProtocolError, match="longer than 4096"):
            parse(b"250 x" + line[4:], [cut])


def test_a_line_without_end_is_a_violation_as_soon_as_it_is_too_long() -> None:
    parser = ReplyParser()
    with pytest.raises(RemoteProtocolError):
        for _ in range(MAX_LINE_BYTES):
            list(parser.feed(b"x"))


@pytest.mark.parametrize("line", [b"250-\r\n", b"250-" + b"x" * 1000 + b"\r\n"])
def test_a_reply_without_end_is_a_violation_as_soon_as_it_is_too_long(line: bytes) -> None:
    parser = ReplyParser()
    with pytest.raises(RemoteProtocolError, match="longer than 65536"):
        for _ in range(MAX_REPLY_BYTES):
            list(parser.feed(line))


def test_the_longest_reply_is_taken() -> None:
    line = b"250-" + b"x" * 1020 + b"\r\n"
    last = b"250 " + b"x" * 1020 + b"\r\n"
    assert len(parse(line * 63 + last)[0].lines) == MAX_REPLY_BYTES // 1024
    with pytest.raises(RemoteProtocolError):
        parse(line * 63 + b"250 x" + last[4:])


def test_the_bound_is_of_one_reply() -> None:
    parser = ReplyParser()
    for _ in range(100):
        assert len(list(parser.feed(b"250-" + b"x" * 1000 + b"\r\n250 y\r\n"))) == 1


# --- meaning


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(250, ("2.1.0 Sender ok",)), Status(250, "2.1.0", "Sender ok")),
        (Reply(250, ("2.1.0",)), Status(250, "2.1.0", "")),
        (Reply(250, ("OK",)), Status(250, "", "OK")),
        (Reply(550, ("5.1.1 No", "5.1.1 such user")), Status(550, "5.1.1", "No such user")),
        (Reply(550, ("No", "5.1.1 such user")), Status(550, "5.1.1", "No such user")),
        (Reply(550, ("5.1.1 a", "5.7.1 b")), Status(550, "5.1.1", "a b")),
        # RFC 2034 section 4: the class is that of the code, or it is no enhanced code.
        (Reply(450, ("5.1.1 text",)), Status(450, "", "5.1.1 text")),
        (Reply(250, ("2.1.1000 x",)), Status(250, "", "2.1.1000 x")),
        (Reply(250, ("2.1.0.5 x",)), Status(250, "", "2.1.0.5 x")),
        (Reply(250, ("", " ", "x ")), Status(250, "", "x")),
        (Reply(354, ("3.0.0 go",)), Status(354, "", "3.0.0 go")),
    ],
)
def test_a_reply_has_a_status(reply: Reply, status: Status) -> None:
    assert reply.status == status


# --- writing


def test_a_status_is_written_with_its_enhanced_code_on_every_line() -> None:
    assert encode(Status(250, "", "hi")) == b"250 hi\r\n"
    assert encode(Status(250, "", "")) == b"250 \r\n"
    wire = encode(Status(550, "5.7.1", "one"), ("two", "three"))
    assert wire == b"550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n"


def test_no_text_can_end_a_line_or_move_a_cursor() -> None:
    assert encode(Status(250, "", "a\r\n250 b\0\t\x1b\x7fc")) == b"250 a??250 b????c\r\n"
    assert encode(Status(250, "", "a"), ("b\nc",)) == b"250-a\r\n250 b?c\r\n"


def test_bytes_that_were_no_utf8_are_written_as_they_were() -> None:
    assert encode(Status(250, "", "\udcff")) == b"250 \xff\r\n"


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"))


@given(
    st.integers(200, 599),
    st.lists(TEXT.map(str.strip), min_size=1, max_size=5),
    st.lists(st.integers(0, 200)),
)
def test_what_we_write_is_what_is_read(code: int, texts: list[str], cuts: list[int]) -> None:
    wire = encode(Status(code, "", texts[0]), tuple(texts[1:]))
    assert parse(wire, cuts) == [Reply(code, tuple(texts))]


@given(st.integers(2, 5), st.integers(0, 999), st.integers(0, 999), TEXT)
def test_a_status_survives_the_wire(kind: int, subject: int, detail: int, text: str) -> None:
    enhanced = "" if kind == 3 else f"{kind}.{subject}.{detail}"
    status = Status(kind * 100 + 50, enhanced, "x " + " ".join(text.split()) + " y")
    assert parse(encode(status))[0].status == status


@given(st.lists(st.one_of(st.binary(), st.sampled_from([b"250", b"-", b" ", b"\r\n", b"\n"]))))
def test_no_bytes_raise_anything_but_a_violation(parts: list[bytes]) -> None:
    parser = ReplyParser()
    try:
        for part in parts:
            for reply in parser.feed(part):
                assert 200 <= reply.code <= 599
                assert reply.status.code == reply.code
    except RemoteProtocolError as error:
        assert str(error).isprintable()
