"""y: packets."""

import re

from relaynode.uucp.lines.y import (
    SIZE_UNIT_BYTES,
    Control,
    control_packet,
    data_packet,
    sync_content,
    take_packet,
)

_SYNC = re.compile(
    r"SYNC: version (\d+), packet size (\d+)\*256, flags (\d+); checksum field ([0-9a-f]{4})"
)
_DATA = re.compile(r"seq (\d+), (\d+) bytes, checksum ok=(\w+)")
_END = re.compile(r"empty packet = end of file; checksum ([0-9a-f]{4})")
_CONTROL = re.compile(r"control (\w+)")
_CONTROLS = {"ACK": Control.RECEIVED}


def _packet(wire):
    arrived = bytearray(wire)
    packet = take_packet(arrived)
    assert packet is not None
    assert not arrived
    return packet


def read(wire, vector):
    packet = _packet(wire)
    return {
        "sequence": packet.sequence,
        "length": packet.length,
        "content": packet.content,
        "is_intact": packet.is_intact,
        "checksum": f"{packet.checksum:04x}",
    }


def stated(vector):
    meaning = vector["meaning"]
    if sync := _SYNC.match(meaning):
        content = bytes(int(number) for number in sync.group(1, 2, 3)) + b"\0"
        return {"content": content, "checksum": sync[4], "is_intact": True}
    if data := _DATA.match(meaning):
        is_intact = data[3] == "True"
        return {"sequence": int(data[1]), "length": int(data[2]), "is_intact": is_intact}
    if end := _END.match(meaning):
        return {"content": b"", "length": 0, "checksum": end[1], "is_intact": True}
    if control := _CONTROL.match(meaning):
        return {"length": _CONTROLS[control[1]], "content": b""}
    return {}


def write(wire, vector):
    packet = _packet(wire)
    if packet.is_control:
        return control_packet(packet.sequence, packet.length).encoded()
    if _SYNC.match(vector["meaning"]):
        content = sync_content(packet.content[1] * SIZE_UNIT_BYTES)
        return data_packet(packet.sequence, content).encoded()
    return data_packet(packet.sequence, packet.content).encoded()
