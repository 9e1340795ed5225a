"""The OAuth server of an [oauth.NAME], and as which client it is asked."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from relaynode.config.secrets import read_password
from relaynode.logins.login import no_secret
from relaynode.logins.token_server import Endpoint

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.config.schema import OauthSection


def endpoint_of(config: Config, name: str) -> Endpoint:
    """The server of [oauth.name], which has a token_url. Raises: NoSecret."""
    section = config.file.oauth[name]
    assert section.token_url is not None and section.client_id is not None  # the loader insists
    return Endpoint(
        name,
        section.token_url.text,
        section.client_id,
        _client_secret(config, name, section),
        section.scope,
        _context(config, name, section),
    )


def _client_secret(config: Config, name: str, section: OauthSection) -> str:
    known = config.passwords.get(("client_secret", name))
    if known is not None:
        return known.reveal()
    if section.client_secret_file is None:
        return ""
    try:  # the configuration was read without secrets
        return read_password(config.absolute(section.client_secret_file)).reveal()
    except ValueError as error:
        raise no_secret("client_secret_file", str(error)) from None


def _context(config: Config, name: str, section: OauthSection) -> ssl.SSLContext | None:
    urls = (section.token_url, section.device_url)
    if not any(url is not None and url.text.startswith("https:") for url in urls):
        return None
    file = section.ca_file
    try:
        return ssl.create_default_context(cafile=str(config.absolute(file)) if file else None)
    except (OSError, ssl.SSLError) as error:
        raise no_secret(f"[oauth.{name}] ca_file", f"cannot be used: {error}") from None
