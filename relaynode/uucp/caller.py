"""The side of a call that has called: chat script, handshake, conversation, O's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.call import Call
from relaynode.uucp.chat import Chat
from relaynode.uucp.handshake import CallerHandshake, Verdict

if TYPE_CHECKING:
    from relaynode.uucp.call import Talk
    from relaynode.uucp.chat import ChatSettings
    from relaynode.uucp.handshake import CallerSettings, Refusal
    from relaynode.uucp.work import Work


class Caller(Call):
    """The side that has called. `work` is what there is for the neighbour.

    Without `chat` there is no login: the peer's uucico speaks first.
    """

    _is_caller = True
    _called_back_text = "Remote system will call back"

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

    def _login_for(self, now: float) -> Chat | None:
        return None if self._chat_settings is None else Chat(self._chat_settings, now)

    def _after_login(self, now: float) -> None:
        chat = self._login
        assert isinstance(chat, Chat)
        result = chat.result
        if result is None:
            return
        if not result.is_success:
            raise LineLost(result.reason)
        self._log("Login successful")
        self._shake_hands(chat.rest, now)

    def _handshake_for(self, now: float) -> CallerHandshake:
        return CallerHandshake(self._handshake_settings, now)

    def _agreed(self) -> tuple[Talk, Work]:
        return self._talk, self._work

    def _error_of(self, refusal: Refusal) -> str:
        return {
            Verdict.WRONG_SYSTEM: f"Called wrong system ({refusal.text})",
            Verdict.NO_PROTOCOL: f"No common protocol ({refusal.text})",
        }.get(refusal.verdict, f"Handshake failed ({refusal.text})")
