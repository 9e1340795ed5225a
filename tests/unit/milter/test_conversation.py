"""The milter protocol byte by byte: what a filter is sent, and what its answers mean."""

import struct

import pytest

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.mail.status import Status
from relaynode.milter.conversation import Agreed, Conversation, NeedData, Phase
from relaynode.milter.options import Steps
from relaynode.milter.packets import MAX_PACKET_BYTES, encode
from relaynode.milter.replies import (
    AddHeader,
    AddRecipient,
    ChangeFrom,
    ChangeHeader,
    DeleteRecipient,
    InsertHeader,
    Kind,
    Progress,
    Quarantine,
    ReplaceBody,
    Verdict,
)

CONTINUE = encode(b"c")


def answered(version=6, actions=0x1FF, steps=0, more=b""):
    return encode(b"O", struct.pack(">III", version, actions, steps) + more)


def greeted(**answer):
    talk = Conversation()
    talk.negotiate()
    assert talk.data_to_send() == bytes.fromhex("0000000d4f00000006000001ff001ff7ff")
    talk.receive(answered(**answer))
    assert isinstance(talk.next_event(), Agreed)
    return talk


def in_mail(**answer):
    """Up to a recipient, every step continued."""
    talk = greeted(**answer)
    for begin in (
        lambda: talk.connect("[192.0.2.1]", "192.0.2.1", 25, {}),
        lambda: talk.hello("x", {}),
        lambda: talk.mail(["<a@b>"], {}),
        lambda: talk.rcpt(["<c@d>"], {}),
    ):
        step(talk, begin)
    return talk


def step(talk, begin, answer=CONTINUE):
    """What is sent, and the verdict if one is owed."""
    begin()
    sent = talk.data_to_send()
    if not talk.is_waiting:
        return sent, None
    talk.receive(answer)
    return sent, talk.next_event()


def test_each_step_is_sent_with_its_macros_before_it():
    talk = greeted()
    sent, _ = step(talk, lambda: talk.connect("h.example", "192.0.2.1", 1025, {"j": "me"}))
    assert sent == encode(b"D", b"Cj\0me\0") + encode(b"C", b"h.example\x004\x04\x01192.0.2.1\0")
    sent, _ = step(talk, lambda: talk.hello("x.example", {"{tls_version}": "TLSv1.3"}))
    assert sent == encode(b"D", b"H{tls_version}\0TLSv1.3\0") + encode(b"H", b"x.example\0")
    sent, _ = step(talk, lambda: talk.mail(["<a@b>", "SIZE=9"], {"i": "Q1"}))
    assert sent == encode(b"D", b"Mi\0Q1\0") + encode(b"M", b"<a@b>\0SIZE=9\0")
    sent, _ = step(talk, lambda: talk.rcpt(["<c@d>"], {}))
    assert sent == encode(b"R", b"<c@d>\0")
    assert step(talk, lambda: talk.data({}))[0] == encode(b"T")
    assert step(talk, lambda: talk.header(b"A", b"  b\r\n\tc\r\n"))[0] == encode(
        b"L", b"A\0b\n\tc\0"
    )
    assert step(talk, lambda: talk.end_of_header({}))[0] == encode(b"N")
    assert step(talk, lambda: talk.body(b"x\r\n"))[0] == encode(b"B", b"x\r\n")
    assert step(talk, lambda: talk.end_of_message({}))[0] == encode(b"E")
    talk.quit()
    assert talk.data_to_send() == encode(b"Q")


@pytest.mark.parametrize(
    ("address", "data"),
    [("2001:db8::1", b"h\x006\x00\x19IPv6:2001:db8::1\0"), ("", b"h\0U")],
)
def test_a_client_may_come_by_ipv6_or_from_nowhere(address, data):
    talk = greeted()
    assert step(talk, lambda: talk.connect("h", address, 25, {}))[0] == encode(b"C", data)


def test_steps_that_the_filter_does_not_want_are_left_out_and_silent_ones_get_no_answer():
    steps = Steps.NO_CONNECT | Steps.NO_BODY | Steps.SILENT_HEADER | Steps.LEADING_SPACE
    talk = in_mail(steps=steps)
    assert step(talk, lambda: talk.header(b"A", b"  b\r\n")) == (encode(b"L", b"A\0  b\0"), None)
    assert step(talk, lambda: talk.body(b"x")) == (b"", None)
    assert talk.has_enough


def test_a_filter_of_version_2_hears_nothing_of_data():
    talk = in_mail(version=2, actions=0x3F)
    assert step(talk, lambda: talk.data({})) == (b"", None)


def test_a_filter_gets_the_macros_that_it_asks_for():
    talk = greeted(more=struct.pack(">I", 0) + b"j {client_addr}\0")
    macros = {"j": "me", "_": "you", "{client_addr}": "1"}
    sent, _ = step(talk, lambda: talk.connect("h", "", 0, macros))
    assert sent.startswith(encode(b"D", b"Cj\0me\0{client_addr}\x001\0"))
    sent, _ = step(talk, lambda: talk.hello("x", {"all": "come"}))
    assert b"all\0come\0" in sent


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (encode(b"h", b"X-A\0b\0"), AddHeader(b"X-A", b"b")),
        (encode(b"i", b"\0\0\0\x01X-A\0b\0"), InsertHeader(1, b"X-A", b"b")),
        (encode(b"m", b"\0\0\0\x02X-A\0\0"), ChangeHeader(2, b"X-A", b"")),
        (encode(b"b", b"new\0\r\n"), ReplaceBody(b"new\0\r\n")),
        (encode(b"+", b"<a@b>\0"), AddRecipient("<a@b>")),
        (encode(b"2", b"<a@b>\0NOTIFY=NEVER\0"), AddRecipient("<a@b>", ("NOTIFY=NEVER",))),
        (encode(b"-", b"<a@b>\0"), DeleteRecipient("<a@b>")),
        (encode(b"e", b"<a@b>\0"), ChangeFrom("<a@b>")),
        (encode(b"q", b"looks\nodd\0"), Quarantine("looks odd")),
        (encode(b"p"), Progress()),
    ],
)
def test_changes_come_at_the_end_of_the_message_and_at_no_other_time(answer, meaning):
    talk = in_mail()
    talk.end_of_message({})
    for byte in answer[:-1]:
        talk.receive(bytes([byte]))
        assert isinstance(talk.next_event(), NeedData)
    talk.receive(answer[-1:] + CONTINUE)
    assert talk.next_event() == meaning
    assert talk.is_waiting
    assert talk.next_event() == Verdict(Kind.CONTINUE)
    assert talk.phase is Phase.READY
    if isinstance(meaning, Progress):
        return
    early = in_mail()
    early.end_of_header({})
    early.receive(answer)
    with pytest.raises(RemoteProtocolError, match="before the end"):
        early.next_event()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"550 5.7.1 No spam\0", Status(550, "5.7.1", "No spam")),
        (b"451 later, 50%% full\0", Status(451, "", "later, 50% full")),
        (b"554-5.6.0 one\r\n554 5.6.0 two\0", Status(554, "5.6.0", "one two")),
        (b"550 4.7.1 odd\0", Status(550, "", "4.7.1 odd")),
    ],
)
def test_a_filter_says_the_reply(data, status):
    talk = in_mail()
    _, verdict = step(talk, lambda: talk.end_of_header({}), encode(b"y", data))
    assert verdict == Verdict(Kind.REPLY, status)
    assert talk.is_done


def test_a_refused_recipient_leaves_the_message_to_the_others():
    talk = in_mail()
    for letter in (b"r", b"t"):
        assert step(talk, lambda: talk.rcpt(["<x@y>"], {}), encode(letter))[1] is not None
    assert not talk.is_done
    assert step(talk, lambda: talk.rcpt(["<x@y>"], {}))[0] == encode(b"R", b"<x@y>\0")


def test_of_a_message_that_is_accepted_nothing_more_is_sent_and_the_next_one_is_asked_about():
    talk = in_mail()
    step(talk, lambda: talk.end_of_header({}), encode(b"a"))
    assert talk.is_done
    assert step(talk, lambda: talk.body(b"x")) == (b"", None)
    assert step(talk, lambda: talk.end_of_message({})) == (b"", None)
    assert step(talk, lambda: talk.mail(["<a@b>"], {}))[0] == encode(b"M", b"<a@b>\0")


def test_of_a_client_that_is_accepted_nothing_more_is_sent():
    talk = greeted()
    step(talk, lambda: talk.connect("h", "", 0, {}), encode(b"a"))
    assert step(talk, lambda: talk.mail(["<a@b>"], {})) == (b"", None)
    talk.abort()
    talk.quit()
    assert talk.data_to_send() == encode(b"Q")


def test_a_message_that_is_off_is_aborted_and_a_connection_can_take_another_client():
    talk = in_mail()
    talk.abort()
    assert talk.data_to_send() == encode(b"A")
    step(talk, lambda: talk.mail(["<a@b>"], {}))
    talk.quit(reuses=True)
    assert talk.data_to_send() == encode(b"A") + encode(b"K")
    assert step(talk, lambda: talk.connect("h", "", 0, {}))[0] == encode(b"C", b"h\0U")


def test_the_rest_of_a_body_that_is_skipped_is_not_sent():
    talk = in_mail()
    step(talk, lambda: talk.end_of_header({}))
    assert step(talk, lambda: talk.body(b"x"), encode(b"s"))[1] == Verdict(Kind.CONTINUE)
    assert step(talk, lambda: talk.body(b"x")) == (b"", None)
    assert step(talk, lambda: talk.end_of_message({}))[0] == encode(b"E")


@pytest.mark.parametrize(
    "answer",
    [
        b"\0\0\0\0",
        (MAX_PACKET_BYTES + 1).to_bytes(4, "big"),
        encode(b"Z"),
        encode(b"s"),
        encode(b"y", b"250 fine\0"),
        encode(b"y", b"\0"),
        encode(b"h", b"X-A\0b"),
        encode(b"h", b"X A\0b\0"),
        encode(b"h", b"X-A\r\nTo\0b\0"),
        encode(b"i", b"\0\0"),
        encode(b"b", b"x") * 2 + encode(b"\xff"),
        encode(b"p") * 1001,
        encode(b"h", b"X-A\0" + b"x" * 60000 + b"\0") * 20,
        encode(b"+", b"<a@b>\0") * 10_001,
    ],
)
def test_a_filter_that_breaks_the_rules_is_an_error_and_the_conversation_over(answer):
    talk = in_mail()
    talk.end_of_message({})
    talk.receive(answer)
    with pytest.raises(RemoteProtocolError):
        while not isinstance(talk.next_event(), NeedData):
            pass
    assert talk.phase is Phase.CLOSED


@pytest.mark.parametrize(
    "answer",
    [
        CONTINUE,
        encode(b"O", b"\0\0\0\6"),
        answered(version=1),
        answered(version=7),
        answered(actions=0x200),
        answered(more=b"\0\0\0\0j"),
    ],
)
def test_an_answer_to_the_options_has_its_form(answer):
    talk = Conversation()
    talk.negotiate()
    talk.receive(answer)
    with pytest.raises(RemoteProtocolError):
        talk.next_event()


def test_nobody_asked_a_filter_that_speaks_by_itself():
    talk = in_mail()
    talk.receive(CONTINUE)
    with pytest.raises(RemoteProtocolError):
        talk.next_event()


def test_steps_out_of_order_are_our_own_mistake():
    talk = greeted()
    with pytest.raises(LocalProtocolError):
        talk.mail(["<a@b>"], {})
