"""One neighbour's work in one session: files both ways, restart, doubles, refusals."""

import asyncio
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from relaynode.config.timestring import ANY
from relaynode.config.uucp_values import SizeLimit
from relaynode.errors import LocalProtocolError, RemoteProtocolError, StoreError
from relaynode.neighbours import Terms
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import Verb
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.uucp.model import JobKind, NewJob, WorkState
from relaynode.uucico import arriving, incoming
from relaynode.uucico.session_work import SessionWork
from relaynode.uucico.terms import SessionTerms
from relaynode.uucp.commands import Code, Execute, Fetch, RemoteCopy, Send
from relaynode.uucp.names import PublicPath, SpoolName, target_of
from relaynode.uucp.work import THINKING, Duplicate, Ending, OpenedFile, Outcome, Verdict

NOW = 1_800_000_000.0
LONG = bytes(range(256)) * 400
DONE = Outcome(Ending.DONE, "done", sent_bytes=1)


class Letters:
    """A Post that keeps what it is given."""

    def __init__(self, store):
        self.sent = []
        self._store = store

    async def send(self, letter, settled=None):
        if settled is not None:
            await self._store.uucp.settle(settled)
        self.sent.append(letter)


class Stage:
    """A store, terms, and sessions on them."""

    def __init__(self, store, terms, spool):
        self.store, self.terms, self.spool = store, terms, spool
        self.letters = Letters(store)
        self.now = NOW
        self.monotonic = 0.0
        self.permitted = {"rmail"}

    async def session(self, *, is_caller=False, **more):
        session = SessionTerms(
            "beta", replace(self.terms, **more), is_caller, self.spool, lambda: self.now
        )
        return await SessionWork.open(
            session,
            self.store,
            self.letters,
            may_run=lambda command: command[0] in self.permitted,
            monotonic=lambda: self.monotonic,
        )

    @property
    def public(self):
        return self.terms.public

    def content_files(self):
        return sorted(path.name for path in (self.spool / "content").iterdir())

    async def queue(self, *jobs):
        return await self.store.uucp.jobs.add(jobs)


@pytest.fixture(params=[SqliteStore, MemoryStore])
def play(request, tmp_path):
    public = tmp_path / "public"
    public.mkdir()
    terms = Terms(our_name="alpha", public=public, min_free_bytes=0)

    def run(scenario):
        async def act():
            store = request.param(tmp_path / "spool", clock=lambda: NOW)
            try:
                return await scenario(Stage(store, terms, tmp_path / "spool"))
            finally:
                await store.close()

        return asyncio.run(act())

    return run


def send(target="D.betaN0001", temp="D.0001", size=None, options="C", source="/home/u/f", **more):
    return Send(source, target, "uucp", options, temp, 0o644, size=size, **more)


def execute(command="rmail bob", temp="D.0001", size=None, options="C", **more):
    return Execute(
        temp, "D.betaN0001", "uucp", options, temp, 0o666, size=size, command=command, **more
    )


def offer(work, request, public):
    return work.offered(request, target_of(request.target, request.source, str(public)))


async def until(condition):
    for _ in range(2000):
        if (found := condition()) is not None:
            return found
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come")


async def receive(stage, work, request, data, start=0):
    """As a session does: offer, write, commit, verdict."""
    sink = offer(work, request, stage.public)
    assert not isinstance(sink, Code), sink
    assert sink.position == start
    for position in range(start, len(data), 1000):
        sink.write(position, data[position : position + 1000])
    sink.commit(len(data))
    return sink, await until(lambda: sink.verdict)


# --- files to us


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 300_000])
def test_a_spool_file_of_any_size_is_stored_as_it_came(play, size):
    data = os.urandom(size)

    async def scenario(stage):
        work = await stage.session()
        _, verdict = await receive(stage, work, send(size=size), data)
        assert verdict is Verdict.STORED
        await work.close()
        (file,) = await stage.store.uucp.received.files("beta")
        assert b"".join(file.content.pieces()) == data
        assert len(stage.content_files()) == (size > INLINE_BYTES)

    play(scenario)


@pytest.mark.parametrize("size", [0, 100, INLINE_BYTES + 1])
@pytest.mark.parametrize("temp", ["D.0001", "D.0"])
def test_a_public_file_is_placed_and_leaves_nothing_in_the_spool(play, size, temp):
    data = os.urandom(size)

    async def scenario(stage):
        work = await stage.session()
        request = send("~/in/file", temp=temp, size=size)
        _, verdict = await receive(stage, work, request, data)
        assert verdict is Verdict.STORED
        assert (stage.public / "in/file").read_bytes() == data
        await work.close()
        assert stage.content_files() == []
        assert await stage.store.uucp.received.parts("beta") == []

    play(scenario)


def test_a_target_that_is_a_folder_gets_the_base_name_of_the_source(play):
    async def scenario(stage):
        work = await stage.session()
        (stage.public / "in").mkdir()
        await receive(stage, work, send("~/in", temp="D.0001"), b"1")
        await receive(stage, work, send("~/new/", temp="D.0002"), b"2")
        assert (stage.public / "in/f").read_bytes() == b"1"
        assert (stage.public / "new/f").read_bytes() == b"2"
        await work.close()

    play(scenario)


def test_a_public_file_that_cannot_be_placed_is_refused_for_ever_and_forgotten(play):
    async def scenario(stage):
        work = await stage.session()
        (stage.public / "file").write_text("a file, and no folder")
        (stage.public / "link").symlink_to(stage.spool)
        for number, (target, options) in enumerate(
            [("~/file/x", "C"), ("~/none/x", "Cf"), ("~/link/x", "C")]
        ):
            request = send(target, temp=f"D.000{number}", options=options)
            _, verdict = await receive(stage, work, request, LONG)
            assert verdict is Verdict.NOT_STORED
        await work.close()
        assert stage.content_files() == []
        assert await stage.store.uucp.received.marks("beta") == []
        assert sorted(path.name for path in stage.public.iterdir()) == ["file", "link"]

    play(scenario)


@pytest.mark.parametrize("target", ["D.betaN0001", "~/in/file"])
def test_all_is_on_the_disk_before_the_commit_and_the_commit_before_our_word(
    play, monkeypatch, target
):
    steps = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("folder synced" if is_folder else "file synced")
        real_fsync(descriptor)

    def rename(*names, **where):
        steps.append("placed")
        real_rename(*names, **where)

    async def scenario(stage):
        received = stage.store.uucp.received
        real_complete = received.complete

        async def complete(completed):
            steps.append("committed")
            await real_complete(completed)
            assert sink.verdict is None

        work = await stage.session()
        sink = offer(work, send(target, size=len(LONG)), stage.public)
        sink.write(0, LONG)
        await until(lambda: None if work._tasks._running else True)
        received.complete = complete
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            patch.setattr(os, "rename", rename)
            sink.commit(len(LONG))
            await until(lambda: sink.verdict)
        await work.close()

    play(scenario)
    before = steps[: steps.index("committed")]
    if target.startswith("~"):
        assert before[-3:] == ["file synced", "placed", "folder synced"]
    else:
        assert before == ["file synced", "folder synced"]
    assert steps[-1] == "committed"


def test_a_file_is_received_once_until_the_peer_has_our_word(play):
    async def scenario(stage):
        first = await stage.session()
        sink, _ = await receive(stage, first, send(size=3), b"abc")
        assert isinstance(offer(first, send(size=3), stage.public), Duplicate)
        await first.close()

        second = await stage.session()  # CY was lost
        assert isinstance(offer(second, send(size=3), stage.public), Duplicate)
        assert isinstance(offer(second, send(), stage.public), Duplicate)
        other = offer(second, send("D.betaN0002"), stage.public)
        assert not isinstance(other, Code | Duplicate), "another file under the same name"
        other.abandon(False)
        longer = offer(second, send(size=4), stage.public)
        assert not isinstance(longer, Code | Duplicate), "another file under the same name"
        longer.abandon(False)
        await second.close()

        sink.confirmed()
        await first.close()
        third = await stage.session()
        assert not isinstance(offer(third, send(size=3), stage.public), Code)
        await third.close()

    play(scenario)


def test_a_peer_that_dies_with_our_word_unwritten_may_offer_its_files_again(play, monkeypatch):
    monkeypatch.setattr(incoming, "KEPT_MARKS", 2)
    monkeypatch.setattr(incoming, "FORGOTTEN_AT_ONCE", 2)

    def request(number):
        return send(f"D.betaN000{number}", temp=f"D.000{number}", size=3)

    async def known(stage, work):
        offers = [offer(work, request(number), stage.public) for number in range(5)]
        for sink in offers:
            if not isinstance(sink, Duplicate):
                sink.abandon(False)
        return [isinstance(sink, Duplicate) for sink in offers]

    async def scenario(stage):
        first = await stage.session()
        for number in range(5):
            sink, _ = await receive(stage, first, request(number), b"abc")
            sink.confirmed()
        await first.close(is_in_order=False)
        second = await stage.session()
        assert await known(stage, second) == [False, False, False, True, True]
        for number in (3, 4):
            offer(second, request(number), stage.public).confirmed()
        await second.close()
        third = await stage.session()
        assert await known(stage, third) == [False] * 5
        await third.close()

    play(scenario)


def test_the_word_of_an_old_file_does_not_unmark_a_new_one(play):
    async def scenario(stage):
        work = await stage.session()
        old, _ = await receive(stage, work, send(size=1), b"a")
        await receive(stage, work, send(size=2), b"bb")
        stage.now += 1
        await receive(stage, work, send(size=3), b"ccc")
        old.confirmed()
        assert isinstance(offer(work, send(size=3), stage.public), Duplicate)
        await work.close()
        again = await stage.session()
        assert isinstance(offer(again, send(size=3), stage.public), Duplicate)
        await again.close()

    play(scenario)


@pytest.mark.parametrize("held", [5_000, 90_000])
def test_a_cut_file_goes_on_where_it_stopped(play, held):
    async def scenario(stage):
        first = await stage.session()
        sink = offer(first, send(size=len(LONG)), stage.public)
        sink.write(0, LONG[:held])
        sink.abandon(True)
        await first.close()
        second = await stage.session()
        _, verdict = await receive(stage, second, send(size=len(LONG)), LONG, start=held)
        assert verdict is Verdict.STORED
        await second.close()
        (file,) = await stage.store.uucp.received.files("beta")
        assert b"".join(file.content.pieces()) == LONG
        assert await stage.store.uucp.received.parts("beta") == []
        assert len(stage.content_files()) == 1

    play(scenario)


def test_a_part_of_another_file_is_not_gone_on_with(play):
    async def scenario(stage):
        for request in [
            send(size=len(LONG) + 1),
            send("D.betaN0009", size=len(LONG)),
            send(size=None),
        ]:
            first = await stage.session()
            sink = offer(first, send(size=len(LONG)), stage.public)
            sink.write(0, b"?" * 90_000)
            sink.abandon(True)
            await first.close()
            second = await stage.session()
            other = offer(second, request, stage.public)
            assert other.position == 0
            other.write(0, LONG)
            other.commit(len(LONG))
            assert await until(lambda sink=other: sink.verdict) is Verdict.STORED
            await second.close()
            marks = await stage.store.uucp.received.marks("beta")
            await stage.store.uucp.received.forget_marks(marks)
            assert await stage.store.uucp.received.parts("beta") == []

    play(scenario)


def test_a_peer_that_begins_anew_may_write_over_what_is_there(play):
    async def scenario(stage):
        first = await stage.session()
        sink = offer(first, send(size=None), stage.public)
        sink.write(0, b"?" * 90_000)
        sink.abandon(True)
        await first.close()
        second = await stage.session()
        sink = offer(second, send(size=None), stage.public)
        sink.write(0, b"short")
        sink.commit(5)
        await until(lambda: sink.verdict)
        await second.close()
        (file,) = await stage.store.uucp.received.files("beta")
        assert b"".join(file.content.pieces()) == b"short"

    play(scenario)


def test_what_came_of_a_short_piece_or_under_a_dummy_name_is_not_kept(play):
    async def scenario(stage):
        for request, data in [
            (send(), b"few"),
            (send(temp="D.0"), LONG),
            (send(temp="../x"), LONG),
        ]:
            work = await stage.session()
            sink = offer(work, request, stage.public)
            sink.write(0, data)
            sink.abandon(True)
            await work.close()
            assert await stage.store.uucp.received.parts("beta") == []
            assert stage.content_files() == []

    play(scenario)


def test_an_abandoned_file_that_shall_not_be_kept_is_deleted_also_if_it_was_a_part(play):
    async def scenario(stage):
        for keeps in (True, False):
            work = await stage.session()
            sink = offer(work, send(), stage.public)
            sink.write(sink.position, LONG)
            sink.abandon(keeps)
            await work.close()
            assert len(stage.content_files()) == keeps

    play(scenario)


def test_a_file_on_a_slow_line_is_written_long_before_it_is_long(play):
    async def scenario(stage):
        work = await stage.session()
        sink = offer(work, send(), stage.public)
        sink.write(0, b"x" * 100)
        assert stage.content_files() == []
        work._incoming._arriving["D.0001"]._began_at -= arriving.SPILL_SECONDS
        sink.write(100, b"y" * 100)
        (name,) = stage.content_files()
        assert (stage.spool / "content" / name).read_bytes() == b"x" * 100 + b"y" * 100
        sink.abandon(False)
        await work.close()

    play(scenario)


def test_after_a_crash_of_the_machine_only_what_was_synced_counts(play, monkeypatch):
    monkeypatch.setattr(arriving, "CHECK_BYTES", 70_000)
    monkeypatch.setattr(arriving, "boot", lambda: "one life")

    async def scenario(stage):
        first = await stage.session()
        sink = offer(first, send(), stage.public)
        sink.write(0, LONG[:80_000])
        await until(lambda: None if first._tasks._running else True)
        sink.write(80_000, LONG[80_000:90_000])
        # Neither abandoned nor closed: the power fails.
        same_life = await stage.session()
        assert offer(same_life, send(), stage.public).position == 90_000
        monkeypatch.setattr(arriving, "boot", lambda: "another life")
        other_life = await stage.session()
        assert offer(other_life, send(), stage.public).position == 80_000

    play(scenario)


def test_parts_of_one_neighbour_do_not_pile_up(play, monkeypatch):
    monkeypatch.setattr("relaynode.uucico.incoming.MAX_PARTS", 3)

    async def scenario(stage):
        work = await stage.session()
        for number in range(6):
            stage.now += 1
            sink = offer(work, send(temp=f"D.000{number}"), stage.public)
            sink.write(0, LONG)
            sink.abandon(True)
        await work.close()
        work = await stage.session()
        assert [part.temp for part in await stage.store.uucp.received.parts("beta")] == [
            "D.0003",
            "D.0004",
            "D.0005",
        ]
        assert len(stage.content_files()) == 3
        await work.close()

    play(scenario)


def test_two_files_may_not_arrive_under_one_name_at_once(play):
    async def scenario(stage):
        work = await stage.session()
        first = offer(work, send(), stage.public)
        assert offer(work, send(), stage.public) is Code.NO_CHANNEL
        first.abandon(False)
        assert not isinstance(offer(work, send(), stage.public), Code)
        await work.close()

    play(scenario)


def limited(by_us, most):
    return (SizeLimit(when_calling=False, by_us=by_us, max_bytes=most, times=ANY),)


def test_sizes_are_refused_for_now_or_for_ever(play):
    async def scenario(stage):
        work = await stage.session(size_limits=limited(False, 1000))
        assert offer(work, send(size=1001), stage.public) is Code.TOO_LARGE
        assert not isinstance(offer(work, send(size=1000), stage.public), Code)
        unsaid = offer(work, send(temp="D.0002"), stage.public)
        unsaid.write(0, b"x" * 1000)
        with pytest.raises(RemoteProtocolError):
            unsaid.write(1000, b"x")
        full = await stage.session(min_free_bytes=1 << 60)
        assert offer(full, send(size=1), stage.public) is Code.TOO_LARGE_NOW
        assert offer(full, send(), stage.public) is Code.TOO_LARGE_NOW
        huge = await stage.session()
        assert offer(huge, send(size=0xFFFF_FFFF_FFFF_FFFF), stage.public) is Code.TOO_LARGE_NOW

    play(scenario)


def test_a_disk_that_fills_up_ends_the_call(play, monkeypatch):
    monkeypatch.setattr(arriving, "CHECK_BYTES", 70_000)

    async def scenario(stage):
        work = await stage.session(min_free_bytes=1000)
        sink = offer(work, send(), stage.public)
        monkeypatch.setattr(arriving, "free_bytes", lambda folder: 999)
        with pytest.raises(StoreError):
            sink.write(0, LONG)
        await work.close()

    play(scenario)


@pytest.mark.parametrize("target", ["~/closed/x", "~/closed", "~/closed/"])
def test_what_lies_outside_the_neighbours_folders_is_refused(play, target):
    async def scenario(stage):
        work = await stage.session(remote_receive=("~", "!~/closed"))
        assert offer(work, send(target), stage.public) is Code.NOT_PERMITTED
        assert not isinstance(offer(work, send("~/open/x"), stage.public), Code)
        nothing = await stage.session(may_send=False)
        assert offer(nothing, send("~/open/x"), stage.public) is Code.NOT_PERMITTED

    play(scenario)


def test_a_folder_that_is_closed_is_not_reached_through_the_base_name(play):
    async def scenario(stage):
        work = await stage.session(remote_receive=("~", "!~/closed"))
        request = send("~/", source="/x/closed")
        assert offer(work, request, stage.public) is Code.NOT_PERMITTED

    play(scenario)


def test_a_name_that_is_no_utf8_is_refused(play):
    async def scenario(stage):
        work = await stage.session()
        assert offer(work, send("~/\udcff"), stage.public) is Code.NOT_PERMITTED
        assert offer(work, send("~/d/", source="x/\udcff"), stage.public) is Code.NOT_PERMITTED
        _, verdict = await receive(stage, work, send(source="\udcff"), b"x")
        assert verdict is Verdict.STORED
        await work.close()

    play(scenario)


def test_holes_and_false_ends_are_faults_of_the_session(play):
    async def scenario(stage):
        work = await stage.session()
        sink = offer(work, send(), stage.public)
        with pytest.raises(LocalProtocolError):
            sink.write(1, b"x")
        with pytest.raises(LocalProtocolError):
            sink.commit(1)
        await work.close()

    play(scenario)


def test_the_one_who_shall_be_told_is_told_once_the_file_is_there(play):
    async def scenario(stage):
        work = await stage.session()
        await receive(stage, work, send("~/x", options="Cn", notify="bob"), b"1")
        await receive(stage, work, send("~/y", temp="D.0002", notify="bob"), b"1")
        await work.close()
        (letter,) = stage.letters.sent
        assert letter.to == "bob"
        assert f"{stage.public}/x" in letter.text

    play(scenario)


# --- executions


def test_data_with_its_command_becomes_an_execution(play):
    async def scenario(stage):
        work = await stage.session()
        request = execute(options="CRNZ", notify="bob@beta", size=4)
        _, verdict = await receive(stage, work, request, b"mail")
        assert verdict is Verdict.STORED
        await work.close()
        (due,) = await stage.store.uucp.executions.due(NOW)
        assert (due.new.neighbour, due.new.user, due.new.command) == (
            "beta",
            "uucp",
            ("rmail", "bob"),
        )
        assert (due.new.result_address, set(due.new.flags)) == ("bob@beta", {"N", "Z"})
        claimed = await stage.store.uucp.executions.claim(due.new.execution_id)
        assert claimed.files[due.new.input_name].inline == b"mail"

    play(scenario)


def test_two_executions_with_one_name_keep_their_own_input(play):
    async def scenario(stage):
        work = await stage.session()
        for number in (1, 2):
            request = execute(temp=f"D.000{number}")
            await receive(stage, work, request, b"mail %d" % number)
        await work.close()
        found = []
        for due in await stage.store.uucp.executions.due():
            claimed = await stage.store.uucp.executions.claim(due.new.execution_id)
            found += [content.inline for content in claimed.files.values()]
            await stage.store.uucp.executions.unclaim(due.new.execution_id)
        assert found == [b"mail 1", b"mail 2"]

    play(scenario)


@pytest.mark.parametrize("command", ["sh -c id", "/bin/rmail bob", "", "   "])
def test_a_command_that_is_not_allowed_is_refused_before_its_data_comes(play, command):
    async def scenario(stage):
        stage.permitted = {"rmail"}
        work = await stage.session()
        if not command.split():
            work._incoming._may_run = lambda words: bool(words) and words[0] == "rmail"
        assert offer(work, execute(command), stage.public) is Code.NOT_PERMITTED

    play(scenario)


def test_data_with_a_command_may_only_go_into_the_spool_as_data(play):
    async def scenario(stage):
        work = await stage.session()
        request = execute()
        for target in (SpoolName("X.betaN0001"), PublicPath(("x",))):
            assert work.offered(request, target) is Code.NOT_PERMITTED

    play(scenario)


X_FILE = b"U dave gamma\nF D.betaN0001\nI D.betaN0001\nC rmail bob\n"


@pytest.mark.parametrize("data_first", [True, False])
def test_data_and_an_execution_file_make_an_execution_of_who_logged_in(play, data_first):
    async def scenario(stage):
        work = await stage.session()
        steps = [(send(), b"mail"), (send("X.betaN0002", temp="D.X0002"), X_FILE)]
        for request, data in steps if data_first else reversed(steps):
            assert await stage.store.uucp.executions.due() == []
            await receive(stage, work, request, data)
        await work.close()
        (due,) = await stage.store.uucp.executions.due()
        assert (due.new.neighbour, due.new.user, due.new.input_name) == (
            "beta",
            "dave",
            "D.betaN0001",
        )
        assert stage.content_files() == []

    play(scenario)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"U a b\n",
        b"C \n",
        b"F D.x ../../../etc/cron.d/evil\nC rmail bob\n",
        b"F D.x .forward\nC rmail bob\n",
        b"F ../../etc/passwd\nC rmail bob\n",
        b"F C.x\nC rmail bob\n",
        b"I D..x\nC rmail bob\n",
        b"O D.other\nC rmail bob\n",
        b"C rmail bob\x01\n",
        b"U a\x07b beta\nC rmail bob\n",
        b"O ~/\xff\nC rmail bob\n",
        b"F D.x caf\xe9\nC rmail bob\n",
        b"\xff\xfe\x00" * 1000,
        b"F D.x\n" * 1000 + b"C rmail bob\n",
        b"#" * 70_000 + b"\nC rmail bob\n",
    ],
)
def test_an_execution_file_that_makes_no_sense_or_asks_too_much_is_refused_for_ever(play, content):
    async def scenario(stage):
        work = await stage.session()
        request = send("X.betaN0002", temp="D.X0002")
        _, verdict = await receive(stage, work, request, content)
        assert verdict is Verdict.NOT_STORED
        await work.close()
        assert await stage.store.uucp.executions.find(finished=True) == []
        assert stage.content_files() == []

    play(scenario)


def test_an_execution_file_that_is_too_long_is_not_even_begun(play):
    async def scenario(stage):
        work = await stage.session()
        request = send("X.betaN0002", temp="D.X0002", size=1 << 20)
        assert offer(work, request, stage.public) is Code.NOT_PERMITTED

    play(scenario)


def test_bytes_that_are_no_text_in_a_command_survive_to_the_execution(play):
    async def scenario(stage):
        work = await stage.session()
        content = b"U caf\xe9 beta\nC rmail b\xe9b\n"
        await receive(stage, work, send("X.betaN0002", temp="D.X0002"), content)
        await work.close()
        (due,) = await stage.store.uucp.executions.due()
        assert due.new.command == ("rmail", "b\udce9b")
        assert due.new.user == "caf\\351"

    play(scenario)


# --- files from us


def fetch(source, **more):
    return Fetch(source, "/x", "dave", "", **more)


def test_a_public_file_is_given_to_who_may_fetch_it(play):
    async def scenario(stage):
        (stage.public / "x").write_bytes(LONG)
        work = await stage.session()
        request = fetch("~/x")
        opened = work.wanted(request, PublicPath(("x",)))
        assert isinstance(opened, OpenedFile)
        assert (opened.source.size_bytes, opened.mode) == (len(LONG), 0o666)
        assert opened.source.read(100, 50) == LONG[100:150]
        assert opened.source.read(len(LONG) - 1, 50) == LONG[-1:]
        work.fetched(request, True)
        with pytest.raises(StoreError):
            opened.source.read(0, 1)
        await work.close()

    play(scenario)


def test_a_file_that_shrinks_while_it_is_sent_ends_the_call_instead_of_making_up_bytes(play):
    async def scenario(stage):
        (stage.public / "x").write_bytes(LONG)
        work = await stage.session()
        opened = work.wanted(fetch("~/x"), PublicPath(("x",)))
        os.truncate(stage.public / "x", 10)
        with pytest.raises(StoreError):
            opened.source.read(0, 100)
        await work.close()

    play(scenario)


def test_what_may_not_be_fetched_is_refused(play):
    async def scenario(stage):
        for name in ("open", "closed", "big"):
            (stage.public / name).write_bytes(b"x" * 100)
        (stage.public / "closed").chmod(0o600)
        (stage.public / "link").symlink_to("/etc/passwd")
        (stage.public / "private").mkdir()
        (stage.public / "private/x").write_text("x")
        work = await stage.session(remote_send=("~", "!~/private"))
        for path in [("closed",), ("link",), ("private",), ("private", "x"), ("none",), ()]:
            assert work.wanted(fetch("~/x"), PublicPath(path)) is Code.NOT_PERMITTED
        assert work.wanted(fetch("~/big", limit=99), PublicPath(("big",))) is Code.TOO_LARGE_NOW
        nothing = await stage.session(may_fetch=False)
        assert nothing.wanted(fetch("~/open"), PublicPath(("open",))) is Code.NOT_PERMITTED

    play(scenario)


def test_files_go_back_to_the_neighbour_that_asks_for_them_and_to_nobody_else(play):
    async def scenario(stage):
        for name in ("w1", "w2", "v", ".w3"):
            (stage.public / name).write_text(name)
        work = await stage.session()
        assert work.copy_wanted(RemoteCopy("~/w*", "beta!/home/dave/", "dave", "d"))
        for target in ("gamma!/x/", "beta!gamma!/x", "/x", "beta!C.x", "beta!X.beta"):
            assert not work.copy_wanted(RemoteCopy("~/w*", target, "dave", "d"))
        assert not work.copy_wanted(RemoteCopy("/etc/*", "beta!/x/", "dave", "d"))
        job = await until(lambda: None if (j := work.next_job(None)) is THINKING else j)
        assert (job.request.source, job.request.target, job.request.user) == (
            f"{stage.public}/w1",
            "/home/dave/",
            "beta!dave",
        )
        assert job.source.read(0, 10) == b"w1"
        await work.close()
        assert len(await stage.store.uucp.jobs.find("beta")) == 2

    play(scenario)


# --- jobs of ours


def queued(job_id="J1", kind=JobKind.SEND, **more):
    values = {"source": "D.0", "target": "~/x", "content": Content.of(b"data"), **more}
    return NewJob(job_id, "beta", kind, values.pop("user", "root"), NOW, **values)


async def next_job(work, worst_grade=None):
    found = []

    def look():
        if (job := work.next_job(worst_grade)) is THINKING:
            return None
        found.append(job)
        return found

    return (await until(look))[0]


def test_jobs_come_best_grade_first_with_their_content_and_a_name_that_stays(play):
    async def scenario(stage):
        first, second = await stage.queue(
            queued("J1", grade="N", options="dm", notify="bob"), queued("J2", grade="C")
        )
        work = await stage.session()
        best, other = [await next_job(work) for _ in range(2)]
        assert (best.request.temp, other.request.temp) == (second.temp, first.temp)
        assert (best.grade, best.request.size) == ("C", 4)
        assert other.request == Send("D.0", "~/x", "root", "Cdm", first.temp, 0o644, "bob", 4)
        assert best.source.read(0, 100) == b"data"
        assert await next_job(work) is None
        work.ended(best, DONE)
        await work.close()
        (left,) = await stage.store.uucp.jobs.due("beta")
        assert (left.job_id, left.tries, left.temp) == ("J1", 0, first.temp)

    play(scenario)


def test_jobs_that_are_not_urgent_enough_wait_for_another_call(play):
    async def scenario(stage):
        await stage.queue(queued("J1", grade="N"), queued("J2", grade="C"))
        work = await stage.session()
        assert (await next_job(work, "C")).key.job_id == "J2"
        assert await next_job(work, "C") is None
        assert (await next_job(work, None)).key.job_id == "J1"
        await work.close()

    play(scenario)


def test_an_execution_is_one_request_with_its_input(play):
    async def scenario(stage):
        (job,) = await stage.queue(queued(kind=JobKind.EXECUTE, command="rmail bob", grade="C"))
        work = await stage.session()
        found = await next_job(work)
        number = job.temp.removeprefix("D.")
        assert found.request == Execute(
            job.temp, f"D.alphaC{number}", "root", "C", job.temp, 0o644, "", 4, "rmail bob"
        )
        await work.close()

    play(scenario)


def test_an_execution_without_input_sends_an_empty_one(play):
    async def scenario(stage):
        await stage.queue(queued(kind=JobKind.EXECUTE, command="date", content=None))
        work = await stage.session()
        found = await next_job(work)
        assert (found.request.size, found.source.read(0, 1)) == (0, b"")
        await work.close()

    play(scenario)


@pytest.mark.parametrize(
    ("outcome", "state", "tries"),
    [
        (DONE, WorkState.DONE, 0),
        (Outcome(Ending.REFUSED, "not permitted", Code.NOT_PERMITTED), WorkState.FAILED, 1),
        (Outcome(Ending.LATER, "too large now", Code.TOO_LARGE_NOW), WorkState.WAITING, 1),
        (Outcome(Ending.LATER, "line lost", sent_bytes=5), WorkState.WAITING, 1),
        (Outcome(Ending.LATER, "line lost", is_doubtful=True), WorkState.WAITING, 1),
        (Outcome(Ending.LATER, "the call ended"), WorkState.WAITING, 0),
    ],
)
def test_how_a_job_ended_is_written_down(play, outcome, state, tries):
    async def scenario(stage):
        await stage.queue(queued())
        work = await stage.session()
        work.ended(await next_job(work), outcome)
        assert await next_job(work) is None, "once a session"
        await work.close()
        job = await stage.store.uucp.jobs.job("J1")
        assert (job.state, job.tries, job.is_claimed) == (state, tries, False)
        assert [letter.to for letter in stage.letters.sent] == (
            ["root"] if state is WorkState.FAILED else []
        )

    play(scenario)


def test_who_wanted_to_know_is_told_when_it_is_done(play):
    async def scenario(stage):
        await stage.queue(queued(options="m", user="joe"))
        work = await stage.session()
        work.ended(await next_job(work), DONE)
        await work.close()
        (letter,) = stage.letters.sent
        assert (letter.to, "~/x" in letter.text) == ("joe", True)

    play(scenario)


def test_a_job_that_was_removed_while_it_was_on_the_line_ends_quietly(play):
    async def scenario(stage):
        await stage.queue(queued(options="m"))
        work = await stage.session()
        job = await next_job(work)
        await stage.store.uucp.jobs.operate(Verb.REMOVE, ["J1"], NOW)
        work.ended(job, DONE)
        await work.close()
        assert stage.letters.sent == []

    play(scenario)


def test_what_was_taken_and_not_begun_is_given_back(play):
    async def scenario(stage):
        await stage.queue(*(queued(f"J{n}") for n in range(40)))
        work = await stage.session()
        await next_job(work)
        await work.close()
        assert len(await stage.store.uucp.jobs.due("beta")) == 40

    play(scenario)


def test_many_jobs_pass_through_a_session(play):
    async def scenario(stage):
        await stage.queue(*(queued(f"J{n}") for n in range(200)))
        work = await stage.session()
        count = 0
        while (job := await next_job(work)) is not None:
            work.ended(job, DONE)
            count += 1
        await work.close()
        assert count == 200
        assert await stage.store.uucp.jobs.find() == []

    play(scenario)


def test_work_that_came_during_the_session_is_found_when_that_is_said_or_after_a_while(play):
    async def scenario(stage):
        work = await stage.session()
        assert await next_job(work) is None
        await stage.queue(queued("J1"))
        assert work.next_job(None) is None
        work.wake()
        assert (await next_job(work)).key.job_id == "J1"
        assert await next_job(work) is None
        await stage.queue(queued("J2"))
        stage.monotonic += 6
        assert (await next_job(work)).key.job_id == "J2"
        await work.close()

    play(scenario)


def test_a_session_in_which_our_jobs_are_not_done_does_none(play):
    async def scenario(stage):
        await stage.queue(queued())
        called = await stage.session(is_served_when_called=False)
        assert called.next_job(None) is None
        calling = await stage.session(is_caller=True, is_served_when_called=False)
        assert await next_job(calling) is not None
        await calling.close()

    play(scenario)


def test_a_wish_for_a_call_is_fulfilled_by_the_session_itself(play):
    async def scenario(stage):
        await stage.queue(NewJob("J1", "beta", JobKind.CALL, "uucp", NOW))
        work = await stage.session()
        assert await next_job(work) is None
        await work.close()
        assert (await stage.store.uucp.jobs.job("J1")).state is WorkState.DONE

    play(scenario)


def readable_file(tmp_path, data=b"file"):
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o755)
    file = tmp_path / "file"
    file.write_bytes(data)
    file.chmod(0o644)
    return file


def test_a_file_that_was_not_copied_is_copied_at_the_first_try_and_not_again(play, tmp_path):
    file = readable_file(tmp_path, LONG)

    async def scenario(stage):
        await stage.queue(queued(source=str(file), content=None, user="nobody"))
        first = await stage.session()
        job = await next_job(first)
        assert job.request.size == len(LONG)
        first.ended(job, Outcome(Ending.LATER, "line lost", sent_bytes=1000))
        await first.close()
        file.write_bytes(b"changed")
        second = await stage.session()
        job = await next_job(second)
        assert job.source.read(0, 1 << 20) == LONG
        second.ended(job, DONE)
        await second.close()
        assert stage.content_files() == []

    play(scenario)


@pytest.mark.parametrize("fault", ["private", "missing", "link", "folder", "not among the folders"])
def test_a_file_that_its_user_may_not_send_fails_with_a_letter(play, tmp_path, fault):
    file = readable_file(tmp_path)
    terms = {}
    if fault == "private":
        file.chmod(0o600)
    elif fault == "missing":
        file.unlink()
    elif fault == "link":
        file.rename(tmp_path / "other")
        file.symlink_to(tmp_path / "other")
    elif fault == "folder":
        file.unlink()
        file.mkdir()
    else:
        terms = {"local_send": ("~",)}

    async def scenario(stage):
        await stage.queue(queued(source=str(file), content=None, user="nobody"), queued("J2"))
        work = await stage.session(**terms)
        assert (await next_job(work)).key.job_id == "J2"
        await work.close()
        assert (await stage.store.uucp.jobs.job("J1")).state is WorkState.FAILED
        (letter,) = stage.letters.sent
        assert (letter.to, str(file) in letter.text) == ("nobody", True)

    play(scenario)


def test_a_file_that_is_fetched_lands_in_the_public_folder(play):
    async def scenario(stage):
        await stage.queue(
            queued(kind=JobKind.FETCH, source="~/theirs", target="~/got/", content=None)
        )
        work = await stage.session()
        job = await next_job(work)
        assert job.request == Fetch("~/theirs", "~/got/", "root", "")
        job.sink.write(0, b"fetched")
        job.sink.commit(7)
        assert await until(lambda: job.sink.verdict) is Verdict.STORED
        work.ended(job, DONE)
        await work.close()
        assert (stage.public / "got/theirs").read_bytes() == b"fetched"

    play(scenario)


@pytest.mark.parametrize("target", ["/etc/passwd", "/root/x", "~root/x", "~/../x"])
def test_what_is_fetched_is_put_nowhere_else_for_another_user(play, target):
    async def scenario(stage):
        job = queued(
            kind=JobKind.FETCH, source="~/t", target=target, content=None, user="nobody-here"
        )
        await stage.queue(job)
        work = await stage.session(local_receive=("/",))
        assert await next_job(work) is None
        await work.close()
        assert (await stage.store.uucp.jobs.job("J1")).state is WorkState.FAILED

    play(scenario)


def test_a_wish_for_files_of_the_neighbour_is_passed_on(play):
    async def scenario(stage):
        await stage.queue(
            queued(kind=JobKind.REQUEST, source="~/w*", target="alpha!~/", content=None)
        )
        work = await stage.session()
        job = await next_job(work)
        assert job.request == RemoteCopy("~/w*", "alpha!~/", "root", "")
        work.ended(job, DONE)
        await work.close()

    play(scenario)


def test_an_error_of_the_store_ends_the_session_and_leaves_the_job_waiting(play):
    async def scenario(stage):
        await stage.queue(queued())
        work = await stage.session()
        job = await next_job(work)

        async def broken(settled):
            raise StoreError("disk on fire")

        stage.store.uucp.settle = broken
        work.ended(job, DONE)
        await until(lambda: None if work._tasks._running else True)
        with pytest.raises(StoreError):
            work.next_job(None)
        with pytest.raises(StoreError):
            await work.close()

    play(scenario)
