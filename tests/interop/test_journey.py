"""The main job over a line that is cut: real Postfix as smart host, real Dovecot as mailbox."""

import asyncio
import re

import pytest

from nodes import TestNode
from peers.dovecot import Dovecot
from peers.postfix import Postfix
from relaynode.errors import CalledOff
from relaynode.queue.ids import new_queue_id
from relaynode.queue.model import MessageState
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit
from relaynode.wire.emulator import Line

MAILS = 200
CUT_AFTER_BYTES = (150_000, 520_000, 900_000)
BITS_PER_SECOND = 2_000_000
ROUND_TRIP_SECONDS = 0.02

SECTIONS = """
[masquerade]
as = "example.net"
all = true
envelope = true

[link.isp]
kind = "event"

[smart_host.isp]
host = "127.0.0.1:{smtp}"
tls = "none"
link = "isp"
timeout_seconds = 20

[account.isp]
host = "127.0.0.1:{pop3}"
tls = "none"
user = "ann"
password_file = "password"
deliver_to = "user"
link = "isp"
timeout_seconds = 20
"""


def letter(direction, number, size):
    """A letter of about `size` bytes with 8-bit text and dots at line starts."""
    lines = [f".{direction} {number} line {n} caf\xe9".ljust(70, "-") for n in range(size // 71)]
    header = f"From: {direction}@home\nTo: x\nSubject: {direction} {number}\n\n"
    return header.encode() + "\n".join(lines).encode("latin-1") + b"\n"


def numbers(contents, direction):
    found = [re.search(rb"Subject: %s (\d+)" % direction, content) for content in contents]
    return [int(match[1]) for match in found if match]


async def queue_letters(node):
    for number in range(MAILS):

        async def pieces(number=number):
            yield letter("out", number, 2000 + 40 * number)

        options = SendmailOptions(recipients=[f"friend{number % 7}@far.example"], ignores_dots=True)
        ended = await submit(node.intake, options, Submitter("user"), pieces(), "bsd.home")
        assert ended.exit_code == 0, ended.complaint


async def run_with_cuts(node, line):
    """Bring the link up until nothing is left; the line is cut when so many bytes have crossed."""
    cuts = list(CUT_AFTER_BYTES)
    cutting = []

    def carried():
        total = line.up.bytes_carried + line.down.bytes_carried
        if cuts and total > cuts[0] and line.is_up:
            cuts.pop(0)
            cutting.append(asyncio.ensure_future(line.cut()))

    line.on_carried = carried
    runs = 0
    while True:
        runs += 1
        assert runs <= len(CUT_AFTER_BYTES) + 2
        summary = await node.links.run("isp")
        if line.is_up and not summary.as_json()["problems"]:
            break
        await asyncio.gather(*cutting)
        await line.restore()
    assert not cuts
    return runs


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunking", [True, False], ids=["chunking", "pipelining-only"])
def test_200_mails_each_way_survive_a_line_that_is_cut_three_times(tmp_path, chunking):
    with (
        Postfix(tmp_path / "postfix", chunking=chunking) as postfix,
        Dovecot(tmp_path / "dovecot", users={"ann": "secret"}) as dovecot,
    ):
        for number in range(MAILS):
            dovecot.put("ann", letter("in", number, 2000 + 40 * number))

        async def play():
            line = Line(BITS_PER_SECOND, ROUND_TRIP_SECONDS)
            sections = SECTIONS.replace("{smtp}", str(await line.forward(postfix.port))).replace(
                "{pop3}", str(await line.forward(dovecot.pop3_port))
            )
            home = TestNode(tmp_path / "home", sections)
            home.password("password")
            node = home.open()
            try:
                await queue_letters(node)
                runs = await run_with_cuts(node, line)
                left = await node.store.messages()
                everything = await node.store.messages(finished=True)
            finally:
                await line.close()
                await node.close()
            return home, runs, left, everything

        home, runs, left, everything = asyncio.run(play())
        postfix.wait_until_settled(60)

        assert runs == len(CUT_AFTER_BYTES) + 1
        assert left == []
        arrived = numbers(postfix.all_messages(), b"out")
        assert set(arrived) == set(range(MAILS)), "lost going out"
        in_doubt = [
            message
            for message in everything
            if any(recipient.in_doubt for recipient in message.recipients)
        ]
        assert all(message.state is MessageState.DONE for message in in_doubt)
        # At most what had been sent whole when its final reply was cut is doubled, all marked.
        assert len(arrived) - MAILS <= len(in_doubt)
        fetched = numbers(home.mails("user"), b"in")
        assert sorted(fetched) == list(range(MAILS)), "lost or doubled coming in"
        assert dovecot.count("ann") == 0

        sample = next(c for c in postfix.all_messages() if b"Subject: out 7\n" in c)
        assert b"From: out@home\n" in sample
        assert sample.endswith(letter("out", 7, 2280).partition(b"\n\n")[2])
        paths = {delivery.reverse_path for delivery in postfix.deliveries()}
        assert paths == {"user@example.net"}
        one = next(c for c in home.mails("user") if b"Subject: in 7\n" in c)
        assert one.endswith(letter("in", 7, 2280).partition(b"\n\n")[2])


def test_a_run_that_is_called_off_loses_nothing_and_goes_on_later(tmp_path):
    with (
        Postfix(tmp_path / "postfix") as postfix,
        Dovecot(tmp_path / "dovecot", users={"ann": "secret"}) as dovecot,
    ):
        for number in range(20):
            dovecot.put("ann", letter("in", number, 4000))

        async def play():
            line = Line(BITS_PER_SECOND, ROUND_TRIP_SECONDS)
            sections = SECTIONS.replace("{smtp}", str(await line.forward(postfix.port))).replace(
                "{pop3}", str(await line.forward(dovecot.pop3_port))
            )
            home = TestNode(tmp_path / "home", sections)
            home.password("password")
            node = home.open()

            def call_off():
                if line.down.bytes_carried > 30_000:
                    node.links.call_off("isp")

            try:
                await queue_letters(node)
                line.on_carried = call_off
                with pytest.raises(CalledOff):
                    await node.links.run("isp")
                line.on_carried = None
                claimed = [m for m in await node.store.messages() if m.recipients[0].claim]
                assert claimed == []
                await node.links.run("isp")
            finally:
                await line.close()
                await node.close()
            return home

        home = asyncio.run(play())
        postfix.wait_until_settled(60)
        assert set(numbers(postfix.all_messages(), b"out")) == set(range(MAILS))
        assert sorted(numbers(home.mails("user"), b"in")) == list(range(20))


def test_queue_ids_are_unique_and_sort_by_time():
    ids = [new_queue_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [one[:11] for one in ids] == sorted(one[:11] for one in ids)
