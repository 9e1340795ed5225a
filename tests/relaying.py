"""The table of relay attempts, and a node that they are tried on."""

from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("relay_attempts.txt")

STRANGER = "203.0.113.9"
NEIGHBOUR = "192.168.1.7"
"""A client in the network that the node serves."""

SECTIONS = """
[routing]
virtual_domains = ["virtual.example"]
"""
NODE_KEYS = 'local_domains = ["ours.example"]'
TABLES = {
    "relay-domains": "kept.example\n",
    "access": "To:friend.example RELAY\nConnect:198.51.100.4 RELAY\n",
    "aliases": "staff: user, joe\nabroad: x@far.example\n",
    "virtusertable": "joe@virtual.example joe\n",
}
USERS = ("user", "joe", "postmaster")

LEGITIMATE = (
    (STRANGER, "<user@bsd.home>"),
    (STRANGER, "<user>"),
    (STRANGER, "<USER@Bsd.Home.>"),
    (STRANGER, "<user@ours.example>"),
    (STRANGER, "<user+lists@bsd.home>"),
    (STRANGER, '<"user"@bsd.home>'),
    (STRANGER, "<@relay.example:user@bsd.home>"),
    (STRANGER, "<user%bsd.home@ours.example>"),
    (STRANGER, "<bsd.home!user>"),
    (STRANGER, "<staff@bsd.home>"),
    (STRANGER, "<abroad@bsd.home>"),
    (STRANGER, "<joe@virtual.example>"),
    (STRANGER, "<postmaster>"),
    (STRANGER, "<postmaster@bsd.home>"),
    (STRANGER, "<anybody@kept.example>"),
    (STRANGER, "<anybody@sub.kept.example>"),
    (STRANGER, "<anybody@friend.example>"),
    (STRANGER, "<anybody@a.friend.example>"),
    ("198.51.100.4", "<x@far.example>"),
    (NEIGHBOUR, "<x@far.example>"),
    (NEIGHBOUR, "<x%far.example@bsd.home>"),
    (NEIGHBOUR, "<far.example!x>"),
    (NEIGHBOUR, "<user@bsd.home>"),
    ("127.0.0.1", "<x@far.example>"),
    ("::1", "<x@far.example>"),
    ("::ffff:127.0.0.1", "<x@far.example>"),
)
"""Who may write to whom."""


class RelayAttempt(NamedTuple):
    """Arguments of MAIL and RCPT as bytes, and what the trick is."""

    sender: bytes
    recipient: bytes
    trick: str


def relay_attempts():
    """The whole table."""
    lines = TABLE.read_text(encoding="ascii").splitlines()
    return [_attempt(line) for line in lines if line and not line.startswith("#")]


def _attempt(line):
    paths, _, trick = line.rpartition(" ~ ")
    sender, arrow, recipient = paths.rpartition("> > <")
    if not arrow:
        return RelayAttempt(b"<a@b.example>", _bytes(paths.rstrip()), trick)
    return RelayAttempt(_bytes(sender + ">"), _bytes("<" + recipient.rstrip()), trick)


def _bytes(text):
    """Only \\0, \\t, \\n and \\x.. are escapes: a backslash is a character of addresses."""
    for escape, byte in (("\\0", "\0"), ("\\t", "\t"), ("\\n", "\n")):
        text = text.replace(escape, byte)
    first, *rest = text.split("\\x")
    data = first.encode("latin-1")
    for part in rest:
        data += bytes([int(part[:2], 16)]) + part[2:].encode("latin-1")
    return data
