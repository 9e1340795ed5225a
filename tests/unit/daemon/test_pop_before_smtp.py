"""POP-before-SMTP through the daemon's doors: a login to a mailbox lets its address relay, for a
while."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.daemon.doors import Doors, make_accounts
from relaynode.queue.memory import MemoryStore
from relaynode.sources.recent_logins import RecentLogins
from relaynode.sources.smtp_settings import crowd_of, guard_of
from relaynode.wire.memory import pair

SECTIONS = """
[user.user]
password_file = "password"
[access]
pop_before_smtp_minutes = 10
[listen.world]
smtp = ["127.0.0.1:25"]
pop3 = ["127.0.0.1:110"]
plain_text_logins = ["203.0.113.0/24", "2001:db8::/32"]
"""
HOME, ELSEWHERE = "203.0.113.9", "203.0.113.10"


class Gate:
    """The doors of a node, and a clock that the test moves."""

    def __init__(self, folder):
        test_node = TestNode(folder, SECTIONS)
        test_node.password("password")
        self.node = test_node.open(store=MemoryStore(folder / "scratch"))
        config, self.now = self.node.config, 1000.0
        section = config.file.listen["world"]
        minutes = config.file.access.pop_before_smtp_minutes
        recent = RecentLogins(minutes * 60, lambda: self.now)
        guard = guard_of(config, section, crowd_of(config), lambda asked: None)
        doors = Doors(self.node, "world", section, make_accounts(config), guard, recent)
        self.smtp, self.pop3 = doors.smtp(), doors.pop3()

    def _talk(self, serve, address, *lines):
        async def run():
            ours, theirs = pair("client", "server")
            serving = asyncio.ensure_future(serve(theirs, address))
            said = [await ours.read(5)]
            for line in lines:
                await ours.write(line + b"\r\n")
                said.append(await ours.read(5))
            await ours.close()
            await serving
            return said

        return asyncio.run(run())

    def fetches_mail(self, address, password=b"secret"):
        said = self._talk(
            self.pop3.serve, address, b"USER user", b"PASS " + password, b"STAT", b"QUIT"
        )
        return said[3].startswith(b"+OK")

    def may_relay(self, address):
        """Is mail of this address taken for somebody far away?"""
        letter = (b"MAIL FROM:<user@bsd.home>", b"RCPT TO:<x@far.example>", b"DATA", b"x\r\n.")
        said = self._talk(self.smtp.serve, address, b"EHLO pc", *letter, b"QUIT")
        assert said[3][:9] in (b"250 2.1.5", b"550 5.7.1"), said
        return said[5].startswith(b"250 2.0.0")


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


def test_who_has_fetched_mail_may_send_from_there_until_the_time_is_over(gate):
    assert not gate.may_relay(HOME)
    assert gate.fetches_mail(HOME)
    assert gate.may_relay(HOME)
    assert not gate.may_relay(ELSEWHERE)
    gate.now += 599
    assert gate.may_relay(HOME)
    gate.now += 1
    assert not gate.may_relay(HOME)
    assert gate.fetches_mail(HOME)
    assert gate.may_relay(HOME)


def test_sending_does_not_make_the_time_longer_but_another_login_does(gate):
    gate.fetches_mail(HOME)
    gate.now += 400
    assert gate.may_relay(HOME)
    gate.fetches_mail(HOME)
    gate.now += 400
    assert gate.may_relay(HOME)
    gate.now += 200
    assert not gate.may_relay(HOME)


def test_an_address_counts_however_it_is_written(gate):
    gate.fetches_mail("::ffff:203.0.113.9")
    assert gate.may_relay(HOME)
    gate.fetches_mail("2001:db8:0::9")
    assert gate.may_relay("2001:db8::9")


def test_a_wrong_password_lets_nobody_relay(gate):
    async def at_once(seconds):
        """What a failed login costs is no affair of this test."""

    gate.pop3.accounts._wait = at_once
    assert not gate.fetches_mail(HOME, b"wrong")
    assert not gate.may_relay(HOME)
