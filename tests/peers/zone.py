"""A name server on loopback that serves a small zone, and fails as it is told to.

    records = {"MX": {"a.example": [(10, "mx.a.example")]}, "A": {"mx.a.example": "127.0.0.9"}}
    with ZoneServer(records) as zone: ...

The form is that of records by type: A and AAAA (an address or a list), MX (preference and host),
CNAME, TLSA (usage, selector, matching type, bytes). Over UDP and TCP on one port; what does not
fit into 512 bytes is truncated over UDP. A name that has nothing at all does not exist.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from peers.processes import PeerFailed, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_TTL = 60
_MAX_ALIASES = 40


@dataclass
class ZoneServer:
    """Serves inside a `with` block, on `port`. All may be changed while it runs.

    is_secure: answers carry AD, as if they had been validated; but for names in `insecure`.
    failing: names that are answered with SERVFAIL. silent: names that are not answered. garbled:
    names whose answer is cut in its middle and overwritten.
    truncates: every answer over UDP is cut, so that the question comes again over TCP.
    follows: CNAMEs are followed; else only the first is given.
    questions: what was asked so far: ("a.example", "MX", "udp").
    """

    records: dict[str, dict[str, Any]]
    is_secure: bool = False
    insecure: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    garbled: set[str] = field(default_factory=set)
    truncates: bool = False
    follows: bool = True
    questions: list[tuple[str, str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        for _ in range(20):  # a port that is free for TCP need not be for UDP
            self.port = free_port()
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                self._udp.bind(("127.0.0.1", self.port))
                self._tcp.bind(("127.0.0.1", self.port))
            except OSError:
                self._udp.close()
                self._tcp.close()
                continue
            self._tcp.listen(8)
            break
        else:
            raise PeerFailed("no port for a name server")
        self._is_over = False
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._serve_udp, self._serve_tcp)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()

    @property
    def toml(self) -> str:
        """The configuration that asks it."""
        validates = "true" if self.is_secure else "false"
        return (
            f'[dns]\nservers = ["127.0.0.1:{self.port}"]\nvalidates = {validates}\n'
            "timeout_seconds = 1\n"
        )

    def _serve_udp(self) -> None:
        while True:
            wire, where = self._udp.recvfrom(4096)
            if self._is_over:
                return
            answer = self._answer(wire, "udp")
            if answer is None:
                continue
            reply = answer.to_wire(max_size=65535)
            if self.truncates or len(reply) > 512:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
                reply = answer.to_wire()
            if self.questions[-1][0] in self.garbled:
                reply = reply[: len(reply) // 2] + b"\xff" * 9
            self._udp.sendto(reply, where)

    def _serve_tcp(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection, contextlib.suppress(OSError):
                if self._is_over:
                    return
                connection.settimeout(5)
                with connection.makefile("rb") as incoming:
                    length = int.from_bytes(incoming.read(2), "big")
                    answer = self._answer(incoming.read(length), "tcp")
                if answer is not None:
                    reply = answer.to_wire(max_size=65535)
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

    def _answer(self, wire: bytes, over: str) -> dns.message.Message | None:
        question = dns.message.from_wire(wire)
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.questions.append((name, kind, over))
        if name in self.silent:
            return None
        answer = dns.message.make_response(question, recursion_available=True)
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        for rrset in self._rrsets(name, kind):
            answer.answer.append(rrset)
            name = self.records.get("CNAME", {}).get(name, name)
        if not self._exists(name):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        wants_to_know = question.flags & dns.flags.AD  # RFC 6840 section 5.8
        if self.is_secure and name not in self.insecure and wants_to_know:
            answer.flags |= dns.flags.AD
        return answer

    def _rrsets(self, name: str, kind: str) -> Iterator[dns.rrset.RRset]:
        aliases = self.records.get("CNAME", {})
        for _ in range(_MAX_ALIASES):
            if name not in aliases:
                break
            yield _rrset(name, "CNAME", [_full(aliases[name])])
            name = aliases[name]
            if not self.follows:
                return
        found = self.records.get(kind, {}).get(name)
        if found is not None:
            yield _rrset(name, kind, _texts(kind, found))

    def _exists(self, name: str) -> bool:
        known = [one for records in self.records.values() for one in records]
        return any(one == name or one.endswith(f".{name}") for one in known)


def _rrset(name: str, kind: str, texts: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(_full(name), _TTL, "IN", kind, texts)


def _texts(kind: str, found: Any) -> list[str]:
    values = found if isinstance(found, list) else [found]
    match kind:
        case "MX":
            return [f"{preference} {_full(host)}" for preference, host in values]
        case "TLSA":
            return [f"{u} {s} {m} {data.hex()}" for u, s, m, data in values]
    return [str(value) for value in values]


def _full(name: str) -> str:
    return f"{name.rstrip('.')}."
