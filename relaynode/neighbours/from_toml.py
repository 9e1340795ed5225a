"""Neighbours out of [neighbour.NAME] and [modem.NAME] of relaynode.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.taylor_keywords import Problems
from relaynode.config.taylor_ports import read_dialcodes
from relaynode.config.uucp_values import (
    LOGIN_CHAT,
    NO_CHAT,
    PROMPTED_CHAT,
    ChatScript,
    Dialer,
    Modem,
    ModemCall,
    SerialLine,
    SizeLimit,
    TcpCall,
    TlsCall,
)
from relaynode.neighbours.neighbour import Answer, MailTerms, Neighbour, Terms, Tls, Way
from relaynode.uucp.protocols import Connection, usual_protocols

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relaynode.config.loader import Config
    from relaynode.config.schema import ModemSection, NeighbourSection
    from relaynode.config.uucp_values import Call, CallText, ChatText
    from relaynode.config.values import Password

ANY_LOGIN = "ANY"
"""As called_login: whoever could log in may be this neighbour."""


class TomlNeighbours:
    """`all` in the order of the file; `passwords` of those who call."""

    def __init__(self, config: Config, our_name: str, public: Path) -> None:
        self._config = config
        self._our_name = our_name
        self._public = public
        self.passwords: dict[str, Password] = {}
        self.all = tuple(
            self._neighbour(name, section) for name, section in config.file.neighbour.items()
        )

    def _neighbour(self, name: str, section: NeighbourSection) -> Neighbour:
        self._keep_password(name, section)
        tls = self._tls(name, section)
        return Neighbour(
            name=name,
            place=f"{self._config.path} [neighbour.{name}]",
            link=self._config.link_of(section),
            aliases=tuple(section.aliases),
            ways=tuple(self._way(name, section, text) for text in section.call),
            answers=tuple(self._answers(section, tls)),
            tls=tls,
            mail=MailTerms(
                is_taylors=section.transport == "taylor",
                batch=section.batch or "",
                batch_bytes=section.batch_bytes,
                grades=tuple(section.mail_grades),
                max_bytes=section.max_mail_bytes,
            ),
            poll_minutes=section.poll_minutes,
        )

    def _keep_password(self, name: str, section: NeighbourSection) -> None:
        password = self._config.passwords.get(("called", name))
        if section.called_login is not None and password is not None:
            self.passwords[section.called_login] = password

    def _terms(self, section: NeighbourSection) -> Terms:
        return Terms(
            our_name=section.our_name or self._our_name,
            public=self._public,
            has_sequence=section.sequence,
            size_limits=tuple(_limits(section)),
            local_send=tuple(section.local_send),
            remote_send=tuple(section.remote_send),
            local_receive=tuple(section.local_receive),
            remote_receive=tuple(section.remote_receive),
            commands=tuple(section.commands),
            command_path=tuple(section.command_path),
            min_free_bytes=self._config.file.uucp.min_free_bytes,
        )

    def _way(self, name: str, section: NeighbourSection, text: CallText) -> Way:
        call = self._call(text)
        is_end_to_end = isinstance(call, TcpCall | TlsCall)
        is_reliable = True
        if isinstance(call, ModemCall):
            is_reliable = self._config.file.modem[call.modem.name].reliable
        return Way(
            call=call,
            terms=self._terms(section),
            protocols=section.protocols or usual_protocols(Connection(is_end_to_end, is_reliable)),
            chat=_login_chat(section, call),
            login=section.login or "",
            password=self._config.passwords.get(("neighbour", name)),
            times=tuple(section.times),
            request_grades=tuple(section.request_grades),
            parameters=_parameters(section),
            is_end_to_end=is_end_to_end,
            is_reliable=is_reliable,
        )

    def _call(self, text: CallText) -> Call:
        if text.call is not None:
            return text.call
        return ModemCall(self._modem(text.modem, self._config.file.modem[text.modem]), text.number)

    def _modem(self, name: str, section: ModemSection) -> Modem:
        dialer = Dialer(
            name=name,
            chat=ChatScript(
                section.chat.words, section.chat_timeout_seconds, tuple(section.chat_fail)
            ),
            dialtone=section.dialtone,
            pause=section.pause,
            has_carrier=section.carrier,
            carrier_wait_seconds=section.carrier_wait_seconds,
            has_dtr_toggle=section.dtr_toggle,
            complete=_closing(section.complete, section),
            abort=_closing(section.abort, section),
        )
        line = SerialLine(
            device=section.device,
            speed=section.speed,
            has_hardflow=section.hardflow,
            has_carrier=section.carrier,
            lock_name=section.lock_name or "",
        )
        return Modem(
            name=name,
            line=line,
            dialers=((dialer, r"\D"),),
            dialcodes=self._dialcodes(section),
            attempts=section.attempts,
            redial_seconds=section.redial_seconds,
        )

    def _dialcodes(self, section: ModemSection) -> dict[str, str]:
        if section.dialcodes is None:
            return {}
        path = self._config.absolute(section.dialcodes)
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:  # it could be read when the configuration was checked
            return {}
        return read_dialcodes(text, Problems(path))

    def _answers(self, section: NeighbourSection, tls: Tls) -> Iterator[Answer]:
        """None where neither a login nor a certificate says who calls: a name proves nothing."""
        if section.called_login is None and not tls.is_demanded:
            return
        login = None if section.called_login == ANY_LOGIN else section.called_login
        yield Answer(
            terms=self._terms(section),
            login=login,
            is_called_back=section.callback,
            grades=tuple(section.called_grades),
            protocols=section.protocols or "",
            parameters=_parameters(section),
        )

    def _tls(self, name: str, section: NeighbourSection) -> Tls:
        own = section if section.certificate is not None else self._config.file.uucp
        hosts = [text.call.host for text in section.call if isinstance(text.call, TlsCall)]
        return Tls(
            certificate=self._path(own.certificate),
            key=self._path(own.key),
            authorities=self._path(section.ca_file),
            fingerprints=frozenset(one.digits for one in section.fingerprints),
            names=frozenset((name, *section.aliases, *hosts)),
        )

    def _path(self, path: Path | None) -> Path | None:
        return None if path is None else self._config.absolute(path)


def _limits(section: NeighbourSection) -> Iterator[SizeLimit]:
    for by_us, max_bytes in (
        (True, section.max_local_request_bytes),
        (False, section.max_remote_request_bytes),
    ):
        if max_bytes is not None:
            yield SizeLimit(True, by_us, max_bytes)
            yield SizeLimit(False, by_us, max_bytes)


def _parameters(section: NeighbourSection) -> dict[str, dict[str, str]]:
    by_letter: dict[str, dict[str, str]] = {}
    for one in section.parameters:
        by_letter.setdefault(one.letter, {})[one.name] = one.value
    return by_letter


def _login_chat(section: NeighbourSection, call: Call) -> ChatScript:
    """Where nobody asks for a login, as behind ssh, there is nothing to say."""
    if section.chat is not None:
        words = section.chat.words
    elif section.login is None:
        return NO_CHAT
    else:
        is_terminal = not isinstance(call, TcpCall | TlsCall)
        words = (LOGIN_CHAT if is_terminal else PROMPTED_CHAT).words
    return ChatScript(words, section.chat_timeout_seconds, tuple(section.chat_fail))


def _closing(text: ChatText | None, section: ModemSection) -> ChatScript:
    return NO_CHAT if text is None else ChatScript(text.words, section.chat_timeout_seconds)
