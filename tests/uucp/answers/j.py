"""j: lists of bytes to avoid, and packets of i wrapped so that these do not occur."""

import re

from relaynode.uucp.lines.j import DEFAULT_AVOIDED, read_avoided
from relaynode.uucp.lines.j_packet import Wrapper, encode_list, find_list, unwrap
from uucp.answers import i

_NAMES = {"XON": 0x11, "XOFF": 0x13}
_LIST = re.compile(r"(?:characters to )?avoid:? ")
_UNCHANGED = "wrapped i SYNC packet, nothing to escape"


def _is_list(wire):
    return find_list(wire) is not None


def read(wire, vector):
    if _is_list(wire):
        avoided, end = find_list(wire)
        assert end == len(wire)
        return {"avoided": avoided}
    inner = unwrap(wire)
    return {
        "inner": inner.hex(),
        "kind": i.packet_in(inner).kind.name,
        "is changed": inner not in wire,
    }


def stated(vector):
    meaning = vector["meaning"]
    if "inner" in vector:
        return {"inner": vector["inner"], "is changed": True}
    if meaning == _UNCHANGED:
        return {"kind": "SYNC", "is changed": False}
    if _LIST.match(meaning):
        numbers = [int(number, 16) for number in re.findall("0x([0-9a-f]{2})", meaning)]
        return {"avoided": tuple(numbers or map(_NAMES.get, re.findall("X[A-Z]+", meaning)))}
    return {}


def write(wire, vector):
    if _is_list(wire):
        avoided, _ = find_list(wire)
        return encode_list(avoided)
    inner = unwrap(wire)
    return Wrapper(_avoided_in(wire, inner)).wrap(inner)


def _avoided_in(wire, inner):
    """What both sides had agreed to avoid: the packet does not say; what does not occur in it."""
    return {*inner} - {*wire[7 : 7 + len(inner)]} | {*read_avoided(DEFAULT_AVOIDED)}
