"""What `fetchmail --configdump` prints: the whole set-up as Python, for fetchmailconf and tests.

Its habits are kept where a reader could depend on them: a character that cannot be printed stands
there as `\\0xhh` (which Python takes for a NUL and letters), and `auth external` leaves no trace.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaynode.config.fetchmail_setup import Globals, Server, Setup, User

_PROTOCOL_NAMES = {"auto": "auto", "pop2": "unknown?!?", "kpop": "POP3", "sdps": "POP3"}
_NOT_DUMPED = ("esmtppassword", "checkalias", "is_named", "line", "pidfile")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b"}


def dump(setup: Setup) -> str:
    """The text, to be run by Python."""
    body = "\n".join(_lines(_values(setup), 0))
    return (
        "TRUE=1; FALSE=0\n\n"
        "feature_options = ('pop3','imap','etrn','odmr','ssl',)\n"
        f"# Start of configuration initializer\nfetchmailrc = {body}\n"
        "# End of initializer\n"
    )


def _values(setup: Setup) -> dict[str, Any]:
    found = _dumped(setup.globals)
    found["servers"] = [_server(server) for server in setup.servers]
    return found


def _server(server: Server) -> dict[str, Any]:
    found = _dumped(server)
    found["protocol"] = _PROTOCOL_NAMES.get(server.protocol, server.protocol.upper())
    found["auth"] = server.auth or "any"
    if server.auth == "external":
        del found["auth"]
    if server.esmtppassword is not None:
        found["esmtppassword"] = server.esmtppassword
    found["users"] = [
        {**_dumped(user), "antispam": " ".join(map(str, user.antispam))} for user in server.users
    ]
    return found


def _dumped(of: Globals | Server | User) -> dict[str, Any]:
    return {
        entry.name: getattr(of, entry.name) for entry in fields(of) if entry.name not in _NOT_DUMPED
    }


def _lines(value: dict[str, Any], depth: int) -> list[str]:
    """A dictionary, a line for each key; the lists of dictionaries in it go deeper."""
    indent = "    " * (depth + 1)
    lines = ["{"]
    for name, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            inner = [text for one in item for text in _lines(one, depth + 2)]
            lines += [
                f'{indent}"{name}":[',
                *(f"{indent}    {text}" for text in inner),
                f"{indent}],",
            ]
        else:
            lines.append(f'{indent}"{name}":{_literal(item)},')
    return [*lines, "    " * depth + ("}," if depth else "}")]


def _literal(value: Any) -> str:
    match value:
        case True | False:
            return "TRUE" if value else "FALSE"
        case str():
            return f'"{"".join(map(_character, value))}"'
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case tuple():
            return f"({', '.join(map(_literal, value))})"
        case _:
            return repr(value)


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    is_plain = character.isprintable() or character in "\v\f"
    return character if is_plain else f"\\0x{ord(character):02x}"
