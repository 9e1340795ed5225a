"""e: commands that end with NUL, files behind their length."""

import itertools
import re

from relaynode.uucp.line import MAIN, EndOfFile
from relaynode.uucp.lines.e import HEADER_BYTES, LineE
from uucp.answers import streams

_FILE = re.compile(r"20-byte ASCII decimal length.*then the (\d+) bytes")
_HEADER = re.compile(r"length header.*remaining (\d+) of (\d+)")
_COMMAND = re.compile(r"([A-Z]+) (?:command|reply)")


def _remaining_bytes(wire):
    """How many bytes we still wait for behind a header."""
    line = streams.started(LineE)
    line.expect_file(MAIN, 0)
    assert line.receive(wire[:HEADER_BYTES], 0) == []
    return next(count for count in itertools.count(1) if EndOfFile(MAIN) in line.receive(b"?", 0))


def read(wire, vector):
    if _HEADER.match(vector["meaning"]):
        return {"remaining": _remaining_bytes(wire)}
    if _FILE.match(vector["meaning"]):
        return {"bytes": len(streams.file_in(LineE, wire))}
    return {"verb": streams.command_in(LineE, wire).decode().split(" ")[0]}


def stated(vector):
    if header := _HEADER.match(vector["meaning"]):
        return {"remaining": int(header[1])}
    if file := _FILE.match(vector["meaning"]):
        return {"bytes": int(file[1])}
    command = _COMMAND.match(vector["meaning"])
    return {"verb": command[1]} if command else {}


def write(wire, vector):
    if _HEADER.match(vector["meaning"]):
        return streams.file_as_sent(LineE, b"", _remaining_bytes(wire))
    if _FILE.match(vector["meaning"]):
        return streams.file_as_sent(LineE, streams.file_in(LineE, wire))
    return streams.command_as_sent(LineE, streams.command_in(LineE, wire))
