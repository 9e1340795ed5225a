"""One connection to a filter, without I/O.

A step is begun with one of the methods below; its bytes are in `data_to_send`. While `is_waiting`,
the filter owes a verdict: feed what comes, and take events until there is a `Verdict`.

    phase      reached by                      allows
    ---------  ------------------------------  ----------------------------------------
    NEW        the connection                  negotiate
    GREETED    the answer to it                connect
    READY      connect, abort, the verdict     hello mail
               on end_of_message
    MAIL       mail                            rcpt data header end_of_header body
                                               end_of_message abort
    CLOSED     quit, a broken rule             nothing

What the filter does not want is not sent, and its step is over at once. Nor is the rest of a
message that it has accepted, refused or thrown away, or the rest of a body that it skips: `is_done`
and `has_enough` say so, and steps that are begun all the same send nothing.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.milter import options
from relaynode.milter.options import Stage
from relaynode.milter.packets import CHUNK_BYTES, PacketReader, all_texts, encode, texts
from relaynode.milter.replies import Kind, Progress, ReplaceBody, Verdict, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relaynode.milter.options import Agreement
    from relaynode.milter.replies import Modification

MAX_MODIFICATIONS = 10_000
"""Of one message, pieces of a body not counted: as many as a message may have recipients."""

MAX_MODIFICATION_BYTES = 1024 * 1024
"""Of one message, its body not counted."""

MAX_PROGRESS = 1_000
"""How often a filter may say about one message that it is still at work."""


class Phase(Enum):
    NEW = auto()
    GREETED = auto()
    READY = auto()
    MAIL = auto()
    CLOSED = auto()


class NeedData:
    """Nothing to do until more bytes come."""


class Agreed:
    """The filter has answered our offer."""


Event = NeedData | Agreed | Verdict | Progress  # and Modification

_OVER = frozenset(Kind) - {Kind.CONTINUE, Kind.SKIP}
_ONLY_THIS_RECIPIENT = frozenset({Kind.REJECT, Kind.TEMPFAIL, Kind.REPLY})


class Conversation:
    """See the module. `agreement`: None until the filter has answered."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.agreement: Agreement | None = None
        self.is_done = False
        self.has_enough = False
        self._is_accepted = False
        self._stage: Stage | None = None
        self._is_negotiating = False
        self._reader = PacketReader()
        self._outgoing = bytearray()
        self._modifications = self._modification_bytes = self._progress = 0

    @property
    def is_waiting(self) -> bool:
        """Does the filter owe an answer?"""
        return self._stage is not None or self._is_negotiating

    def data_to_send(self) -> bytes:
        """The bytes to send now; they are given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    # --- steps

    def negotiate(self) -> None:
        """The first step."""
        self._require(Phase.NEW)
        self._outgoing += encode(b"O", options.offer())
        self._is_negotiating = True

    def connect(self, name: str, address: str, port: int, macros: Mapping[str, str]) -> None:
        """Who the client is: `name` is its host name or its address in brackets, `address` its IP
        address, "" if it has none."""
        self._require(Phase.GREETED)
        self.phase = Phase.READY
        if not address:
            data = texts(name) + b"U"
        elif ":" in address:
            data = texts(name) + b"6" + port.to_bytes(2, "big") + texts(f"IPv6:{address}")
        else:
            data = texts(name) + b"4" + port.to_bytes(2, "big") + texts(address)
        self._step(Stage.CONNECT, data, macros)

    def hello(self, name: str, macros: Mapping[str, str]) -> None:
        """HELO or EHLO."""
        self._require(Phase.READY)
        self._step(Stage.HELO, texts(name), macros)

    def mail(self, arguments: Sequence[str], macros: Mapping[str, str]) -> None:
        """MAIL: the reverse-path in its brackets, and ESMTP parameters."""
        self._require(Phase.READY)
        self.phase = Phase.MAIL
        self.is_done = self._is_accepted
        self.has_enough = self.agreement is not None and not self.agreement.has(Stage.BODY)
        self._modifications = self._modification_bytes = self._progress = 0
        self._step(Stage.MAIL, texts(*arguments), macros)

    def rcpt(self, arguments: Sequence[str], macros: Mapping[str, str]) -> None:
        """RCPT: a forward-path in its brackets, and ESMTP parameters."""
        self._require(Phase.MAIL)
        self._step(Stage.RCPT, texts(*arguments), macros)

    def data(self, macros: Mapping[str, str]) -> None:
        """DATA."""
        self._require(Phase.MAIL)
        self._step(Stage.DATA, b"", macros)

    def header(self, name: bytes, value: bytes) -> None:
        """One header field. `value`: all behind the colon, with its line ends."""
        self._require(Phase.MAIL)
        if self.agreement is not None and not self.agreement.keeps_blank:
            value = value.lstrip(b" \t")
        # As sendmail has it: lines are divided by LF, the last has no end.
        value = value.replace(b"\r\n", b"\n").rstrip(b"\n")
        self._step(Stage.HEADER, texts(name, value), {})

    def end_of_header(self, macros: Mapping[str, str]) -> None:
        """The empty line."""
        self._require(Phase.MAIL)
        self._step(Stage.END_OF_HEADER, b"", macros)

    def body(self, chunk: bytes) -> None:
        """A piece of the body, at most CHUNK_BYTES."""
        self._require(Phase.MAIL)
        if len(chunk) > CHUNK_BYTES:
            raise LocalProtocolError("a chunk of the body is too long")
        if not self.has_enough:
            self._step(Stage.BODY, chunk, {})

    def end_of_message(self, macros: Mapping[str, str]) -> None:
        """All has been sent: modifications may come now, then the verdict."""
        self._require(Phase.MAIL)
        self._step(Stage.END_OF_MESSAGE, b"", macros)
        if self._stage is None:
            self.phase = Phase.READY

    def abort(self) -> None:
        """This message is off. No answer comes."""
        if self.phase is Phase.MAIL and not self.is_waiting:
            if not self.is_done:
                self._outgoing += encode(b"A")
            self.phase = Phase.READY

    def quit(self, *, reuses: bool = False) -> None:
        """The client is gone. `reuses`: another one follows on this connection (since version 6):
        it begins with `connect`."""
        if self.phase is Phase.CLOSED:
            return
        if not reuses:
            self._outgoing += encode(b"Q")
            self.phase = Phase.CLOSED
            return
        self.abort()
        self._outgoing += encode(b"K")
        self._is_accepted = self.is_done = False
        self.phase = Phase.GREETED

    def _require(self, phase: Phase) -> None:
        if self.phase is not phase or self.is_waiting:
            raise LocalProtocolError(f"a step for {phase.name} in phase {self.phase.name}")

    def _step(self, stage: Stage, data: bytes, macros: Mapping[str, str]) -> None:
        agreement = self.agreement
        assert agreement is not None
        if self.is_done or self._is_accepted:
            return
        # Macros are defined also for a step that is left out: they are read at later ones.
        if known := agreement.wanted(stage, macros):
            self._outgoing += encode(b"D", stage.code + all_texts(known))
        if not agreement.has(stage):
            return
        self._outgoing += encode(stage.code, data)
        if not agreement.is_silent(stage):
            self._stage = stage

    # --- answers

    def receive(self, data: bytes) -> None:
        """Take bytes that the filter sent."""
        self._reader.feed(data)

    def next_event(self) -> Event | Modification:
        """The next thing that happened. Raises: RemoteProtocolError; the conversation is over."""
        try:
            return self._next_event()
        except RemoteProtocolError:
            self.phase = Phase.CLOSED
            raise

    def _next_event(self) -> Event | Modification:
        packet = self._reader.take()
        if packet is None:
            return NeedData()
        if self._is_negotiating:
            if packet.code != b"O":
                raise RemoteProtocolError("no answer to the options")
            self.agreement = options.parse_answer(packet.data)
            self._is_negotiating = False
            self.phase = Phase.GREETED
            return Agreed()
        if self._stage is None:
            raise RemoteProtocolError("an answer that nobody waits for")
        answer = parse(packet)
        if isinstance(answer, Verdict):
            return self._end_step(self._stage, answer)
        if isinstance(answer, Progress):
            self._progress += 1
            if self._progress > MAX_PROGRESS:
                raise RemoteProtocolError("progress without end")
            return answer
        if self._stage is not Stage.END_OF_MESSAGE:
            raise RemoteProtocolError("a change before the end of the message")
        if not isinstance(answer, ReplaceBody):
            self._count(len(packet.data))
        return answer

    def _count(self, size_bytes: int) -> None:
        self._modifications += 1
        self._modification_bytes += size_bytes
        is_few = self._modifications <= MAX_MODIFICATIONS
        if not is_few or self._modification_bytes > MAX_MODIFICATION_BYTES:
            raise RemoteProtocolError("changes without end")

    def _end_step(self, stage: Stage, verdict: Verdict) -> Verdict:
        kind = verdict.kind
        self._stage = None
        if kind is Kind.SKIP:
            if stage is not Stage.BODY:
                raise RemoteProtocolError("only a body can be skipped")
            self.has_enough = True
            return Verdict(Kind.CONTINUE)
        if stage is Stage.END_OF_MESSAGE:
            self.phase = Phase.READY
        elif stage in (Stage.CONNECT, Stage.HELO):
            self._is_accepted = self._is_accepted or kind is Kind.ACCEPT
        elif kind in _OVER and not (stage is Stage.RCPT and kind in _ONLY_THIS_RECIPIENT):
            self.is_done = True
        if stage is Stage.MAIL and kind in _ONLY_THIS_RECIPIENT:
            self.phase = Phase.READY  # there is no transaction
        return verdict
