"""Logins checked by the real libpam and its modules, with services of the test's own.

libpam reads them from a folder that the caller names (pam_start_confdir); /etc is left alone.
"""

import asyncio
import base64
import ctypes
import sys

import pytest

from nodes import TestNode
from peers.found import require
from relaynode.daemon.doors import make_accounts
from relaynode.queue.memory import MemoryStore
from relaynode.sources.smtp_door import Door
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair

SERVICES = {
    "mail": "auth required pam_exec.so quiet expose_authtok {folder}/check\n"
    "account required pam_permit.so\n",
    "closed": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "broken": "auth required pam_no_such_module.so\naccount required pam_permit.so\n",
}
CHECK = '#!/bin/sh\nIFS= read -r word\n[ "$PAM_USER:$PAM_TYPE:$word" = "ann:auth:sésame \\"1" ]\n'


@pytest.fixture
def services(tmp_path, monkeypatch):
    """A folder of services that libpam uses in place of /etc/pam.d."""
    require("pam")
    import pamela

    folder = tmp_path / "pam.d"
    folder.mkdir()
    for name, text in SERVICES.items():
        (folder / name).write_text(text.format(folder=tmp_path))
    (tmp_path / "check").write_text(CHECK)
    (tmp_path / "check").chmod(0o755)
    begin = pamela.LIBPAM.pam_start_confdir
    begin.restype = ctypes.c_int
    *first, last = pamela.PAM_START.argtypes
    begin.argtypes = [*first, ctypes.c_char_p, last]
    where = str(folder).encode()
    monkeypatch.setattr(
        pamela,
        "PAM_START",
        lambda service, user, talk, handle: begin(service, user, talk, where, handle),
    )
    monkeypatch.setattr(sys, "stdin", None)


def says(folder, service, user, password):
    """The reply to AUTH PLAIN."""

    async def at_once(seconds):
        """What a failed login costs is no affair of this test."""

    async def run():
        test_node = TestNode(folder, f'[accounts]\npam_service = "{service}"\n')
        node = test_node.open(store=MemoryStore(folder / "scratch"))
        accounts = make_accounts(node.config)
        accounts._wait = at_once
        source = SmtpSource(
            node.intake,
            node.rules,
            hostname="bsd.home",
            networks=[],
            max_size_bytes=10**6,
            door=Door(accounts=accounts),
        )
        ours, theirs = pair("client", "server")
        serving = asyncio.ensure_future(source.serve(ours, "127.0.0.1"))
        secret = base64.b64encode(f"\0{user}\0{password}".encode())
        said = await theirs.read(5)
        for line in (b"EHLO pc", b"AUTH PLAIN " + secret):
            await theirs.write(line + b"\r\n")
            said = await theirs.read(20)
            assert b"AUTH" not in said or b"AUTH PLAIN LOGIN\r\n" in said
        await theirs.close()
        await serving
        return said.decode()[:9]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("service", "user", "password", "reply"),
    [
        ("mail", "ann", 'sésame "1', "235 2.7.0"),
        ("mail", "Ann@bsd.home", 'sésame "1', "235 2.7.0"),
        ("mail", "ann", "sesame", "535 5.7.8"),
        ("mail", "bob", 'sésame "1', "535 5.7.8"),
        ("closed", "ann", "any", "535 5.7.8"),
    ],
)
def test_the_services_modules_decide(tmp_path, services, service, user, password, reply):
    assert says(tmp_path, service, user, password) == reply


@pytest.mark.parametrize("service", ["broken", "missing"])
def test_a_service_that_is_broken_or_not_there_lets_nobody_in(tmp_path, services, service):
    assert says(tmp_path, service, "ann", 'sésame "1')[:3] in ("454", "535")
