"""Commands and replies: what is read is what was meant, and hostile fields are not taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.uucp.commands import (
    MAX_FIELD_BYTES,
    Code,
    Confirmed,
    CopyGranted,
    Execute,
    Fetch,
    FetchGranted,
    Garbled,
    Granted,
    HangUp,
    HangUpReply,
    NotStored,
    Refused,
    RemoteCopy,
    Send,
    format_reply,
    format_request,
    parse,
    printable,
    to_bytes,
    to_text,
)
from relaynode.uucp.features import BARE, NONE, TAYLORS, Features, from_number
from relaynode.uucp.line import MAX_COMMAND_BYTES

SVR4 = Features.SIZES | Features.DUMMY

RECORDED = [
    (
        b"S /home/u/t2500 ~/sub/dir/t2500 uucp -Cdmn D.0004 0644 bob 0x9c4",
        Send("/home/u/t2500", "~/sub/dir/t2500", "uucp", "Cdmn", "D.0004", 0o644, "bob", 2500),
        TAYLORS,
    ),
    (
        b'S D.X0002 X.alphaN0002 uucp -C D.X0002 0666 "" 0x32',
        Send("D.X0002", "X.alphaN0002", "uucp", "C", "D.X0002", 0o666, "", 50),
        TAYLORS,
    ),
    (
        b'E D.0001 D.alphaN0001 uucp -C D.0001 0666 "" 0x48 rmail bob',
        Execute("D.0001", "D.alphaN0001", "uucp", "C", "D.0001", 0o666, "", 72, "rmail bob"),
        TAYLORS,
    ),
    (
        b"E D.0003 D.alphaN0003 uucp -CNZRe D.0003 0666 alice@alpha 0x3 rmail a b",
        Execute(
            "D.0003",
            "D.alphaN0003",
            "uucp",
            "CNZRe",
            "D.0003",
            0o666,
            "alice@alpha",
            3,
            "rmail a b",
        ),
        TAYLORS,
    ),
    (
        b"R ~/getme /home/u/got uucp -d 0xffffffffffffffff",
        Fetch("~/getme", "/home/u/got", "uucp", "d"),
        TAYLORS,
    ),
    (b"X ~/w* alpha!/home/u/ uucp -d", RemoteCopy("~/w*", "alpha!/home/u/", "uucp", "d"), TAYLORS),
    (
        b"S D.0001 D.alphaN0001 uucp - D.0001 0666  ",
        Send("D.0001", "D.alphaN0001", "uucp", "", "D.0001"),
        NONE,
    ),
    (
        b'S D.X0002 X.betaN0002 uucp - D.X0002 0666 "" dummy 0x35',
        Send("D.X0002", "X.betaN0002", "uucp", "", "D.X0002", 0o666, "", 53),
        SVR4,
    ),
    (
        b'S D.0001 D.alphaN0001 uucp - D.0001 0666 "" 72',
        Send("D.0001", "D.alphaN0001", "uucp", "", "D.0001", 0o666, "", 72),
        BARE,
    ),
    (b"R ~/getme /home/u/got uucp -", Fetch("~/getme", "/home/u/got", "uucp"), NONE),
]


@pytest.mark.parametrize(("text", "request_", "features"), RECORDED)
def test_recorded_requests_are_read(text, request_, features):
    assert parse(text) == request_


@pytest.mark.parametrize(("text", "request_", "features"), RECORDED)
def test_requests_are_written_as_they_were_recorded(text, request_, features):
    assert format_request(request_, features) == text


REPLIES = [
    (b"SY", Granted("S")),
    (b"EY", Granted("E")),
    (b"SY 0x8400", Granted("S", 0x8400)),
    (b"EY 0x48", Granted("E", 72)),
    (b"SN2", Refused("S", Code.NOT_PERMITTED)),
    (b"EN2", Refused("E", Code.NOT_PERMITTED)),
    (b"SN4", Refused("S", Code.CANNOT_CREATE)),
    (b"SN6", Refused("S", Code.TOO_LARGE_NOW)),
    (b"SN7", Refused("S", Code.TOO_LARGE)),
    (b"EN8", Refused("E", Code.RECEIVED_BEFORE)),
    (b"RN9", Refused("R", Code.NO_CHANNEL)),
    (b"SN10", Refused("S", Code.TOO_LARGE_SVR4)),
    (b"RN2", Refused("R", Code.NOT_PERMITTED)),
    (b"XN", Refused("X")),
    (b"XY", CopyGranted()),
    (b"CY", Confirmed()),
    (b"CYM", Confirmed(wants_turn=True)),
    (b"CN5", NotStored()),
    (b"RY 0644 0x2bc", FetchGranted(0o644, 700)),
    (b"HY", HangUpReply(True)),
    (b"HN", HangUpReply(False)),
]


@pytest.mark.parametrize(("text", "reply"), REPLIES)
def test_replies_are_read_and_written(text, reply):
    assert parse(text) == reply
    assert format_reply(reply, TAYLORS) == text


def test_other_forms_of_replies_are_read():
    assert parse(b"RY 0666M") == FetchGranted(0o666, wants_turn=True)
    assert parse(b"RY") == FetchGranted()
    assert parse(b"SN") == Refused("S")
    assert parse(b"SN33") == Refused("S", Code.UNKNOWN)
    assert parse(b"CN") == NotStored(Code.UNKNOWN)
    assert parse(b"H") == HangUp()
    assert parse(b"HY\n") == HangUpReply(True)


def test_which_refusals_may_pass():
    passing = {code for code in Code if not code.is_for_ever}
    assert passing == {Code.CANNOT_CREATE, Code.TOO_LARGE_NOW, Code.NO_CHANNEL}


@pytest.mark.parametrize(
    ("field", "mode"),
    [("0644", 0o644), ("666", 0o666), ("777", 0o777), ("438", 0o666), ("0x1b6", 0o666)],
)
def test_modes_are_octal_also_where_old_systems_forget_the_zero(field, mode):
    assert parse(f"S a ~/b u - D.0 {field}".encode()).mode == mode


@pytest.mark.parametrize("limit", ["0xffffffffffffffff", "0xffffffff", "0xFFFFFFFF"])
def test_the_largest_numbers_are_no_limit(limit):
    assert parse(f"R a b u - {limit}".encode()).limit is None


def test_a_size_beyond_all_measure_is_senseless():
    assert isinstance(parse(b'S a b u - D.0 0666 "" 0x1' + b"0" * 30), Garbled)
    assert isinstance(parse(b'S a b u - D.0 0666 "" 99999999999999999999'), Garbled)
    assert isinstance(parse(b'S a b u - D.0 0666 "" -5'), Garbled)


def test_quoted_names_are_unquoted():
    request = parse(rb'S /a\040b ~/c\\d u -Cq D.1 0644 "" 0x0')
    assert isinstance(request, Send)
    assert (request.source, request.target, request.options) == ("/a b", r"~/c\d", "C")


def test_the_command_of_a_quoted_execution_is_unquoted_too():
    request = parse(rb'E D.1 D.b u -Cq D.1 0644 "" 0x0 rmail a\\b')
    assert isinstance(request, Execute)
    assert request.command == r"rmail a\b"


def test_a_quoted_control_character_is_still_one():
    assert isinstance(parse(rb"S a b u -Cq D.1 0644 x\011y 0x0"), Garbled)


def test_a_blank_in_a_name_is_quoted_where_the_peer_can_read_that():
    request = Send("/home/my file", "~/my file", "u", "C", "D.1", 0o644, "", 3)
    text = format_request(request, TAYLORS)
    assert text == rb'S /home/my\040file ~/my\040file u -Cq D.1 0644 "" 0x3'
    assert parse(text) == request


def test_a_blank_in_a_name_cannot_be_told_to_an_old_peer():
    request = Send("/home/my file", "~/x", "u", "C", "D.1", 0o644, "", 3)
    with pytest.raises(LocalProtocolError):
        format_request(request, Features.SIZES)


def test_an_execution_cannot_be_told_to_a_peer_without_e():
    with pytest.raises(LocalProtocolError):
        format_request(Execute("a", "D.b", "u", command="rmail x"), Features.SIZES)


@pytest.mark.parametrize(
    "text",
    [
        b"S",
        b"Z foo",
        b"",
        b"SX",
        b"hello world",
        b"CYX",
        b"SY zzz",
        b"RY 0644 x",
        b"S" + b" a" * MAX_COMMAND_BYTES,
        b"\xff\xfe",
        b"HQ",
    ],
)
def test_what_is_no_command_is_refused(text):
    with pytest.raises(RemoteProtocolError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"S a b",
        b"S a b u C D.0 0666",  # options without -
        b"S a b u -C D.0",
        b"S a b u -C D.0 rw-",
        b"S a\x1b[2J b u -C D.0 0666",
        b"S " + b"a" * (MAX_FIELD_BYTES + 1) + b" b u -C D.0 0666",
        b'E a D.b u -C D.0 0666 "" 0x0',
        b'E a D.b u -C D.0 0666 "" 0x0 rmail a\x07',
        b'E a D.b u -C D.0 0666 "" big rmail a',
        rb"S a\012b c u -q D.0 0666",
        b"R a b",
        b"X a",
        b"R a b u - 0xzz",
    ],
)
def test_a_request_with_senseless_fields_is_known_by_its_letter(text):
    garbled = parse(text)
    assert isinstance(garbled, Garbled)
    assert garbled.letter == chr(text[0])
    assert garbled.reason.isprintable()


FIELD = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x7f", min_codepoint=32),
    min_size=1,
    max_size=40,
).filter(lambda text: text != '""')
WORD = st.from_regex(r"[A-Za-z0-9._!@/~-]{1,20}", fullmatch=True)


@given(FIELD, FIELD, FIELD, FIELD, st.integers(0, 2**64 - 1), WORD)
def test_what_is_written_is_read_again(source, target, user, notify, size, temp):
    send = Send(source, target, user, "Cd", temp, 0o640, notify, size)
    assert parse(format_request(send, TAYLORS)) == send
    execute = Execute(source, target, user, "N", temp, 0o600, notify, size, "rmail \\ a b")
    assert parse(format_request(execute, TAYLORS)) == execute
    copy = RemoteCopy(source, target, user, "d")
    assert parse(format_request(copy, TAYLORS)) == copy


@given(WORD, WORD, WORD, st.integers(0, 2**31), st.sampled_from([TAYLORS, BARE, SVR4]))
def test_sizes_are_read_in_each_form(source, target, user, size, features):
    send = Send(source, target, user, "", "D.1", 0o666, "", size)
    assert parse(format_request(send, features)) == send


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_refused(text):
    try:
        parse(text)
    except RemoteProtocolError as error:
        assert str(error).isprintable()


@given(
    st.sampled_from([b"S ", b"E ", b"R ", b"X ", b"SY ", b"RY ", b"SN"]), st.binary(max_size=200)
)
def test_any_fields_are_a_command_or_senseless(start, text):
    try:
        said = parse(start + text)
    except RemoteProtocolError:
        return
    assert said is not None


@given(st.binary(max_size=100))
def test_texts_keep_their_bytes_and_can_be_printed(data):
    assert to_bytes(to_text(data)) == data
    assert printable(data).isascii() and (printable(data).isprintable() or not data)


def test_features_that_nobody_knows_are_left_out():
    assert from_number(0o47) == TAYLORS
    assert from_number(0o5700) == NONE
