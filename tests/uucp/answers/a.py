"""a: hex headers."""

import re

from relaynode.uucp.lines.a import read_header

_HEADER = re.compile(r"hex header: type 0x([0-9a-f]{2})")


def read(wire, vector):
    return {"type": read_header(wire).kind}


def stated(vector):
    found = _HEADER.match(vector["meaning"])
    return {"type": int(found[1], 16)} if found else {}


def write(wire, vector):
    return read_header(wire).encoded()
