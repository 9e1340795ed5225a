"""i: packets."""

import re

from relaynode.uucp.lines.i_packet import Kind, Packet, Scanner, encode

_PACKET = re.compile(
    r"(?P<kind>[A-Z]+) seq (?P<number>\d+) local-chan (?P<local>\d+) ack (?P<acknowledged>\d+) "
    r"remote-chan (?P<remote>\d+) caller-bit (?P<caller>\d) length (?P<length>\d+)"
)
_SYNC = re.compile(r"packet size (\d+), window (\d+), channels (\d+)")
_POSITION = re.compile(r"file position (\d+)")
_COMMAND = re.compile(r"command text (.*)")


def packet_in(wire):
    """The one packet that the bytes are."""
    is_from_caller = bool(wire[3] & 0x10)
    (packet,) = Scanner(is_caller=not is_from_caller).feed(wire, 0)
    assert isinstance(packet, Packet)
    return packet


def read(wire, vector):
    return facts_of(packet_in(wire))


def facts_of(packet):
    facts = {
        "kind": packet.kind.name,
        "number": packet.number,
        "local": packet.local,
        "acknowledged": packet.acknowledged,
        "remote": packet.remote,
        "caller": int(packet.is_from_caller),
        "length": len(packet.content),
    }
    content = packet.content
    match packet.kind:
        case Kind.SYNC:
            facts["sync"] = (int.from_bytes(content[:2], "big"), *content[2:])
        case Kind.SPOS:
            facts["position"] = int.from_bytes(content, "big")
        case Kind.DATA if content.endswith(b"\0"):
            facts["command"] = content[:-1].decode("latin-1")
    return facts


def stated(vector):
    meaning = vector["meaning"]
    found = _PACKET.match(meaning)
    if not found:
        return {}
    facts = {name: int(text) for name, text in found.groupdict().items() if name != "kind"}
    facts["kind"] = found["kind"]
    if sync := _SYNC.search(meaning):
        facts["sync"] = tuple(int(number) for number in sync.groups())
    if position := _POSITION.search(meaning):
        facts["position"] = int(position[1])
    if command := _COMMAND.search(meaning):
        facts["command"] = command[1]
    return facts


def write(wire, vector):
    packet = packet_in(wire)
    return encode(Packet(*packet))
