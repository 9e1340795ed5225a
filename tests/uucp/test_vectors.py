"""Every recorded packet and message: we read in it what it means, and write the same bytes."""

from __future__ import annotations

import importlib

ANSWERS = {
    "handshake": "handshake",
    "t": "t",
    "e": "e",
    "f": "f",
    "g": "g",
    "G": "g",
    "v": "g",
    "i": "i",
    "j": "j",
    "y": "y",
    "a": "a",
}
"""The module of answers/ for each protocol."""


def test_vector(vector, is_own):
    answers = importlib.import_module(f"uucp.answers.{ANSWERS[vector['protocol']]}")
    wire = bytes.fromhex(vector["hex"])
    read, stated = answers.read(wire, vector), answers.stated(vector)
    assert stated or not is_own, f"nothing could be checked: {vector['meaning']}"
    assert {name: read.get(name) for name in stated} == stated
    assert answers.write(wire, vector) == wire
