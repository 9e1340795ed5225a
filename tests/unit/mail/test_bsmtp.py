"""Batches of mail: what comes out of them, whole or not, and that what we write comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail import bsmtp
from relaynode.mail.bsmtp import (
    BatchMessage,
    BatchReader,
    BatchRecipient,
    Began,
    Cut,
    Ended,
    Piece,
    Unreadable,
    WithoutContent,
    batch,
)

BATCH = b"""\
HELO alpha
MAIL FROM:<alice@example.org>
RCPT TO:<bob@example.net>
RCPT TO:<carl@example.net>
DATA
Subject: one

..
...dots
.
MAIL FROM:<>
RCPT TO:<dan>
DATA
.
QUIT
"""
FIRST = BatchMessage(
    "alice@example.org", (BatchRecipient("bob@example.net"), BatchRecipient("carl@example.net"))
)
SECOND = BatchMessage("", (BatchRecipient("dan"),))
CONTENT = b"Subject: one\r\n\r\n.\r\n..dots\r\n"


def read(data, step=0):
    """The events, pieces of content joined, and the reader."""
    reader, events = BatchReader(), []
    step = step or len(data) or 1
    for start in range(0, len(data), step):
        events += reader.feed(data[start : start + step])
    events += reader.finish()
    joined = []
    for event in events:
        if isinstance(event, Piece) and joined and isinstance(joined[-1], Piece):
            event = Piece(joined.pop().data + event.data)
        joined.append(event)
    return joined, reader


def messages(data):
    return [event.message for event in read(data)[0] if isinstance(event, Began)]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_each_message_comes_with_its_envelope_and_its_content(line_end, step):
    events, reader = read(BATCH.replace(b"\n", line_end), step)
    assert events == [Began(FIRST), Piece(CONTENT), Ended(), Began(SECOND), Ended()]
    assert reader.has_quit
    assert reader.remarks == []


def test_line_ends_of_both_kinds_may_be_mixed():
    mixed = BATCH.replace(b"one\n", b"one\r\n").replace(b"DATA\n", b"DATA\r\n")
    assert read(mixed)[0] == read(BATCH)[0]


def test_a_batch_that_is_cut_anywhere_gives_what_was_whole_and_nothing_else():
    first_end = BATCH.index(b".\nMAIL FROM:<>") + 2
    second_end = BATCH.index(b".\nQUIT") + 2
    for end in range(len(BATCH)):
        events, reader = read(BATCH[:end])
        whole = sum(isinstance(event, Ended) for event in events)
        assert whole == (end >= first_end) + (end >= second_end), end
        began = sum(isinstance(event, Began) for event in events)
        cut = sum(isinstance(event, Cut) for event in events)
        assert began == whole + cut
        assert reader.has_quit == (BATCH[:end].rstrip().endswith(b"QUIT"))


def test_quit_without_a_line_end_is_one_and_so_is_one_with_filling():
    for tail in (b"QUIT", b"QUIT\r", b"QUIT\n\x1a\x1a\x1a", b"QUIT\n\0\0", b"quit \n\n\n"):
        events, reader = read(BATCH.replace(b"QUIT\n", tail))
        assert len(events) == 5
        assert reader.has_quit and not reader.remarks


def test_a_batch_may_follow_another():
    events, reader = read(BATCH + BATCH)
    assert len(events) == 10
    assert reader.has_quit


def test_commands_are_read_as_people_write_them():
    text = (
        b"ehlo alpha\nNOOP\nmail from: alice@example.org size=12 BODY=8bitmime foo\n"
        b'rcpt to:<"a b>c"@example.net> NOTIFY=never ORCPT=rfc822;x\nRCPT TO:far!dan\ndata\n.\n'
    )
    recipients = (
        BatchRecipient('"a b>c"@example.net', "NEVER", "rfc822;x"),
        BatchRecipient("far!dan"),
    )
    assert messages(text) == [
        BatchMessage("alice@example.org", recipients, size_bytes=12, body="8BITMIME")
    ]


def test_parameters_that_make_no_sense_mean_nothing():
    text = b"MAIL FROM:<a@b> SIZE=x BODY=no RET=SOME ENVID==\nRCPT TO:<c@d> NOTIFY=X ORCPT=x\n"
    text += b"DATA\n.\n"
    assert messages(text) == [BatchMessage("a@b", (BatchRecipient("c@d"),))]


@pytest.mark.parametrize(
    ("commands", "complaint"),
    [
        (b"MAIL FROM:<a@b>\n", "the message names no recipient"),
        (b"", "DATA without MAIL"),
        (b"RCPT TO:<c@d>\n", "RCPT without MAIL"),
        (
            b"MAIL FROM:<a@[x]>\nRCPT TO:<c@d>\n",
            "bad sender a@[x]: the address literal is neither [1.2.3.4] nor [IPv6:...]",
        ),
        (b"MAIL a@b\nRCPT TO:<c@d>\n", "bad sender a@b: syntax error in MAIL"),
        (b"MAIL FROM:<a@b>\nRSET\n", "DATA without MAIL"),
    ],
)
def test_what_is_wrong_with_a_message_is_told_and_the_next_goes_on(commands, complaint):
    events, _ = read(b"HELO x\n" + commands + b"DATA\ntext\n.\n" + BATCH)
    assert isinstance(events[0], Began)
    assert events[0].message.complaint == complaint
    assert events[1:3] == [Piece(b"text\r\n"), Ended()]
    assert events[3:] == read(BATCH)[0]


def test_a_bad_recipient_is_told_and_the_good_ones_stay():
    (message,) = messages(
        b"MAIL FROM:<a@b>\nRCPT TO:<c d@e>\nRCPT TO:<>\nRCPT c\nRCPT TO:<f@g>\nDATA\n.\n"
    )
    assert message.recipients == (BatchRecipient("f@g"),)
    assert [text for text, _ in message.refused] == ["c?d@e", "?", "c"]
    assert message.complaint == ""


@pytest.mark.parametrize("follows", [b"QUIT\n", b"", b"MAIL FROM:<x@y>\nRCPT TO:<z>\nDATA\n.\n"])
def test_an_envelope_without_data_is_told(follows):
    events, _ = read(b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\n" + follows)
    assert events[0] == WithoutContent(BatchMessage("a@b", (BatchRecipient("c@d"),)))


def test_lines_that_are_no_commands_are_passed_over_and_told():
    events, reader = read(b"FOO bar\n" + b"x" * 20_000 + b"\n" + BATCH)
    assert len(events) == 5
    assert reader.remarks == [
        "unknown command 'FOO bar'",
        "a line that is too long for a command",
    ]
    _, reader = read(b"FOO\n" * 1000)
    assert len(reader.remarks) == bsmtp.MAX_REMARKS


def test_chunks_are_not_read_as_commands():
    events, _ = read(b"MAIL FROM:<a@b>\nRCPT TO:<c@d>\nBDAT 99 LAST\n" + BATCH)
    assert [type(event) for event in events] == [WithoutContent, Unreadable]


def test_recipients_without_end_end_the_batch(monkeypatch):
    monkeypatch.setattr(bsmtp, "MAX_RECIPIENTS", 3)
    events, _ = read(b"MAIL FROM:<a@b>\n" + b"RCPT TO:<c@d>\n" * 4 + BATCH)
    assert [type(event) for event in events] == [WithoutContent, Unreadable]


def test_a_line_without_end_takes_no_memory():
    reader = BatchReader()
    for _ in range(100):
        assert list(reader.feed(b"x" * 10_000)) == []
        assert len(reader._held) <= bsmtp.MAX_COMMAND_BYTES + bsmtp._SLICE_BYTES


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_give_messages_that_begin_before_they_end(data, step):
    is_open = False
    for event in read(b"MAIL FROM:<a>\nDATA\n" + data, step)[0]:
        assert is_open == isinstance(event, (Piece, Ended, Cut))
        is_open = not isinstance(event, (Ended, Cut, WithoutContent, Unreadable))
    assert not is_open


# --- writing


PATHS = st.sampled_from(["a@b.example", '"x y"@b.example', "far!user", "user", "\u00e4@b.example"])
RECIPIENTS = st.builds(
    BatchRecipient,
    PATHS,
    st.sampled_from(["", "NEVER", "SUCCESS,FAILURE"]),
    st.sampled_from(["", "rfc822;x+40y"]),
)


def _message(path, recipients, size, body, ret, envid, is_utf8):
    utf8 = not all(text.isascii() for text in (path, *(one.path for one in recipients)))
    return BatchMessage(path, tuple(recipients), size, body, is_utf8 or utf8, ret=ret, envid=envid)


MESSAGES = st.builds(
    _message,
    st.just("") | PATHS,
    st.lists(RECIPIENTS, min_size=1, max_size=4),
    st.none() | st.integers(0, 10**12),
    st.sampled_from(["", "7BIT", "8BITMIME"]),
    st.sampled_from(["", "FULL", "HDRS"]),
    st.sampled_from(["", "id+2B1"]),
    st.booleans(),
)
# Lines as the queue keeps them; a bare CR in them is content.
LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".x", b"QUIT", b"a\rb", b"\r.", b"\x80\xff\0"])
    | st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"").rstrip(b"\r")),
    max_size=8,
)


def whole(lines):
    return b"".join(line + b"\r\n" for line in lines)


def cut(data, step):
    return [data[start : start + step] for start in range(0, len(data), step)]


@given(
    st.lists(st.tuples(MESSAGES, LINES), max_size=4),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_what_is_written_comes_back(mails, line_end, step, other_step):
    def written(step):
        return b"".join(
            batch(
                "alpha",
                [(message, cut(whole(lines), step)) for message, lines in mails],
                line_end=line_end,
            )
        )

    data = written(step)
    assert data == written(other_step)
    events, reader = read(data, other_step)
    assert reader.has_quit and not reader.remarks
    assert [event.message for event in events if isinstance(event, Began)] == [
        message for message, _ in mails
    ]
    expected = [whole(lines) for _, lines in mails if lines]
    assert [event.data for event in events if isinstance(event, Piece)] == expected
    assert sum(isinstance(event, Ended) for event in events) == len(mails)


@given(st.binary(max_size=60), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 9))
def test_no_content_can_end_its_message_or_give_commands(content, line_end, step):
    data = b"".join(batch("x", [(SECOND, cut(content, step)), (FIRST, [])], line_end=line_end))
    events, reader = read(data)
    found = [event.message for event in events if isinstance(event, Began)]
    assert found == [SECOND, FIRST]
    assert not reader.remarks


def test_with_crlf_every_content_without_bare_lf_comes_back():
    content = b"a\r\r\nb\r\n.\r\r\n"
    data = b"".join(batch("x", [(SECOND, [content])], line_end=b"\r\n"))
    assert Piece(content) in read(data)[0]


def test_a_last_line_without_end_gets_one():
    for line_end in (b"\n", b"\r\n"):
        data = b"".join(batch("x", [(SECOND, [b"a\r\n", b"b"])], line_end=line_end))
        assert Piece(b"a\r\nb\r\n") in read(data)[0]


def test_what_we_write_is_as_the_classic_readers_want_it():
    assert b"".join(batch("alpha", [(FIRST, [CONTENT]), (SECOND, [])])) == BATCH


@pytest.mark.parametrize(
    "message", [BatchMessage("a\nb", ()), BatchMessage("a", (BatchRecipient("b\r\nDATA"),))]
)
def test_an_envelope_cannot_bring_commands(message):
    with pytest.raises(ValueError, match="control characters"):
        list(batch("x", [(message, [])]))
