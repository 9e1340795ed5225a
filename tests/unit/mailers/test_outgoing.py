"""Composing: the header rewritten, the body untouched, the size exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import StoreError
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.header import MAX_HEADER_BYTES
from relaynode.mailers.outgoing import compose
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

HOME = Masquerade(names=Names(hostname="bsd.home"), as_domain="example.net", all_headers=True)
TRACE = b"Received: by bsd.home\r\n"


def delivery(content, trace=TRACE, body=""):
    recipients = (QueuedRecipient(1, Recipient("bob@far.example")),)
    envelope = Envelope("joe@bsd.home", (recipients[0].forward_path,), body=body)
    message = QueuedMessage(
        "A1", MessageState.QUEUED, 0.0, "test", envelope, content.size_bytes, recipients
    )
    return Delivery(message, recipients, trace, content)


def composed(content, trace=TRACE, masquerade=HOME, body="", **more):
    """The message as it goes out; its size is checked on the way."""
    if isinstance(content, bytes):
        content = Content.of(content)
    outgoing = compose(delivery(content, trace, body), masquerade, **{"mailer": "esmtp", **more})
    whole = b"".join(outgoing.pieces())
    assert outgoing.size_bytes == len(whole)
    return whole


def test_our_lines_come_first_and_addresses_of_ours_are_rewritten():
    content = b"From: Joe <joe@bsd.home>\r\nTo: bob@far.example,\r\n alice\r\n\r\nbody\r\n"
    assert composed(content) == (
        TRACE + b"From: Joe <joe@example.net>\r\nTo: bob@far.example,\r\n alice@example.net\r\n"
        b"\r\nbody\r\n"
    )


def test_fields_that_we_put_in_front_are_rewritten_too():
    trace = b"Received: r\r\nFrom: joe\r\n"
    assert composed(b"To: x@far.example\r\n\r\n", trace).startswith(
        b"Received: r\r\nFrom: joe@example.net\r\nTo: x@far.example\r\n\r\n"
    )


def test_names_without_domain_stay_so_where_that_is_wished():
    content = b"From: joe\r\nTo: alice@bsd.home\r\n\r\n"
    assert composed(content, b"", mailer="local") == (b"From: joe\r\nTo: alice@example.net\r\n\r\n")


def test_what_looks_like_a_field_in_the_body_is_not_touched():
    body = b"From: joe@bsd.home\r\n\r\nTo: joe@bsd.home\r\n"
    assert composed(b"Subject: x\r\n\r\n" + body, b"").endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b""),
        (b"\r\nbody", b"\r\nbody"),
        (b"no header at all\r\nFrom: joe\r\n", b"\r\nno header at all\r\nFrom: joe\r\n"),
        (b"From: joe", b"From: joe@example.net"),
        (b"From: joe\r\n", b"From: joe@example.net\r\n"),
        (
            b"From: joe\r\nno field\r\nTo: joe\r\n",
            b"From: joe@example.net\r\n\r\nno field\r\nTo: joe\r\n",
        ),
        (b"From: joe\r\n\r\n", b"From: joe@example.net\r\n\r\n"),
        (b"From: joe\r\n--part\r\n", b"From: joe@example.net\r\n\r\n--part\r\n"),
        (b" folded nothing\r\n\r\n", b"\r\n folded nothing\r\n\r\n"),
    ],
)
def test_a_header_without_an_end_gets_one_and_a_text_without_header_stays_body(content, expected):
    assert composed(content) == TRACE + expected


@pytest.mark.parametrize("above", [-30, -3, -2, -1, 0, 1, 2, 100_000])
def test_a_header_longer_than_its_bound_is_rewritten_that_far_and_passes_whole(above, tmp_path):
    start = b"From: joe@bsd.home\r\nX-Long: "
    length = MAX_HEADER_BYTES + above - len(start)
    long_field = b"y" * (length % 900) + b"\r\n " + b"z" * 900 * (length // 900)
    rest = b"\r\nTo: joe@bsd.home\r\n\r\nbody joe@bsd.home\r\n"
    content = (start + long_field)[: MAX_HEADER_BYTES + above] + rest
    file = tmp_path / "content"
    file.write_bytes(content)
    whole = composed(Content(len(content), path=file))
    expected = TRACE + content.replace(b"From: joe@bsd.home", b"From: joe@example.net", 1)
    if above < -len(b"\r\nTo: joe@bsd.home\r\n"):
        expected = expected.replace(b"To: joe@bsd.home", b"To: joe@example.net", 1)
    assert whole == expected


def test_a_header_that_ends_exactly_at_the_bound_is_rewritten_to_its_end(tmp_path):
    to = b"\r\nTo: joe@bsd.home\r\n\r\n"
    filling = b"X: " + b"y" * (MAX_HEADER_BYTES - len(to) - 3)
    content = filling + to + b"body"
    assert len(filling + to) == MAX_HEADER_BYTES
    assert composed(content, b"").endswith(b"\r\nTo: joe@example.net\r\n\r\nbody")


def test_a_long_body_comes_in_pieces_that_are_not_long(tmp_path):
    file = tmp_path / "content"
    content = b"From: joe\r\n\r\n" + b"0123456789abcde\r\n" * 100_000
    file.write_bytes(content)
    outgoing = compose(delivery(Content(len(content), path=file)), HOME, mailer="esmtp")
    assert max(map(len, outgoing.pieces())) <= 64 * 1024
    assert b"".join(outgoing.pieces()).endswith(content[13:])


def test_content_that_is_shorter_than_it_should_be_is_an_error(tmp_path):
    file = tmp_path / "content"
    file.write_bytes(b"From: joe\r\n\r\n" + b"x" * 100_000)
    outgoing = compose(delivery(Content(200_000, path=file)), HOME, mailer="esmtp")
    with pytest.raises(StoreError, match="shorter than its queue entry says"):
        list(outgoing.pieces())
    file.unlink()
    with pytest.raises(StoreError):
        compose(delivery(Content(200_000, path=file)), HOME, mailer="esmtp")


STRANGE = Masquerade(names=Names(hostname="a.b.c.d.e"))
PARTS = st.sampled_from(
    [
        b"From: x@y.example\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"X: \xff\0\r\n",
        b" fold\r\n",
        b"--b\r\n",
        b":",
    ]
)


@given(st.lists(PARTS).map(b"".join) | st.binary(max_size=300))
def test_no_byte_changes_when_no_address_is_of_ours(content):
    """But for the empty line that a header without an end is given."""
    whole = composed(content, TRACE, STRANGE)
    assert whole.startswith(TRACE)
    sent = whole[len(TRACE) :]
    possible = {content} | {
        content[:end] + b"\r\n" + content[end:] for end in range(len(content) + 1)
    }
    assert sent in possible


@given(st.binary(max_size=200))
def test_any_bytes_pass_as_a_body(body):
    head = b"From: joe@bsd.home\r\nSubject: x\r\n\r\n"
    assert composed(head + body, b"") == b"From: joe@example.net\r\nSubject: x\r\n\r\n" + body


LETTER = b"From: joe\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"


def test_8bit_parts_are_encoded_for_a_server_that_takes_seven_bits_only():
    content = LETTER + b"Gr\xfc\xdfe, und viele davon\r\n"
    assert composed(content, body="8BITMIME", takes_8bit=False) == (
        TRACE + b"From: joe@example.net\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe, und viele davon\r\n"
    )


@pytest.mark.parametrize(
    ("body", "takes_8bit", "text"),
    [("8BITMIME", True, b"\xfc"), ("7BIT", False, b"\xfc"), ("8BITMIME", False, b"u")],
)
def test_nothing_is_encoded_unless_it_must_be(body, takes_8bit, text):
    content = LETTER + text + b"\r\n"
    whole = composed(content, body=body, takes_8bit=takes_8bit)
    assert whole.endswith(text + b"\r\n")
    assert b"Encoding" not in whole


def test_a_long_message_is_encoded_out_of_its_file(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(LETTER + b"Gr\xfc\xdfe, und viele davon\r\n" * 10_000)
    content = Content(path.stat().st_size, path=path)
    whole = composed(content, body="8BITMIME", takes_8bit=False)
    assert whole.endswith(b"\r\n\r\n" + b"Gr=FC=DFe, und viele davon\r\n" * 10_000)
