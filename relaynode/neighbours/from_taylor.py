"""Neighbours out of Taylor's `sys`, with the ports, dialers and logins that it names."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaynode.config.link_checks import DEFAULT_LINK
from relaynode.config.taylor_keywords import Problems, chat_of, parameters_of
from relaynode.config.taylor_logins import unescaped
from relaynode.config.taylor_ports import DialerEntry, Port, dialer_lines, port_of
from relaynode.config.uucp_values import (
    DEFAULT_COMMAND_PATH,
    DEFAULT_COMMANDS,
    LOGIN_CHAT,
    NO_CHAT,
    UUCP_PORT,
    DirectCall,
    Modem,
    ModemCall,
    PipeCall,
    SerialLine,
    TcpCall,
)
from relaynode.config.values import Password
from relaynode.neighbours.neighbour import Answer, Neighbour, Terms, Way
from relaynode.uucp.chat import ChatError, check
from relaynode.uucp.protocols import Connection, usual_protocols

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relaynode.config.taylor import Taylor
    from relaynode.config.taylor_systems import System, SystemSet
    from relaynode.config.uucp_values import Call, ChatScript
    from relaynode.errors import Problem

_ANY = "ANY"
_ALL = "ALL"
_UUCP_SERVICE = "uucp"
_LOGIN_LETTERS = "LPZ"
_DIAL_LETTERS = "DTYS"
_COMMAND_ESCAPE = re.compile(r"\\(.)")


class TaylorNeighbours:
    """`all` in the order of the files. `restricted`: logins that only some systems may use."""

    def __init__(self, taylor: Taylor, our_name: str, public: Path, min_free_bytes: int) -> None:
        self._taylor = taylor
        self._our_name = our_name
        self._public = public
        self._min_free_bytes = min_free_bytes
        self._problems: list[Problem] = []
        self.restricted: dict[str, frozenset[str]] = {}
        self.all = tuple(self._neighbour(system) for system in taylor.systems)
        self.stranger = None
        if taylor.unknown is not None:
            self.stranger = self._neighbour(taylor.unknown, is_known=False)
        self.problems = tuple(dict.fromkeys(self._problems))

    def _neighbour(self, system: System, *, is_known: bool = True) -> Neighbour:
        for one in system.sets:
            self._restrict(one.settings)
        first = system.sets[0].settings
        return Neighbour(
            name=system.name,
            place=f"{system.file}:{system.line}",
            link=DEFAULT_LINK,
            aliases=system.aliases,
            ways=tuple(self._ways(system)) if is_known else (),
            answers=tuple(self._answers(system)),
            max_tries=first.get("max-retries", 26),
            success_wait_seconds=first.get("success-wait", 0),
            is_known=is_known,
        )

    def _problem(self, system: System, text: str, remedy: str = "") -> None:
        problems = Problems(Path(system.file))
        problems.add(system.line, f"{system.name}: {text}", remedy)
        self._problems += problems.found

    def _restrict(self, settings: Mapping[str, Any]) -> None:
        """Systems behind a called-login: from several lines they add up."""
        login, *systems = settings.get("called-login", (_ANY,))
        if systems:
            self.restricted[login] = self.restricted.get(login, frozenset()) | {*systems}

    def _terms(self, system: System, settings: Mapping[str, Any]) -> Terms:
        return Terms(
            our_name=settings.get("myname", self._our_name),
            public=settings.get("pubdir", self._public),
            has_sequence=settings.get("sequence", False),
            may_fetch=settings.get("send-request", True),
            may_send=settings.get("receive-request", True),
            is_served_when_calling=settings.get("call-transfer", True),
            is_served_when_called=settings.get("called-transfer", True),
            size_limits=settings.get("size", ()),
            local_send=settings.get("local-send", ("/",)),
            remote_send=settings.get("remote-send", ("~",)),
            local_receive=settings.get("local-receive", ("~",)),
            remote_receive=settings.get("remote-receive", ("~",)),
            forward_to=settings.get("forward-to", ()),
            forward_from=settings.get("forward-from", ()),
            commands=self._commands(system, settings),
            command_path=settings.get("command-path", DEFAULT_COMMAND_PATH),
            min_free_bytes=settings.get("free-space", self._min_free_bytes),
            max_file_seconds=settings.get("max-file-time", 0),
        )

    def _commands(self, system: System, settings: Mapping[str, Any]) -> tuple[str, ...]:
        commands: tuple[str, ...] = settings.get("commands", DEFAULT_COMMANDS)
        if _ALL in commands:
            text = f"commands {_ALL} is not done here: {' '.join(DEFAULT_COMMANDS)} are meant"
            self._problem(system, text, "name the commands")
            return DEFAULT_COMMANDS
        return commands

    # --- when it calls

    def _answers(self, system: System) -> Iterator[Answer]:
        """Alternates count only where the first set has a called-login."""
        has_alternates = "called-login" in system.sets[0].settings
        for one in system.sets if has_alternates else system.sets[:1]:
            settings = one.settings
            login, *_ = settings.get("called-login", (_ANY,))
            yield Answer(
                terms=self._terms(system, settings),
                login=None if login == _ANY else login,
                is_called_back=settings.get("callback", False),
                grades=settings.get("called-timegrade", ()),
                chat=chat_of(settings, "called-", NO_CHAT),
                protocols=settings.get("protocol", ""),
                parameters=parameters_of(settings),
            )

    # --- when it is called

    def _ways(self, system: System) -> Iterator[Way]:
        """An alternate is a way of its own only if it differs from those before it."""
        seen: list[tuple[Any, ...]] = []
        for one in system.sets:
            for way in self._ways_of(system, one):
                what = (way.call, way.chat, way.login, way.times, way.protocols)
                if what not in seen:
                    seen.append(what)
                    yield way

    def _ways_of(self, system: System, one: SystemSet) -> Iterator[Way]:
        for port in self._ports(system, one.settings):
            dialers = self._dialers(system, port)
            call = self._call(system, one.settings, port, dialers)
            if call is not None:
                yield self._way(system, one, port, call, [dialer for dialer, _ in dialers])

    def _way(
        self, system: System, one: SystemSet, port: Port, call: Call, dialers: list[DialerEntry]
    ) -> Way:
        settings = one.settings
        told = [port.settings, *(dialer.settings for dialer in dialers[:1])]
        is_reliable = all(each.get("reliable", True) for each in told)
        is_eight_bit = not any(each.get("seven-bit", False) for each in told)
        is_end_to_end = isinstance(call, TcpCall)
        login = self._login(system, settings, "call-login")
        password = self._login(system, settings, "call-password")
        chat = chat_of(settings, "", LOGIN_CHAT)
        self._check_chat(system, chat, _LOGIN_LETTERS)
        times = settings.get("time", ())
        if times and not login and any(r"\L" in word for word in chat.words):
            self._problem(system, r"its chat sends \L, and there is no call-login")
        return Way(
            name=one.name,
            call=call,
            terms=self._terms(system, settings),
            protocols=settings.get("protocol")
            or port.settings.get("protocol")
            or usual_protocols(Connection(is_end_to_end, is_reliable, is_eight_bit)),
            chat=chat,
            login=login or "",
            password=None if password is None else Password(password),
            times=times,
            request_grades=settings.get("call-timegrade", ()),
            parameters=_merged(settings, *told),
            is_end_to_end=is_end_to_end,
            is_reliable=is_reliable,
            is_eight_bit=is_eight_bit,
            is_half_duplex=any(each.get("half-duplex", False) for each in told),
        )

    def _check_chat(self, system: System, chat: ChatScript, letters: str) -> None:
        """Note what in a chat script cannot be done."""
        if chat.program:
            self._problem(system, "a chat-program is not run here", "write it as a chat script")
        try:
            check(chat.words, letters)
        except ChatError as error:
            self._problem(system, f"chat: {error}")

    def _login(self, system: System, settings: Mapping[str, Any], key: str) -> str | None:
        """The login or password to use; `*` means that of the call file."""
        word = settings.get(key)
        if word is None:
            return None
        if word != "*":
            try:
                return unescaped(word)
            except ValueError:  # its text has the word, which may be a password
                self._problem(system, f"{key} has an escape that means nothing")
                return None
        found = self._taylor.calls.get(system.name)
        if found is None:
            self._problem(system, f"{key} *: the call file has no line for it")
            return None
        return found.name if key == "call-login" else found.password.reveal()

    def _ports(self, system: System, settings: Mapping[str, Any]) -> list[Port]:
        lines = settings.get("port-lines")
        if lines:
            problems = Problems(Path(system.file))
            port = port_of(system.name, system.line, lines, problems)
            self._problems += problems.found
            return [] if port is None else [port]
        name, speed = settings.get("port"), settings.get("speed", 0)
        if name is None and not speed:
            return []
        found = [port for port in self._taylor.ports if name in (None, port.name)]
        if not found:
            self._problem(system, f"there is no port {name}", "see the port file")
        return [port for port in found if not speed or port.has_speed(speed)]

    def _call(
        self,
        system: System,
        settings: Mapping[str, Any],
        port: Port,
        dialers: list[tuple[DialerEntry, str]],
    ) -> Call | None:
        phone = settings.get("phone", "")
        if port.kind == "tcp":
            number = self._service(system, port)
            return TcpCall(phone or system.name, number, port.settings.get("version", 0))
        if port.kind == "pipe":
            return self._pipe(system, port, phone)
        line = _line(port, settings.get("speed", 0))
        if port.kind == "direct":
            return DirectCall(line)
        if port.kind == "modem":
            if not dialers:
                return None
            if not phone:
                self._problem(system, f"no phone to call over port {port.name}", "add phone")
                return None
            pairs = tuple((entry.dialer, token) for entry, token in dialers)
            modem = Modem(
                name=port.name, line=line, dialers=pairs, dialcodes=self._taylor.dialcodes
            )
            return ModemCall(modem, phone)
        return None  # stdin: for those who call us

    def _service(self, system: System, port: Port) -> int:
        service: str = port.settings.get("service", _UUCP_SERVICE)
        if service.isdigit():
            return int(service)
        try:
            return socket.getservbyname(service, "tcp")
        except OSError:
            if service != _UUCP_SERVICE:
                text = f"port {port.name}: there is no service {service}"
                self._problem(system, text, "write its number")
            return UUCP_PORT

    def _pipe(self, system: System, port: Port, phone: str) -> PipeCall | None:
        r"""In its words `\H` is the address, and `\Z` the system."""

        def meaning(found: re.Match[str]) -> str:
            return {"H": phone, "Z": system.name}.get(found[1], found[1])

        command = port.settings.get("command", ())
        if not command:
            self._problem(system, f"port {port.name} has no command", "add command")
            return None
        return PipeCall(tuple(_COMMAND_ESCAPE.sub(meaning, word) for word in command))

    def _dialers(self, system: System, port: Port) -> list[tuple[DialerEntry, str]]:
        """The dialers of a port, each with its token."""
        if "dial-device" in port.settings:
            self._problem(system, f"port {port.name}: dial-device is not done here")
        sequence = port.settings.get("dialer-sequence", ())
        if port.kind != "modem":
            if sequence:
                self._problem(system, f"port {port.name}: a dialer-sequence needs a modem here")
            return []
        if not sequence:
            written = port.settings.get("dialer-lines", ())
            problems = Problems(Path(port.file))
            described = dialer_lines(written, problems, port.line)
            self._problems += problems.found
            named = [words[0] for words in written if len(words) == 1]
            if described is not None and not named:
                return [(described, r"\D")]
            sequence = tuple(named[-1:])
        if not sequence:
            self._problem(system, f"port {port.name} has no dialer", "add dialer")
        pairs = [(sequence[at], sequence[at + 1 : at + 2]) for at in range(0, len(sequence), 2)]
        found = []
        for name, token in pairs:
            entry = self._taylor.dialers.get(name)
            if entry is None:
                self._problem(system, f"port {port.name}: there is no dialer {name}")
                return []
            for chat in (entry.dialer.chat, entry.dialer.complete, entry.dialer.abort):
                self._check_chat(system, chat, _DIAL_LETTERS)
            found.append((entry, token[0] if token else r"\D"))
        return found


def _line(port: Port, speed: int) -> SerialLine:
    device = port.settings.get("device", port.name)
    return SerialLine(
        device=device if device.startswith("/") else f"/dev/{device}",
        speed=speed or port.settings.get("speed", 0) or None,
        has_hardflow=port.settings.get("hardflow", True),
        has_carrier=port.settings.get("carrier", port.kind == "modem"),
        lock_name=port.settings.get("lockname", ""),
    )


def _merged(*told: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Protocol parameters: a port's before a system's, a dialer's before a port's."""
    merged: dict[str, dict[str, str]] = {}
    for settings in told:
        for letter, named in parameters_of(settings).items():
            merged.setdefault(letter, {}).update(named)
    return merged
