"""The login prompts of the called side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.login import LOGIN_SECONDS, MAX_LINE_BYTES, MAX_PROMPTS, LoginPrompt


def is_alpha(name: str, password: bytes) -> bool:
    return (name, password) == ("Ualpha", b"secret")


@pytest.fixture
def prompt() -> LoginPrompt:
    return LoginPrompt(is_alpha, 0)


def test_name_and_password_are_asked_for_and_nothing_is_echoed(prompt):
    assert prompt.data_to_send() == b"login: "
    prompt.receive(b"Ualpha\r", 0)
    assert prompt.data_to_send() == b"Password:"
    prompt.receive(b"secret\r", 0)
    assert prompt.data_to_send() == b""
    assert prompt.name == "Ualpha"
    assert prompt.is_over and not prompt.is_refused


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_lines_end_with_cr_or_lf_or_both(prompt, end, piece):
    said = b"Ualpha" + end + b"secret" + end
    for start in range(0, len(said), piece):
        if not prompt.is_over:
            prompt.receive(said[start : start + piece], 0)
    assert prompt.name == "Ualpha"


def test_an_empty_line_repeats_the_prompt(prompt):
    prompt.receive(b"\r\rUalpha\rsecret\r", 0)
    assert prompt.data_to_send() == b"login: login: login: Password:"
    assert prompt.name == "Ualpha"


def test_parity_bits_are_cleared(prompt):
    prompt.receive(bytes(byte | 0x80 for byte in b"Ualpha\rsecret") + b"\r", 0)
    assert prompt.name == "Ualpha"


@pytest.mark.parametrize("said", [b"Ualpha\rwrong\r", b"Ubeta\rsecret\r", b"Ualpha\r\r"])
def test_a_wrong_pair_is_answered_with_silence(prompt, said):
    prompt.receive(said, 0)
    assert prompt.is_refused and prompt.name is None
    assert prompt.data_to_send() == b"login: Password:"
    assert prompt.rest == b""


def test_what_follows_the_password_is_kept(prompt):
    prompt.receive(b"Ualpha\rsecret\r\x10Salpha\0", 0)
    assert prompt.rest == b"\x10Salpha\0"


def test_a_line_without_an_end_is_not_collected(prompt):
    with pytest.raises(RemoteProtocolError):
        prompt.receive(b"a" * (MAX_LINE_BYTES + 1), 0)


def test_empty_lines_do_not_go_on_for_ever(prompt):
    with pytest.raises(RemoteProtocolError):
        prompt.receive(b"\r" * MAX_PROMPTS, 0)


def test_the_caller_has_only_so_much_time(prompt):
    prompt.receive(b"Ualpha\r", LOGIN_SECONDS - 1)
    assert prompt.wake_at == LOGIN_SECONDS
    prompt.tick(LOGIN_SECONDS - 1)
    with pytest.raises(LineLost):
        prompt.tick(LOGIN_SECONDS)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_are_a_login_or_refused(pieces):
    prompt = LoginPrompt(is_alpha, 0)
    for piece in pieces:
        try:
            prompt.receive(piece, 0)
        except RemoteProtocolError:
            return
        if prompt.is_over:
            return
        assert len(prompt.rest) <= MAX_LINE_BYTES
