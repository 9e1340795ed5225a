"""The side of a call that was called: login prompts if wanted, handshake, conversation, O's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.uucp.call import Call, Talk
from relaynode.uucp.handshake import Agreement, CalledHandshake, Refusal, Verdict
from relaynode.uucp.login import LoginPrompt
from relaynode.uucp.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.handshake import CalledSettings, Gate
    from relaynode.uucp.work import Work


class Answerer(Call):
    """The side that was called.

    `gate_for` gives the gate for a login. Once it is known who calls, `talk_for` and `work_for`
    give what holds for that neighbour, and its work. `check` is asked for login and password;
    without it there are no prompts, and `login` is what the system's own login has established.
    """

    _is_caller = False

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
        self._prompt: LoginPrompt | None = None
        self._handshake: CalledHandshake | None = None

    def _begin(self, now: float) -> None:
        if self._check is None:
            self._shake_hands(b"", now)
        else:
            self._early_failure = Status.LOGIN_FAILED
            self._prompt = LoginPrompt(self._check, now)

    def _take_early(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            self._handshake.receive(data, now)
            self._after_handshake(now)
        elif self._prompt is not None:
            self._prompt.receive(data, now)
            self._after_prompt(now)

    def _tick_early(self, now: float) -> None:
        stage = self._handshake or self._prompt
        if stage is not None:
            stage.tick(now)

    def _wake_at(self) -> float | None:
        stage = self._handshake or self._prompt
        return stage.wake_at if stage is not None else None

    def _gather_early(self) -> bytes:
        data = self._prompt.data_to_send() if self._prompt is not None else b""
        return data + (self._handshake.data_to_send() if self._handshake is not None else b"")

    def _after_prompt(self, now: float) -> None:
        assert self._prompt is not None
        if self._prompt.is_refused:
            self._log("ERROR: Bad login")
            self._end(Status.LOGIN_FAILED, "bad login", now)
        elif self._prompt.name is not None:
            self.record.login = self._prompt.name
            self._shake_hands(self._prompt.rest, now)

    def _shake_hands(self, rest: bytes, now: float) -> None:
        self._early_failure = Status.HANDSHAKE_FAILED
        gate = self._gate_for(self.record.login)
        self._handshake = CalledHandshake(self._handshake_settings, gate, now)
        self._take_early(rest, now)

    def _after_handshake(self, now: float) -> None:
        assert self._handshake is not None
        self.record.neighbour = self._handshake.neighbour
        match self._handshake.result:
            case Agreement() as agreement:
                self._outgoing += self._gather_early()
                talk = self._talk_for(self._handshake.neighbour)
                work = self._work_for(self._handshake.neighbour)
                self._begin_session(agreement, talk, work, self._handshake.rest, now)
            case Refusal() as refusal:
                self._refused(refusal, now)
            case None:
                pass

    def _refused(self, refusal: Refusal, now: float) -> None:
        self._outgoing += self._gather_early()
        self.record.refusal = refusal.verdict
        name, login = refusal.peer_name, self.record.login
        text = {
            Verdict.UNKNOWN: f"Call from unknown system {name}",
            Verdict.WRONG_LOGIN: f"System {name} used wrong login name {login}",
            Verdict.LOCKED: "System already locked",
            Verdict.BAD_SEQUENCE: f"Call rejected: {refusal.text}",
            Verdict.NO_PROTOCOL: "No common protocol",
        }.get(refusal.verdict)
        if text is None:
            self._log("Will call back")
            self._end(Status.COMPLETE, "", now)
            return
        self._log(f"ERROR: {text}")
        self._end(Status.HANDSHAKE_FAILED, text, now)
