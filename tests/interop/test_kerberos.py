"""Logins by Kerberos tickets of a real KDC: our client and our server, each through libgssapi."""

import json
import subprocess
import sys

import pytest

from nodes import SOURCE, TestNode
from peers.found import leave_out
from peers.kdc import REALM, Kdc

LOGIN = """
import asyncio, json, sys
from pathlib import Path
from relaynode.accounts.answers import More, Visitor
from relaynode.config.loader import load
from relaynode.daemon.doors import make_accounts
from relaynode.logins.ticket import ticket_maker
from relaynode.sasl import Gssapi

async def no_wait(seconds):
    pass

async def main(path, host, acting_as):
    accounts = make_accounts(load(Path(path)))
    accounts._wait = no_wait
    client = Gssapi((await ticket_maker(host, "smtp"))(), acting_as)
    login = accounts.begin("GSSAPI", Visitor("smtp", "192.0.2.1", True))
    response, steps = client.initial(), 0
    while isinstance(answer := await login.step(response), More):
        response = client.respond(answer.challenge)
        steps += 1
    if type(answer).__name__ == "Passed":
        client.succeeded()
    return type(answer).__name__, getattr(answer, "user", ""), await accounts.mechanisms()

print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
"""


@pytest.fixture(scope="module")
def realm(tmp_path_factory):
    """A KDC with keys for smtp/gate.home.example; ann and ann/admin have passwords."""
    with Kdc(tmp_path_factory.mktemp("kerberos") / "kdc") as kdc:
        kdc.file = kdc.keytab("smtp/gate.home.example")
        for name in ("ann", "ann/admin"):
            kdc.add(name, "sesame")
        yield kdc


def log_in(realm, folder, principal, *, host="gate.home.example", acting_as=""):
    """How a login with a ticket of this principal ends: what it is, and as whom."""
    realm.kinit(principal, "sesame")
    node = TestNode(folder, f'[accounts]\nkeytab = "{realm.file}"\n')
    path = f"{SOURCE}:{realm.environment['PYTHONPATH']}"
    ended = subprocess.run(
        [sys.executable, "-c", LOGIN, node.path, host, acting_as],
        env=realm.environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "needs the package gssapi" in ended.stderr or "GSSAPI: the library" in ended.stderr:
        leave_out(f"python-gssapi does not work with this Python: {ended.stderr[-200:]}")
    assert ended.returncode == 0, ended.stderr
    kind, user, mechanisms = json.loads(ended.stdout)
    assert mechanisms == ["GSSAPI"]
    return kind, user


def test_who_has_a_ticket_of_our_realm_comes_in_without_a_password(realm, tmp_path):
    assert log_in(realm, tmp_path, "ann") == ("Passed", "ann")
    assert log_in(realm, tmp_path, f"ann@{REALM}", acting_as="ann") == ("Passed", "ann")


def test_nobody_comes_in_for_somebody_else_or_as_a_role(realm, tmp_path):
    assert log_in(realm, tmp_path, "ann", acting_as="bob") == ("Denied", "")
    assert log_in(realm, tmp_path, "ann/admin") == ("Denied", "")
