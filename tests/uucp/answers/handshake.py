"""The handshake: each message as our caller or our called side reads it, and as the other says it.

What we never say ourselves (the options of SVR4, a bare -N) is only framed again.
"""

import re
import string

from relaynode.uucp.features import NONE, TAYLORS, Features
from relaynode.uucp.handshake import (
    Agreement,
    CalledHandshake,
    CalledSettings,
    CallerHandshake,
    CallerSettings,
    Refusal,
    Verdict,
    frame,
)

CALLER, CALLED = "alpha", "beta"
_GREETING = frame(f"Shere={CALLED}")
_ALL = string.ascii_letters
_HANG_UP = re.compile(r"hang-up, (six|seven) O")
_FEATURES = re.compile(r"features (0[0-7]+)")


class Gate:
    """Lets everybody in, but for one reason."""

    def __init__(self, refusal=None, sequence=None):
        self._refusal = refusal
        self._sequence = sequence

    def known_as(self, stated):
        return None if self._refusal is Verdict.UNKNOWN else stated

    def login_fits(self, name):
        return self._refusal is not Verdict.WRONG_LOGIN

    def calls_back(self, name):
        return self._refusal is Verdict.CALL_BACK

    def lock(self, name):
        return self._refusal is not Verdict.LOCKED

    def expected_sequence(self, name):
        return 10**9 if self._refusal is Verdict.BAD_SEQUENCE else self._sequence

    def count_sequence(self, name):
        pass

    def protocols(self, name):
        return ""


def caller(protocols="t", name=CALLER, peer=CALLED, **settings):
    return CallerHandshake(CallerSettings(name, (peer,), protocols, **settings), 0)


def called(gate=None, protocols=_ALL, name=CALLED):
    return CalledHandshake(CalledSettings(name, protocols, TAYLORS), gate or Gate(), 0)


def said(handshake, *messages):
    """What it says to the last of these messages."""
    handshake.data_to_send()
    for message in messages:
        handshake.data_to_send()
        handshake.receive(message, 0)
    return handshake.data_to_send()


def _text(wire):
    return wire[1:-1].decode()


# --- reading


def read(wire, vector):
    text = _text(wire)
    if text.startswith("OOOO"):
        return {"os": len(text)}
    if vector["direction"] == "caller->called":
        return _read_choice(wire) if text.startswith("U") else _read_introduction(wire, text)
    if text.startswith("Shere"):
        name = text.partition("=")[2]
        is_believed = bool(said(caller(peer=name or CALLED), wire))
        is_checked = bool(name) and not said(caller(peer="another"), wire)
        return {"is believed": is_believed, "is checked": is_checked}
    return _read_offer(wire) if text.startswith("P") else _read_verdict(wire)


def _read_introduction(wire, text):
    stated = re.search(r"-Q(\d+)", text)
    handshake = called(Gate(sequence=int(stated[1]) if stated else None))
    assert said(handshake, wire).startswith(b"\x10ROK")
    assert said(called(Gate(Verdict.BAD_SEQUENCE)), wire) == frame("RBADSEQ")
    handshake.receive(frame("Ut"), 0)
    assert isinstance(handshake.result, Agreement)
    return {
        "name": handshake.result.peer_name,
        "features": handshake.result.features,
        "has grade": handshake.result.worst_grade is not None,
        "has sequence": stated is not None,
    }


def _read_choice(wire):
    handshake = called()
    handshake.receive(frame(f"S{CALLER}") + wire, 0)
    if isinstance(handshake.result, Refusal):
        return {"verdict": handshake.result.verdict}
    return {"protocol": handshake.result.protocol}


def _read_verdict(wire):
    handshake = caller()
    handshake.receive(_GREETING + wire, 0)
    if isinstance(handshake.result, Refusal):
        return {"verdict": handshake.result.verdict}
    handshake.receive(frame("Pt"), 0)
    return {"verdict": "accepted", "features": handshake.result.features}


def _read_offer(wire):
    letters = [letter for letter in _ALL if _is_offered(letter, wire)]
    return {"offered": set(letters)}


def _is_offered(letter, wire):
    handshake = caller(protocols=letter)
    handshake.receive(_GREETING + frame("ROK") + wire, 0)
    return isinstance(handshake.result, Agreement)


# --- what the vector says

_VERDICTS = {
    "refused: unknown system": Verdict.UNKNOWN,
    "refused: wrong login": Verdict.WRONG_LOGIN,
    "refused: will call back": Verdict.CALL_BACK,
    "refused: sequence": Verdict.BAD_SEQUENCE,
    "refused: system locked": Verdict.LOCKED,
    "no common protocol": Verdict.NO_PROTOCOL,
}


def stated(vector):
    meaning = vector["meaning"]
    if hang_up := _HANG_UP.match(meaning):
        return {"os": {"six": 6, "seven": 7}[hang_up[1]]}
    for words, verdict in _VERDICTS.items():
        if meaning.startswith(words):
            return {"verdict": verdict}
    subject, _, rest = meaning.partition(":")
    match subject:
        case "greeting of the called side with its name":
            return {"is believed": True, "is checked": True}
        case "protocols offered":
            return {"offered": set(rest.strip())}
        case "protocol chosen":
            return {"protocol": rest.strip()}
    if meaning.startswith("introduction of the caller"):
        return _stated_options(rest)
    return {"verdict": "accepted", **_stated_features(meaning)} if "accepted" in meaning else {}


def _stated_options(words):
    facts = _stated_features(words)
    facts["has sequence"] = "sequence number" in words
    facts["has grade"] = "grade request" in words
    return facts


def _stated_features(words):
    if found := _FEATURES.search(words):
        return {"features": Features(int(found[1], 8))}
    if "counts as 011" in words:
        return {"features": Features(0o11)}
    if "no extensions" in words:
        return {"features": NONE}
    return {"features": Features.RESTART} if "SVR4 style restart" in words else {}


# --- writing


def write(wire, vector):
    text = _text(wire)
    if text.startswith("OOOO"):
        return _hang_up(vector)
    if text.startswith("Shere="):
        return called(name=text.partition("=")[2]).data_to_send()
    match text[0]:
        case "U":
            protocols = "t" if text == "UN" else text[1:]
            offer = frame("Pz") if text == "UN" else frame(f"P{_ALL}")
            return said(caller(protocols), _GREETING, frame("ROK"), offer)
        case "P":
            return _as_called(Gate(), "", text[1:])[1]
        case "R":
            return _write_verdict(text)
        case "S":
            return _write_introduction(text)
    return frame(text)


def _hang_up(vector):
    return frame("O" * (6 if vector["direction"] == "caller->called" else 7))


def _as_called(gate, options, protocols="t"):
    """What we say to an introduction, message by message."""
    wire = said(called(gate, protocols), frame(f"S{CALLER}{options}"))
    return [piece + b"\0" for piece in wire.split(b"\0")[:-1]]


_OPTIONS = {"OK": "", "OKN": " -N", "OK -R": " -R", "OKN047": " -R -N047"}


def _write_verdict(text):
    refusals = [verdict for verdict in Verdict if verdict.value and verdict.value == text[1:]]
    if refusals:
        return _as_called(Gate(refusals[0]), "")[0]
    options = _OPTIONS.get(text[1:])
    return _as_called(Gate(), options)[0] if options is not None else frame(text)


def _write_introduction(text):
    if re.search("-U|-N( |$)", text):
        return frame(text)
    features = re.search(r"-N(\d+)", text)
    sequence = re.search(r"-Q(\d+)", text)
    grade = re.search(r"-p(\w)", text)
    restart = Features.RESTART if "-R" in text else NONE
    handshake = caller(
        name=text[1:].partition(" ")[0],
        features=Features(int(features[1], 8)) if features else restart,
        sequence=int(sequence[1]) if sequence else None,
        worst_grade=grade[1] if grade else None,
    )
    return said(handshake, _GREETING)
