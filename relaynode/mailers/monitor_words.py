"""What a node that has given up root's rights asks its monitor for: the only things it can get.

    one packet       a request as msgpack, and three descriptors: control, input, output
    control          the exit code in digits comes here, a signal's being negative; when the asking
                     side closes it, what runs is killed
    input, output    of what is run: the message, and what is said about it

A request names whom mail is for and never a path, a uid or a program of its own: those the monitor
finds in the configuration, the aliases and the users' own files. A command or file of an alias or
a .forward comes with the address that led to it, so that the monitor can look whether it does.
"""

from __future__ import annotations

import os
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from relaynode.policy.locals import AddressFile, Unopened

MAX_REQUEST_BYTES = 64 * 1024
DESCRIPTORS = 3

Name = Annotated[bytes, Meta(max_length=255)]
Text = Annotated[bytes, Meta(max_length=16 * 1024)]


class _Request(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Bytes, for names and commands need not be UTF-8."""


class FillMailbox(_Request, frozen=True):
    """Put the input into the mailbox of `user`. For the others see `as_user.write`."""

    user: Name
    unique: Text
    detail: Name = b""
    may_be_there: bool = True


class AppendFile(_Request, frozen=True):
    """Append the input to the file `path`, which the address `origin` stands for."""

    origin: Text
    run_as: Name
    path: Text
    from_line: Text


class RunProgram(_Request, frozen=True):
    """Give the input to a shell command, which the address `origin` stands for."""

    origin: Text
    run_as: Name
    command: Text


class RunCommand(_Request, frozen=True):
    """Give the input to the program of [local] that delivers mail for `user`."""

    user: Name
    detail: Text
    sender: Text


class ReadForward(_Request, frozen=True):
    """Print what stands in the .forward of `user`."""

    user: Name
    detail: Text


class ReadList(_Request, frozen=True):
    """Print what stands in the list `path`, which the aliases or `reader`'s .forward name."""

    path: Text
    reader: Name


class Tell(_Request, frozen=True):
    """Tell systemd that the node is ready, or ends."""

    state: Name


Request: TypeAlias = (
    FillMailbox | AppendFile | RunProgram | RunCommand | ReadForward | ReadList | Tell
)

_decoder = msgspec.msgpack.Decoder(Request)
encode = msgspec.msgpack.encode


def decode(data: bytes) -> Request:
    """The request. Raises: ValueError for anything else, and for a NUL in it."""
    request: Request = _decoder.decode(data)
    texts = (getattr(request, name) for name in request.__struct_fields__)
    if any(isinstance(text, bytes) and b"\0" in text for text in texts):
        raise ValueError("a NUL")
    return request


def encode_file(found: AddressFile | Unopened | None) -> bytes:
    """What was read, as the answer to ReadForward and ReadList. Texts need not be UTF-8."""
    match found:
        case AddressFile(path, text, owner, why_not):
            parts = [path, text, owner, why_not]
        case Unopened(path, reason):
            parts = [path, reason]
        case None:
            parts = []
    return encode([os.fsencode(part) for part in parts])


def decode_file(data: bytes) -> AddressFile | Unopened | None:
    """The other way round: the monitor is believed."""
    parts = [os.fsdecode(part) for part in msgspec.msgpack.decode(data, type=list[bytes])]
    if not parts:
        return None
    return AddressFile(*parts) if len(parts) > 2 else Unopened(*parts)
