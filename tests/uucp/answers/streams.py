"""What t, e, f and y share: lines that have just started, and files that go through them."""

from __future__ import annotations

from relaynode.uucp.line import MAIN, Command, Data, EndOfFile, Settings, Started


def started(kind, is_caller=True):
    """A line that says nothing to start with, started."""
    line = kind(Settings(is_caller))
    line.start(0)
    assert line.tick(0) == [Started()]
    return line


def command_in(kind, wire):
    """The text of the command that the bytes are."""
    (event,) = started(kind).receive(wire, 0)
    assert isinstance(event, Command)
    return event.text


def command_as_sent(kind, text):
    """The bytes of a command."""
    line = started(kind)
    line.send_command(MAIN, text, 0)
    return line.data_to_send()


def file_in(kind, wire):
    """The contents of the file that the bytes are."""
    line = started(kind)
    line.expect_file(MAIN, 0)
    *pieces, end = line.receive(wire, 0)
    assert end == EndOfFile(MAIN)
    assert all(isinstance(piece, Data) for piece in pieces)
    return b"".join(piece.content for piece in pieces)


def file_as_sent(kind, content, promised_bytes=None):
    """The bytes of a file. `promised_bytes` when there are to be more than `content`."""
    line = started(kind)
    is_whole = promised_bytes is None
    line.begin_file(MAIN, 0, len(content) if is_whole else promised_bytes)
    line.send_data(MAIN, content, 0)
    if is_whole:
        line.end_file(MAIN, 0)
    return line.data_to_send()
