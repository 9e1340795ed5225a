"""Every recorded call, played again with our caller and with our called side in it."""

from __future__ import annotations

import pytest

from relaynode.uucp import xfile
from relaynode.uucp.commands import (
    Execute,
    Fetch,
    HangUp,
    RemoteCopy,
    Send,
    format_reply,
    format_request,
    parse,
)
from relaynode.uucp.handshake import frame
from relaynode.uucp.record import Status
from uucp.answers import handshake
from uucp.replay import Replay, as_we_say_it, pieces_of
from uucp.transcript import CALLED, CALLER, comparable, other, transcript_of

both = pytest.mark.parametrize("direction", [CALLER, CALLED], ids=["caller", "called"])


@both
def test_we_say_what_was_said(recorded_call, direction):
    replay = Replay(recorded_call, direction)
    played = replay.run()
    hung_up = all(map(replay.recorded.has_hung_up, (CALLER, CALLED)))
    is_whole = replay.refusal is not None or hung_up
    said, recorded = comparable(played, direction), comparable(replay.recorded, direction)
    assert (said if is_whole else said[: len(recorded)]) == recorded
    messages, recorded = played.messages(direction), replay.recorded.messages(direction)
    assert list(map(as_we_say_it, recorded, messages)) == messages
    record = replay.call.record
    assert record.refusal is replay.refusal
    if replay.refusal is None and is_whole:
        assert (record.error, record.status) == ("", Status.COMPLETE)
        assert played.has_hung_up(direction)


def _transcript(recorded_call):
    return transcript_of((way, data) for _, way, data in pieces_of(recorded_call))


def _features_told(transcript, direction):
    """What a side has told the other that it can do."""
    message = transcript.messages(direction)[0 if direction == CALLER else 1]
    return handshake.read(frame(message), {"direction": direction}).get("features")


@both
def test_each_command_is_read_and_written_as_it_was(recorded_call, direction):
    transcript = _transcript(recorded_call)
    features = _features_told(transcript, other(direction))
    for text in transcript.commands(direction):
        match parse(text):
            case HangUp():
                assert text == b"H"
            case Send() | Execute() | Fetch() | RemoteCopy() as request:
                assert format_request(request, features) == text
            case reply:
                assert format_reply(reply, features) == text


@both
def test_each_execution_file_is_read_and_written_as_it_was(recorded_call, direction):
    for one in _transcript(recorded_call).exchanges(direction):
        if isinstance(one.request, Send) and one.request.target.startswith("X.") and one.file:
            assert xfile.format_execution(xfile.parse(one.file)) == one.file
