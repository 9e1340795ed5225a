"""The requests that the peer makes of us: what may be granted, and what it sends and fetches.

Every name is judged before the work hears of it. A refusal says whether it is for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.commands import (
    Code,
    Confirmed,
    CopyGranted,
    Execute,
    Fetch,
    FetchGranted,
    Granted,
    NotStored,
    Refused,
    RemoteCopy,
    Send,
    printable,
)
from relaynode.uucp.conversation import REASONS
from relaynode.uucp.features import Features
from relaynode.uucp.incoming import IncomingFile
from relaynode.uucp.names import Forbidden, PublicPath, is_temp, public_path, target_of
from relaynode.uucp.outgoing import OutgoingFile
from relaynode.uucp.work import Duplicate

if TYPE_CHECKING:
    from relaynode.uucp.commands import Reply, Request
    from relaynode.uucp.conversation import Conversation
    from relaynode.uucp.line import Channel
    from relaynode.uucp.work import OpenedFile, Sink

MAX_GARBLED = 10
"""So many senseless commands are answered before the line is dropped."""

_SERVED_GRADE = "N"
"""How urgent a file is that the peer fetches."""


@dataclass(slots=True)
class _Served:
    """A file that the peer fetches."""

    request: Fetch
    file: OutgoingFile
    began_at: float


class Serving:
    """What the peer has under way. `refuses_work`: it shall come again another time."""

    def __init__(self, talk: Conversation) -> None:
        self.served: dict[Channel, _Served] = {}  # its fetches
        self.refuses_work = False
        self._talk = talk
        self._unconfirmed: dict[Channel, Sink | Duplicate] = {}  # here, but it may not know
        self._garbled_commands = 0

    def asked(self, channel: Channel, request: Request, now: float) -> None:
        """The peer, whose turn it is, wants something."""
        self._confirm(channel)
        match request:
            case Send() | Execute():
                self._offered(channel, request, now)
            case Fetch():
                self._wanted(channel, request, now)
            case RemoteCopy():
                self._copy_wanted(channel, request, now)

    def _confirm(self, channel: Channel) -> None:
        """The peer goes on, so it has our word about what it sent before on this channel."""
        if channel in self._unconfirmed:
            self._unconfirmed.pop(channel).confirmed()

    def confirm_all(self) -> None:
        """The peer has heard all that we said."""
        for channel in list(self._unconfirmed):
            self._confirm(channel)

    def _offered(self, channel: Channel, request: Send | Execute, now: float) -> None:
        sink = self._sink_for(request)
        letter = "E" if isinstance(request, Execute) else "S"
        if isinstance(sink, Duplicate):
            self._unconfirmed[channel] = sink
            sink = self._seen_before()
        if isinstance(sink, Code):
            self._refuse_offer(channel, letter, request, sink, now)
            return
        incoming = IncomingFile(
            channel, sink, request.user, now, self._talk.settings.max_file_bytes
        )
        position = 0
        if sink is not None:
            incoming.reached_bytes = position = self._restart_position(request, sink)
            incoming.has_part = is_temp(request.temp)
            incoming.announced_bytes = request.size
        at = f" resume at {position}" if position else ""
        size = "" if request.size is None and not at else f" ({request.size} bytes{at})"
        self._talk.reports.log(f"Receiving {_arriving(request)}{size}", request.user)
        self._talk.reply(channel, Granted(letter, position), now)
        self._talk.expect(incoming)

    def _seen_before(self) -> Code | None:
        """The answer to what is here already; None if it must be taken once more, for nothing."""
        # An old system would take this refusal for a failure.
        return Code.RECEIVED_BEFORE if self._talk.features else None

    def _sink_for(self, request: Send | Execute) -> Sink | Duplicate | Code | None:
        """Where an offered file goes; None if it goes nowhere and the peer must not notice."""
        if self.refuses_work:
            return Code.CANNOT_CREATE
        target = target_of(request.target, request.source, self._talk.settings.public)
        if isinstance(target, Forbidden):
            return self._forbidden(request, target)
        if isinstance(request, Execute) and not request.target.startswith("D."):
            return self._forbidden(request, Forbidden("data of a command must go to the spool"))
        most = self._talk.settings.max_file_bytes
        if most is not None and request.size is not None and request.size > most:
            return Code.TOO_LARGE
        sink = self._talk.work.offered(request, target)
        return self._seen_before() if sink is Code.RECEIVED_BEFORE else sink

    def _forbidden(self, request: Request, forbidden: Forbidden) -> Code:
        self._talk.reports.log(
            f"Refused {printable(request.target[:100])}: {forbidden.reason}", request.user
        )
        return Code.NOT_PERMITTED

    def _restart_position(self, request: Send | Execute, sink: Sink) -> int:
        if not (self._talk.features & Features.RESTART and self._talk.line.can_restart):
            return 0
        is_too_long = request.size is not None and sink.position > request.size
        return 0 if is_too_long or not is_temp(request.temp) else sink.position

    def _refuse_offer(
        self, channel: Channel, letter: str, request: Send | Execute, code: Code, now: float
    ) -> None:
        self._talk.reports.log(f"Refused {_arriving(request)}: {REASONS[code]}", request.user)
        self._talk.reply(channel, Refused(letter, code), now)
        self._discard_running_data(channel, request.user, now)

    def _discard_running_data(self, channel: Channel, user: str, now: float) -> None:
        """Where data runs ahead of the answer, an end of file still comes."""
        if self._talk.line.is_full_duplex:
            self._talk.expect(IncomingFile(channel, None, user, now, is_answered=False))
            self._talk.line.refuse_file(channel)

    def _wanted(self, channel: Channel, request: Fetch, now: float) -> None:
        path = public_path(request.source, request.source, self._talk.settings.public)
        if isinstance(path, Forbidden):
            self._talk.reports.log(
                f"Refused {printable(request.source[:100])}: {path.reason}", request.user
            )
            self._talk.reply(channel, Refused("R", Code.NOT_PERMITTED), now)
            return
        opened = self._open(request, path)
        if isinstance(opened, Code):
            self._talk.reports.log(
                f"Refused {printable(request.source)}: {REASONS[opened]}", request.user
            )
            self._talk.reply(channel, Refused("R", opened), now)
            return
        size = opened.source.size_bytes
        limits = [
            most for most in (request.limit, self._talk.max_outgoing_bytes) if most is not None
        ]
        if size > min(limits, default=size):
            self._talk.work.fetched(request, False)
            self._talk.reply(channel, Refused("R", Code.TOO_LARGE_NOW), now)
            return
        self._talk.reports.log(f"Sending {printable(request.source)} ({size} bytes)", request.user)
        self._talk.reply(channel, FetchGranted(opened.mode, size), now)
        file = OutgoingFile(channel, opened.source, _SERVED_GRADE, may_go=True)
        self.served[channel] = _Served(request, file, now)
        self._talk.files.add(file)

    def _open(self, request: Fetch, path: PublicPath) -> OpenedFile | Code:
        return Code.CANNOT_CREATE if self.refuses_work else self._talk.work.wanted(request, path)

    def answered(self, channel: Channel, reply: Reply, now: float) -> bool:
        """Take the word about a file that the peer fetched; False if there was none.

        Raises: RemoteProtocolError if the file has not gone yet.
        """
        if channel not in self.served or not isinstance(reply, Confirmed | NotStored):
            return False
        served = self.served.pop(channel)
        is_confirmed = isinstance(reply, Confirmed)
        if not served.file.is_ended:
            raise RemoteProtocolError("a word about a file that was not sent yet")
        self._talk.files.forget(served.file)
        error = "" if is_confirmed else "the peer could not store the file"
        self._talk.reports.sent(
            served.request.user, served.file.sent_bytes, now - served.began_at, error
        )
        self._talk.work.fetched(served.request, is_confirmed)
        return True

    def _copy_wanted(self, channel: Channel, request: RemoteCopy, now: float) -> None:
        is_queued = not self.refuses_work and self._talk.work.copy_wanted(request)
        what = f"copies of {printable(request.source)} to {printable(request.target)}"
        self._talk.reports.log(f"{'Queued' if is_queued else 'Refused'} {what}", request.user)
        self._talk.reply(channel, CopyGranted() if is_queued else Refused("X"), now)

    def garbled(self, channel: Channel, letter: str, reason: str, now: float) -> None:
        """Answer a request without sense. Raises: RemoteProtocolError for too many of them."""
        self._garbled_commands += 1
        if self._garbled_commands > MAX_GARBLED:
            raise RemoteProtocolError("the peer sends nothing but senseless commands")
        self._talk.reports.log(f"Received garbled command {letter}: {reason}")
        self._talk.reply(channel, Refused(letter, Code.NOT_PERMITTED), now)
        if letter in "SE":
            self._discard_running_data(channel, "", now)

    def stored(self, channel: Channel, sink: Sink) -> None:
        """We have given our word for a file; the peer may not have heard it yet."""
        self._unconfirmed[channel] = sink

    def give_up(self) -> None:
        """No more word will come about what the peer fetches."""
        for served in self.served.values():
            self._talk.work.fetched(served.request, False)
        self.served.clear()


def _arriving(request: Send | Execute) -> str:
    """What a log calls a file that the peer sends."""
    name = request.command if isinstance(request, Execute) else request.target
    return name[:200]
