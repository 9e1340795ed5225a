"""Exit codes of statuses: those that sendmail ends with for the same enhanced codes."""

from __future__ import annotations

import pytest

from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mail.sysexits import exit_code


@pytest.mark.parametrize(
    ("enhanced", "code"),
    [
        ("5.0.0", 69),
        ("5.1.0", 65),
        ("5.1.1", 67),
        ("5.1.2", 68),
        ("5.1.3", 64),
        ("5.1.4", 69),
        ("5.1.5", 78),
        ("5.1.6", 67),
        ("5.1.7", 64),
        ("5.1.8", 68),
        ("5.1.10", 69),
        ("5.2.0", 69),
        ("5.2.3", 65),
        ("5.3.0", 71),
        ("5.3.5", 71),
        ("5.4.0", 74),
        ("5.4.4", 76),
        ("5.4.6", 78),
        ("5.4.7", 69),
        ("5.5.1", 76),
        ("5.6.1", 69),
        ("5.7.1", 65),
        ("5.8.1", 69),
    ],
)
def test_each_enhanced_code_has_the_exit_code_of_sendmail(enhanced: str, code: int) -> None:
    assert exit_code(permanent("x", enhanced)) == code


def test_what_waits_may_be_tried_again_and_what_is_done_is_well() -> None:
    assert exit_code(temporary("x", "4.2.2")) == 75
    assert exit_code(ok("x")) == 0
    assert exit_code(Status(550, "", "x")) == 69


def test_mail_that_is_too_large_is_unavailable() -> None:
    assert exit_code(Status(552, "5.3.4", "Message is too large; 100000 bytes max")) == 69
