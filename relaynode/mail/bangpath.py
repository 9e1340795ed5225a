"""Bang paths: `hosta!hostb!user`, the way to a user named hop by hop (RFC 976 section 2).

Paths of the envelope as UUCP systems write them. One with a domain (`user@domain`) stands for
itself, and is read as SMTP reads it; one without is a way that begins at whoever wrote it.

Not here: where such an address leads (policy/canonify, policy/route).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.address import parse_path, split

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_PATH_OCTETS = 1000
"""Of a bang path. SMTP's 64 octets of a local part would cut the ways across a few hosts."""

NOBODY = "MAILER-DAEMON"
"""Stands for the null reverse-path, which a From line cannot say (RFC 5321 section 4.5.5)."""

_UNFIT = re.compile(r"[\x00-\x20\x7f-\x9f<>()\[\],;:\\\"\ud800-\udfff]")


def read_path(text: str) -> str:
    """The path of a UUCP envelope, with or without angle brackets; "" for the null path.

    Raises: AddressError, with a text that is fit to be shown to anybody.
    """
    bare = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    if not bare:
        return ""
    if split(bare)[0] != bare:
        return parse_path(bare, allow_utf8=True)
    if len(bare.encode("utf-8", "surrogateescape")) > MAX_PATH_OCTETS:
        raise AddressError(f"the path is longer than {MAX_PATH_OCTETS} octets")
    if bare.startswith('"'):
        return parse_path(bare, allow_utf8=True)
    if _UNFIT.search(bare) or "" in bare.split("!"):
        raise AddressError("this is neither an address nor a bang path")
    return bare


def is_nobody(path: str) -> bool:
    """Does this sender stand for the null reverse-path? `far!MAILER-DAEMON` does, and `far!<>`."""
    name = split(path)[0].rpartition("!")[2]
    return name in ("", "<>") or name.upper() == NOBODY


def seen_at(path: str, our_names: Collection[str]) -> str:
    """A recipient's path as it goes on from here: without our own names at its head, or behind its
    `@`. `our_names`: those by which UUCP systems know us, in lower case."""
    local, domain = split(path)
    if domain:
        return local if domain.lower().removesuffix(".uucp") in our_names else path
    first, bang, rest = path.partition("!")
    while bang and first.lower().removesuffix(".uucp") in our_names:
        path = rest
        first, bang, rest = path.partition("!")
    return path


def seen_from(path: str, neighbour: str) -> str:
    """A path that a neighbour wrote, as it is written here: the neighbour comes first.

    The neighbour is known to be the previous hop; what stands in the path is only said to be. So
    its own name in front is taken off, and any other stays: a longer way that works is better than
    a short one that leads to somebody else of a like name.
    """
    if not path or not neighbour or split(path)[1]:
        return path
    first, bang, rest = path.partition("!")
    while bang and first.lower().removesuffix(".uucp") == neighbour.lower():
        path = rest
        first, bang, rest = path.partition("!")
    return f"{neighbour}!{path}"
