"""ODMR, the server's side, against our own ODMR client: two nodes and a line in memory."""

import asyncio
import base64

import pytest

from nodes import TestNode
from relaynode.daemon.doors import Doors, make_accounts
from relaynode.links.linkrun import Wish
from relaynode.links.odmr_server import OdmrServer
from relaynode.queue.memory import MemoryStore
from relaynode.sources.recent_logins import RecentLogins
from relaynode.sources.smtp_settings import crowd_of, guard_of
from relaynode.wire import tcp
from relaynode.wire.memory import pair
from unit.links.lossy_pair import Cut, CutStream
from unit.links.scripted import message

ISP = """
[user.ann]
password_file = "password"
[user.bob]
password_file = "password"

[listen.world]
odmr = ["127.0.0.1:366"]

[odmr.home]
user = "Ann"
domains = ["home.example", "Lan.example"]

[odmr.other]
user = "bob"
domains = ["other.example"]
"""
HOME = """
[account.isp]
protocol = "odmr"
host = "isp.example"
tls = "none"
user = "ann"
password_file = "password"
domains = [{domains}]
timeout_seconds = 5
"""
TABLES = {
    "relay-domains": "home.example\nlan.example\nother.example\n",
    "mailertable": "home.example dsmtp:home.example\nother.example dsmtp:other.example\n"
    "lan.example smtp:[192.0.2.66]\n",
}
DOMAINS = ("home.example", "lan.example", "other.example")


class Site:
    """An ISP that keeps mail, and a site at home that calls for it. `cut`: where the line to be
    opened next breaks. `heard`: what the ISP said over the last one."""

    def __init__(self, folder, monkeypatch, domains='"home.example"'):
        isp = TestNode(folder / "isp", ISP, tables=TABLES)
        isp.path.write_text(isp.path.read_text().replace("bsd.home", "isp.example"))
        isp.password("password")
        home = TestNode(
            folder / "home",
            HOME.format(domains=domains),
            node_keys='local_domains = ["home.example", "lan.example"]',
        )
        home.password("password")
        self.home = home.open(store=MemoryStore(folder / "home-scratch"))
        self.isp = isp.open(store=MemoryStore(folder / "isp-scratch"))
        self.cut, self.line, self.failures = Cut(), None, []
        config, section = self.isp.config, self.isp.config.file.listen["world"]
        crowd = crowd_of(config)
        odmr = OdmrServer(
            config, self.isp.parts, lambda: 0.0, 5.0, lambda: self.failures.append("failed")
        )
        guard = guard_of(config, section, crowd, lambda asked: None)
        guard.turn = odmr.turn
        recent = RecentLogins(0, lambda: 0.0)
        doors = Doors(self.isp, "world", section, make_accounts(config), guard, recent)
        self.source = doors.odmr()
        monkeypatch.setattr(tcp, "connect", self._connect)

    async def _connect(self, host, port, **_):
        assert (host, port) == ("isp.example", 366)
        ours, theirs = pair("isp.example [192.0.2.7]", "home")
        self.line = CutStream(ours, self.cut)
        self.serving = asyncio.ensure_future(self.source.serve(theirs, "127.0.0.1"))
        return self.line

    async def keep(self, *messages):
        await self.isp.store.add(messages)

    async def fetch(self, cut=None):
        """One visit of the home node; its problems."""
        self.cut = cut or Cut()
        summary = await self.home.links.run("default", Wish(flush=False, accounts=("isp",)))
        await self.serving
        return summary.as_json()["problems"]

    async def come(self):
        """Recipients of what came home."""
        found = await self.home.store.messages(finished=True)
        return sorted(one.forward_path.address for each in found for one in each.recipients)

    async def left(self):
        """Recipients of what the ISP keeps still."""
        found = await self.isp.store.waiting()
        return sorted(one.forward_path.address for each in found for one in each.recipients)

    async def talk(self, *lines, user="ann"):
        """What the server says to each of these lines, a login before them if there is a `user`."""
        ours, theirs = pair("isp", "home")
        serving = asyncio.ensure_future(self.source.serve(theirs, "127.0.0.1"))
        said = []
        login = [b"AUTH PLAIN " + plain(user)] if user else []
        for line in (None, b"EHLO home.example", *login, *lines, b"QUIT"):
            if line is not None:
                await ours.write(line + b"\r\n")
            said.append(await ours.read(5))
        await ours.close()
        await serving
        return said[-1 - len(lines) : -1]


def plain(user):
    return base64.b64encode(b"\0%s\0secret" % user.encode())


def play(tmp_path, monkeypatch, scenario, **more):
    async def run():
        site = Site(tmp_path, monkeypatch, **more)
        try:
            return await scenario(site)
        finally:
            await site.home.close()
            await site.isp.close()

    return asyncio.run(run())


def letters():
    return [
        message("A", "user@home.example"),
        message("B", "user@HOME.example", "else@far.example"),
        message("C", "else@other.example"),
        message("D", "user@lan.example"),
    ]


def test_a_site_is_brought_the_mail_of_the_domains_it_asks_for_and_no_other(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(*letters())
        assert await site.fetch() == []
        assert await site.come() == ["user@HOME.example", "user@home.example"]
        assert b"ATRN" in site.line.heard and b"250 2.0.0 OK now reversing" in site.line.heard
        assert await site.fetch() == []
        assert b"\r\n453 4.0.0 You have no mail\r\n" in site.line.heard
        return await site.left()

    left = play(tmp_path, monkeypatch, scenario)
    assert left == ["else@far.example", "else@other.example", "user@lan.example"]


def test_who_names_no_domain_gets_all_that_is_kept_for_its_login(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(*letters())
        await site.fetch()
        return await site.come(), await site.left()

    come, left = play(tmp_path, monkeypatch, scenario, domains="")
    assert len(come) == 3
    assert left == ["else@far.example", "else@other.example"]


def test_mail_that_comes_while_the_session_goes_on_goes_along(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(*letters()[:1])
        claim = site.isp.store.claim

        async def claim_while_more_comes(wanted):
            site.isp.store.claim = claim
            await site.keep(message("E", "user@home.example"))
            return await claim(wanted)

        site.isp.store.claim = claim_while_more_comes
        await site.fetch()
        return await site.come()

    assert len(play(tmp_path, monkeypatch, scenario)) == 2


@pytest.mark.parametrize(
    ("user", "line", "code"),
    [
        ("", b"ATRN home.example", b"530 5.7.0 "),
        ("", b"ATRN", b"530 5.7.0 "),
        ("ann", b"ATRN other.example", b"450 4.7.1 "),
        ("ann", b"ATRN home.example,other.example", b"450 4.7.1 "),
        ("ann", b"ATRN example", b"450 4.7.1 "),
        ("ann", b"ATRN lan.example", b"453 4.0.0 "),
        ("ann", b"ATRN home.example, lan.example", b"501 5.5.4 "),
        ("ann", b"ATRN @home.example", b"501 5.5.4 "),
        ("ann", b"ATRN home.example,", b"501 5.5.4 "),
        ("ann", b"ATRN " + b",".join([b"home.example"] * 101), b"501 5.5.4 "),
        ("ann", b"ATRN home.example\r\n220 me ESMTP", b"503 5.5.0 "),
        ("ann", b"VRFY user", b"252 "),
    ],
)
def test_what_may_not_be_is_told_and_no_mail_goes(tmp_path, monkeypatch, user, line, code):
    async def scenario(site):
        site.source.guard.terms = site.source.guard.terms.__class__(takes_atrn=True)
        await site.keep(message("A", "user@home.example"), message("C", "else@other.example"))
        (said,) = await site.talk(line, user=user)
        assert said.startswith(code), said
        assert len(await site.left()) == 2

    play(tmp_path, monkeypatch, scenario)


def test_while_a_table_cannot_be_read_nobody_is_told_that_there_is_no_mail(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(message("A", "user@home.example"))
        table = tmp_path / "isp" / "tables" / "mailertable"
        table.unlink()
        table.mkdir()
        return (await site.talk(b"ATRN home.example"))[0]

    assert play(tmp_path, monkeypatch, scenario).startswith(b"451 4.3.0 ")


def test_a_port_for_others_offers_no_atrn(tmp_path, monkeypatch):
    async def scenario(site):
        site.source.guard.terms = site.source.guard.terms.__class__()
        return (await site.talk(b"ATRN home.example"))[0]

    assert play(tmp_path, monkeypatch, scenario).startswith(b"502 5.5.1 ")


def test_what_the_site_refuses_goes_back_to_its_sender(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(message("A", "missing@home.example", sender="joe@far.example"))
        await site.fetch()
        queue = await site.isp.store.messages()
        return site.failures, [one.envelope.reverse_path for one in queue]

    assert play(tmp_path, monkeypatch, scenario) == (["failed"], [""])


def cuts():
    """The replies of each end, and places between them."""
    down = [Cut(down=place) for place in range(0, 1200, 120)]
    up = [Cut(up=place) for place in range(0, 1000, 100)]
    return down + up


def test_a_line_that_is_killed_anywhere_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch):
    async def scenario(site):
        broken = 0
        for number, cut in enumerate(cuts()):
            ids = [f"{number:03}{place}" for place in range(3)]
            await site.keep(*(message(one, f"user+{one}@home.example") for one in ids))
            broken += bool(await site.fetch(cut))
            assert await site.fetch() == []
            assert await site.left() == []
            come = [one for one in await site.come() if one[5:-14] in ids or one[5:8] == ids[0][:3]]
            assert come == [f"user+{one}@home.example" for one in ids], cut
        return broken

    assert play(tmp_path, monkeypatch, scenario) > len(cuts()) // 2


@pytest.mark.parametrize(
    "greeting", [b"554 5.3.2 closed\r\n", b"nonsense\r\n", b"220-" + b"x" * 70_000, b""]
)
def test_a_site_that_is_no_server_leaves_the_mail_untried(tmp_path, monkeypatch, greeting):
    async def scenario(site):
        await site.keep(message("A", "user@home.example"))
        ours, theirs = pair("isp", "home")
        serving = asyncio.ensure_future(site.source.serve(theirs, "127.0.0.1"))
        await ours.read(5)
        for line in (b"EHLO home", b"AUTH PLAIN " + plain("ann"), b"ATRN"):
            await ours.write(line + b"\r\n")
            said = await ours.read(5)
        assert said.startswith(b"250 2.0.0 OK now reversing")
        await ours.write(greeting)
        await ours.close()
        await serving
        (kept,) = await site.isp.store.waiting()
        return kept.recipients[0].attempts

    assert play(tmp_path, monkeypatch, scenario) == 0


def test_a_daemon_that_ends_in_the_middle_gives_back_what_it_had(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(*(message(one, f"user+{one}@home.example") for one in "ABC"))
        ours, theirs = pair("isp", "home")
        serving = asyncio.ensure_future(site.source.serve(theirs, "127.0.0.1"))
        await ours.read(5)
        lines = (b"EHLO home", b"AUTH PLAIN " + plain("ann"), b"ATRN", b"220 home", b"250 home")
        for line in (*lines, b"250 ok", b"250 ok", b"354 go"):
            await ours.write(line + b"\r\n")
            said = await ours.read(5)
        assert said.endswith(b"the body\r\n.\r\n"), said
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        waiting = [one for each in await site.isp.store.waiting() for one in each.recipients]
        return [(one.forward_path.address[5:6], one.attempts, one.in_doubt) for one in waiting]

    # The first was sent and not answered: it may have been taken, so that it is marked.
    found = play(tmp_path, monkeypatch, scenario)
    assert [(name, doubt) for name, _, doubt in found] == [("A", True), ("B", False), ("C", False)]
    assert [attempts for _, attempts, _ in found] == [0, 0, 0]


def test_two_visits_at_once_bring_each_message_once(tmp_path, monkeypatch):
    async def scenario(site):
        await site.keep(*(message(str(n), f"user+{n}@home.example") for n in range(40)))
        ended = await asyncio.gather(site.fetch(), site.isp.links.run_due(None), site.talk(b"RSET"))
        assert ended[0] == []
        return await site.come()

    assert len(play(tmp_path, monkeypatch, scenario)) == 40
