"""The side of a call that has called: chat script, handshake, conversation, O's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.call import Call, Talk
from relaynode.uucp.chat import Chat
from relaynode.uucp.handshake import Agreement, CallerHandshake, Refusal, Verdict
from relaynode.uucp.record import Status

if TYPE_CHECKING:
    from relaynode.uucp.chat import ChatSettings
    from relaynode.uucp.handshake import CallerSettings, Handshake
    from relaynode.uucp.work import Work


class Caller(Call):
    """The side that has called. `work` is what there is for the neighbour.

    Without `chat` there is no login: the peer's uucico speaks first.
    """

    _is_caller = True

    def __init__(
        self,
        neighbour: str,
        handshake: CallerSettings,
        talk: Talk,
        work: Work,
        chat: ChatSettings | None = None,
    ) -> None:
        super().__init__()
        self._talk = talk
        self.record.neighbour = neighbour
        self._handshake_settings = handshake
        self._work = work
        self._chat_settings = chat
        self._chat: Chat | None = None
        self._handshake: Handshake | None = None

    def _begin(self, now: float) -> None:
        if self._chat_settings is None:
            self._shake_hands(b"", now)
        else:
            self._early_failure = Status.LOGIN_FAILED
            self._chat = Chat(self._chat_settings, now)
            self._after_chat(now)

    def _take_early(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            self._handshake.receive(data, now)
            self._after_handshake(now)
        elif self._chat is not None:
            self._events += self._chat.receive(data, now)
            self._after_chat(now)

    def _tick_early(self, now: float) -> None:
        if self._handshake is not None:
            self._handshake.tick(now)
        elif self._chat is not None:
            self._events += self._chat.tick(now)
            self._after_chat(now)

    def _wake_at(self) -> float | None:
        stage = self._handshake or self._chat
        return stage.wake_at if stage is not None else None

    def _gather_early(self) -> bytes:
        data = self._chat.data_to_send() if self._chat is not None else b""
        return data + (self._handshake.data_to_send() if self._handshake is not None else b"")

    def _after_chat(self, now: float) -> None:
        assert self._chat is not None
        result = self._chat.result
        if result is None:
            return
        if not result.is_success:
            raise LineLost(result.reason)
        self._log("Login successful")
        self._shake_hands(self._chat.rest, now)

    def _shake_hands(self, rest: bytes, now: float) -> None:
        self._early_failure = Status.HANDSHAKE_FAILED
        self._handshake = CallerHandshake(self._handshake_settings, now)
        self._take_early(rest, now)

    def _after_handshake(self, now: float) -> None:
        assert self._handshake is not None
        match self._handshake.result:
            case Agreement() as agreement:
                # What was said so far must be on its way before the line protocol begins.
                self._outgoing += self._gather_early()
                self._begin_session(agreement, self._talk, self._work, self._handshake.rest, now)
            case Refusal() as refusal:
                self._refused(refusal, now)
            case None:
                pass

    def _refused(self, refusal: Refusal, now: float) -> None:
        self._outgoing += self._gather_early()
        self.record.refusal = refusal.verdict
        if refusal.verdict is Verdict.CALL_BACK:
            self._log("Remote system will call back")
            self._end(Status.COMPLETE, "", now)
            return
        text = {
            Verdict.WRONG_SYSTEM: f"Called wrong system ({refusal.text})",
            Verdict.NO_PROTOCOL: f"No common protocol ({refusal.text})",
        }.get(refusal.verdict, f"Handshake failed ({refusal.text})")
        self._log(f"ERROR: {text}")
        self._end(Status.HANDSHAKE_FAILED, text, now)
