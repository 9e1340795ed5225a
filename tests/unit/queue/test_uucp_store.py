"""What every store promises for UUCP work, held against each home of the queue."""

import asyncio
from dataclasses import replace

import pytest

from relaynode.errors import NotClaimed
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import INLINE_BYTES, Content
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import NewMessage, Verb
from relaynode.queue.sqlite import SqliteStore
from relaynode.queue.uucp.model import (
    WORK_MOVES,
    Completed,
    JobKind,
    Mark,
    Need,
    NeighbourStatus,
    NewExecution,
    NewJob,
    Part,
    SessionRecord,
    Settled,
    SpoolFile,
    WorkOutcome,
    WorkState,
)

NOW = 1_800_000_000.0
BIG = b"x" * (INLINE_BYTES + 1)


@pytest.fixture(params=[SqliteStore, MemoryStore])
def run(request, tmp_path):
    """Runs a coroutine function against a fresh store."""

    def runner(scenario):
        async def play():
            store = request.param(tmp_path, clock=lambda: NOW)
            try:
                return await scenario(store)
            finally:
                await store.close()

        return asyncio.run(play())

    return runner


async def part_of(store, neighbour="beta"):
    return next(iter(await store.uucp.received.parts(neighbour)), None)


async def mark_of(store, neighbour="beta"):
    return next(iter(await store.uucp.received.marks(neighbour)), None)


def job(job_id="J1", neighbour="beta", queued_at=NOW, **more):
    return NewJob(job_id, neighbour, JobKind.SEND, "alice", queued_at, **more)


def execution(execution_id="E1", neighbour="beta", **more):
    values = {"command": ("rmail", "bob"), "received_at": NOW, **more}
    return NewExecution(execution_id, neighbour, "uucp", **values)


def spool_file(name="D.betaN0001", content=b"data", neighbour="beta"):
    return SpoolFile(neighbour, name, Content.of(content), NOW)


def done(work_id):
    return WorkOutcome(work_id, WorkState.DONE)


def long_content(store, name):
    draft = store.draft(name)
    draft.write(BIG)
    return draft.finish()


def content_files(tmp_path):
    return sorted(path.name.partition(".")[0] for path in (tmp_path / "content").iterdir())


def message(queue_id="M1"):
    envelope = Envelope("a@x", (Recipient("b@y"),))
    return NewMessage(queue_id, envelope, b"", Content.of(b"x\r\n"), "test", NOW)


# --- jobs


def test_a_job_waits_as_it_was_queued(run):
    new = NewJob(
        "J1",
        "beta",
        JobKind.EXECUTE,
        "alice",
        NOW,
        grade="C",
        source="D.0",
        target="D.alphaN0001",
        options="Cn",
        mode=0o600,
        notify="alice@alpha",
        command="rmail bob",
        content=Content.of(b"From alice\n"),
    )

    async def scenario(store):
        (queued,) = await store.uucp.jobs.add([new])
        (due,) = await store.uucp.jobs.due("beta", NOW)
        (claimed,) = await store.uucp.jobs.claim(["J1"])
        return queued, due, claimed

    queued, due, claimed = run(scenario)
    assert queued == due == replace(claimed.job, is_claimed=False)
    for name in "neighbour kind user grade source target options mode notify command".split():
        assert getattr(due, name) == getattr(new, name)
    assert (due.size_bytes, due.state, due.is_claimed) == (11, WorkState.WAITING, False)
    assert claimed.job.is_claimed
    assert b"".join(claimed.content.pieces()) == b"From alice\n"


def test_the_best_grade_comes_first_then_the_oldest(run):
    async def scenario(store):
        await store.uucp.jobs.add(
            [
                job("J1", grade="z"),
                job("J2", grade="N", queued_at=NOW + 2),
                job("J3", grade="N", queued_at=NOW + 1),
                job("J4", grade="A"),
                job("J5", grade="5"),
                job("J6", neighbour="gamma"),
            ]
        )
        everything = await store.uucp.jobs.due("beta")
        good = await store.uucp.jobs.due("beta", worst_grade="C")
        return [one.job_id for one in everything], [one.job_id for one in good]

    assert run(scenario) == (["J5", "J4", "J3", "J2", "J1"], ["J5", "J4"])


def test_a_claimed_job_is_given_to_nobody_else_and_its_number_stays(run):
    async def scenario(store):
        (queued,) = await store.uucp.jobs.add([job()])
        assert len(await store.uucp.jobs.claim(["J1", "J1", "NOPE"])) == 1
        assert await store.uucp.jobs.due("beta") == []
        await store.uucp.jobs.unclaim(["J1"])
        (again,) = await store.uucp.jobs.due("beta")
        assert (again.tries, again.temp) == (0, queued.temp)

    run(scenario)


def test_temporary_names_are_never_used_twice_for_one_neighbour(run):
    async def scenario(store):
        added = await store.uucp.jobs.add([job(f"J{n}") for n in range(5)])
        names = [one.temp for one in added]
        await store.uucp.jobs.operate(Verb.REMOVE, ["J4"], NOW)
        await store.uucp.prune(NOW + 1)
        number = await store.uucp.neighbours.take_number("beta", NOW)
        (last,) = await store.uucp.jobs.add([job("J9")])
        return [*names, number, last.temp]

    names = run(scenario)
    assert len(set(names)) == 7
    assert all(isinstance(name, int) or name.startswith("D.") for name in names)


def test_a_job_that_is_deferred_waits_for_its_time_with_its_error(run):
    async def scenario(store):
        await store.uucp.jobs.add([job(content=long_content(store, "J1"))])
        await store.uucp.jobs.claim(["J1"])
        later = WorkOutcome("J1", WorkState.WAITING, "too large now", NOW + 60)
        await store.uucp.settle(Settled(NOW, jobs=(later,)))
        assert await store.uucp.jobs.due("beta", NOW + 59) == []
        (due,) = await store.uucp.jobs.due("beta", NOW + 60)
        assert (due.tries, due.last_error) == (1, "too large now")
        (claimed,) = await store.uucp.jobs.claim(["J1"])
        assert b"".join(claimed.content.pieces()) == BIG
        return [event.kind for event in await store.uucp.history("J1")]

    assert run(scenario) == ["queued", "deferred"]


@pytest.mark.parametrize("state", [WorkState.DONE, WorkState.FAILED])
def test_a_job_that_ends_drops_its_content_and_is_told_about_until_pruned(run, tmp_path, state):
    async def scenario(store):
        await store.uucp.jobs.add([job(content=long_content(store, "J1"))])
        await store.uucp.jobs.claim(["J1"])
        await store.uucp.settle(Settled(NOW, jobs=(WorkOutcome("J1", state, "because"),)))
        assert await store.uucp.jobs.find() == []
        assert content_files(tmp_path) == []
        (ended,) = await store.uucp.jobs.find(finished=True)
        assert ended.state is state
        assert await store.uucp.prune(NOW) == 0
        assert await store.uucp.prune(NOW + 1) == 1
        assert await store.uucp.jobs.job("J1") is None
        assert await store.uucp.history("J1") == []

    run(scenario)


def test_only_the_owner_of_a_claim_can_end_a_job_and_then_all_of_it_or_nothing(run):
    async def scenario(store):
        await store.uucp.jobs.add([job("J1"), job("J2")])
        await store.uucp.jobs.claim(["J1"])
        with pytest.raises(NotClaimed):
            await store.uucp.settle(Settled(NOW, (done("J1"), done("J2")), new_jobs=(job("J3"),)))
        assert [one.job_id for one in await store.uucp.jobs.find()] == ["J1", "J2"]
        await store.uucp.settle(Settled(NOW, (done("J1"),), new_jobs=(job("J3"),)))
        assert [one.job_id for one in await store.uucp.jobs.find()] == ["J2", "J3"]

    run(scenario)


def test_a_job_that_was_removed_under_a_session_cannot_be_ended_any_more(run):
    async def scenario(store):
        await store.uucp.jobs.add([job()])
        await store.uucp.jobs.claim(["J1"])
        assert await store.uucp.jobs.operate(Verb.REMOVE, ["J1"], NOW) == ["J1"]
        with pytest.raises(NotClaimed):
            await store.uucp.settle(Settled(NOW, (done("J1"),)))
        removed = await store.uucp.jobs.job("J1")
        assert (removed.state, removed.is_claimed) == (WorkState.REMOVED, False)

    run(scenario)


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("kind", ["jobs", "executions"])
@pytest.mark.parametrize("before", [[], [Verb.HOLD], [Verb.REMOVE]])
def test_the_operators_moves_are_those_of_the_table(run, kind, before, verb):
    states = {(): WorkState.WAITING, (Verb.HOLD,): WorkState.HELD, (Verb.REMOVE,): "removed"}

    async def scenario(store):
        await store.uucp.jobs.add([job("W1")])
        await store.uucp.received.complete(Completed(execution=execution("W1", neighbour="gamma")))
        work = getattr(store.uucp, kind)
        for one in before:
            assert await work.operate(one, ["W1"], NOW) == ["W1"]
        moved = await work.operate(verb, ["W1", "NOPE"], NOW)
        (found,) = await work.find(finished=True)
        return moved, found.state

    moved, state = run(scenario)
    start = states[tuple(before)]
    target = WORK_MOVES.get((start, verb))
    assert (moved, state) == ((["W1"], target) if target else ([], start))


def test_what_is_held_is_not_due_and_cannot_be_claimed(run):
    async def scenario(store):
        await store.uucp.jobs.add([job()])
        await store.uucp.received.complete(Completed(execution=execution()))
        await store.uucp.jobs.operate(Verb.HOLD, ["J1"], NOW)
        await store.uucp.executions.operate(Verb.HOLD, ["E1"], NOW)
        assert await store.uucp.jobs.due("beta") == []
        assert await store.uucp.executions.due() == []
        assert await store.uucp.jobs.claim(["J1"]) == []
        assert await store.uucp.executions.claim("E1") is None

    run(scenario)


def test_how_many_parts_a_neighbour_has_survives_a_lost_line(run):
    async def scenario(store):
        await store.uucp.jobs.add([job()])
        await store.uucp.jobs.note_part("J1", 1)  # not claimed: not ours to say
        await store.uucp.jobs.claim(["J1"])
        before = await store.uucp.jobs.job("J1")
        await store.uucp.jobs.note_part("J1", 1)
        await store.uucp.jobs.unclaim(["J1"])
        after = await store.uucp.jobs.job("J1")
        return before.parts_done, after.parts_done

    assert run(scenario) == (0, 1)


def test_a_message_and_the_job_it_tells_about_end_together_or_not_at_all(run):
    async def scenario(store):
        await store.uucp.jobs.add([job()])
        settled = Settled(NOW, (done("J1"),))
        with pytest.raises(NotClaimed):
            await store.add([message()], (), settled)
        assert await store.messages() == []
        await store.uucp.jobs.claim(["J1"])
        await store.add([message()], (), settled)
        assert [one.queue_id for one in await store.messages()] == ["M1"]
        assert await store.uucp.jobs.find() == []

    run(scenario)


# --- what was received


def part(file="P1.x", held=0, **more):
    values = {"target": "D.betaN0001", "expected_bytes": 100, "boot": "b", **more}
    return Part("beta", "D.0001", file, held_bytes=held, updated_at=NOW, **values)


def test_a_part_belongs_to_one_neighbour_and_its_progress_is_kept(run):
    async def scenario(store):
        await store.uucp.received.begin_part(part())
        await store.uucp.received.hold_part(part(held=64))
        assert await part_of(store, "gamma") is None
        return await part_of(store)

    assert run(scenario) == part(held=64)


def test_a_part_that_is_begun_anew_leaves_nothing_of_the_old_one(run, tmp_path):
    async def scenario(store):
        for name in ("OLD", "NEW"):
            content = long_content(store, name)
            await store.uucp.received.begin_part(part(content.path.name))
        assert content_files(tmp_path) == ["NEW"]
        await store.uucp.received.hold_part(part("OLD", held=50))
        assert (await part_of(store)).held_bytes == 0
        await store.uucp.received.drop_part("beta", "D.0001")
        assert content_files(tmp_path) == []

    run(scenario)


def test_a_completed_part_becomes_a_file_in_place_with_its_mark(run, tmp_path):
    mark = Mark("beta", "D.0001", "D.betaN0001", len(BIG), NOW)

    async def scenario(store):
        content = long_content(store, "P1")
        await store.uucp.received.begin_part(part(content.path.name))
        file = SpoolFile("beta", "D.betaN0001", content, NOW)
        await store.uucp.received.complete(Completed(mark, ("beta", "D.0001"), file))
        assert await part_of(store) is None
        assert await mark_of(store) == mark
        assert await mark_of(store, "gamma") is None
        (found,) = await store.uucp.received.files("beta")
        assert found == file
        assert content_files(tmp_path) == ["P1"]
        await store.uucp.received.forget_marks([mark])
        assert await mark_of(store) is None

    run(scenario)


def test_a_file_that_went_into_a_public_directory_leaves_its_mark_alone(run, tmp_path):
    async def scenario(store):
        content = long_content(store, "P1")
        await store.uucp.received.begin_part(part(content.path.name))
        mark = Mark("beta", "D.0001", "~/x", len(BIG), NOW)
        await store.uucp.received.complete(Completed(mark, ("beta", "D.0001")))
        assert await store.uucp.received.files("beta") == []
        assert content_files(tmp_path) == []

    run(scenario)


def test_a_file_sent_again_replaces_the_one_nobody_asked_for(run, tmp_path):
    async def scenario(store):
        for name in ("A", "B"):
            file = SpoolFile("beta", "D.betaN0001", long_content(store, name), NOW)
            await store.uucp.received.complete(Completed(file=file))
        assert content_files(tmp_path) == ["B"]
        assert len(await store.uucp.received.files("beta")) == 1

    run(scenario)


@pytest.mark.parametrize("file_first", [True, False])
def test_an_execution_runs_when_its_files_are_there_in_whatever_order_they_came(run, file_first):
    needing = execution(
        input_name="D.betaN0001", needs=(Need("D.betaN0001"), Need("D.betaN0002", "paper.txt"))
    )
    arrivals = [
        Completed(file=spool_file("D.betaN0001", b"one")),
        Completed(file=spool_file("D.betaN0002", b"two")),
    ]

    async def scenario(store):
        steps = [*arrivals, Completed(execution=needing)]
        for step in steps if file_first else reversed(steps):
            assert await store.uucp.executions.due() == []
            assert await store.uucp.executions.claim("E1") is None
            await store.uucp.received.complete(step)
        (due,) = await store.uucp.executions.due()
        assert due.new == needing
        claimed = await store.uucp.executions.claim("E1")
        assert await store.uucp.received.files("beta") == []
        return {name: content.inline for name, content in claimed.files.items()}

    assert run(scenario) == {"D.betaN0001": b"one", "D.betaN0002": b"two"}


def test_a_file_of_another_neighbour_is_no_input(run):
    async def scenario(store):
        await store.uucp.received.complete(Completed(file=spool_file(neighbour="gamma")))
        await store.uucp.received.complete(
            Completed(execution=execution(needs=(Need("D.betaN0001"),)))
        )
        (found,) = await store.uucp.executions.find()
        return found.is_missing, await store.uucp.executions.due()

    assert run(scenario) == (True, [])


def test_the_input_of_a_waiting_execution_is_not_replaced_by_a_file_of_the_same_name(run):
    async def scenario(store):
        for number in (1, 2):
            await store.uucp.received.complete(
                Completed(
                    file=spool_file(content=b"mail %d" % number),
                    execution=execution(f"E{number}", needs=(Need("D.betaN0001"),)),
                )
            )
        contents = []
        for number in (1, 2):
            claimed = await store.uucp.executions.claim(f"E{number}")
            contents.append(claimed.files["D.betaN0001"].inline)
            await store.uucp.settle(Settled(NOW, executions=(done(f"E{number}"),)))
        return contents

    assert run(scenario) == [b"mail 1", b"mail 2"]


def test_executions_of_a_neighbour_run_one_at_a_time_and_best_grade_first(run):
    async def scenario(store):
        for name, neighbour, grade in (("E1", "beta", "N"), ("E2", "beta", "C"), ("E3", "c", "d")):
            new = execution(name, neighbour=neighbour, grade=grade)
            await store.uucp.received.complete(Completed(execution=new))
        order = [one.new.execution_id for one in await store.uucp.executions.due()]
        assert await store.uucp.executions.claim("E2") is not None
        assert await store.uucp.executions.claim("E1") is None
        assert await store.uucp.executions.claim("E3") is not None
        await store.uucp.executions.unclaim("E2")
        assert await store.uucp.executions.claim("E1") is not None
        return order

    assert run(scenario) == ["E2", "E1", "E3"]


def test_some_executions_of_a_neighbour_are_claimed_together_if_no_other_runs(run):
    async def scenario(store):
        executions = store.uucp.executions
        for number in range(1, 5):
            await store.uucp.received.complete(Completed(execution=execution(f"E{number}")))
        assert await executions.claim("E4") is not None
        assert await executions.claim_together(["E1", "E4"]) == []
        await executions.unclaim("E4")
        await executions.operate(Verb.HOLD, ["E2"], NOW)
        claimed = await executions.claim_together(["E1", "E2", "E3"])
        assert await executions.claim_together(["E4"]) == []
        assert await executions.claim("E4") is None
        return [one.execution.new.execution_id for one in claimed]

    assert run(scenario) == ["E1", "E3"]


@pytest.mark.parametrize("state", [WorkState.DONE, WorkState.FAILED])
def test_a_failed_execution_keeps_its_files_until_pruned_a_done_one_does_not(run, tmp_path, state):
    async def scenario(store):
        file = SpoolFile("beta", "D.betaN0001", long_content(store, "F"), NOW)
        new = execution(needs=(Need("D.betaN0001"),))
        await store.uucp.received.complete(Completed(file=file, execution=new))
        await store.uucp.executions.claim("E1")
        outcome = WorkOutcome("E1", state, "Exit status 67")
        await store.uucp.settle(
            Settled(NOW, executions=(outcome,), new_jobs=(job("OUT", content=Content.of(b"o")),))
        )
        left = content_files(tmp_path)
        assert [one.job_id for one in await store.uucp.jobs.find()] == ["OUT"]
        await store.uucp.prune(NOW + 1)
        assert await store.uucp.executions.find(finished=True) == []
        return left, content_files(tmp_path)

    assert run(scenario) == ([] if state is WorkState.DONE else ["F"], [])


def test_what_came_to_nothing_is_forgotten_in_time(run, tmp_path):
    async def scenario(store):
        for name in ("P1", "F1"):
            long_content(store, name)
        names = {path.name.partition(".")[0]: path for path in (tmp_path / "content").iterdir()}
        await store.uucp.received.begin_part(part(names["P1"].name))
        content = Content(len(BIG), path=names["F1"])
        await store.uucp.received.complete(
            Completed(
                Mark("beta", "D.0002", "D.x", 1, NOW),
                file=SpoolFile("beta", "D.betaN0009", content, NOW),
            )
        )
        assert await store.uucp.prune(NOW) == 0
        assert await store.uucp.prune(NOW + 1) == 3
        assert content_files(tmp_path) == []

    run(scenario)


# --- neighbours


def test_there_is_one_session_a_neighbour(run):
    record = SessionRecord("beta", True, "i", NOW, 2.5, 100, 200, 1, 2, 0, "", "tcp")

    async def scenario(store):
        neighbours = store.uucp.neighbours
        assert await neighbours.begin_session("beta")
        assert not await neighbours.begin_session("beta")
        assert await neighbours.begin_session("gamma")
        assert (await neighbours.statuses())["beta"].is_in_session
        await neighbours.end_session("beta", record)
        assert await neighbours.begin_session("beta")
        assert await neighbours.sessions("gamma") == []
        return await neighbours.sessions()

    assert run(scenario) == [record]


def test_conversations_are_counted_for_each_neighbour(run):
    async def scenario(store):
        neighbours = store.uucp.neighbours
        assert [await neighbours.next_sequence("beta") for _ in range(3)] == [1, 2, 3]
        assert await neighbours.next_sequence("gamma") == 1
        await neighbours.set_sequence("gamma", 41)
        assert await neighbours.next_sequence("gamma") == 42
        assert (await neighbours.statuses())["gamma"].sequence == 42

    run(scenario)


def test_a_job_gets_the_copy_of_its_file_once(run):
    async def scenario(store):
        await store.uucp.jobs.add([job()])
        with pytest.raises(NotClaimed):
            await store.uucp.jobs.attach("J1", Content.of(b"copy"))
        await store.uucp.jobs.claim(["J1"])
        await store.uucp.jobs.attach("J1", Content.of(b"copy"))
        with pytest.raises(NotClaimed):
            await store.uucp.jobs.attach("J1", Content.of(b"other"))
        await store.uucp.jobs.unclaim(["J1"])
        (claimed,) = await store.uucp.jobs.claim(["J1"])
        return claimed.job.size_bytes, claimed.content.inline

    assert run(scenario) == (4, b"copy")


def test_the_status_of_the_last_call_is_kept_beside_the_sequence(run):
    status = NeighbourStatus("beta", 2, "connection refused", 2, NOW, 1200)

    async def scenario(store):
        await store.uucp.neighbours.next_sequence("beta")
        await store.uucp.neighbours.set_status(status)
        return (await store.uucp.neighbours.statuses())["beta"]

    assert run(scenario) == replace(status, sequence=1)
