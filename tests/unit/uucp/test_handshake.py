"""Both sides of the handshake, against each other and against what was recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.features import BARE, NONE, OURS, TAYLORS, Features
from relaynode.uucp.handshake import (
    MAX_MESSAGE_BYTES,
    MAX_NOISE_BYTES,
    MESSAGE_SECONDS,
    Agreement,
    CalledHandshake,
    CalledSettings,
    CallerHandshake,
    CallerSettings,
    Refusal,
    Verdict,
    names_match,
)
from uucp.memory import OpenGate


def caller(protocols: str = "it", **settings) -> CallerHandshake:
    return CallerHandshake(
        CallerSettings("alpha", ("beta",), protocols, **{"features": TAYLORS, **settings}), 0
    )


def called(gate: OpenGate | None = None, protocols: str = "ti", **settings) -> CalledHandshake:
    settings = CalledSettings("beta", protocols, **{"features": TAYLORS, **settings})
    return CalledHandshake(settings, gate or OpenGate(), 0)


def heard(handshake, *pieces: bytes) -> bytes:
    """What one side says to all this."""
    said = handshake.data_to_send()
    for piece in pieces:
        handshake.receive(piece, 0)
        said += handshake.data_to_send()
    return said


def shake(ours: CallerHandshake, theirs: CalledHandshake) -> None:
    for _ in range(5):
        theirs.receive(ours.data_to_send(), 0)
        ours.receive(theirs.data_to_send(), 0)


# --- together


def test_both_agree_on_the_callers_choice_and_on_all_features():
    ours, theirs = caller("it"), called(protocols="tieg")
    shake(ours, theirs)
    assert ours.result == Agreement("beta", "i", TAYLORS)
    assert theirs.result == Agreement("alpha", "i", TAYLORS)
    assert theirs.neighbour == "alpha"


def test_two_relaynodes_know_each_other():
    ours, theirs = caller(features=OURS), called(features=OURS)
    shake(ours, theirs)
    assert ours.result.features & theirs.result.features & Features.AT_ONCE


def test_grade_and_sequence_reach_the_called_side():
    gate = OpenGate(sequence=7)
    ours, theirs = caller(sequence=7, worst_grade="C"), called(gate)
    shake(ours, theirs)
    assert theirs.result.worst_grade == "C"
    assert gate.sequence == 8


def test_without_a_common_protocol_both_know_it():
    ours, theirs = caller("g"), called(protocols="ti")
    shake(ours, theirs)
    assert ours.result.verdict is Verdict.NO_PROTOCOL
    assert theirs.result.verdict is Verdict.NO_PROTOCOL


@pytest.mark.parametrize(
    ("gate", "message", "verdict"),
    [
        (OpenGate(names=()), b"RYou are unknown to me", Verdict.UNKNOWN),
        (OpenGate(fits=False), b"RLOGIN", Verdict.WRONG_LOGIN),
        (OpenGate(back=True), b"RCB", Verdict.CALL_BACK),
        (OpenGate(is_free=False), b"RLCK", Verdict.LOCKED),
        (OpenGate(sequence=3), b"RBADSEQ", Verdict.BAD_SEQUENCE),
    ],
)
def test_refusals_are_said_and_understood(gate, message, verdict):
    theirs = called(gate)
    said = heard(theirs, b"\x10Salpha -Q1 -R -N047\0")
    assert said == b"\x10Shere=beta\0\x10" + message + b"\0"
    assert theirs.result.verdict is verdict
    ours = caller()
    ours.receive(said, 0)
    assert ours.result.verdict is verdict


def test_the_gate_is_asked_in_order_and_no_further_than_needed():
    for gate, asked in (
        (OpenGate(names=()), ["known"]),
        (OpenGate(fits=False), ["known", "login"]),
        (OpenGate(back=True), ["known", "login", "back"]),
        (OpenGate(is_free=False), ["known", "login", "back", "lock", "sequence"]),
    ):
        heard(called(gate), b"\x10Salpha\0")
        assert gate.asked == asked


def test_a_sequence_number_counts_even_if_the_system_is_locked():
    gate = OpenGate(is_free=False, sequence=4)
    theirs = called(gate)
    heard(theirs, b"\x10Salpha -Q4\0")
    assert theirs.result.verdict is Verdict.LOCKED
    assert gate.sequence == 5


def test_a_missing_sequence_number_is_wrong():
    theirs = called(OpenGate(sequence=4))
    heard(theirs, b"\x10Salpha\0")
    assert theirs.result.verdict is Verdict.BAD_SEQUENCE


# --- the called side


@pytest.mark.parametrize(
    ("introduction", "acceptance", "features"),
    [
        (b"Salpha -R -N047", b"ROKN047", TAYLORS),
        (b"Salpha -N", b"ROKN", BARE),
        (b"Salpha", b"ROK", NONE),
        (b"Salpha -R", b"ROK -R", Features.RESTART),
        (b"Salpha -R -U0x10", b"ROK -R", Features.RESTART | Features.SIZES | Features.DUMMY),
        (b"Salpha -N0x3", b"ROKN047", Features.SIZES | Features.RESTART),
        (b"Salpha -x9 -what -y=2 -", b"ROK", NONE),
    ],
)
def test_the_acceptance_has_the_form_of_the_introduction(introduction, acceptance, features):
    theirs = called()
    said = heard(theirs, b"\x10" + introduction + b"\0", b"\x10Ut\0")
    assert said == b"\x10Shere=beta\0\x10" + acceptance + b"\0\x10Pti\0"
    assert theirs.result.features == features


def test_the_largest_file_is_told_in_blocks():
    theirs = called()
    heard(theirs, b"\x10Salpha -R -U0x10\0", b"\x10Ut\0")
    assert theirs.result.max_bytes == 16 * 512


@pytest.mark.parametrize("options", [b"-pC -vgrade=C", b"-pC", b"-vgrade=C"])
def test_each_form_of_the_grade_is_read(options):
    theirs = called()
    heard(theirs, b"\x10Salpha " + options + b"\0", b"\x10Ut\0")
    assert theirs.result.worst_grade == "C"


@pytest.mark.parametrize(
    "option", [b"-pC!", b"-p\x7f", b"-p", b"-vgrade=", b"-Qx", b"-N9z", b"-U-3"]
)
def test_senseless_options_are_passed_over(option):
    theirs = called()
    heard(theirs, b"\x10Salpha " + option + b"\0", b"\x10Ut\0")
    assert theirs.result.worst_grade is None
    assert theirs.result.max_bytes is None


@pytest.mark.parametrize("end", [b"\0", b"\n", b"\r"])
def test_messages_end_with_nul_lf_or_cr(end):
    theirs = called()
    heard(theirs, b"noise\x10rubbish\x10Salpha" + end, b"\x10Ut" + end)
    assert theirs.result == Agreement("alpha", "t")


def test_parity_bits_are_cleared():
    theirs = called()
    heard(theirs, bytes(byte | 0x80 for byte in b"\x10Salpha"), b"\0", b"\x10Ut\0")
    assert theirs.result.peer_name == "alpha"


def test_what_follows_the_choice_is_the_line_protocols_and_untouched():
    theirs = called(protocols="g")
    theirs.receive(b"\x10Salpha\0\x10Ug\0\x10\x09\x6b\xaa\x3f\xf7", 0)
    assert theirs.rest == b"\x10\x09\x6b\xaa\x3f\xf7"


@pytest.mark.parametrize(
    "message",
    [b"alpha", b"S", b"S../evil", b"Sa b/c", b"Sa\x1b", b"S" + b"a" * 70, b"Shere=x", b""],
)
def test_a_caller_without_a_sane_name_is_refused(message):
    gate = OpenGate(names=())
    theirs = called(gate)
    try:
        heard(theirs, b"\x10" + message + b"\0")
    except RemoteProtocolError:
        assert not gate.asked
    else:
        assert theirs.result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("choice", [b"Uz", b"U", b"Utt", b"t", b"Sx"])
def test_a_choice_that_was_not_offered_is_refused(choice):
    theirs = called()
    with pytest.raises(RemoteProtocolError):
        heard(theirs, b"\x10Salpha\0", b"\x10" + choice + b"\0")


# --- the caller


@pytest.mark.parametrize(
    ("settings", "introduction"),
    [
        ({}, b"\x10Salpha -R -N047\0"),
        ({"sequence": 1}, b"\x10Salpha -Q1 -R -N047\0"),
        ({"worst_grade": "C"}, b"\x10Salpha -pC -vgrade=C -R -N047\0"),
        ({"features": NONE}, b"\x10Salpha\0"),
    ],
)
def test_the_introduction_is_as_recorded(settings, introduction):
    assert heard(caller(**settings), b"\x10Shere=beta\0") == introduction


def test_a_bare_greeting_is_enough():
    ours = caller()
    said = heard(ours, b"\x10Shere\0", b"\x10ROK\0\x10Pt\0")
    assert said == b"\x10Salpha -R -N047\0\x10Ut\0"
    assert ours.result == Agreement("beta", "t")


def test_a_wrong_system_is_left_without_a_word():
    ours = caller()
    assert heard(ours, b"\x10Shere=delta\0") == b""
    assert ours.result == Refusal(Verdict.WRONG_SYSTEM, "delta", "delta")


def test_an_alias_is_as_good_as_the_name():
    ours = CallerHandshake(CallerSettings("alpha", ("beta", "hub"), "t"), 0)
    assert heard(ours, b"\x10Shere=hub\0")


@pytest.mark.parametrize(
    ("verdict", "features", "max_bytes"),
    [
        (b"ROKN047", TAYLORS, None),
        (b"ROKN", BARE, None),
        (b"ROK", NONE, None),
        (b"ROK -R", Features.RESTART, None),
        (
            b"ROK -R -U0x40 -x9",
            Features.RESTART | Features.SIZES | Features.DUMMY,
            64 * 512,
        ),
    ],
)
def test_acceptances_tell_the_features(verdict, features, max_bytes):
    ours = caller()
    heard(ours, b"\x10Shere=beta\0\x10" + verdict + b"\0\x10Pgit\0")
    assert ours.result == Agreement("beta", "i", features, max_bytes)


def test_a_refusal_in_other_words_is_kept_for_the_log():
    ours = caller()
    heard(ours, b"\x10Shere=beta\0\x10RGo \x1baway\0")
    assert ours.result == Refusal(Verdict.OTHER, "Go \\033away", "beta")


@pytest.mark.parametrize("said", [b"\x10Salpha\0", b"\x10Shere=beta\0\x10Pt\0", b"\x10\0"])
def test_messages_out_of_order_are_refused(said):
    with pytest.raises(RemoteProtocolError):
        heard(caller(), said)


@pytest.mark.parametrize("piece", [1, 2, 5])
def test_messages_may_come_in_pieces(piece):
    ours = caller()
    said = b"login banner\r\n\x10Shere=beta\0\x10ROKN047\0\x10Pt\0"
    for start in range(0, len(said), piece):
        ours.receive(said[start : start + piece], 0)
    assert ours.result == Agreement("beta", "t", TAYLORS)


# --- limits


def test_each_message_is_waited_for_only_so_long():
    ours = caller()
    ours.receive(b"\x10Shere=beta\0", 100)
    assert ours.wake_at == 100 + MESSAGE_SECONDS
    ours.tick(ours.wake_at - 1)
    with pytest.raises(LineLost):
        ours.tick(ours.wake_at)


def test_noise_and_messages_without_an_end_are_not_collected():
    with pytest.raises(RemoteProtocolError):
        caller().receive(b"x" * (MAX_NOISE_BYTES + 1), 0)
    with pytest.raises(RemoteProtocolError):
        caller().receive(b"\x10" + b"x" * (MAX_MESSAGE_BYTES + 1), 0)


def test_old_systems_cut_names():
    assert names_match("longnam", "longname")
    assert names_match("averylongnameo", "averylongnameofours")
    assert not names_match("longn", "longname")
    assert not names_match("longname", "longnam")
    assert names_match("beta", "beta")


GOOD = [b"\x10Shere=beta\0", b"\x10ROKN047\0", b"\x10Salpha -R -N047\0", b"\x10Pti\0", b"\x10Ut\0"]


@given(
    st.lists(st.one_of(st.sampled_from(GOOD), st.binary(max_size=60)), max_size=8), st.booleans()
)
def test_any_bytes_in_any_state_are_understood_or_refused(pieces, is_caller):
    handshake = caller() if is_caller else called()
    for piece in pieces:
        if handshake.result is not None:
            break
        try:
            handshake.receive(piece, 0)
        except RemoteProtocolError as error:
            assert str(error).isprintable()
            return
        assert len(handshake.rest) <= MAX_MESSAGE_BYTES or handshake.result is not None
