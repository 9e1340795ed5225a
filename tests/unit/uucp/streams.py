"""For tests of the line protocols that are streams: two of them, what one tells, what it sends."""

from __future__ import annotations

from itertools import pairwise

from relaynode.uucp.line import MAIN, Command, Data, EndOfFile, Settings


def new(kind, is_caller=True, **parameters):
    """A line protocol that has not started; `_` in the name of a parameter stands for `-`."""
    named = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
    return kind(Settings(is_caller, named))


def pair(kind, **parameters):
    """Caller and called side, started, with what they told each other first."""
    ends = new(kind, True, **parameters), new(kind, False, **parameters)
    for end in ends:
        end.start(0)
    said = [end.data_to_send() for end in ends]
    for end, data in zip(ends, reversed(said), strict=True):
        end.receive(data, 0)
        end.tick(0)
    return ends


def all_events(line, data=b"", now=0.0):
    """Everything that the bytes make it tell, as a session asks for it: until no more comes."""
    events = []
    while new_events := line.receive(data, now):
        events += new_events
        data = b""
    return events


def in_pieces(data, cuts):
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


def send_file(line, content, position=0, piece_bytes=1000, now=0.0):
    """All of a file; the bytes it becomes."""
    line.begin_file(MAIN, position, len(content))
    for begin in range(0, len(content), piece_bytes):
        line.send_data(MAIN, content[begin : begin + piece_bytes], now)
    line.end_file(MAIN, now)
    return line.data_to_send()


def receive_file(line, pieces, position=0, now=0.0):
    """What of a file arrives, by position; whether it is complete."""
    line.expect_file(MAIN, position)
    content, is_complete = bytearray(position), False
    for piece in pieces:
        for event in all_events(line, piece, now):
            if isinstance(event, Data):
                content[event.position :] = event.content
            is_complete |= event == EndOfFile(MAIN)
    return bytes(content[position:]), is_complete


def commands_in(events):
    return [event.text for event in events if isinstance(event, Command)]
