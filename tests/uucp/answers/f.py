"""f: commands that end with CR, quoted files with a checksum, and what is said of them."""

import re

from relaynode.uucp.line import MAIN, Remark, Resend
from relaynode.uucp.lines.f import LineF
from relaynode.uucp.lines.sum16 import sum16
from uucp.answers import streams

_FILE = re.compile(r"(\d+)-byte file.*checksum ([0-9a-f]{4})")
_COMMAND = re.compile(r"([A-Z]+) (?:command|reply)")
_BYTES = {
    "empty file": b"",
    "bytes 0..255 then 44 NUL bytes": bytes(range(256)) + bytes(44),
}
_VERDICTS = {"file accepted": "good", "checksum bad, send the file again": "again"}


def _is_file(wire):
    return re.search(rb"~~[0-9a-f]{4}\r$", wire) is not None


def _is_verdict(wire):
    return wire in (b"G\r", b"R\r")


def read(wire, vector):
    if _is_file(wire):
        content = streams.file_in(LineF, wire)
        return {"bytes": len(content), "sum": f"{sum16(content):04x}", "content": content}
    if _is_verdict(wire):
        return {"verdict": _judged(wire)}
    return {"verb": streams.command_in(LineF, wire).decode().split(" ")[0]}


def _judged(wire):
    """What a sender makes of the answer to its file."""
    line = streams.started(LineF)
    line.end_file(MAIN, 0)
    kinds = [type(event) for event in line.receive(wire, 0)]
    assert kinds in ([], [Remark, Resend])
    return "again" if kinds else "good"


def stated(vector):
    meaning = vector["meaning"]
    if file := _FILE.match(meaning):
        return {"bytes": int(file[1]), "sum": file[2]}
    for words, verdict in _VERDICTS.items():
        if meaning.startswith(words):
            return {"verdict": verdict}
    if meaning in _BYTES:
        return {"content": _BYTES[meaning]}
    command = _COMMAND.match(meaning)
    return {"verb": command[1]} if command else {}


def write(wire, vector):
    if _is_file(wire):
        return streams.file_as_sent(LineF, streams.file_in(LineF, wire))
    if _is_verdict(wire):
        return _judge(b"~~ffff\r" if _judged(wire) == "good" else b"~~fffe\r")
    return streams.command_as_sent(LineF, streams.command_in(LineF, wire))


def _judge(file):
    """What a receiver answers to a file."""
    line = streams.started(LineF)
    line.expect_file(MAIN, 0)
    line.receive(file, 0)
    return line.data_to_send()
