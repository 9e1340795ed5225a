"""`relaynode auth ACCOUNT`: leave to log in with OAuth, given in a browser on any machine.

    Open https://login.example.net/device and enter the code WDJB-MJHT (within 15 minutes).
    Waiting ...
    isp: done; the refresh token is in /etc/relaynode/isp.token

The configuration is read without its secrets: the file of the token need not be there yet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.config.loader import find, load
from relaynode.errors import EX_OK, UsageError
from relaynode.logins.device import invite, wait
from relaynode.logins.endpoint import endpoint_of
from relaynode.logins.token_file import TokenFile

if TYPE_CHECKING:
    import argparse

    from relaynode.config.loader import Config


def run(arguments: argparse.Namespace) -> int:
    """Do it. Raises: ConfigError, UsageError, NoSecret."""
    config = load(find(arguments.config), with_secrets=False)
    name = oauth_of(config, arguments.name)
    section = config.file.oauth[name]
    if section.device_url is None or section.refresh_token_file is None:
        raise UsageError(f"[oauth.{name}] has no device_url: a browser is of no use to it")
    path = config.absolute(section.refresh_token_file)
    file = TokenFile(path)
    with file.held():  # better known now than when the token is there
        file.make_room()
        file.tidy()
    endpoint = endpoint_of(config, name)
    invitation = invite(endpoint, section.device_url.text)
    minutes = max(int(invitation.lifetime_seconds // 60), 1)
    print(
        f"Open {invitation.url} and enter the code {invitation.user_code}"
        f" (within {minutes} minute{'s' if minutes > 1 else ''})."
    )
    if invitation.whole_url:
        print(f"Or open {invitation.whole_url}")
    print("Waiting ...", flush=True)
    granted = wait(endpoint, invitation, clock=time.monotonic, sleep=time.sleep)
    with file.held():
        file.replace(granted.refresh_token)
    print(f"{arguments.name}: done; the refresh token is in {path}")
    return EX_OK


def oauth_of(config: Config, name: str) -> str:
    """The [oauth.NAME] that an account, a smart host or an etrn server logs in with, or that is
    called so. Raises: UsageError."""
    file = config.file
    for sections in (file.account, file.smart_host, file.etrn):
        section = sections.get(name)
        if section is not None and section.oauth is not None:
            return section.oauth
    if name in file.oauth:
        return name
    known = [
        *(one for one, section in file.account.items() if section.oauth is not None),
        *(one for one, section in file.smart_host.items() if section.oauth is not None),
        *file.oauth,
    ]
    there = ", ".join(dict.fromkeys(known)) or "none"
    raise UsageError(f"{name} is nothing that uses OAuth; there are: {there}")
