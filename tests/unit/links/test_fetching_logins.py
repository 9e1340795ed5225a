"""How servers that keep our mail are logged in at: as a smart host is, whatever they are asked."""

import asyncio
import base64
import ssl

import pytest
import trustme

from nodes import TestNode
from relaynode.links.wish import Wish
from relaynode.queue.memory import MemoryStore

CA = trustme.CA()
LEAF = CA.issue_cert("127.0.0.1")

KINDS = {
    "etrn": '[etrn.isp]\ndomains = ["home.example"]\n',
    "odmr": '[account.isp]\nprotocol = "odmr"\ndomains = ["home.example"]\n',
}
ASKED = {"etrn": "ETRN home.example", "odmr": "ATRN home.example"}
SECRETS = {
    "password_command": ('password_command = ["/bin/echo", "sesame"]\n', "PLAIN", "\0ann\0sesame"),
    "oauth": ('oauth = "o"\n', "XOAUTH2", "user=ann\1auth=Bearer token-1\1\1"),
}
OAUTH = """
[oauth.o]
token_command = ["/bin/sh", "-c", "echo >> {folder}/calls; echo token-$(wc -l < {folder}/calls)"]
"""
"""Each token is another one."""


class Keeper:
    """A server under TLS that wants a login first. `refuses`: so many logins with 535."""

    def __init__(self, refuses=0):
        self.logins = []
        self.asked = []
        self.refuses = refuses

    async def serve(self, reader, writer):
        writer.write(b"220 mx ready\r\n")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            writer.write(getattr(self, f"_{verb.lower()}")(line, rest) + b"\r\n")
        writer.close()

    def _ehlo(self, line, rest):
        return b"250-mx\r\n250-AUTH PLAIN XOAUTH2\r\n250-ETRN\r\n250 ATRN"

    def _auth(self, line, rest):
        mechanism, _, initial = rest.partition(" ")
        self.logins.append((mechanism, base64.b64decode(initial).decode()))
        return b"535 5.7.8 no" if len(self.logins) <= self.refuses else b"235 welcome"

    def _etrn(self, line, rest):
        self.asked.append(line)
        return b"250 started"

    def _atrn(self, line, rest):
        self.asked.append(line)
        return b"453 no mail"

    def _quit(self, line, rest):
        return b"221 bye"


def fetch(tmp_path, kind, keys, server, *, tables=None):
    """What is wrong with a visit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    LEAF.configure_cert(context)
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def run():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            where = f'host = "127.0.0.1:{port}"\ntls = "tls"\nca_file = "ca.pem"\n'
            node = TestNode(
                tmp_path,
                KINDS[kind] + where + keys + OAUTH,
                node_keys='local_domains = ["home.example"]',
                tables=tables,
            ).open(store=MemoryStore(tmp_path / "scratch"))
            try:
                return await node.links.run("default", Wish(flush=False))
            finally:
                await node.close()

    return asyncio.run(run()).problems


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", SECRETS)
def test_a_secret_of_any_source_logs_in(tmp_path, kind, source):
    keys, mechanism, response = SECRETS[source]
    server = Keeper()
    assert fetch(tmp_path, kind, 'user = "ann"\n' + keys, server) == []
    assert server.logins == [(mechanism, response)]
    assert server.asked == [ASKED[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_that_cannot_be_had_is_told_and_nothing_is_asked(tmp_path, kind):
    server = Keeper()
    keys = 'user = "ann"\npassword_command = "/bin/false"\n'
    (problem,) = fetch(tmp_path, kind, keys, server)
    assert "password_command" in problem
    assert server.asked == server.logins == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_login_that_is_refused_is_told_and_nothing_is_asked(tmp_path, kind):
    server = Keeper(refuses=1)
    (problem,) = fetch(tmp_path, kind, 'user = "ann"\n' + SECRETS["password_command"][0], server)
    assert "AUTH refused: 535 5.7.8 no" in problem
    assert server.asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_refused_gives_way_to_a_newer_one(tmp_path, kind):
    server = Keeper(refuses=1)
    assert fetch(tmp_path, kind, 'user = "ann"\n' + SECRETS["oauth"][0], server) == []
    assert ["token-1" in server.logins[0][1], "token-2" in server.logins[1][1]] == [True, True]
    assert server.asked == [ASKED[kind]]


def test_a_secondary_mx_that_sendmail_has_a_login_for_gets_that(tmp_path):
    server = Keeper()
    tables = {"authinfo": 'AuthInfo:127.0.0.1 "U:ann" "P:sesame" "M:PLAIN"\n'}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "authinfo").touch(mode=0o600)
    assert fetch(tmp_path, "etrn", "", server, tables=tables) == []
    assert [mechanism for mechanism, _ in server.logins] == ["PLAIN"]
    assert server.asked == [ASKED["etrn"]]


def test_a_secondary_mx_needs_no_login(tmp_path):
    server = Keeper()
    assert fetch(tmp_path, "etrn", "", server) == []
    assert (server.logins, server.asked) == ([], [ASKED["etrn"]])
