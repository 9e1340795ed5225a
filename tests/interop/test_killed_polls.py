"""Polls of Dovecot by POP3 that are killed or cut, again and again: none is lost or comes twice."""

import asyncio
import os
import random
import re
import subprocess
from collections import Counter

from nodes import TestNode
from peers.dovecot import Dovecot
from relaynode.errors import LineLost
from relaynode.wire import tcp
from unit.polls.imap_server import Cut, Line
from unit.polls.pop3_visits import Home

KILLS = 200 if os.environ.get("RELAYNODE_SOAK") else 3
MAILS = 100


def letter(number):
    return b"From: a@b.example\nSubject: mail %d\n\n%b\n" % (number, b"body\n" * (number % 500))


def numbers(node):
    found = [re.search(rb"Subject: mail (\d+)", content)[1] for content in node.mails("user")]
    return Counter(map(int, found))


def test_kills_during_polls_lose_and_double_nothing(tmp_path):
    chance = random.Random(3)
    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        node = TestNode(
            tmp_path / "home",
            f'[account.isp]\nhost = "localhost:{dovecot.pop3_port}"\ntls = "none"\nuser = "ann"\n'
            'password_file = "password"\ndeliver_to = "user"\n',
            users=("user",),
        )
        node.password("password", "secret")
        kills = put = 0
        while kills < KILLS:
            if dovecot.count("ann") == 0:
                for number in range(put, put + MAILS):
                    dovecot.put("ann", letter(number))
                put += MAILS
            with subprocess.Popen(
                node.command("fetch"), env=node.environment, stderr=subprocess.DEVNULL
            ) as fetching:
                try:
                    fetching.wait(chance.uniform(0.2, 1.5))
                except subprocess.TimeoutExpired:
                    fetching.kill()
                    kills += 1
        last = node.run("fetch")
        assert last.returncode == 0, last.stderr
        assert dovecot.count("ann") == 0
        assert numbers(node) == Counter(range(put))


CUTS = 1000 if os.environ.get("RELAYNODE_SOAK") else 8
SIZES = [2000] * 95 + [30_000] * 5


class RealHome(Home):
    """Visits to Dovecot over a line that has a place to break."""

    line = Line(None)

    async def _connect(self):
        self.serving = asyncio.ensure_future(asyncio.sleep(0))
        return Cut(self.line, await tcp.connect("127.0.0.1", self.box, timeout=10))

    async def visit_cut(self, **cut):
        """Whether the line broke, and what came over it."""
        self.line = Line(None, **cut)
        await self.visit()
        assert self.problem is None or isinstance(self.problem, LineLost), self.problem
        return self.problem is not None, self.line.down


def test_cuts_anywhere_lose_nothing_and_double_nothing(tmp_path):
    chance = random.Random(5)

    async def visits(home, dovecot):
        cuts = put = spent = plain = 0
        while cuts < CUTS:
            for size in SIZES:
                dovecot.put("ann", b"Subject: %d\n\n%b\n" % (put, b"x" * size))
                put += 1
            plain += sum(SIZES) + 100 * 200
            for _ in range(min(20, CUTS)):
                place = chance.randrange(60, 60_000)
                kind = chance.choice([{"cut_down": place}, {"cut_up": place // 30}])
                was_cut, down = await home.visit_cut(**kind)
                cuts += was_cut
                spent += down
            while dovecot.count("ann"):
                spent += (await home.visit_cut())[1]
        await home.node.close()
        return cuts, put, spent - plain, Counter(map(int, await home.queued()))

    with Dovecot(tmp_path / "d", users={"ann": "secret"}) as dovecot:
        home = RealHome(tmp_path / "home", dovecot.pop3_port)
        cuts, put, again, queued = asyncio.run(visits(home, dovecot))
    print(f"{cuts} cuts, {put} mails: {put - len(queued)} lost,", end=" ")
    print(f"{sum(queued.values()) - len(queued)} doubled, {again / cuts:.0f} bytes more a cut")
    assert queued == Counter(range(put))
    # The message that was cut, and the beginning of a session with its listings.
    assert again <= cuts * (max(SIZES) + 8000)
