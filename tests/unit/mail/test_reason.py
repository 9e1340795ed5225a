"""Reason codes: each error class has one that exists, and replies are read by their codes."""

import inspect
import re
from pathlib import Path

import pytest

from relaynode import errors
from relaynode.mail.reason import Reason, of_status
from relaynode.mail.status import Status

DOCUMENT = Path(__file__).parents[3] / "docs" / "why.md"
SOURCE = Path(__file__).parents[3] / "relaynode"


def test_every_error_has_a_code_that_exists():
    classes = [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.RelaynodeError)
    ]
    assert {one.reason for one in classes} <= set(Reason)


def test_every_code_that_is_written_as_a_string_exists():
    """In rooms that may not import `mail` a code is a plain string."""
    for path in SOURCE.glob("wire/*.py"):
        for code in re.findall(r'reason="([^"]+)"', path.read_text()):
            assert code in set(Reason), path


def test_every_code_is_documented_and_no_other():
    documented = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(Reason)


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "stage", "reason"),
    [
        (250, "2.0.0", "ok", "DATA", "delivered"),
        (421, "4.3.2", "shutting down", "MAIL", "closing-421"),
        (450, "4.7.1", "Greylisted, come back in 5 minutes", "RCPT", "greylisted"),
        (451, "", "Graylisting in action", "RCPT", "greylisted"),
        (451, "4.3.0", "try later", "RCPT", "deferred-by-server"),
        (450, "", "later", "DATA", "deferred-by-server"),
        (452, "4.2.2", "over quota", "RCPT", "mailbox-full"),
        (452, "4.3.1", "disk full", "MAIL", "server-full"),
        (452, "", "no room", "MAIL", "server-full"),
        (452, "4.5.3", "too many recipients", "RCPT", "deferred-by-server"),
        (550, "5.1.1", "no such user", "RCPT", "rejected-recipient"),
        (550, "", "no such user", "RCPT", "rejected-recipient"),
        (550, "5.7.1", "relaying denied", "RCPT", "rejected-recipient"),
        (553, "5.1.8", "your domain does not exist", "RCPT", "rejected-sender"),
        (550, "5.7.1", "not you", "MAIL", "rejected-sender"),
        (554, "5.7.1", "spam", "DATA", "rejected-content"),
        (550, "5.6.0", "bad header", "DATA", "rejected-content"),
        (552, "5.2.2", "mailbox full", "DATA", "mailbox-full"),
        (552, "", "mailbox full", "RCPT", "mailbox-full"),
        (552, "5.3.4", "too big", "MAIL", "too-large"),
        (552, "", "too big", "DATA", "too-large"),
        (556, "5.1.10", "null MX", "RCPT", "null-mx"),
        (530, "5.7.0", "authentication required", "MAIL", "auth-required"),
        (554, "5.4.6", "loop", "DATA", "mail-loop"),
        (503, "5.5.1", "bad sequence", "DATA", "protocol-error"),
        (554, "5.5.0", "no", "", "refused"),
    ],
)
def test_a_reply_is_read_by_its_codes_and_by_what_it_answers(code, enhanced, text, stage, reason):
    assert of_status(Status(code, enhanced, text), stage) == reason
