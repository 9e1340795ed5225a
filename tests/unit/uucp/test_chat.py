r"""Chat scripts, with a clock by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.uucp.chat import (
    ECHO_SECONDS,
    LONG_PAUSE_SECONDS,
    MAX_TEXT_BYTES,
    SHORT_PAUSE_SECONDS,
    Chat,
    ChatError,
    ChatSettings,
    check,
    unescape,
)
from relaynode.uucp.events import BreakWanted, CarrierWanted

LOGIN = {"L": b"Ualpha", "P": b"secret"}
TAYLOR = r'"" \r\c ogin:-BREAK-ogin:-BREAK-ogin: \L word: \P'


def chat(script: str, values=LOGIN, **settings) -> Chat:
    return Chat(ChatSettings(script.split(), values, **settings), 0)


def test_a_login_goes_to_its_end():
    talk = chat(r"ogin: \L ssword: \P")
    talk.receive(b"Welcome\r\nLogin: ", 0)
    assert talk.data_to_send() == b"Ualpha\r"
    talk.receive(b"Password:", 1)
    assert talk.data_to_send() == b"secret\r"
    assert talk.result.is_success
    assert talk.wake_at is None


def test_what_follows_the_last_expected_text_is_kept():
    talk = chat(r"ogin: \L word: \P")
    talk.receive(b"login: ", 0)
    talk.receive(b"Password:\r\n\x10Shere=\xe9\0", 0)
    assert talk.rest == b"\r\n\x10Shere=\xe9\0"


@pytest.mark.parametrize("piece", [1, 2, 7])
def test_texts_may_come_in_pieces(piece):
    talk = chat(r"ogin: \L word: \P")
    said = b"this is beta\r\nlogin: Password: more"
    for start in range(0, len(said), piece):
        talk.receive(said[start : start + piece], 0)
    assert talk.data_to_send() == b"Ualpha\rsecret\r"


def test_parity_bits_do_not_matter_unless_they_shall():
    said = bytes(byte | 0x80 for byte in b"login: ")
    for is_seven_bit in (True, False):
        talk = chat(r"ogin: \L", is_seven_bit=is_seven_bit)
        talk.receive(said, 0)
        assert (talk.result is not None) == is_seven_bit


def test_a_text_that_does_not_come_ends_the_chat():
    talk = chat(r"ogin: \L")
    assert talk.wake_at == 10
    talk.tick(9)
    assert talk.result is None
    talk.tick(10)
    assert not talk.result.is_success
    assert "ogin:" in talk.result.reason


def test_a_text_may_have_a_time_of_its_own():
    assert chat(r"ogin:\W3 \L").wake_at == 3


def test_when_a_text_does_not_come_something_else_is_tried():
    talk = chat(r"ogin:-hello-ogin:-again\c-ogin: \L")
    talk.tick(10)
    assert talk.data_to_send() == b"hello\r"
    assert talk.wake_at == 20
    talk.tick(20)
    assert talk.data_to_send() == b"again"
    talk.receive(b"login:", 21)
    assert talk.data_to_send() == b"Ualpha\r"
    assert talk.result.is_success


def test_taylors_own_script_sends_breaks():
    talk = chat(TAYLOR)
    assert talk.data_to_send() == b"\r"
    assert talk.tick(10) == [BreakWanted()]
    talk.tick(10)
    assert talk.tick(20) == [BreakWanted()]
    talk.tick(20)
    talk.receive(b"login: ", 25)
    talk.receive(b"Password:", 25)
    assert talk.data_to_send() == b"Ualpha\rsecret\r"
    assert talk.result.is_success


def test_abort_texts_end_the_chat_at_once():
    talk = chat(r"CONNECT \c", fails_on=["BUSY", r"NO\sCARRIER"])
    talk.receive(b"\r\nNO CARRIER\r\n", 0)
    assert talk.result.reason == "the other side said b'NO CARRIER'"


def test_what_comes_first_counts():
    talk = chat(r"CONNECT \c", fails_on=["BUSY"])
    talk.receive(b"CONNECT 9600 BUSY", 0)
    assert talk.result.is_success


def test_pauses_and_breaks_have_their_place():
    talk = chat(r'"" a\d\pb\K\cc')
    assert talk.data_to_send() == b"a"
    assert talk.wake_at == LONG_PAUSE_SECONDS
    talk.tick(LONG_PAUSE_SECONDS)
    assert talk.data_to_send() == b""
    end = LONG_PAUSE_SECONDS + SHORT_PAUSE_SECONDS
    assert talk.wake_at == end
    assert talk.tick(end) == [BreakWanted()]
    assert talk.data_to_send() == b"b"
    talk.tick(end)
    assert talk.data_to_send() == b"c"
    assert talk.result.is_success


def test_end_of_transmission_and_break_are_words():
    talk = chat('"" EOT "" BREAK')
    assert talk.data_to_send() == b"\x04"
    assert talk.tick(0) == [BreakWanted()]
    talk.tick(0)
    assert talk.result.is_success


def test_the_carrier_is_an_action():
    talk = chat(r'"" \M\c "" \mATDT\c')
    assert talk.tick(0) == [CarrierWanted(False)]
    assert talk.tick(0) == [CarrierWanted(True)]
    talk.tick(0)
    assert talk.data_to_send() == b"ATDT"


def test_each_character_waits_for_its_echo():
    talk = chat(r'"" \EAT\e\r\c', {})
    assert talk.data_to_send() == b"A"
    talk.receive(b"x", 0)
    assert talk.data_to_send() == b""
    talk.receive(b"A", 0)
    assert talk.data_to_send() == b"T"
    talk.receive(b"T", 0)
    assert talk.data_to_send() == b"\r"
    assert talk.result.is_success


def test_a_missing_echo_ends_the_chat():
    talk = chat(r'"" \EAT', {})
    talk.tick(ECHO_SECONDS)
    assert talk.result.reason == "a character was not echoed"


def test_escapes_stand_for_bytes():
    talk = chat(r'"" \b\n\N\r\s\t\\\101\x42\c')
    assert talk.data_to_send() == b"\b\n\0\r \t\\AB"
    assert unescape(r"a\sb\055c") == b"a b-c"


def test_a_hyphen_can_be_expected():
    talk = chat(r"a\055b x c\-d y")
    talk.receive(b"a-b", 0)
    assert talk.data_to_send() == b"x\r"
    talk.receive(b"c-d", 0)
    assert talk.data_to_send() == b"y\r"


def test_an_empty_script_is_done_at_once():
    assert chat("").result.is_success
    assert chat('"" ""').result.is_success
    assert chat('""').result.is_success


@pytest.mark.parametrize("script", [r"a \q", r"\d x", r"a-b x", r"a \L", "a \\", r"\x x"])
def test_scripts_without_sense_are_refused(script):
    with pytest.raises(ChatError):
        chat(script, {})


def test_a_script_can_be_checked_without_its_values():
    check(TAYLOR.split(), "LP")
    with pytest.raises(ChatError):
        check(TAYLOR.split(), "D")


def test_no_more_is_kept_than_may_be_expected():
    talk = chat(r"ogin: \L")
    for _ in range(100):
        talk.receive(b"x" * 1000, 0)
    assert len(talk.rest) <= MAX_TEXT_BYTES


@given(st.lists(st.tuples(st.binary(max_size=50), st.floats(0, 30)), max_size=12))
def test_any_bytes_at_any_time_do_no_harm(pieces):
    talk = chat(TAYLOR, fails_on=["BUSY"])
    now = 0.0
    for data, seconds in pieces:
        now += seconds
        talk.tick(now)
        talk.receive(data, now)
        if talk.result is not None:
            break
        assert talk.wake_at is not None
        assert len(talk.rest) <= MAX_TEXT_BYTES
