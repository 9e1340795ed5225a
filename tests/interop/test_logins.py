"""Logging in at real Postfix with Dovecot behind it, by every mechanism, and TLS resumed."""

import asyncio
import contextlib
import time

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.processes import wait_until
from peers.token_server import TokenServer
from relaynode.errors import LoginRefused, TlsFailed
from relaynode.links.ways import Way, Ways
from relaynode.mailers.users import Users
from relaynode.neighbours import load_neighbours
from relaynode.queue.servers import MemoryServers
from relaynode.rules import Rules
from relaynode.wire.meter import ByteCount

PASSWORD = "Sesame-4711"
PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
MECHANISMS = "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tokens():
    with TokenServer(rotates=True) as server:
        yield server


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory, certificate, tokens):
    folder = tmp_path_factory.mktemp("logins")
    with Dovecot(
        folder / "d",
        users={"ann": PASSWORD},
        tls=certificate,
        mechanisms=MECHANISMS,
        tokeninfo_url=tokens.url,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def postfix(tmp_path_factory, certificate, dovecot):
    folder = tmp_path_factory.mktemp("logins")
    only_logged_in = "permit_sasl_authenticated, reject"
    with Postfix(
        folder / "p",
        tls=certificate,
        auth_socket=dovecot.auth_socket,
        extra={
            "smtpd_relay_restrictions": only_logged_in,
            "smtpd_recipient_restrictions": only_logged_in,
            "smtpd_tls_loglevel": "2",
        },
    ) as running:
        yield running


def node_of(tmp_path, where, keys, more="", tables=None):
    node = TestNode(
        tmp_path / "home",
        '\n[link.isp]\n[smart_host.isp]\nlink = "isp"\ntimeout_seconds = 20\n'
        f'host = "{where}"\n{keys}\n{more}',
        tables=tables,
    )
    for name in ("password", "refresh"):
        node.password(name, PASSWORD if name == "password" else "refresh-0")
    return node


def ways_of(node):
    config = node.config()
    users = Users(config.mailbox, frozenset())
    rules, neighbours = Rules(config, users), load_neighbours(config)
    return Ways(config, rules, users, neighbours, time.monotonic, MemoryServers())


ISP = Way("smtp", "isp", "relay", smart_hosts=("isp",))


def visit(ways, way=ISP):
    """A session with nothing to send: it opens, logs in and says goodbye."""

    async def nothing():
        return
        yield

    async def report(attempts):
        raise AssertionError(attempts)

    asyncio.run(ways.mailer(way, ByteCount()).deliver(nothing(), report))


@contextlib.contextmanager
def added_to(peer, *wanted):
    """What happens inside makes the peer's log say all of it."""
    before = len(peer.log())
    yield
    has_all = wait_until(lambda: all(text in peer.log()[before:] for text in wanted), 10)
    assert has_all, peer.log()[before:]


@pytest.mark.parametrize("mechanism", PASSWORDS)
@pytest.mark.parametrize("tls", ["starttls", "none"])
def test_it_logs_in_by_each_mechanism(tmp_path, certificate, postfix, dovecot, mechanism, tls):
    keys = (
        f'tls = "{tls}"\nuser = "ann"\npassword_file = "password"\nauth = ["{mechanism}"]\n'
        f'ca_file = "{certificate.authority}"'
    )
    visit(ways_of(node_of(tmp_path, f"localhost:{postfix.port}", keys)))
    wrong = node_of(tmp_path, f"localhost:{postfix.port}", keys)
    wrong.password("password", "another")
    with pytest.raises(LoginRefused, match=r"AUTH refused: 535 5\.7\.8"):
        visit(ways_of(wrong))


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_it_logs_in_with_tokens_and_renews_those_that_are_refused(
    tmp_path, certificate, postfix, tokens, mechanism
):
    keys = (
        f'tls = "starttls"\nuser = "ann"\noauth = "isp"\nauth = ["{mechanism}"]\n'
        f'ca_file = "{certificate.authority}"'
    )
    more = (
        f'[oauth.isp]\ntoken_url = "{tokens.url}"\nclient_id = "relaynode"\n'
        'refresh_token_file = "refresh"\n'
    )
    node = node_of(tmp_path, f"localhost:{postfix.port}", keys, more)
    node.password("refresh", tokens.refresh_token)
    ways = ways_of(node)
    asked = len(tokens.requests)
    visit(ways)
    visit(ways)
    assert len(tokens.requests) == asked + 1, "the token is still good"
    tokens.spoilt.add(tokens.access_tokens[-1])
    visit(ways)
    assert len(tokens.requests) == asked + 2
    assert (node.folder / "refresh").read_text().strip() == tokens.refresh_token


@pytest.mark.parametrize("auth", ["SCRAM-SHA-256", "DIGEST-MD5", "XOAUTH2", ""])
def test_a_mailbox_is_polled_with_the_same_mechanisms(tmp_path, certificate, dovecot, tokens, auth):
    dovecot.put("ann", b"From: a@b.example\nSubject: hello\n\nbody\n")
    is_token = auth == "XOAUTH2"
    tls = "starttls" if is_token else "none"
    secret = 'oauth = "isp"' if is_token else 'password_command = "/bin/cat {folder}/password"'
    node = TestNode(
        tmp_path / "home",
        f"""
[account.isp]
host = "localhost:{dovecot.pop3_port}"
tls = "{tls}"
user = "ann"
{secret}
{f'auth = ["{auth}"]' if auth else ""}
ca_file = "{certificate.authority}"
deliver_to = "user"
[oauth.isp]
token_url = "{tokens.url}"
client_id = "relaynode"
refresh_token_file = "refresh"
""",
    )
    node.password("password", PASSWORD)
    node.password("refresh", tokens.refresh_token)
    method = auth or "SCRAM-SHA-256"  # what shows least
    with added_to(dovecot, f"method={method}"):
        fetched = node.run("fetch")
    assert fetched.returncode == 0, fetched.stderr
    (mail,) = node.mails("user")
    assert b"Subject: hello" in mail
    assert dovecot.count("ann") == 0


def test_a_password_from_a_command_never_shows(tmp_path, certificate, postfix):
    keys = (
        'tls = "starttls"\nuser = "ann"\n'
        f'password_command = ["/bin/echo", "{PASSWORD}"]\nca_file = "{certificate.authority}"'
    )
    node = node_of(tmp_path, f"localhost:{postfix.port}", keys)
    letter = b"From: user\nTo: x\nSubject: s\n\nbody\n"
    assert node.sendmail("-i", "x@far.example", stdin=letter).returncode == 0
    before = postfix.count()
    sent = node.run("linkup", "--verbose")
    assert sent.returncode == 0, sent.stderr
    postfix.wait_for(before + 1)
    node.run("linkdown")  # or the next sendmail would start a run of its own
    node.path.write_text(node.path.read_text().replace(PASSWORD, "Wrong-4711"))
    assert node.sendmail("-i", "x@far.example", stdin=letter).returncode == 0
    refused = node.run("linkup", "--verbose")
    assert refused.returncode == 75
    assert "AUTH refused: 535" in refused.stderr
    told = [one.stdout + one.stderr for one in (sent, refused, node.run("queue", "--json"))]
    told += [one.stdout + one.stderr for one in (node.run("check"), node.run("queue"))]
    spool = (node.folder / "spool").rglob("*")
    kept = b"".join(one.read_bytes() for one in spool if one.is_file())
    for secret in (PASSWORD, "Wrong-4711"):
        assert secret not in "".join(told)
        assert secret.encode() not in kept


def test_sendmails_authinfo_serves_hosts_that_have_no_login(tmp_path, postfix):
    tables = {"access": f'Connect:x REJECT\nAuthInfo:localhost "I:ann" "P:{PASSWORD}"\n'}
    node = node_of(tmp_path, "localhost:1", 'tls = "none"', tables=tables)
    (node.folder / "tables" / "access").chmod(0o600)
    host = Way("smtp", f"localhost:{postfix.port}", "smtp")
    visit(ways_of(node), host)
    (node.folder / "tables" / "access").write_text('AuthInfo:[127.0.0.1] "I:ann" "P:wrong"\n')
    with pytest.raises(LoginRefused, match="535"):
        visit(ways_of(node), host)
    (node.folder / "tables" / "access").write_text('AuthInfo:other "I:ann" "P:wrong"\n')
    visit(ways_of(node), host)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("version", ["<=TLSv1.2", ">=TLSv1.3"])
def test_the_second_session_with_postfix_resumes_tls(tmp_path, certificate, tls, version):
    extra = {"smtpd_tls_loglevel": "2", "smtpd_tls_mandatory_protocols": version}
    extra["smtpd_tls_protocols"] = version
    with Postfix(tmp_path / "p", tls=certificate, extra=extra) as postfix:
        port = postfix.smtps_port if tls == "tls" else postfix.port
        keys = f'tls = "{tls}"\nca_file = "{certificate.authority}"'
        ways = ways_of(node_of(tmp_path, f"localhost:{port}", keys))
        visit(ways)
        assert "Reusing old session" not in postfix.log()
        with added_to(postfix, "Reusing old session"):
            visit(ways)


def test_certificates_are_refused_with_the_remedy_and_accepted_with_it(tmp_path):
    certificate = make_certificate(tmp_path, "elsewhere.example")
    with Postfix(tmp_path / "p", tls=certificate) as postfix:
        where, trust = f"localhost:{postfix.port}", f'ca_file = "{certificate.authority}"'
        with pytest.raises(TlsFailed, match=r"it is for elsewhere\.example and not for localhost"):
            visit(ways_of(node_of(tmp_path, where, trust)))
        with pytest.raises(TlsFailed) as caught:
            visit(ways_of(node_of(tmp_path, where, "")))
        pin = str(caught.value).partition(", or ")[2]
        assert pin.startswith('fingerprints = ["sha256:')
        visit(ways_of(node_of(tmp_path, where, pin)))
        with pytest.raises(TlsFailed, match="not the pinned one"):
            visit(ways_of(node_of(tmp_path, where, f'fingerprints = ["{"0" * 64}"]')))
