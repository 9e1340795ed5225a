"""People log in at our own server: swaks, Python, our client; against files and Dovecot."""

import base64
import contextlib
import hashlib
import hmac
import poplib
import smtplib
import socket
import ssl
import subprocess
import warnings

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.dovecot import Dovecot
from peers.found import require
from peers.processes import free_port, wait_until
from peers.swaks import swaks
from relaynode.accounts.hashes import parse_secret, scram_text

PASSWORD = "Sesame-4711"
HASH = "$scrypt$ln=4,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$" + base64.b64encode(
    hashlib.scrypt(
        PASSWORD.encode(),
        salt=base64.b64decode("aM15713r3Xsvxbi31lqr1Q=="),
        n=16,
        r=8,
        p=1,
        dklen=32,
    )
).decode().rstrip("=")
"""A cheap one: the machine that tests is shared."""


class Gate:
    """A running node with all its doors on loopback."""

    def __init__(self, folder, certificate, accounts, lines=None):
        self.ports = {
            name: free_port() for name in ("smtp", "submission", "submissions", "pop3", "pop3s")
        }
        doors = "".join(f'{name} = ["127.0.0.1:{port}"]\n' for name, port in self.ports.items())
        self.node = TestNode(
            folder,
            f"[listen.all]\n{doors}"
            f'certificate = "{certificate.certificate}"\nkey = "{certificate.key}"\n'
            f"[accounts]\n{accounts}\n",
            users=("ann", "bob", "postmaster"),
        )
        if lines is not None:
            path = folder / "accounts"
            path.touch(mode=0o600)
            path.write_text("".join(f"{line}\n" for line in lines))

    def swaks(self, door, *words, user="ann", password=PASSWORD):
        """swaks at one of the doors, with a login if there is a password."""
        login = ("--auth-user", user, "--auth-password", password) if password else ()
        return swaks(
            *("--server", f"127.0.0.1:{self.ports[door]}", "--helo", "pc.lan"),
            *("--from", "ann@bsd.home", "--to", "bob@bsd.home"),
            *login,
            *words,
        )

    def mails(self, user="bob"):
        return self.node.mails(user)


@contextlib.contextmanager
def running(*arguments, **more):
    gate = Gate(*arguments, **more)
    with gate.node.daemon() as daemon:
        gate.daemon = daemon
        yield gate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def hashed(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("hashed")
    lines = [f"ann:{HASH}", f"carl:{HASH}"]
    with running(folder, certificate, 'password_file = "accounts"', lines=lines) as gate:
        yield gate


@pytest.fixture(scope="module")
def plain(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("plain")
    lines = [f"ann:{{PLAIN}}{PASSWORD}"]
    accounts = 'password_file = "accounts"\nsenders = "own"\n'
    with running(folder, certificate, accounts, lines=lines) as gate:
        yield gate


@pytest.fixture(scope="module")
def by_dovecot(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("by-dovecot")
    mechanisms = "plain login cram-md5 scram-sha-1 scram-sha-256"
    with Dovecot(folder / "d", users={"ann": PASSWORD}, mechanisms=mechanisms) as dovecot:
        accounts = f'dovecot_socket = "{dovecot.auth_socket}"'
        with running(folder / "n", certificate, accounts) as gate:
            yield gate


def received(mail):
    """The newest Received field."""
    lines = mail.decode().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("Received:"))
    end = next(at for at in range(start + 1, len(lines)) if not lines[at].startswith("\t"))
    return "\n".join(lines[start:end])


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    "door, tls", [("submission", "--tls"), ("submissions", "--tls-on-connect"), ("smtp", "--tls")]
)
def test_swaks_logs_in_with_a_hashed_password(hashed, door, tls, mechanism):
    before = len(hashed.mails())
    ended = hashed.swaks(door, tls, "--auth", mechanism)
    assert ended.returncode == 0, ended.stdout
    assert "235 2.7.0 Authentication successful" in ended.stdout
    assert wait_until(lambda: len(hashed.mails()) == before + 1, 10)
    trace = next(received(mail) for mail in reversed(hashed.mails()) if b"ESMTPSA" in mail)
    assert "(authenticated bits=0)" in trace
    assert "(version=TLSv1.3 cipher=" in trace


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "PLAIN", "LOGIN"])
def test_swaks_logs_in_by_what_plain_passwords_allow(plain, mechanism):
    ended = plain.swaks("submission", "--tls", "--auth", mechanism)
    assert ended.returncode == 0, ended.stdout
    assert f"AUTH {mechanism}" in ended.stdout


def test_hashed_passwords_offer_nothing_that_needs_more(hashed):
    ended = hashed.swaks("submission", "--tls", "--quit-after", "EHLO", password="")
    assert "AUTH PLAIN LOGIN" in ended.stdout


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_dovecot_is_asked(by_dovecot, mechanism):
    before = len(by_dovecot.mails())
    ended = by_dovecot.swaks("submission", "--tls", "--auth", mechanism)
    assert ended.returncode == 0, ended.stdout
    assert wait_until(lambda: len(by_dovecot.mails()) == before + 1, 10)


@pytest.mark.parametrize("gate", ["hashed", "by_dovecot"])
def test_a_wrong_password_is_535_and_no_mail_comes_in(request, gate):
    gate = request.getfixturevalue(gate)
    before = len(gate.mails())
    ended = gate.swaks("submission", "--tls", "--auth", "PLAIN", password="wrong")
    assert ended.returncode == 28, ended.stdout
    assert "535 5.7.8 Authentication failed" in ended.stdout
    assert len(gate.mails()) == before


def test_submission_without_a_login_is_530(hashed):
    ended = hashed.swaks("submission", "--tls", password="")
    assert "530 5.7.0 Authentication required" in ended.stdout
    ended = hashed.swaks("submissions", "--tls-on-connect", password="")
    assert "530 5.7.0 Authentication required" in ended.stdout


def test_a_login_may_relay_and_a_wrong_sender_is_refused(plain):
    ended = plain.swaks("submission", "--tls", "--to", "x@far.example", "--from", "ann@bsd.home")
    assert ended.returncode == 0, ended.stdout
    for sender in ("bob@bsd.home", "ann@far.example"):
        ended = plain.swaks("submission", "--tls", "--from", sender)
        assert "553 5.7.1" in ended.stdout and "Sender address is not yours" in ended.stdout


# --- Python's own clients


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate.authority))


@pytest.mark.parametrize("gate", ["plain", "by_dovecot"])
def test_smtplib_logs_in_and_forgets_what_was_said_in_the_clear(request, certificate, gate):
    gate = request.getfixturevalue(gate)
    with smtplib.SMTP("localhost", gate.ports["submission"], timeout=20) as client:
        client.starttls(context=trusting(certificate))
        client.login("ann", PASSWORD)
        assert client.noop()[0] == 250
        client.sendmail("ann@bsd.home", ["bob@bsd.home"], b"Subject: s\r\n\r\nbody\r\n")
    with smtplib.SMTP_SSL(
        "localhost", gate.ports["submissions"], context=trusting(certificate), timeout=20
    ) as client:
        client.login("ann", PASSWORD)
        with pytest.raises(smtplib.SMTPException):
            client.starttls(context=trusting(certificate))


def test_old_tls_is_refused(hashed):
    context = ssl._create_unverified_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", hashed.ports["submissions"]), 20) as line,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(line)


def test_commands_behind_starttls_are_never_taken_as_said_under_tls(hashed, certificate):
    with socket.create_connection(("localhost", hashed.ports["submission"]), 20) as line:
        line.sendall(b"EHLO pc.lan\r\nSTARTTLS\r\nMAIL FROM:<mallory@example.org>\r\n")
        said = b""
        while data := line.recv(4096):
            said += data
    assert said.endswith(
        b"554 5.5.0 Bytes in the clear behind STARTTLS: they could be anybody's\r\n"
    )
    # What comes later is taken for TLS, and is none.
    with socket.create_connection(("localhost", hashed.ports["submission"]), 20) as line:
        line.sendall(b"EHLO pc.lan\r\nSTARTTLS\r\n")
        said = b""
        while b"220 2.0.0 " not in said:
            said += line.recv(4096)
        line.sendall(b"MAIL FROM:<mallory@example.org>\r\n" * 10)
        with contextlib.suppress(ConnectionError):
            while data := line.recv(4096):
                assert b"250" not in data
    # Everybody else is served all the same.
    assert hashed.swaks("submission", "--tls", "--auth", "PLAIN").returncode == 0


def scram(client, user, password, digest="sha256", name="SCRAM-SHA-256"):
    """A SCRAM client in smtplib's clothes; the server's signature is checked."""
    first = f"n={user},r=rOprNGfwEbeRWgbNEkqO"
    code, said = client.docmd("AUTH", f"{name} {_b64('n,,' + first)}")
    assert code == 334, said
    server = base64.b64decode(said).decode()
    values = dict(one.split("=", 1) for one in server.split(","))
    salted = hashlib.pbkdf2_hmac(
        digest, password.encode(), base64.b64decode(values["s"]), int(values["i"])
    )
    final = f"c=biws,r={values['r']}"
    message = f"{first},{server},{final}".encode()
    client_key = hmac.digest(salted, b"Client Key", digest)
    stored = hashlib.new(digest, client_key).digest()
    signature = hmac.digest(stored, message, digest)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    code, said = client.docmd(_b64(f"{final},p={base64.b64encode(proof).decode()}"))
    if code != 334:
        return code
    right = hmac.digest(hmac.digest(salted, b"Server Key", digest), message, digest)
    assert base64.b64decode(base64.b64decode(said)[2:]) == right
    return client.docmd("")[0]


def _b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("gate", ["plain", "by_dovecot"])
@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_scram_by_hand(request, gate, name):
    gate = request.getfixturevalue(gate)
    digest = name[6:].replace("-", "").lower()
    with smtplib.SMTP("localhost", gate.ports["smtp"], timeout=30) as client:
        client.ehlo()
        assert scram(client, "ann", "wrong", digest, name) == 535
        assert scram(client, "ann", PASSWORD, digest, name) == 235


@pytest.mark.parametrize("gate", ["hashed", "plain", "by_dovecot"])
def test_poplib_fetches_under_tls(request, certificate, gate):
    gate = request.getfixturevalue(gate)
    client = poplib.POP3("localhost", gate.ports["pop3"], timeout=20)
    assert "STLS" in client.capa()
    client.stls(context=trusting(certificate))
    assert "STLS" not in client.capa()
    client.user("ann")
    client.pass_(PASSWORD)
    client.quit()
    client = poplib.POP3_SSL(
        "localhost", gate.ports["pop3s"], context=trusting(certificate), timeout=20
    )
    client.user("ann")
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.pass_("wrong")
    client.quit()


# --- our own client


@pytest.mark.parametrize(
    "gate, tls, door, mechanism",
    [
        ("plain", "starttls", "submission", "SCRAM-SHA-256"),
        ("plain", "tls", "submissions", "CRAM-MD5"),
        ("by_dovecot", "starttls", "submission", "SCRAM-SHA-1"),
    ],
)
def test_our_client_sends_through_our_server(
    request, tmp_path, certificate, gate, tls, door, mechanism
):
    gate = request.getfixturevalue(gate)
    home = TestNode(
        tmp_path / "home",
        f'[smart_host.gate]\nhost = "localhost:{gate.ports[door]}"\ntls = "{tls}"\n'
        f'user = "ann"\npassword_file = "secret"\nauth = ["{mechanism}"]\n'
        f'ca_file = "{certificate.authority}"\n',
        users=("ann",),
    )
    home.path.write_text(home.path.read_text().replace('"bsd.home"', '"pc.lan"'))
    home.password("secret", PASSWORD)
    letter = f"Subject: by {tls} and {mechanism}\n\nbody\n".encode()
    sent = home.sendmail("-f", "ann@bsd.home", "bob@bsd.home", stdin=letter)
    assert sent.returncode == 0, sent.stderr
    home.run("flush")
    subject = f"by {tls} and {mechanism}".encode()
    assert wait_until(lambda: any(subject in mail for mail in gate.mails()), 10)
    assert f"{mechanism}: ann" in gate.daemon.log()


def test_a_new_certificate_is_shown_without_a_restart(tmp_path):
    certificate = make_certificate(tmp_path / "c")
    lines = [f"ann:{scram_text(PASSWORD)}"]
    with running(tmp_path / "n", certificate, 'password_file = "accounts"', lines=lines) as gate:

        def shown():
            return ssl.get_server_certificate(("127.0.0.1", gate.ports["submissions"]))

        first = shown()
        make_certificate(tmp_path / "c")
        assert shown() != first
        (tmp_path / "c" / "server.pem").write_text("half of it")
        assert shown() != first
        ended = gate.swaks("submission", "--tls", "--quit-after", "EHLO", password="")
        assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in ended.stdout


# --- passwords that Dovecot has written


@pytest.mark.parametrize(
    "scheme", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SHA512-CRYPT", "ARGON2ID", "PLAIN"]
)
def test_what_doveadm_writes_is_understood(scheme):
    found = require("dovecot")
    written = subprocess.run(
        [found.program("doveadm"), "-O", "pw", "-s", scheme, "-p", PASSWORD],
        env=found.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert written.returncode == 0, written.stderr
    secret = parse_secret(written.stdout.strip())
    assert secret.is_password(PASSWORD)
    assert not secret.is_password(PASSWORD + "x")
    if scheme.startswith("SCRAM"):
        assert scheme in secret.mechanisms
