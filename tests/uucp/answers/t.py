"""t: padded commands, files in blocks."""

import re

from relaynode.uucp.lines.t import LineT
from uucp.answers import streams

_FILE = re.compile(r"(\d+)-byte file")
_COMMAND = re.compile(r"([A-Z]+) (?:command|reply)")


def _is_file(vector):
    return _FILE.match(vector["meaning"]) is not None


def read(wire, vector):
    if _is_file(vector):
        return {"bytes": len(streams.file_in(LineT, wire))}
    return {"verb": streams.command_in(LineT, wire).decode().split(" ")[0]}


def stated(vector):
    if file := _FILE.match(vector["meaning"]):
        return {"bytes": int(file[1])}
    command = _COMMAND.match(vector["meaning"])
    return {"verb": command[1]} if command else {}


def write(wire, vector):
    if _is_file(vector):
        return streams.file_as_sent(LineT, streams.file_in(LineT, wire))
    return streams.command_as_sent(LineT, streams.command_in(LineT, wire))
