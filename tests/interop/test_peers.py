"""The harness itself: each peer starts, does what tests rely on, and is gone afterwards.

The other side here is Python's standard library, so a failure is never relaynode's.
"""

from __future__ import annotations

import poplib
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers import found
from peers.certificates import ServerCertificate, make_certificate
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from peers.processes import PeerFailed, Process, free_port, wait_until
from peers.swaks import swaks

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGE = b"From: ann@home.test\r\nSubject: tea\r\n\r\nAt five.\r\n"
STORED = MESSAGE.replace(b"\r\n", b"\n")
USERS = {"ann": "secret", "bob@mail.test": "a longer secret"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    return make_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def dovecot(
    certificate: ServerCertificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dovecot]:
    with Dovecot(tmp_path_factory.mktemp("dovecot"), users=USERS, tls=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def postfix(
    certificate: ServerCertificate, dovecot: Dovecot, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Postfix]:
    folder = tmp_path_factory.mktemp("postfix")
    with Postfix(folder, tls=certificate, auth_socket=dovecot.auth_socket) as running:
        yield running


@pytest.fixture
def smtp(postfix: Postfix) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.test", timeout=20) as client:
        client.ehlo()
        yield client


@pytest.fixture
def pop3(dovecot: Dovecot) -> Iterator[poplib.POP3]:
    client = poplib.POP3("127.0.0.1", dovecot.pop3_port, timeout=20)
    yield client
    client.close()


class TestPostfix:
    def test_what_it_accepts_lies_in_the_maildir_unchanged_below_received(
        self, postfix: Postfix, smtp: smtplib.SMTP
    ) -> None:
        smtp.sendmail("ann@home.test", ["Unchanged@Any.Test"], MESSAGE)
        postfix.wait_until_settled()
        [content] = postfix.messages("unchanged@any.test")
        received, rest = content[: -len(STORED)], content[-len(STORED) :]
        assert rest == STORED
        assert received.startswith(b"Received: from client.test ")

    def test_each_recipient_of_any_domain_gets_one_copy(
        self, postfix: Postfix, smtp: smtplib.SMTP
    ) -> None:
        before = postfix.count()
        smtp.sendmail("", ["one@a.test", "two@a.test", "one@b.test"], MESSAGE)
        postfix.wait_for(before + 3)
        for address in ("one@a.test", "two@a.test", "one@b.test"):
            assert len(postfix.messages(address)) == 1
        assert {one.reverse_path for one in postfix.deliveries()[-3:]} == {""}

    def test_it_refuses_who_is_unknown_and_puts_off_who_is_later(self, smtp: smtplib.SMTP) -> None:
        smtp.mail("ann@home.test")
        assert smtp.rcpt("unknown-joe@a.test") == (
            550,
            b"5.1.1 <unknown-joe@a.test>: Recipient address rejected: There is no such user",
        )
        code, text = smtp.rcpt("later-joe@a.test")
        assert (code, text[:6]) == (450, b"4.2.0 ")
        assert smtp.rcpt("joe@a.test")[0] == 250

    def test_ehlo_lists_chunking_and_pipelining_and_the_size_limit(
        self, smtp: smtplib.SMTP
    ) -> None:
        assert {"chunking", "pipelining", "starttls"} <= smtp.esmtp_features.keys()
        assert smtp.esmtp_features["size"] == "50000000"

    @pytest.mark.parametrize("withheld", ["chunking", "pipelining"])
    def test_ehlo_withholds_what_a_test_switches_off(self, withheld: str, tmp_path: Path) -> None:
        others = {"chunking", "pipelining"} - {withheld}
        with (
            Postfix(
                tmp_path, chunking=withheld != "chunking", pipelining=withheld != "pipelining"
            ) as server,
            smtplib.SMTP("127.0.0.1", server.port, "client.test", timeout=20) as client,
        ):
            client.ehlo()
            assert withheld not in client.esmtp_features
            assert others <= client.esmtp_features.keys()
            assert "auth" not in client.esmtp_features
            assert "starttls" not in client.esmtp_features

    def test_starttls_shows_a_certificate_that_holds_for_this_host(
        self, postfix: Postfix, certificate: ServerCertificate
    ) -> None:
        with smtplib.SMTP("127.0.0.1", postfix.port, "client.test", timeout=20) as client:
            client.starttls(context=certificate.client_context())
            client.sendmail("ann@home.test", ["starttls@a.test"], MESSAGE)
        postfix.wait_until_settled()
        [content] = postfix.messages("starttls@a.test")
        assert b"with ESMTPS id" in content

    def test_the_other_port_talks_tls_from_the_start(
        self, postfix: Postfix, certificate: ServerCertificate
    ) -> None:
        assert postfix.smtps_port is not None
        with smtplib.SMTP_SSL(
            "127.0.0.1", postfix.smtps_port, timeout=20, context=certificate.client_context()
        ) as client:
            assert client.noop()[0] == 250

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
    @pytest.mark.parametrize("user", list(USERS))
    def test_auth_knows_the_users_of_dovecot(
        self, mechanism: str, user: str, smtp: smtplib.SMTP
    ) -> None:
        assert mechanism in smtp.esmtp_features["auth"].split()
        smtp.user, smtp.password = user, USERS[user]
        code, _ = smtp.auth(mechanism, _authenticator(smtp, mechanism))
        assert code == 235

    def test_auth_refuses_a_wrong_password(self, smtp: smtplib.SMTP) -> None:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            smtp.login("ann", "guess")
        assert refusal.value.smtp_code == 535

    def test_its_sendmail_command_submits_to_it(self, postfix: Postfix) -> None:
        command = [*postfix.sendmail_command(), "-f", "ann@home.test", "submitted@a.test"]
        subprocess.run(command, input=STORED, check=True, timeout=20)
        postfix.wait_until_settled()
        [content] = postfix.messages("submitted@a.test")
        assert content.endswith(b"At five.\n")

    def test_the_mail_and_the_log_can_be_read_after_the_end(self, tmp_path: Path) -> None:
        with Postfix(tmp_path) as server:
            swaks_to(server, "kept@a.test")
            server.wait_for(1)
            # It is logged after the mail is there, and who is stopped logs nothing.
            assert wait_until(lambda: "status=sent" in server.log(), 15)
        assert server.home.parent == tmp_path
        assert len(server.all_messages()) == 1
        assert "status=sent" in server.log()

    def test_nothing_is_left_when_no_folder_was_given(self) -> None:
        with Postfix() as server:
            home = server.home
        assert not home.exists()

    @pytest.mark.parametrize(
        ("name", "value", "complaint"),
        [
            ("message_size_limit", "huge", "bad numerical configuration"),
            ("no_such_setting", "yes", "unused parameter"),
            ("smtpd_relay_restrictions", "permit", "specify at least one working instance of"),
        ],
    )
    def test_settings_that_it_cannot_run_with_are_told_in_its_own_words(
        self, name: str, value: str, complaint: str
    ) -> None:
        with pytest.raises(PeerFailed, match=complaint), Postfix(extra={name: value}):
            pass

    def test_it_can_be_made_to_send(self, postfix: Postfix, tmp_path: Path) -> None:
        settings = {
            "virtual_mailbox_domains": "",
            "default_transport": f"smtp:[127.0.0.1]:{postfix.port}",
        }
        with Postfix(tmp_path, extra=settings) as sender:
            swaks_to(sender, "handed-on@a.test")
            sender.wait_until_settled()
        postfix.wait_until_settled()
        assert len(postfix.messages("handed-on@a.test")) == 1


class TestDovecot:
    def test_it_serves_what_was_put_in_order_and_deletes_it(
        self, dovecot: Dovecot, pop3: poplib.POP3
    ) -> None:
        contents = [b"Subject: %d\r\n\r\n.dot\r\n" % number for number in range(5)]
        for content in contents:
            dovecot.put("ann", content)
        assert dovecot.messages("ann") == [one.replace(b"\r\n", b"\n") for one in contents]
        pop3.user("ann")
        pop3.pass_("secret")
        assert pop3.stat()[0] == 5
        for number, content in enumerate(contents, 1):
            assert pop3.retr(number)[1] == content.split(b"\r\n")[:-1]
            pop3.dele(number)
        assert dovecot.count("ann") == 5
        pop3.quit()
        assert dovecot.count("ann") == 0

    def test_it_serves_a_user_by_tls_from_the_start(
        self, dovecot: Dovecot, certificate: ServerCertificate
    ) -> None:
        assert dovecot.pop3s_port is not None
        dovecot.put("bob@mail.test", MESSAGE)
        context = certificate.client_context()
        client = poplib.POP3_SSL("127.0.0.1", dovecot.pop3s_port, timeout=20, context=context)
        client.user("bob@mail.test")
        client.pass_("a longer secret")
        assert client.stat() == (1, len(MESSAGE))
        client.dele(1)
        client.quit()
        assert dovecot.count("bob@mail.test") == 0

    def test_it_lists_pipelining_and_uidl_and_changes_to_tls(
        self, pop3: poplib.POP3, certificate: ServerCertificate
    ) -> None:
        assert {"PIPELINING", "UIDL", "STLS", "SASL"} <= pop3.capa().keys()
        pop3.stls(certificate.client_context())
        assert pop3.user("ann").startswith(b"+OK")

    def test_a_wrong_password_is_refused_without_a_long_wait(self, pop3: poplib.POP3) -> None:
        began = time.monotonic()
        pop3.user("ann")
        with pytest.raises(poplib.error_proto, match="AUTH"):
            pop3.pass_("guess")
        assert time.monotonic() - began < 1.9  # it is two seconds where nobody asks for less

    def test_without_a_certificate_there_is_no_tls(self, tmp_path: Path) -> None:
        with Dovecot(tmp_path, users=USERS) as server:
            client = poplib.POP3("127.0.0.1", server.pop3_port, timeout=20)
            assert "STLS" not in client.capa()
            client.quit()
            assert server.pop3s_port is None
            server.put("ann", MESSAGE)
        assert server.messages("ann") == [STORED]
        assert "starting up for pop3" in server.log()


class TestSwaks:
    def test_it_sends_to_postfix(self, postfix: Postfix) -> None:
        said = swaks_to(postfix, "from-swaks@a.test", "--data", "-")
        assert "250 2.0.0 Ok: queued" in said.stdout
        postfix.wait_until_settled()
        [content] = postfix.messages("from-swaks@a.test")
        assert content.endswith(STORED + b"\n")  # swaks adds a line end

    def test_it_uses_tls_and_auth(self, postfix: Postfix) -> None:
        said = swaks_to(postfix, "a@a.test", "-tls", "-au", "ann", "-ap", "secret")
        assert "~> MAIL FROM" in said.stdout
        assert "235 2.7.0" in said.stdout

    def test_its_exit_status_tells_of_a_refusal(self, postfix: Postfix) -> None:
        said = swaks("-s", f"127.0.0.1:{postfix.port}", "-f", "ann@home.test", "-t", "unknown@a")
        assert said.returncode == 24  # EXIT STATUS of swaks(1): no recipient was accepted


class TestProcesses:
    def test_children_of_a_program_end_with_it(self, tmp_path: Path) -> None:
        script = "sleep 1000 & echo $!; trap '' TERM; while :; do sleep 1000; done"
        process = _shell(script, tmp_path)
        assert wait_until(lambda: bool(process.log.read_text()), 10)
        process.stop(grace_seconds=0.1)
        assert not process.is_running
        assert not _runs(int(process.log.read_text()))
        process.stop()

    def test_a_program_ends_even_when_the_tests_are_killed(self, tmp_path: Path) -> None:
        script = (
            "import os, pathlib, peers.processes\n"
            "command = ['/bin/sh', '-c', 'echo $$; sleep 1000']\n"
            "log = pathlib.Path('output')\n"
            "process = peers.processes.Process(command, log=log, environment={})\n"
            "while not log.read_text(): pass\n"
            "os.kill(os.getpid(), 9)\n"
        )
        tests = Path(__file__).resolve().parent.parent
        command = [sys.executable, "-c", script]
        subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tests)}, check=False)
        pid = int((tmp_path / "output").read_text())
        assert wait_until(lambda: not _runs(pid), 10)

    def test_a_program_that_ends_as_it_starts_is_told_with_its_output(self, tmp_path: Path) -> None:
        process = _shell("echo no such setting; exit 3", tmp_path)
        with pytest.raises(PeerFailed, match=r"(?s)ended with 3.*no such setting"):
            process.wait_until_answers(free_port())

    def test_a_port_that_accepts_but_stays_silent_does_not_count_as_answering(
        self, tmp_path: Path
    ) -> None:
        process = _shell("sleep 1000", tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerFailed):
            process.wait_until_answers(silent.getsockname()[1], seconds=0.2)
        process.stop()


class TestFound:
    @pytest.fixture(autouse=True)
    def nothing_is_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("RELAYNODE_PEERS", str(tmp_path))
        nowhere = found.Peer("nothing", programs=("no-such-program",), packages=("no-such",))
        monkeypatch.setitem(found.PEERS, "nothing", nowhere)

    def test_a_test_is_left_out_where_its_peer_is_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RELAYNODE_REQUIRE_PEERS", raising=False)
        with pytest.raises(pytest.skip.Exception, match="nothing is missing"):
            found.require("nothing")

    def test_a_test_fails_where_its_peer_must_be_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RELAYNODE_REQUIRE_PEERS", "1")
        with pytest.raises(pytest.fail.Exception, match="nothing is missing"):
            found.require("nothing")

    def test_a_half_unpacked_peer_does_not_count(self, tmp_path: Path) -> None:
        program = tmp_path / "nothing" / "usr/bin/no-such-program"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        with pytest.raises(found.PeerMissing):
            found.find("nothing")


def swaks_to(server: Postfix, recipient: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Send MESSAGE to `recipient` by swaks, with success."""
    here = ("-s", f"127.0.0.1:{server.port}", "-f", "ann@home.test", "-t", recipient)
    done = swaks(*here, "--helo", "client.test", *arguments, message=MESSAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _authenticator(client: smtplib.SMTP, mechanism: str) -> smtplib._AuthObject:
    method = "auth_" + mechanism.lower().replace("-", "_")
    authenticator: smtplib._AuthObject = getattr(client, method)
    return authenticator


def _shell(script: str, folder: Path) -> Process:
    return Process(["/bin/sh", "-c", script], log=folder / "output", environment={})


def _runs(pid: int) -> bool:
    """Whether the process runs; one that is dead but not yet fetched by init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
