"""g, G and v: control packets, data packets, short packets."""

import re

from relaynode.uucp.lines.g_packet import (
    FIELD_SIZES,
    ControlPacket,
    DataPacket,
    PacketReader,
    Type,
    field_sum,
    short_field,
)

_CONTROL_NAME = re.compile(r"[gGv]-(INITA|INITB|INITC|RR|RJ|SRJ|CLOSE)(\d)-")
_DATA_NAME = re.compile(r"[gGv]-(data|short)-k(\d)-seq(\d)-ack(\d)")
_VALID = re.compile(r"short data packet, (\d+) valid bytes")
_COMMAND = re.compile(r"full data packet carrying a command: (.*)")


def _packet(wire):
    (packet,) = PacketReader().read(wire)
    return packet


def read(wire, vector):
    packet = _packet(wire)
    if isinstance(packet, ControlPacket):
        return {"type": packet.type.name, "value": packet.value}
    assert isinstance(packet, DataPacket)
    return {
        "type": "short" if packet.is_short else "data",
        "k": FIELD_SIZES.index(len(packet.field)) + 1,
        "number": packet.number,
        "acknowledges": packet.acknowledges,
        "valid bytes": len(packet.content),
        "command": packet.content.partition(b"\0")[0].decode("latin-1"),
    }


def stated(vector):
    name, meaning = vector["name"], vector["meaning"]
    if control := _CONTROL_NAME.match(name):
        return {"type": control[1], "value": int(control[2])}
    facts = {}
    if data := _DATA_NAME.match(name):
        numbers = (int(text) for text in data.group(2, 3, 4))
        facts |= dict(zip(("k", "number", "acknowledges"), numbers, strict=True))
        facts["type"] = data[1]
    if valid := _VALID.match(meaning):
        facts |= {"type": "short", "valid bytes": int(valid[1])}
    if command := _COMMAND.match(meaning):
        facts |= {"type": "data", "command": command[1]}
    return facts


def write(wire, vector):
    packet = _packet(wire)
    if isinstance(packet, ControlPacket):
        return ControlPacket(Type[packet.type.name], packet.value).encode()
    field = packet.field
    if packet.is_short:
        field = short_field(packet.content, len(packet.field))
    made = DataPacket(packet.number, packet.acknowledges, field, packet.is_short, field_sum(field))
    return made.encode()
