"""Commands of neighbours, really run: what they see, how they end, what comes of that."""

import asyncio
import json
import os
import shutil
import sys
import time
from dataclasses import replace

import pytest

from relaynode.errors import StoreError, StoreFull
from relaynode.mailers.users import User
from relaynode.neighbours import Terms
from relaynode.queue.content import INLINE_BYTES
from relaynode.queue.memory import MemoryStore
from relaynode.queue.uucp.model import (
    Completed,
    JobKind,
    Need,
    NewExecution,
    SpoolFile,
    WorkState,
)
from relaynode.uucico import running
from relaynode.uucico.executor import MAX_TRIES, Executor, ExecutorSettings
from relaynode.uucico.post import LetterRate
from relaynode.uucico.running import Ran

NOW = 1_800_000_000.0
INPUT = "D.betaN0001"

PYTHON = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin") or sys.executable
"""One that whoever runs a command can reach."""

SHOW = """#!{python}
import json, os, sys
print(json.dumps(dict(
    arguments=sys.argv[1:], name=os.path.basename(sys.argv[0]), environment=dict(os.environ),
    folder=os.getcwd(), files=sorted(os.listdir(".")), input=sys.stdin.read(),
    descriptors=sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
    session=os.getsid(0) == os.getpid(), uid=os.getuid())))
"""


class Letters:
    def __init__(self, store):
        self.sent = []
        self._store = store

    async def send(self, letter, settled=None):
        if settled is not None:
            await self._store.uucp.settle(settled)
        self.sent.append(letter)


class Stage:
    def __init__(self, store, folder):
        self.store = store
        self.folder = folder
        self.now = NOW
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.public = folder / "public"
        self.public.mkdir()
        self.letters = Letters(store)
        self.terms = Terms(
            our_name="alpha",
            public=self.public,
            commands=("show", "rmail", "script", "not-installed"),
            command_path=(str(self.bin), "/usr/bin", "/bin"),
        )
        self.settings = ExecutorSettings(folder / "work", "alpha.example", _user(), 20.0)
        self.builtins = {}
        self.short = ()
        self.rate = LetterRate()
        self.program("show", SHOW.format(python=PYTHON))

    def program(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def script(self, text):
        self.program("script", f"#!/bin/sh\n{text}\n")

    def executor(self):
        return Executor(
            self.store,
            lambda name: self.terms if name in ("beta", "gamma") else None,
            self.letters,
            self.settings,
            clock=lambda: self.now,
            builtins=self.builtins,
            rate=self.rate,
            short=self.short,
        )

    async def run(self, *command, execution_id="E1", data=b"data", files=(), **more):
        """Queue an execution with its input and run what is due; how it stands then."""
        neighbour = more.pop("neighbour", "beta")
        needs = [Need(name, as_name) for name, as_name, _ in files]
        for name, _, content in files:
            await self.put(name, content, neighbour)
        if data is not None:
            await self.put(INPUT, data, neighbour)
            needs.append(Need(INPUT))
            more = {"input_name": INPUT, **more}
        new = NewExecution(
            execution_id, neighbour, "dave", command, self.now, needs=tuple(needs), **more
        )
        await self.store.uucp.received.complete(Completed(execution=new))
        await self.executor().run_due()
        return await self.state(execution_id)

    async def put(self, name, data, neighbour="beta"):
        draft = self.store.draft(f"F{os.urandom(4).hex()}")
        draft.write(data)
        file = SpoolFile(neighbour, name, draft.finish(), self.now)
        await self.store.uucp.received.complete(Completed(file=file))

    async def state(self, execution_id="E1"):
        found = await self.store.uucp.executions.find(finished=True)
        return next(one for one in found if one.new.execution_id == execution_id)

    async def shown(self):
        """What `show` saw."""
        (job,) = await self.store.uucp.jobs.find()
        (claimed,) = await self.store.uucp.jobs.claim([job.job_id])
        return json.loads(b"".join(claimed.content.pieces()))


def _user():
    """Somebody to become, if we are root: whoever may search the test's folders."""
    return User("nobody", None, 65534, 65534) if os.geteuid() == 0 else None


OUT = {"output": "D.out0001", "output_system": "beta"}


@pytest.fixture
def play(tmp_path, monkeypatch):
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != path.parent:
            path.chmod(path.stat().st_mode | 0o711)

    def run(scenario):
        async def act():
            store = MemoryStore(tmp_path / "spool", clock=lambda: NOW)
            try:
                return await scenario(Stage(store, tmp_path))
            finally:
                await store.close()

        return asyncio.run(act())

    return run


@pytest.mark.parametrize("size", [0, 5, INLINE_BYTES + 1])
def test_a_command_gets_its_input_and_is_done(play, size):
    async def scenario(stage):
        ended = await stage.run("show", "a", "b", data=b"x" * size, **OUT)
        assert ended.state is WorkState.DONE
        shown = await stage.shown()
        assert (shown["arguments"], shown["input"]) == (["a", "b"], "x" * size)
        assert stage.letters.sent == []
        assert list((stage.folder / "work").iterdir()) == []

    play(scenario)


def test_arguments_arrive_as_they_are_and_no_shell_sees_them(play, tmp_path):
    strange = [";", "$(touch x)", "`id`", "a'b", '"', "|", ">", "&", "*", "b\udce9b", "-x"]

    async def scenario(stage):
        await stage.run("show", *strange, **OUT)
        shown = await stage.shown()
        assert shown["arguments"] == strange
        assert shown["files"] == []

    play(scenario)


def test_a_command_sees_nothing_of_us(play, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("TZ", "UTC")

    async def scenario(stage):
        await stage.run("show", **OUT)
        shown = await stage.shown()
        environment = shown["environment"]
        environment.pop("LC_CTYPE", None)  # the interpreter's own
        assert set(environment) == {
            *("PATH", "HOME", "SHELL", "USER", "LOGNAME", "TERM", "TZ", "UU_MACHINE", "UU_USER")
        }
        assert environment["PATH"] == f"{stage.bin}:/usr/bin:/bin"
        assert (environment["UU_MACHINE"], environment["UU_USER"]) == ("beta", "dave")
        assert shown["folder"].startswith(str(stage.folder / "work"))
        assert shown["session"] is True
        assert len(shown["descriptors"]) <= 4  # the three, and the folder being listed
        if os.geteuid() == 0:
            assert shown["uid"] == 65534

    play(scenario)


def test_without_input_there_is_an_empty_one(play):
    async def scenario(stage):
        await stage.run("show", data=None, **OUT)
        assert (await stage.shown())["input"] == ""

    play(scenario)


def test_files_are_found_under_their_names_as_copies(play):
    async def scenario(stage):
        stage.script("cat paper.txt && echo spoilt > paper.txt && exit 75")
        files = [("D.betaN0002", "paper.txt", b"paper"), ("D.betaN0003", "", b"other")]
        await stage.run("script", files=files)
        stage.script("cat paper.txt D.betaN0003; test ! -e D.betaN0001")
        stage.now += 10_000
        await stage.executor().run_due()
        assert (await stage.state()).state is WorkState.DONE

    play(scenario)


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "."])
def test_a_file_is_put_nowhere_else_even_if_the_row_says_so(play, name):
    async def scenario(stage):
        ended = await stage.run("show", files=[("D.betaN0002", name, b"evil")])
        assert ended.state is WorkState.WAITING
        assert list((stage.folder / "work").iterdir()) == []

    play(scenario)


def test_the_exit_code_tells_done_from_later_from_never(play):
    async def scenario(stage):
        for number, (code, state) in enumerate(
            [(0, WorkState.DONE), (75, WorkState.WAITING), (67, WorkState.FAILED)]
        ):
            stage.script(f"echo complaint >&2; exit {code}")
            ended = await stage.run("script", execution_id=f"E{number}")
            assert ended.state is state
        (letter,) = stage.letters.sent
        assert letter.to == "beta!dave"
        assert "exit status 67" in letter.text
        assert "    complaint" in letter.text

    play(scenario)


def test_what_asks_for_another_try_each_time_fails_in_the_end(play):
    async def scenario(stage):
        stage.script("exit 75")
        await stage.run("script")
        tries = 1
        while (ended := await stage.state()).state is WorkState.WAITING:
            assert await stage.executor().run_due() == 0, "not before its time"
            stage.now = ended.next_attempt_at
            assert await stage.executor().run_due() == 1
            tries += 1
        assert (ended.state, tries) == (WorkState.FAILED, MAX_TRIES)
        assert len(stage.letters.sent) == 1

    play(scenario)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(play):
    async def scenario(stage):
        stage.settings = replace(stage.settings, timeout_seconds=0.3)
        stage.script(f"(sleep 2; touch {stage.public}/late) & sleep 60")
        began = time.monotonic()
        ended = await stage.run("script")
        assert ended.state is WorkState.WAITING
        assert "longer than" in ended.last_error
        assert time.monotonic() - began < 30

    play(scenario)


def test_a_command_that_leaves_something_running_does_not_hold_us(play):
    async def scenario(stage):
        stage.script("sleep 60 & exit 0")
        began = time.monotonic()
        ended = await stage.run("script")
        assert ended.state is WorkState.DONE
        assert time.monotonic() - began < 30

    play(scenario)


def test_a_command_that_prints_without_end_is_stopped(play, monkeypatch):
    monkeypatch.setattr(running, "MAX_OUTPUT_BYTES", 100_000)

    async def scenario(stage):
        stage.script("exec yes")
        ended = await stage.run("script", **OUT)
        assert (ended.state, "printed more" in ended.last_error) == (WorkState.WAITING, True)
        assert await stage.store.uucp.jobs.find() == []

    play(scenario)


def test_endless_complaints_are_read_and_cut(play):
    async def scenario(stage):
        stage.script("head -c 1000000 /dev/zero | tr '\\\\0' x >&2; exit 1")
        ended = await stage.run("script")
        assert ended.state is WorkState.FAILED
        (letter,) = stage.letters.sent
        assert len(letter.text) < 10_000

    play(scenario)


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        ("", 0, False),
        ("n", 0, True),
        ("", 1, True),
        ("Z", 1, True),
        ("N", 1, False),
        ("N", 0, False),
        ("B", 1, True),
    ],
)
def test_who_is_told_is_what_the_flags_say(play, flags, code, told):
    async def scenario(stage):
        stage.script(f"exit {code}")
        await stage.run("script", data=b"the input", flags=flags)
        assert len(stage.letters.sent) == told
        if told:
            assert ("the input" in stage.letters.sent[0].text) == ("B" in flags)

    play(scenario)


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("", "beta!dave"),
        ("carl", "beta!carl"),
        ("gamma!carl", "beta!gamma!carl"),
        ("carl@example.org", "carl@example.org"),
    ],
)
def test_letters_go_to_the_result_address_seen_from_the_neighbour(play, address, to):
    async def scenario(stage):
        stage.script("exit 1")
        await stage.run("script", result_address=address)
        (letter,) = stage.letters.sent
        assert letter.to == to

    play(scenario)


def test_letters_on_behalf_of_one_neighbour_are_bounded(play):
    async def scenario(stage):
        stage.rate = LetterRate(2)
        for number in range(4):
            ended = await stage.run("sh", execution_id=f"E{number}")
            assert ended.state is WorkState.FAILED
        assert len(stage.letters.sent) == 2
        await stage.run("sh", execution_id="E8", neighbour="gamma")
        stage.now += 3601
        await stage.run("sh", execution_id="E9")
        assert len(stage.letters.sent) == 4

    play(scenario)


@pytest.mark.parametrize(
    "command",
    [
        ("sh", "-c", "touch x"),
        ("/bin/sh", "-c", "x"),
        ("../bin/show",),
        ("rmail", "-oQ/tmp"),
        ("show", "/etc/passwd"),
        ("uux", "gamma!rmail", "x"),
        ("not-installed", "bob"),
    ],
)
def test_what_must_not_or_cannot_be_run_fails_with_a_letter(play, command):
    async def scenario(stage):
        ended = await stage.run(*command)
        assert ended.state is WorkState.FAILED
        assert len(stage.letters.sent) == 1
        assert stage.letters.sent[0].text.isascii()

    play(scenario)


def test_what_the_list_does_not_allow_any_more_is_not_run(play):
    async def scenario(stage):
        stage.terms = replace(stage.terms, commands=("rmail",))
        assert (await stage.run("show")).state is WorkState.FAILED
        ended = await stage.run("rmail", "x", execution_id="E2", neighbour="stranger")
        assert ended.state is WorkState.FAILED

    play(scenario)


# --- output and input that lie elsewhere


def test_output_goes_back_as_a_job_of_the_same_grade(play):
    async def scenario(stage):
        stage.script("cat; echo more")
        await stage.run("script", data=b"data\n", grade="C", **OUT)
        (job,) = await stage.store.uucp.jobs.find()
        assert (job.neighbour, job.kind, job.target, job.grade, job.user) == (
            "beta",
            JobKind.SEND,
            "D.out0001",
            "C",
            "dave",
        )
        (claimed,) = await stage.store.uucp.jobs.claim([job.job_id])
        assert b"".join(claimed.content.pieces()) == b"data\nmore\n"

    play(scenario)


def test_output_of_a_command_that_failed_goes_nowhere(play):
    async def scenario(stage):
        stage.script("head -c 200000 /dev/zero; exit 1")
        await stage.run("script", **OUT)
        assert await stage.store.uucp.jobs.find() == []
        assert [path.name[0] for path in (stage.folder / "spool/content").iterdir()] == []

    play(scenario)


def test_output_for_here_goes_into_the_public_folder(play):
    async def scenario(stage):
        stage.script("echo out")
        await stage.run("script", output="~/out/x")
        assert (stage.public / "out/x").read_text() == "out\n"

    play(scenario)


@pytest.mark.parametrize(
    "where",
    [
        {"output": "/etc/evil"},
        {"output": "~/../evil"},
        {"output": "~/closed/x"},
        {"output": "~root/x"},
        {"output": "C.x", "output_system": "beta"},
        {"output": "D.x", "output_system": "delta"},
        {"output": "D.x", "output_system": "../x"},
    ],
)
def test_output_that_may_not_go_where_it_shall_is_not_even_made(play, where):
    async def scenario(stage):
        stage.terms = replace(stage.terms, remote_receive=("~", "!~/closed"))
        stage.script(f"touch {stage.public}/was-run")
        ended = await stage.run("script", **where)
        assert ended.state is WorkState.FAILED
        assert list(stage.public.iterdir()) == []

    play(scenario)


def test_output_that_cannot_be_placed_fails_and_does_not_stop_the_others(play):
    async def scenario(stage):
        (stage.public / "file").write_text("no folder")
        stage.script("echo out")
        ended = await stage.run("script", output="~/file/x")
        assert ended.state is WorkState.FAILED
        assert (await stage.run("script", execution_id="E2")).state is WorkState.DONE

    play(scenario)


def test_input_may_be_a_public_file_and_nothing_else(play):
    async def scenario(stage):
        (stage.public / "in").write_text("public")
        (stage.public / "link").symlink_to("/etc/passwd")
        await stage.run("show", data=None, input_name="~/in", **OUT)
        assert (await stage.shown())["input"] == "public"
        for number, name in enumerate(
            ["/etc/passwd", "~/link", "~/none", "D./../../x", "~/../x", "~root/x"]
        ):
            ended = await stage.run("show", execution_id=f"X{number}", data=None, input_name=name)
            assert ended.state is WorkState.FAILED, name

    play(scenario)


# --- faults of ours


def test_an_input_that_is_gone_is_tried_again_and_holds_up_nobody(play):
    async def scenario(stage):
        await stage.put(INPUT, b"x" * (INLINE_BYTES + 1))
        for path in (stage.folder / "spool/content").iterdir():
            path.unlink()
        new = NewExecution(
            "E1", "beta", "dave", ("show",), NOW, "A", input_name=INPUT, needs=(Need(INPUT),)
        )
        await stage.store.uucp.received.complete(Completed(execution=new))
        assert (await stage.run("show", execution_id="E2", data=None)).state is WorkState.DONE
        assert (await stage.state("E1")).state is WorkState.WAITING

    play(scenario)


def test_a_full_disk_leaves_the_execution_as_it_was(play):
    async def scenario(stage):
        async def full(claimed, done):
            raise StoreFull("no room")

        stage.builtins = {"rmail": full}
        with pytest.raises(StoreFull):
            await stage.run("rmail", "bob")
        found = await stage.state()
        assert (found.state, found.is_claimed, found.tries) == (WorkState.WAITING, False, 0)

    play(scenario)


def test_a_program_that_is_none_is_tried_again(play):
    async def scenario(stage):
        stage.program("script", "\x7fELF but not really")
        ended = await stage.run("script")
        assert (ended.state, ended.tries) == (WorkState.WAITING, 1)

    play(scenario)


def test_a_file_that_never_comes_is_waited_for_a_week(play):
    async def scenario(stage):
        new = NewExecution("E1", "beta", "dave", ("show",), NOW, needs=(Need("D.none"),))
        await stage.store.uucp.received.complete(Completed(execution=new))
        stage.now += 7 * 24 * 3600 - 1
        await stage.executor().run_due()
        assert (await stage.state()).state is WorkState.WAITING
        stage.now += 1
        await stage.executor().run_due()
        assert (await stage.state()).state is WorkState.FAILED
        assert "has not come" in stage.letters.sent[0].text

    play(scenario)


def test_executions_of_one_neighbour_run_one_after_the_other(play):
    async def scenario(stage):
        stage.script(f"mkdir {stage.public}/busy || exit 1; sleep 0.05; rmdir {stage.public}/busy")
        stage.public.chmod(0o777)
        for number in range(5):
            new = NewExecution(f"E{number}", "beta", "dave", ("script",), NOW)
            await stage.store.uucp.received.complete(Completed(execution=new))
        ran = await asyncio.gather(stage.executor().run_due(), stage.executor().run_due())
        while await stage.executor().run_due():
            pass
        assert sum(ran) >= 5
        states = {one.state for one in await stage.store.uucp.executions.find(finished=True)}
        assert states == {WorkState.DONE}

    play(scenario)


# --- commands that this program knows itself


def test_a_builtin_command_ends_the_execution_in_its_own_commit(play):
    async def scenario(stage):
        async def rmail(claimed, done):
            assert claimed.files[INPUT].inline == b"mail"
            await stage.store.uucp.settle(done)

        stage.builtins = {"rmail": rmail}
        assert (await stage.run("rmail", "bob", data=b"mail")).state is WorkState.DONE

    play(scenario)


class Crowd:
    """A builtin that waits until so many run at once, and fails for E1."""

    def __init__(self, stage, size):
        self._stage = stage
        self._size = size
        self._ids = []
        self._is_full = asyncio.Event()

    async def __call__(self, claimed, done):
        self._ids.append(claimed.execution.new.execution_id)
        if len(self._ids) % self._size == 0:
            self._is_full.set()
        await asyncio.wait_for(self._is_full.wait(), 10)
        if claimed.execution.new.execution_id == "E1":
            return Ran(67, "no such user")
        await self._stage.store.uucp.settle(done)
        return None


def test_short_builtins_of_one_neighbour_run_together_and_end_each_for_itself(play):
    async def scenario(stage):
        stage.builtins, stage.short = {"rmail": Crowd(stage, 3)}, ("rmail",)
        for number in range(3):
            new = NewExecution(f"E{number}", "beta", "dave", ("rmail", "bob"), NOW)
            await stage.store.uucp.received.complete(Completed(execution=new))
        assert await stage.executor().run_due() == 3
        found = await stage.store.uucp.executions.find(finished=True)
        assert {one.new.execution_id: one.state for one in found} == {
            "E0": WorkState.DONE,
            "E1": WorkState.FAILED,
            "E2": WorkState.DONE,
        }

    play(scenario)


def test_a_short_command_waits_for_the_program_before_it(play):
    async def scenario(stage):
        order = []

        async def rmail(claimed, done):
            order.append((stage.public / "end").exists())
            await stage.store.uucp.settle(done)

        stage.script(f"sleep 0.05; touch {stage.public}/end")
        stage.public.chmod(0o777)
        stage.builtins, stage.short = {"rmail": rmail}, ("rmail",)
        for number, command in enumerate((("script",), ("rmail", "bob"), ("rmail", "eve"))):
            new = NewExecution(f"E{number}", "beta", "dave", command, NOW + number)
            await stage.store.uucp.received.complete(Completed(execution=new))
        assert await stage.executor().run_due() == 3
        assert order == [True, True]

    play(scenario)


def test_no_room_for_one_of_several_leaves_it_for_later(play):
    async def scenario(stage):
        async def rmail(claimed, done):
            if claimed.execution.new.execution_id == "E1":
                raise StoreFull("no room")
            await stage.store.uucp.settle(done)

        stage.builtins, stage.short = {"rmail": rmail}, ("rmail",)
        for number in range(3):
            new = NewExecution(f"E{number}", "beta", "dave", ("rmail", "bob"), NOW)
            await stage.store.uucp.received.complete(Completed(execution=new))
        with pytest.raises(StoreFull):
            await stage.executor().run_due()
        (left,) = await stage.store.uucp.executions.find()
        assert (left.new.execution_id, left.is_claimed, left.tries) == ("E1", False, 0)

    play(scenario)


def test_a_builtin_command_must_be_on_the_list_and_may_refuse(play):
    async def scenario(stage):
        async def refuse(claimed, done):
            return Ran(67, "no such user")

        stage.builtins = {"rmail": refuse, "rsmtp": refuse}
        ended = await stage.run("rmail", "bob")
        assert (ended.state, ended.last_error) == (WorkState.FAILED, "exit status 67")
        ended = await stage.run("rsmtp", execution_id="E2")
        assert ended.last_error == "not permitted to execute rsmtp"

    play(scenario)


def test_a_program_that_is_named_by_its_path_is_run_instead_of_the_builtin(play):
    async def scenario(stage):
        async def never(claimed, done):
            raise AssertionError("the builtin was run")

        stage.builtins = {"rmail": never}
        stage.program("rmail", SHOW.format(python=PYTHON))
        stage.terms = replace(stage.terms, commands=("rnews", f"{stage.bin}/rmail"))
        assert (await stage.run("rmail", "bob", **OUT)).state is WorkState.DONE
        assert (await stage.shown())["arguments"] == ["bob"]

    play(scenario)


def test_what_the_store_refuses_counts_as_a_try(play):
    async def scenario(stage):
        async def broken(claimed, done):
            raise StoreError("a page is damaged")

        stage.builtins = {"rmail": broken}
        ended = await stage.run("rmail", "bob")
        assert (ended.state, ended.tries) == (WorkState.WAITING, 1)

    play(scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody")
def test_nothing_is_run_as_root(play):
    async def scenario(stage):
        stage.settings = replace(stage.settings, user=None)
        ended = await stage.run("show")
        assert (ended.state, "as root" in ended.last_error) == (WorkState.WAITING, True)

    play(scenario)
