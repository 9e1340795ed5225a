"""The line breaks between two nodes, anywhere: nothing is lost, and between two relaynodes nothing
arrives twice. A server that does not know mail again gets twice at most what was marked in doubt.
"""

import asyncio
import os
import random
from collections import Counter

import pytest

from relaynode.errors import StoreError
from relaynode.queue.sqlite import SqliteStore
from unit.links.lossy_pair import Cut, LossyPair

SOAK = bool(os.environ.get("RELAYNODE_SOAK"))
SESSION_MAILS = 30
RANDOM_CUTS = 200 if SOAK else 12
BOUNDARY_MAILS = SESSION_MAILS if SOAK else 4
MODES = pytest.mark.parametrize("withheld", [b"", b"CHUNKING", b"PIPELINING"], ids=bytes.decode)


class Trial:
    """Sessions of so many mails over a line that breaks once in each."""

    def __init__(self, folder, monkeypatch, mails, *, knows_again=True, withheld=b""):
        self.subjects = [str(number) for number in range(mails)]
        self.more = {"knows_again": knows_again}
        self.withheld = withheld
        self.folder, self.monkeypatch = folder, monkeypatch
        self.count = 0

    async def session(self, cut):
        """What was doubled, and what was marked, by the time that all is sent."""
        self.count += 1
        line = LossyPair.make(self.folder / str(self.count), self.monkeypatch, **self.more)
        line.withheld, line.cuts = self.withheld, [cut]
        await line.queue(self.subjects)
        assert await line.flush_until_empty(), cut
        arrived = Counter(await line.arrived())
        assert set(arrived) == set(self.subjects), cut  # nothing is lost
        self.last = line
        doubled = {subject for subject, count in arrived.items() if count > 1}
        marked = await line.in_doubt()
        await line.close()
        return doubled, marked

    async def lengths(self):
        """What goes up and comes down when nothing disturbs the first connection, the one that will
        be cut: without CHUNKING there may be several."""
        assert await self.session(Cut()) == (set(), set())
        stream = self.last.streams[0]
        return stream.sent, stream.heard


@MODES
def test_a_cut_at_any_reply_boundary_doubles_nothing(tmp_path, monkeypatch, withheld):
    async def run():
        trial = Trial(tmp_path, monkeypatch, BOUNDARY_MAILS, withheld=withheld)
        _, heard = await trial.lengths()
        ends = [place + 2 for place in range(len(heard)) if heard[place : place + 2] == b"\r\n"]
        assert len(ends) > 3 * BOUNDARY_MAILS if withheld == b"" else len(ends) > 10
        marked = set()
        for end in [0, *ends]:
            doubled, in_doubt = await trial.session(Cut(down=end))
            assert not doubled, end
            marked |= in_doubt
        assert marked  # so it was worth the trouble

    asyncio.run(run())


def test_a_cut_at_any_byte_doubles_nothing(tmp_path, monkeypatch):
    async def run():
        trial = Trial(tmp_path, monkeypatch, SESSION_MAILS)
        up, heard = await trial.lengths()
        chance = random.Random(20261122)
        for _ in range(RANDOM_CUTS):
            place = chance.randrange(up + len(heard))
            cut = Cut(up=place) if place < up else Cut(down=place - up)
            doubled, _ = await trial.session(cut)
            assert not doubled, cut

    asyncio.run(run())


@MODES
def test_a_server_that_knows_nothing_again_gets_twice_at_most_what_was_in_doubt(
    tmp_path, monkeypatch, withheld
):
    async def run():
        trial = Trial(tmp_path, monkeypatch, 6, knows_again=False, withheld=withheld)
        _, heard = await trial.lengths()
        doubled_at_all = set()
        for end in range(0, len(heard), 89):
            doubled, in_doubt = await trial.session(Cut(down=end))
            assert doubled <= in_doubt, end
            doubled_at_all |= doubled
        assert doubled_at_all  # as it must be, with nobody there to know it again

    asyncio.run(run())


def test_a_receiver_that_dies_between_commit_and_reply_doubles_nothing(tmp_path, monkeypatch):
    """What a killed process leaves is its store; a new one opens it."""

    class Dying(SqliteStore):
        async def add(self, *arguments, **more):
            await super().add(*arguments, **more)
            raise StoreError("dead")

    async def run():
        spool = tmp_path / "spool"
        dying = Dying(spool)
        line = LossyPair.make(tmp_path, monkeypatch, receiving_store=dying)
        await line.queue(["a", "b"])
        await line.flush()
        await dying.close()
        again = LossyPair.make(tmp_path / "again", monkeypatch, receiving_store=SqliteStore(spool))
        line.receiver, line.source = again.receiver, again.source
        monkeypatch.setattr("relaynode.wire.tcp.connect", line.connect)
        assert await line.flush_until_empty()
        assert sorted(await line.arrived()) == ["a", "b"]
        await line.close()
        await again.sender.close()

    asyncio.run(run())


def test_a_receiver_that_knows_mail_again_no_more_gets_it_once_all_the_same(tmp_path, monkeypatch):
    """The sender takes it for what it was, and begins its mail before it has heard otherwise."""

    async def run():
        line = LossyPair.make(tmp_path, monkeypatch)
        await line.queue(["a"])
        await line.flush()
        line.source = line.source_of(line.receiver, knows_again=False)
        await line.queue(["b", "c"])
        assert await line.flush_until_empty()
        assert sorted(await line.arrived()) == ["a", "b", "c"]
        assert await line.in_doubt() == set()
        await line.close()

    asyncio.run(run())
