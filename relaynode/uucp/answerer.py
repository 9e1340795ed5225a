"""The side of a call that was called: login prompts if wanted, handshake, conversation, O's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.uucp.call import Call
from relaynode.uucp.handshake import CalledHandshake, Verdict
from relaynode.uucp.login import LoginPrompt
from relaynode.uucp.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.call import Talk
    from relaynode.uucp.handshake import CalledSettings, Gate, Handshake, Refusal
    from relaynode.uucp.work import Work


class Answerer(Call):
    """The side that was called.

    `gate_for` gives the gate for a login. Once it is known who calls, `talk_for` and `work_for`
    give what holds for that neighbour, and its work. `check` is asked for login and password;
    without it there are no prompts, and `login` is what the system's own login has established.
    """

    _is_caller = False
    _called_back_text = "Will call back"

    def __init__(
        self,
        handshake: CalledSettings,
        talk_for: Callable[[str], Talk],
        gate_for: Callable[[str], Gate],
        work_for: Callable[[str], Work],
        *,
        login: str = "",
        check: Callable[[str, bytes], bool] | None = None,
    ) -> None:
        super().__init__()
        self.record.login = login
        self._handshake_settings = handshake
        self._talk_for = talk_for
        self._gate_for = gate_for
        self._work_for = work_for
        self._check = check

    def _login_for(self, now: float) -> LoginPrompt | None:
        return None if self._check is None else LoginPrompt(self._check, now)

    def _after_login(self, now: float) -> None:
        prompt = self._login
        assert isinstance(prompt, LoginPrompt)
        if prompt.is_refused:
            self._log("ERROR: Bad login")
            self._end(Status.LOGIN_FAILED, "bad login", now)
        elif prompt.name is not None:
            self.record.login = prompt.name
            self._shake_hands(prompt.rest, now)

    def _handshake_for(self, now: float) -> CalledHandshake:
        gate = self._gate_for(self.record.login)
        return CalledHandshake(self._handshake_settings, gate, now)

    def _after_handshake(self, handshake: Handshake, now: float) -> None:
        assert isinstance(handshake, CalledHandshake)
        self.record.neighbour = handshake.neighbour
        super()._after_handshake(handshake, now)

    def _agreed(self) -> tuple[Talk, Work]:
        neighbour = self.record.neighbour
        return self._talk_for(neighbour), self._work_for(neighbour)

    def _error_of(self, refusal: Refusal) -> str:
        name, login = refusal.peer_name, self.record.login
        return {
            Verdict.UNKNOWN: f"Call from unknown system {name}",
            Verdict.WRONG_LOGIN: f"System {name} used wrong login name {login}",
            Verdict.LOCKED: "System already locked",
            Verdict.BAD_SEQUENCE: f"Call rejected: {refusal.text}",
        }.get(refusal.verdict, "No common protocol")
