"""The logins that a configuration describes. Tokens are shared by all who name one [oauth.NAME]."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from relaynode.config.schema import AccountSection
from relaynode.logins.auth_info import AuthInfoLogin
from relaynode.logins.endpoint import endpoint_of
from relaynode.logins.oauth import CommandTokens, RefreshedTokens
from relaynode.logins.secrets import OfCommand, OfCredential, OfFile, OfKeyring
from relaynode.logins.ticket import ticket_maker
from relaynode.logins.token_file import TokenFile
from relaynode.sasl import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config
    from relaynode.config.schema import OauthSection, RemoteSection
    from relaynode.logins.login import Login
    from relaynode.logins.oauth import Tokens
    from relaynode.logins.secrets import Secret
    from relaynode.sasl import SecurityContext
    from relaynode.tables.authinfo import AuthInfo


class Logins:
    """`find_auth_info`: host and address -> sendmail's entry. `clock`: seconds, of any kind."""

    def __init__(
        self,
        config: Config,
        find_auth_info: Callable[[str, str], AuthInfo | None],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._clock = clock
        self._tokens: dict[str, Tokens] = {}
        self.of_tables: Login = AuthInfoLogin(find_auth_info)

    def of(self, table: str, name: str, section: RemoteSection) -> Login | None:
        """The login of [table.name], if it has one."""
        is_outside = section.certificate is not None or "GSSAPI" in section.auth
        if section.user is None and not is_outside:
            return None
        return _Configured(
            section,
            self._secret(table, name, section),
            self._tokens_of(section.oauth) if section.oauth is not None else None,
            "pop" if isinstance(section, AccountSection) and section.protocol == "pop3" else "smtp",
        )

    def _secret(self, table: str, name: str, section: RemoteSection) -> Secret | None:
        if (password := self._config.passwords.get((table, name))) is not None:
            return OfFile(password)  # of its password_file, or of a .fetchmailrc
        if section.password_command is not None:
            return OfCommand(section.password_command, "password_command")
        if section.password_credential is not None:
            return OfCredential(section.password_credential, os.environ)
        if section.password_keyring is not None:
            return OfKeyring(section.password_keyring, section.user or "")
        return None

    def _tokens_of(self, name: str) -> Tokens:
        if name not in self._tokens:
            self._tokens[name] = self._make_tokens(name, self._config.file.oauth[name])
        return self._tokens[name]

    def _make_tokens(self, name: str, section: OauthSection) -> Tokens:
        if section.token_command is not None:
            return CommandTokens(OfCommand(section.token_command, "token_command"))
        assert section.refresh_token_file is not None  # the loader insists on it
        file = TokenFile(self._config.absolute(section.refresh_token_file))
        return RefreshedTokens(lambda: endpoint_of(self._config, name), file, self._clock)


class _Configured:
    """The login of a server that the configuration names."""

    def __init__(
        self,
        section: RemoteSection,
        secret: Secret | None,
        tokens: Tokens | None,
        service: str,
    ) -> None:
        # A certificate alone may be all that the server wants to see.
        self.is_required = section.user is not None or bool(section.auth)
        self._section = section
        self._secret = secret
        self._tokens = tokens
        self._service = service

    async def credentials(self, host: str, address: str) -> Credentials | None:
        """See Login."""
        section = self._section
        return Credentials(
            section.user or "",
            await self._secret.get() if self._secret is not None else None,
            await self._tokens.token() if self._tokens is not None else None,
            has_certificate=section.certificate is not None,
            ticket=await self._ticket(host) if "GSSAPI" in section.auth else None,
            mechanisms=tuple(map(str, section.auth)),
        )

    async def _ticket(self, host: str) -> Callable[[], SecurityContext]:
        return await ticket_maker(host, self._service)

    async def renewed(self, refused: Credentials) -> Credentials | None:
        """See Login: tokens expire before they say."""
        if self._tokens is None or refused.token is None:
            return None
        token = await self._tokens.renewed(refused.token)
        return None if token is None else dataclasses.replace(refused, token=token)
