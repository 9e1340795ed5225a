"""All neighbours: found by name, and what they log in with."""

from __future__ import annotations

import dataclasses
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relaynode.config.values import Password
    from relaynode.errors import Problem
    from relaynode.neighbours.neighbour import Answer, Neighbour

_NOBODY = "no login has this password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What is configured, at one moment.

    `our_name`: the node's UUCP name. `spool`: the folder of files that are on their way. `locks`:
    that of lock files, shared with other programs. `log`, `stats`: the journals; None: none are
    kept. `stranger`: what holds for systems that are not
    known; None: they are refused. `passwords`: of logins. `restricted`: logins that
    only these systems may use. `strips_login`, `strips_handshake`: the eighth bit of what comes
    then is not looked at. `problems`: what is wrong with the configuration; the rest works.
    """

    our_name: str
    spool: Path
    public: Path
    locks: Path
    log: Path | None = None
    stats: Path | None = None
    all: tuple[Neighbour, ...] = ()
    stranger: Neighbour | None = None
    passwords: Mapping[str, Password] = field(default_factory=dict)
    restricted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    strips_login: bool = True
    strips_handshake: bool = True
    problems: tuple[Problem, ...] = ()

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self.all)

    def find(self, name: str) -> Neighbour | None:
        """The neighbour of a name or alias. Names come before aliases; case counts."""
        for neighbour in self.all:
            if neighbour.name == name:
                return neighbour
        for neighbour in self.all:
            if name in neighbour.aliases:
                return neighbour
        return None

    def find_like(self, name: str) -> Neighbour | None:
        """The same, whatever the case: for names in mail addresses."""
        lower = name.lower()
        for neighbour in self.all:
            if lower in (known.lower() for known in neighbour.names):
                return neighbour
        return None

    def find_caller(self, name: str) -> Neighbour | None:
        """Who says to be `name`: a neighbour, or a stranger if such may call; None: refuse."""
        found = self.find(name)
        if found is not None or self.stranger is None:
            return found
        return dataclasses.replace(self.stranger, name=name)

    def answer(self, neighbour: Neighbour, login: str, *, is_proven: bool = False) -> Answer | None:
        """What holds when `neighbour` calls under that login; None: refuse it (RLOGIN).

        `is_proven`: its certificate has shown that it is the neighbour. Where any login does, that
        is demanded of a neighbour whose certificate we know: its name alone proves nothing.
        """
        answer = neighbour.answer(login)
        if answer is None or answer.login is not None:
            return answer
        if neighbour.tls.is_demanded:
            return answer if is_proven else None
        may_use = self.restricted.get(login)
        if may_use is not None and not may_use.intersection(neighbour.names):
            return None
        return answer

    def our_name_for(self, login: str) -> str:
        """What we call ourselves to whoever logs in so, before we know who it is."""
        for neighbour in self.all:
            for answer in neighbour.answers:
                if answer.login == login:
                    return answer.terms.our_name
        return self.our_name

    def is_login(self, login: str, password: bytes) -> bool:
        """Does the password belong to the login? Takes the same time whoever is asked for."""
        known = self.passwords.get(login)
        expected = known.reveal() if known is not None else _NOBODY
        is_same = hmac.compare_digest(expected.encode("utf-8", "surrogateescape"), password)
        return is_same and known is not None
