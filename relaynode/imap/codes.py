"""Response codes, and what a refusal means (RFC 3501 section 7.1, RFC 5530)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.imap.states import Command
from relaynode.mail.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = re.compile(rb"\[([^\] ]{1,100})(?: ([^\]]*))?\] ?(.*)", re.DOTALL)

_CODED: Mapping[str, tuple[int, str]] = {
    "UNAVAILABLE": (451, "4.3.0"),
    "AUTHENTICATIONFAILED": (535, "5.7.8"),
    "AUTHORIZATIONFAILED": (535, "5.7.1"),
    "EXPIRED": (535, "5.7.8"),
    "PRIVACYREQUIRED": (538, "5.7.11"),
    "CONTACTADMIN": (450, "4.3.0"),
    "NOPERM": (550, "5.7.1"),
    "INUSE": (450, "4.2.0"),
    "EXPUNGEISSUED": (450, "4.2.0"),
    "CORRUPTION": (451, "4.3.0"),
    "SERVERBUG": (451, "4.3.0"),
    "CLIENTBUG": (501, "5.5.0"),
    "CANNOT": (550, "5.5.1"),
    "LIMIT": (450, "4.7.0"),
    "OVERQUOTA": (452, "4.2.2"),
    "NONEXISTENT": (550, "5.2.0"),
    "TRYCREATE": (550, "5.2.0"),
    "THROTTLED": (450, "4.7.0"),  # no RFC's; large providers use it
}
_LOGINS = (Command.LOGIN, Command.AUTHENTICATE)
# What servers without codes say when the password may well be right.
_PASSES = re.compile(
    rb"too many|maximum number|try again|temporar|later|in use|overload|busy|unavailable|throttl",
    re.IGNORECASE,
)


def split_code(text: bytes) -> tuple[str, bytes, bytes]:
    """The response code in upper case, or "", what stands in it behind its name, and the text."""
    found = _CODE.fullmatch(text)
    if found is None:
        return "", b"", text
    return found[1].decode("ascii", "replace").upper(), found[2] or b"", found[3]


def clean_text(text: bytes) -> str:
    """A text of the server as one line for logs and people: nothing in it acts on a terminal."""
    decoded = text.decode("utf-8", "replace").strip()[:300]
    return "".join(char if char.isprintable() else "?" for char in decoded)


def status_of(command: Command, code: str, text: bytes, shown: str, *, is_bad: bool) -> Status:
    """What a refusal means: by its code, else by the command. `shown`: the text people may see."""
    number, enhanced = _meaning(command, code, text, is_bad=is_bad)
    return Status(number, enhanced, shown or f"{command} was refused without a reason")


def _meaning(command: Command, code: str, text: bytes, *, is_bad: bool) -> tuple[int, str]:
    if code in _CODED:
        return _CODED[code]
    if command is Command.GREETING:
        return 421, "4.3.2"
    if command in _LOGINS:
        # RFC 3501 gives a wrong password no code of its own; without one it is that.
        return (450, "4.7.0") if _PASSES.search(text) else (535, "5.7.8")
    return (501, "5.5.0") if is_bad else (450, "4.2.0")
