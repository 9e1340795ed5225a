"""The SMTP source and logins over memory streams: who may relay, and what Received says."""

import asyncio
import base64

import pytest

from nodes import TestNode
from relaynode.accounts.accounts import Accounts
from relaynode.accounts.hashes import Plain
from relaynode.accounts.local import LocalChecker
from relaynode.config.values import Network
from relaynode.mail.status import Status
from relaynode.policy.senders import SenderRule
from relaynode.queue.memory import MemoryStore
from relaynode.sources.smtp_door import Door
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair

LOGIN = b"AUTH PLAIN " + base64.b64encode(b"\0user\0sesame") + b"\r\n"
LAN = [Network.parse("192.0.2.0/24")]


class Passwords:
    def entries(self):
        return {"user": Plain("sesame")}


async def no_wait(seconds):
    pass


def mail(sender="user@bsd.home", recipient="x@far.example"):
    return (
        f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\nSubject: s\r\n\r\nbody\r\n.\r\n"
    ).encode()


def play(tmp_path, said, *, address="192.0.2.1", networks=(), **door):
    """The codes of all answers to EHLO and what follows, and the messages that are queued."""

    async def run():
        node = TestNode(tmp_path).open(store=MemoryStore(tmp_path / "scratch"))
        accounts = Accounts(LocalChecker([Passwords()], hostname="bsd.home"), wait=no_wait)
        source = SmtpSource(
            node.intake,
            node.rules,
            hostname="bsd.home",
            networks=networks,
            max_size_bytes=10**6,
            door=Door(accounts=accounts, **door),
        )
        ours, client = pair("client", "server")
        await client.write(b"EHLO pc.lan\r\n" + said)
        serving = asyncio.ensure_future(source.serve(ours, address))
        answer = b""
        while data := await client.read(5):
            answer += data
            if b"\r\n221 " in answer:
                break
        await serving
        messages = await node.store.messages()
        return answer.decode(), messages

    return asyncio.run(run())


def codes(answer):
    return [line[:3] for line in answer.splitlines() if line[3:4] == " "][2:-1]


def test_who_has_logged_in_may_relay_and_others_may_not(tmp_path):
    answer, messages = play(tmp_path, LOGIN + mail() + b"QUIT\r\n", plain_networks=LAN)
    assert codes(answer) == ["235", "250", "250", "354", "250"]
    assert len(messages) == 1
    answer, _ = play(tmp_path, mail() + b"QUIT\r\n", plain_networks=LAN)
    assert "550 5.7.1" in answer


def test_without_tls_nobody_is_offered_a_login_but_where_it_is_allowed(tmp_path):
    answer, _ = play(tmp_path, LOGIN + b"QUIT\r\n")
    assert "AUTH" not in answer.partition("538")[0]
    assert codes(answer) == ["538"]
    for allowed in ({"address": "127.0.0.1"}, {"plain_networks": LAN}, {"address": "::1"}):
        answer, _ = play(tmp_path, LOGIN + b"QUIT\r\n", **allowed)
        assert "250 AUTH SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN" in answer
        assert codes(answer) == ["235"]


def test_submission_demands_a_login_of_everybody(tmp_path):
    for address in ("127.0.0.1", "192.0.2.1"):
        answer, messages = play(
            tmp_path,
            mail(recipient="user") + b"QUIT\r\n",
            address=address,
            networks=LAN,
            demands_login=True,
        )
        assert "530 5.7.0 Authentication required" in answer
        assert messages == []


def test_a_wrong_password_lets_nobody_relay(tmp_path):
    wrong = b"AUTH PLAIN " + base64.b64encode(b"\0user\0wrong") + b"\r\n"
    answer, _ = play(
        tmp_path, wrong + b"MAIL FROM:<>\r\nRCPT TO:<x@far.example>\r\nQUIT\r\n", plain_networks=LAN
    )
    assert codes(answer) == ["535", "250", "550"]


def test_a_login_given_up_can_be_begun_again(tmp_path):
    said = b"AUTH CRAM-MD5\r\n*\r\nAUTH LOGIN\r\n" + b"%%\r\n" + LOGIN + b"QUIT\r\n"
    answer, _ = play(tmp_path, said, plain_networks=LAN)
    assert codes(answer) == ["334", "501", "334", "501", "235"]


RULE = SenderRule("own", refusal=Status(552, "5.7.1", "sorry, not in my list of senders"))


@pytest.mark.parametrize(
    "login, sender, code",
    [
        (LOGIN, "user@bsd.home", "250"),
        (LOGIN, "", "250"),
        (LOGIN, "postmaster@bsd.home", "552"),
        (LOGIN, "user@far.example", "552"),
        (b"", "postmaster@bsd.home", "250"),
        (b"", "user@far.example", "552"),
    ],
)
def test_people_write_as_themselves(tmp_path, login, sender, code):
    said = login + f"MAIL FROM:<{sender}>\r\nQUIT\r\n".encode()
    answer, _ = play(tmp_path, said, networks=LAN, plain_networks=LAN, senders=RULE)
    assert codes(answer)[-1] == code
    assert ("sorry, not in my list of senders" in answer) == (code == "552")


def test_strangers_and_this_machine_write_as_whom_they_like(tmp_path):
    said = b"MAIL FROM:<x@far.example>\r\nQUIT\r\n"
    for address in ("203.0.113.1", "127.0.0.1"):
        answer, _ = play(tmp_path, said, address=address, networks=LAN, senders=RULE)
        assert codes(answer) == ["250"]
