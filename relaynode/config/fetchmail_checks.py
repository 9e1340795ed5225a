"""What fetchmail refuses or warns of once a .fetchmailrc is read, in its words. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc import FetchmailrcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.fetchmail_setup import Server, Surroundings, User

KPOP_PORT = 1109
FIRST_UNPRIVILEGED_PORT = 1024
_TLS_PORTS = {"pop3": (995, "pop3s"), "imap": (993, "imaps")}
_PLAIN_PORTS = {"pop3": 110, "imap": 143}


def check_server(
    server: Server, *, is_envelope_said: bool, around: Surroundings, warnings: list[str]
) -> None:
    """What fetchmail says of an entry: `warnings` grows. Raises: FetchmailrcError with all."""
    if server.auth == "kerberos_v4":
        raise FetchmailrcError(
            *warnings, "fetchmail: KERBEROS v4 support is configured, but not compiled in."
        )
    for user in server.users:
        if user.is_multidrop and not is_envelope_said:
            warnings += (
                f"fetchmail: warning: multidrop for {server.pollname} requires envelope option!",
                "fetchmail: warning: Do not ask for support if all mail goes to postmaster!",
            )
        if server.service is not None:
            _check_port(server, user, _port(server, around, warnings), warnings)
        if user.lmtp and _has_smtp_port(user.smtphunt, around, warnings):
            raise FetchmailrcError(
                *warnings,
                f"{server.pollname} configuration invalid, LMTP can't use default SMTP port",
            )


def _port(server: Server, around: Surroundings, warnings: list[str]) -> int:
    service = server.service
    assert service is not None
    port = port_number(service, around.port_of)
    if port is None:
        raise FetchmailrcError(
            *warnings,
            *_unresolved(service),
            f"fetchmail: {server.pollname} configuration invalid, specify positive port number"
            " for service or port",
        )
    return port


def _unresolved(service: str) -> list[str]:
    lines = [
        f"fetchmail: Cannot resolve service {service} to port number.",
        "fetchmail: Please specify the service as decimal port number.",
    ]
    if service and not re.fullmatch(r"\s*[+-]?[0-9]+", service):
        lines.insert(
            0,
            f'fetchmail: getaddrinfo(NULL, "{service}") error:'
            " Servname not supported for ai_socktype",
        )
    return lines


def port_number(service: str, port_of: Callable[[str], int | None]) -> int | None:
    """The port that a number or a service's name means, None for one that is none."""
    text = service.strip()
    if text.lstrip("+").isdecimal() and text.isascii():
        return int(text) if 0 < int(text) < 65536 else None
    if service == "kpop":
        return port_of(service) or KPOP_PORT
    return port_of(service)


def _check_port(server: Server, user: User, port: int, warnings: list[str]) -> None:
    """The ports of TLS from the start, and those without, are easily mixed up.

    Raises: FetchmailrcError for RPOP, whose server trusts ports that only root may use.
    """
    if server.protocol == "rpop" and port >= FIRST_UNPRIVILEGED_PORT:
        raise FetchmailrcError(
            *warnings,
            f"fetchmail: {server.pollname} configuration invalid, RPOP requires a privileged port",
        )
    protocol = "pop3" if server.protocol in ("kpop", "sdps") else server.protocol
    if protocol not in _TLS_PORTS:
        return
    number, name = _TLS_PORTS[protocol]
    place = f"port {number}/service {name}"
    text = f"fetchmail: WARNING: {server.pollname} configuration invalid, you normally need"
    if port == number and not user.ssl:
        warnings.append(f"{text} --ssl for {place}.")
    elif port == _PLAIN_PORTS[protocol] and user.ssl:
        warnings.append(f"{text} {place} for --ssl.")


def _has_smtp_port(places: list[str], around: Surroundings, warnings: list[str]) -> bool:
    for place in places:
        _, slash, service = place.rpartition("/")
        if place.startswith("/"):
            continue
        port = port_number(service, around.port_of) if slash else 25
        if port is None:
            warnings += _unresolved(service)
        elif port == 25:
            return True
    return False


def check_idle(servers: list[Server], warnings: list[str]) -> None:
    """Idling is for one folder of one account. Raises: FetchmailrcError."""
    users = [user for server in servers for user in server.users]
    if any(user.idle for user in users) and (
        len(users) > 1 or any(len(user.mailboxes) > 1 for user in users)
    ):
        raise FetchmailrcError(
            *warnings,
            "fetchmail: Error: idle mode does not work for multiple folders or accounts!",
        )
