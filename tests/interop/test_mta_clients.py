"""Postfix, sendmail and msmtp as clients of our server, with a login and without.

What a smart host is to a LAN: mail comes in over the submission port with STARTTLS and a login, or
from a network that may relay.
"""

import re
import smtplib
import subprocess

import pytest

from nodes import TestNode, body_of
from peers.certificates import make_certificate
from peers.found import require
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from peers.sendmail import Sendmail

PASSWORD = "Sesame-4711"
LETTER = (
    b"From: ann@bsd.home\nTo: user\nSubject: %s\n\n.\n..\nFrom here\n\xc3\xa9\n" + b"long" * 240
)
BODY = body_of(LETTER)


class OurNode:
    """A running node that takes mail from this machine, and from ann over the submission port."""

    def __init__(self, folder):
        self.certificate = make_certificate(folder / "certificate")
        self.smtp, self.submission = free_port(), free_port()
        self.node = TestNode(
            folder / "node",
            f'[listen.all]\nsmtp = ["127.0.0.1:{self.smtp}"]\n'
            f'submission = ["127.0.0.1:{self.submission}"]\n'
            f'certificate = "{self.certificate.certificate}"\nkey = "{self.certificate.key}"\n'
            '[accounts]\npassword_file = "accounts"\n',
        )
        self.node.password("accounts", f"ann:{{PLAIN}}{PASSWORD}")

    def mail(self, subject):
        """The mail of that subject, when it has come."""
        wanted = b"\nSubject: " + subject + b"\n"
        assert wait_until(lambda: any(wanted in one for one in self.node.mails("user")), 20)
        (found,) = [one for one in self.node.mails("user") if wanted in one]
        return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    ours = OurNode(tmp_path_factory.mktemp("ours"))
    with ours.node.daemon():
        yield ours


def came_by(mail):
    """The protocol of our Received field: ESMTPSA is ESMTP with TLS and a login (RFC 3848)."""
    return re.search(rb"^Received: .*?\n\tby bsd\.home.*? with (\w+)", mail, re.M | re.S)[1]


def plugins():
    """Where the login mechanisms of clients are, as an environment; nothing if that is known."""
    found = require("sasl")
    (folder,) = found.root.glob("usr/lib/*/sasl2")
    return {"SASL_PATH": str(folder)} if found.is_unpacked else {}


TRANSPORTS = """\
login unix - - n - - smtp
  -o smtp_sasl_mechanism_filter=login
bare unix - - n - - smtp
  -o smtp_sasl_auth_enable=no
  -o smtp_tls_security_level=none
"""


@pytest.fixture(scope="module")
def postfix(ours, tmp_path_factory):
    """It sends through us as a provider's customer does, and for sender lan@bsd.home as one of the
    LAN; sender login@bsd.home makes it log in by LOGIN."""
    folder = tmp_path_factory.mktemp("postfix")
    passwords = folder / "passwords"
    passwords.write_text(f"[127.0.0.1]:{ours.submission} ann:{PASSWORD}\n")
    settings = {
        "virtual_mailbox_domains": "",
        "default_transport": "smtp",
        "relayhost": f"[127.0.0.1]:{ours.submission}",
        "sender_dependent_default_transport_maps": "inline:{"
        f"{{lan@bsd.home=bare:[127.0.0.1]:{ours.smtp}}},"
        f"{{login@bsd.home=login:[127.0.0.1]:{ours.submission}}}}}",
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": f"texthash:{passwords}",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": "plain",
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": str(ours.certificate.authority),
        "smtp_tls_secure_cert_match": "localhost",
    }
    made = Postfix(folder / "kept", extra=settings, services=TRANSPORTS, environment=plugins())
    with made as running:
        yield running


def send(postfix, sender, subject, *recipients):
    with smtplib.SMTP("127.0.0.1", postfix.port, "pc.lan", timeout=20) as client:
        content = (LETTER % subject).replace(b"\n", b"\r\n") + b"\r\n"
        client.sendmail(sender, recipients, content, ["BODY=8BITMIME"])


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_postfix_sends_through_us_with_tls_and_a_login(postfix, ours, mechanism):
    subject = b"postfix by " + mechanism.encode()
    send(postfix, f"{mechanism}@bsd.home", subject, "user@bsd.home")
    mail = ours.mail(subject)
    assert came_by(mail) == b"ESMTPSA"
    assert body_of(mail) == BODY + b"\n"


def test_postfix_relays_and_what_we_refuse_it_returns(postfix, ours):
    recipients = ("user@bsd.home", "nobody1@bsd.home", "x@far.example")
    send(postfix, "lan@bsd.home", b"postfix plain", *recipients)
    assert came_by(ours.mail(b"postfix plain")) == b"ESMTP"
    assert wait_until(lambda: "x@far.example" in ours.node.sendmail("-bp").stdout, 10)
    assert wait_until(lambda: "status=bounced" in postfix.log(), 10)
    assert "550 5.1.1 <nobody1@bsd.home>" in postfix.log()


SENDMAIL = """\
define(`SMART_HOST',`[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS',`TCP $h {port}')dnl
define(`confAUTH_MECHANISMS',`{mechanism}')dnl
define(`QUEUE_DIR',`{{folder}}')dnl
define(`STATUS_FILE',`{{folder}}/statistics')dnl
define(`confTO_IDENT',`0')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
{more}
MAILER(`smtp')dnl
"""


def sendmail(folder, port, *, mechanism="", tables=None):
    """A sendmail whose smart host we are; with a mechanism it logs in."""
    environment = "".join(f"E{name}={value}\n" for name, value in plugins().items())
    login = "FEATURE(`authinfo',`hash {folder}/authinfo')dnl" if mechanism else ""
    mc = SENDMAIL.format(port=port, mechanism=mechanism, more=login)
    if environment:
        mc += f"LOCAL_CONFIG\n{environment}"
    return Sendmail(folder, "bsd2.home", mc, tables or {})


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_sendmail_sends_through_us_with_tls_and_a_login(ours, tmp_path, mechanism):
    authinfo = f'AuthInfo:127.0.0.1 "U:ann" "P:{PASSWORD}" "M:{mechanism}"\n'
    tables = {"authinfo": authinfo}
    real = sendmail(tmp_path, ours.submission, mechanism=mechanism, tables=tables)
    subject = b"sendmail by " + mechanism.encode()
    real.send(LETTER % subject, "user@bsd.home")
    mail = ours.mail(subject)
    assert came_by(mail) == b"ESMTPSA"
    assert body_of(mail) == BODY + b"\n"


def test_sendmail_relays_through_us(ours, tmp_path):
    real = sendmail(tmp_path, ours.smtp)
    real.send(LETTER % b"sendmail plain", "user@bsd.home", "y@far.example")
    assert came_by(ours.mail(b"sendmail plain")) in (b"ESMTP", b"ESMTPS")
    assert wait_until(lambda: "y@far.example" in ours.node.sendmail("-bp").stdout, 10)


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-256"])
def test_msmtp_submits_with_each_login(ours, tmp_path, mechanism):
    found = require("msmtp")
    settings = tmp_path / "msmtprc"
    settings.write_text("")
    words = (
        *(f"--file={settings}", "--host=127.0.0.1", f"--port={ours.submission}", "--tls=on"),
        *(f"--tls-trust-file={ours.certificate.authority}", "--user=ann", f"--auth={mechanism}"),
        *(f"--passwordeval=echo {PASSWORD}", "--from=ann@bsd.home", "user@bsd.home"),
    )
    subject = b"msmtp by " + mechanism.encode()
    done = subprocess.run(
        [found.program("msmtp"), *words],
        input=LETTER % subject,
        env=found.environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    mail = ours.mail(subject)
    assert came_by(mail) == b"ESMTPSA"
    assert body_of(mail) == BODY + b"\n"
