"""The logins that a configuration describes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from peers.token_server import TokenServer
from relaynode.config.loader import load
from relaynode.logins import Logins
from relaynode.tables.authinfo import AuthInfo

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.logins import Login
    from relaynode.sasl import Credentials


def logins(tmp_path: Path, keys: str, more: str = "", found: AuthInfo | None = None) -> Logins:
    for name, text in (("password", "sesame"), ("refresh", "refresh-0")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    (tmp_path / "us.pem").touch()
    path = tmp_path / "relaynode.toml"
    path.write_text(
        f"[smart_host.isp]\nhost = 'mx.example.net'\n{keys}\n[smart_host.two]\nhost = 'x'\n"
        f"{keys}\n{more}"
    )
    return Logins(load(path), lambda host, address: found, lambda: 0.0)


def login(made: Logins, name: str = "isp") -> Login | None:
    return made.of("smart_host", name, made._config.file.smart_host[name])


def asked(known: Login | None) -> Credentials:
    assert known is not None
    found = asyncio.run(known.credentials("mx.example.net", "192.0.2.25"))
    assert found is not None
    return found


def test_without_keys_there_is_no_login(tmp_path: Path) -> None:
    assert login(logins(tmp_path, "")) is None


@pytest.mark.parametrize(
    "source", ["password_file = 'password'", "password_command = '/bin/echo sesame'"]
)
def test_a_user_has_the_password_of_its_source(tmp_path: Path, source: str) -> None:
    known = login(logins(tmp_path, f"user = 'ann'\n{source}\nauth = ['plain', 'LOGIN']"))
    found = asked(known)
    assert (found.user, found.password, found.token) == ("ann", "sesame", None)
    assert found.mechanisms == ("PLAIN", "LOGIN")
    assert known is not None and known.is_required
    assert asyncio.run(known.renewed(found)) is None


def test_a_certificate_alone_logs_in_where_a_login_is_offered(tmp_path: Path) -> None:
    """Many servers are content with having seen it."""
    known = login(logins(tmp_path, "certificate = 'us.pem'\nkey = 'us.pem'"))
    assert asked(known).has_certificate
    assert known is not None and not known.is_required
    named = logins(tmp_path, "certificate = 'us.pem'\nkey = 'us.pem'\nauth = ['EXTERNAL']")
    known = login(named)
    assert known is not None and known.is_required


def test_hosts_that_name_one_oauth_share_its_tokens(tmp_path: Path) -> None:
    with TokenServer() as server:
        made = logins(
            tmp_path,
            "user = 'ann'\noauth = 'o'",
            f"[oauth.o]\ntoken_url = '{server.url}'\nclient_id = 'c'\n"
            "refresh_token_file = 'refresh'\n",
        )

        async def go() -> None:
            one, two = login(made), login(made, "two")
            assert one is not None and two is not None
            first = await one.credentials("mx.example.net", "")
            second = await two.credentials("x", "")
            assert first is not None and second is not None
            assert first.token == second.token == "access-0"
            newer = await two.renewed(second)
            assert newer is not None
            assert (newer.user, newer.token) == ("ann", "access-1")
            newer = await one.renewed(first)
            assert newer is not None and newer.token == "access-1"

        asyncio.run(go())
        assert len(server.requests) == 2


@pytest.mark.parametrize("is_default", [True, False])
def test_what_sendmail_has_for_any_server_is_never_shown_to_an_open_line(
    tmp_path: Path, is_default: bool
) -> None:
    entry = AuthInfo(
        "ann", "sesame", "root", "r", ("GSSAPI", "KERBEROS_V4", "PLAIN"), 1, is_default
    )
    known = logins(tmp_path, "", found=entry).of_tables
    found = asked(known)
    assert (found.user, found.password, found.acting_as, found.realm) == (
        *("ann", "sesame", "root", "r"),
    )
    assert found.mechanisms == ("GSSAPI", "PLAIN")
    assert found.is_guarded == is_default
    assert not known.is_required


def test_a_server_that_sendmail_has_nothing_for_gets_no_login(tmp_path: Path) -> None:
    known = logins(tmp_path, "").of_tables
    assert asyncio.run(known.credentials("mx.example.net", "192.0.2.25")) is None


@pytest.mark.parametrize(("protocol", "service"), [("pop3", "pop"), ("odmr", "smtp")])
def test_a_ticket_is_for_the_service_that_is_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, service: str
) -> None:
    asked_for = []

    async def ticket_maker(*what: str) -> None:
        asked_for.append(what)

    monkeypatch.setattr("relaynode.logins.logins.ticket_maker", ticket_maker)
    more = "deliver_to = 'joe'" if protocol == "pop3" else ""
    account = f"[account.a]\nhost = 'x'\nuser = 'u'\nauth = ['GSSAPI']\nprotocol = '{protocol}'\n"
    made = logins(tmp_path, "", account + more)
    asked(made.of("account", "a", made._config.file.account["a"]))
    assert asked_for == [("mx.example.net", service)]
