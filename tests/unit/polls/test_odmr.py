"""ODMR against a double in memory: mail of our domains, and a server that fails at each step."""

import asyncio

import msgspec
import pytest

from nodes import TestNode
from peers.odmr import PASSWORD, Mail, OdmrServer
from relaynode.links.wish import Wish
from relaynode.queue.memory import MemoryStore
from relaynode.wire import tcp
from relaynode.wire.memory import pair

ACCOUNT = """
[account.isp]
protocol = "odmr"
host = "odmr.example"
tls = "none"
user = "ann"
password_file = "password"
domains = ["home.example"]
timeout_seconds = {seconds}
"""
LETTER = b"Subject: %d\r\n\r\n.one\r\nbody\r\n"


class Home:
    """A node whose domain's mail waits at `server`."""

    def __init__(
        self,
        folder,
        monkeypatch,
        *,
        sections="",
        tables=None,
        peer="[192.0.2.7]",
        ours="home.example",
    ):
        self.test_node = TestNode(
            folder,
            ACCOUNT.format(seconds=5) + sections,
            node_keys=f'local_domains = ["{ours}"]',
            tables=tables,
            users=("user", "other"),
        )
        self.test_node.password("password", PASSWORD)
        self.store = MemoryStore(folder / "scratch")
        self.node = self.test_node.open(store=self.store)
        self.peer = f"odmr.example {peer}"
        monkeypatch.setattr(tcp, "connect", self._connect)

    async def _connect(self, host, port, **_):
        assert (host, port) == ("odmr.example", 366)
        ours, theirs = pair(self.peer, "node")
        self.serving = asyncio.ensure_future(self.server.serve(theirs))
        return ours

    async def fetch(self, server):
        """What `relaynode fetch` tells."""
        self.server, self.serving = server, None
        summary = await self.node.links.run("default", Wish(flush=False, accounts=("isp",)))
        if self.serving is not None and not self.serving.done():
            self.serving.cancel()
        return summary.as_json()

    async def queued(self):
        """Recipients and content of what came, in order."""
        found = []
        for message in await self.store.messages(finished=True):
            paths = [one.forward_path.address for one in message.recipients]
            found.append(paths)
        return found


def play(tmp_path, monkeypatch, scenario, **more):
    async def run():
        home = Home(tmp_path, monkeypatch, **more)
        try:
            return await scenario(home)
        finally:
            await home.node.close()

    return asyncio.run(run())


def mails(count):
    return [Mail(LETTER % number) for number in range(count)]


def test_mail_for_our_domains_comes_and_is_off_the_server(tmp_path, monkeypatch):
    async def scenario(home):
        server = OdmrServer(
            [*mails(2), Mail(LETTER % 2, "", ("other@home.example", "user@home.example"))]
        )
        summary = await home.fetch(server)
        assert summary["problems"] == []
        assert summary["received"] == 3
        assert server.waiting == []
        assert server.replies[-1].startswith("221 ")
        assert any(one.startswith("AUTH CRAM-MD5") for one in server.commands)
        assert server.commands[-1] == "ATRN home.example"
        return home.test_node.mails("user"), home.test_node.mails("other")

    user, other = play(tmp_path, monkeypatch, scenario)
    assert (len(user), len(other)) == (3, 1)
    assert user[0].endswith(b"Subject: 0\n\n.one\nbody\n")
    assert b"Received: from odmr.example ([192.0.2.7])\n\tby bsd.home" in user[0]


def test_no_mail_is_no_failure(tmp_path, monkeypatch):
    async def scenario(home):
        server = OdmrServer()
        summary = await home.fetch(server)
        assert (summary["problems"], summary["received"]) == ([], 0)
        assert server.commands[-1] == "QUIT"

    play(tmp_path, monkeypatch, scenario)


@pytest.mark.parametrize("peer", ["[192.0.2.7]", "[127.0.0.1]", "[fe80::1%eth0]", "(a pipe)"])
def test_nothing_is_relayed_wherever_the_server_is_and_whatever_clients_may(
    tmp_path, monkeypatch, peer
):
    async def scenario(home):
        strange = Mail(LETTER % 0, "user@home.example", ("x@far.example", "x%far.example@bsd.home"))
        server = OdmrServer([strange, *mails(1)])
        await home.fetch(server)
        assert server.refused == ["x@far.example", "x%far.example@bsd.home"]
        return await home.queued()

    sections = "[access]\npromiscuous_relay = true\nrelay_local_from = true\n"
    tables = {"access": "Connect:192.0.2 RELAY\n"}
    found = play(tmp_path, monkeypatch, scenario, sections=sections, tables=tables, peer=peer)
    assert found == [["user@home.example"]]


def test_mail_for_domains_that_we_relay_for_is_taken(tmp_path, monkeypatch):
    async def scenario(home):
        await home.fetch(OdmrServer([Mail(LETTER % 0, "a@b.example", ("x@lan.example",))]))
        return await home.queued()

    tables = {"relay-domains": "lan.example\n", "mailertable": "lan.example smtp:[192.0.2.50]\n"}
    assert play(tmp_path, monkeypatch, scenario, tables=tables) == [["x@lan.example"]]


def test_a_client_that_is_not_welcome_may_be_called_all_the_same(tmp_path, monkeypatch):
    async def scenario(home):
        return (await home.fetch(OdmrServer(mails(1))))["received"]

    assert play(tmp_path, monkeypatch, scenario, tables={"access": "Connect:192.0.2 REJECT\n"}) == 1


# --- what can go wrong before the roles turn


@pytest.mark.parametrize(
    ("step", "way", "told"),
    [
        ("greeting", b"554 5.3.2 closed\r\n", "greeting refused: 554 5.3.2 closed"),
        ("greeting", b"nonsense\r\n", "no SMTP reply"),
        ("greeting", "close", "closed the connection"),
        ("EHLO", "lose", ""),
        ("EHLO", b"421 4.3.2 down\r\n", "closing: 421 4.3.2 down"),
        ("AUTH", b"535 5.7.8 who?\r\n", "AUTH refused: 535 5.7.8 who?"),
        ("AUTH", "close", "closed the connection"),
        ("ATRN", b"450 not yours\r\n", "does not turn for these domains: 450 not yours"),
        ("ATRN", b"451 busy\r\n", "cannot turn now: 451 busy"),
        ("ATRN", b"502 what?\r\n", "knows no ATRN: this is no ODMR service: 502 what?"),
        ("ATRN", b"530 who?\r\n", "wants another login before ATRN: 530 who?"),
        ("ATRN", b"421 4.3.2 down\r\n", "closing: 421 4.3.2 down"),
        ("ATRN", b"354 go on\r\n", "unexpected reply to ASKED"),
        ("ATRN", b"250 ok\r\n220 more\r\n", "a reply that nobody asked for"),
        ("ATRN", b"250 ok\r\nEHLO od", "bytes before our greeting"),
        ("ATRN", b"250 ok\r\n421 down\r\n", "bytes before our greeting"),
        ("ATRN", "close", "closed the connection"),
        ("ATRN", "lose", ""),
    ],
)
def test_what_is_wrong_before_the_turn_is_told_and_nothing_comes(
    tmp_path, monkeypatch, step, way, told
):
    async def scenario(home):
        server = OdmrServer(mails(1), step=step, way=way)
        summary = await home.fetch(server)
        (problem,) = summary["problems"]
        assert problem.startswith("account isp: odmr.example [192.0.2.7]") or told in problem
        assert told in problem
        assert await home.queued() == []
        assert len(server.waiting) == 1

    play(tmp_path, monkeypatch, scenario)


def test_a_domain_that_is_not_ours_there_is_told(tmp_path, monkeypatch):
    async def scenario(home):
        server = OdmrServer(mails(1), domains=frozenset({"else.example"}))
        return (await home.fetch(server))["problems"]

    (problem,) = play(tmp_path, monkeypatch, scenario)
    assert "does not turn for these domains: 450 ATRN request refused" in problem


def test_mail_of_a_domain_that_we_would_refuse_is_not_asked_for(tmp_path, monkeypatch):
    async def scenario(home):
        server = OdmrServer(mails(1))
        return (await home.fetch(server))["problems"], server.commands

    (problem,), commands = play(tmp_path, monkeypatch, scenario, ours="other.example")
    assert "not asked: home.example is neither ours nor one that we relay for" in problem
    assert commands == []


# --- a line that breaks while mail comes


STEPS = ["hello", "MAIL", "RCPT", "DATA", "content", "final", "QUIT", "end"]


@pytest.mark.parametrize(("way", "nth"), [("lose", 1), ("close", 1), ("lose", 2)])
@pytest.mark.parametrize("step", STEPS)
def test_a_line_that_breaks_anywhere_loses_nothing_and_doubles_nothing(
    tmp_path, monkeypatch, step, way, nth
):
    async def scenario(home):
        server = OdmrServer(mails(3), step=step, way=way, nth=nth)
        first = await home.fetch(server)
        second = await home.fetch(server)
        has_failed = server.step == ""
        assert has_failed == (nth == 1 or step not in ("hello", "QUIT", "end"))
        # 221 is not worth a word.
        assert bool(first["problems"]) == (has_failed and step != "end"), first
        assert second["problems"] == []
        assert server.waiting == []
        assert first["received"] + second["received"] == 3
        assert await home.queued() == [["user@home.example"]] * 3

    play(tmp_path, monkeypatch, scenario)


def test_a_copy_that_cannot_be_known_again_is_announced(tmp_path, monkeypatch):
    """A server that puts no trace on mail: two of its messages may look the same and not be."""

    async def scenario(home):
        server = OdmrServer(mails(2), step="final", way="lose", adds_trace=False)
        first = await home.fetch(server)
        (queued,) = await home.store.messages(finished=True)
        (problem,) = first["problems"]
        assert f"may not have heard that we have {queued.queue_id}, which may come again" in problem
        await home.fetch(server)
        assert len(await home.queued()) == 3

    play(tmp_path, monkeypatch, scenario)


def test_two_messages_that_look_the_same_are_two_if_no_server_has_marked_them(
    tmp_path, monkeypatch
):
    async def scenario(home):
        mail = LETTER % 0
        await home.fetch(OdmrServer([Mail(mail), Mail(mail)], adds_trace=False))
        return len(await home.queued())

    assert play(tmp_path, monkeypatch, scenario) == 2


@pytest.mark.parametrize(
    ("step", "noise"),
    [
        ("hello", b"x" * 70_000 + b"\r\n"),
        ("hello", b"\0\xff\xfe\r\n" * 30),
        ("MAIL", b"DATA\r\n" * 30),
        ("RCPT", b"BDAT 99999999999999999999 LAST\r\n"),
        ("DATA", b"RCPT TO:<" + b"a" * 3000 + b"@home.example>\r\n" * 30),
    ],
)
def test_a_server_gone_mad_is_sent_away_and_nothing_is_queued(tmp_path, monkeypatch, step, noise):
    async def scenario(home):
        summary = await home.fetch(OdmrServer(mails(1), step=step, way=noise))
        return summary, await home.queued()

    summary, queued = play(tmp_path, monkeypatch, scenario)
    assert len(summary["problems"]) == 1 or queued == [["user@home.example"]]
    assert len(queued) <= 1


def test_a_server_that_hangs_is_given_up(tmp_path, monkeypatch):
    async def scenario(home):
        accounts = home.node.config.file.account
        accounts["isp"] = msgspec.structs.replace(accounts["isp"], timeout_seconds=0.02)
        return await home.fetch(OdmrServer(mails(1), step="content", way="hang"))

    (problem,) = play(tmp_path, monkeypatch, scenario)["problems"]
    assert "silent for 0.02 s" in problem
