"""A program as a stream."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from relaynode.errors import ConnectFailed, LineLost, TimedOut
from relaynode.wire import pipe
from relaynode.wire.meter import ByteCount
from relaynode.wire.pipe import run_pipe

WAITS = [sys.executable, "-c", "import time; time.sleep(60)"]


def python(code):
    return [sys.executable, "-c", code]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def is_zombie(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def gone(process):
    """Returns when a process that is not our child is gone, or its remains wait for init."""
    while is_alive(process):
        if is_zombie(process):
            return
        await asyncio.sleep(0.01)


def test_what_is_written_is_its_input_and_its_output_is_read():
    async def scenario():
        count = ByteCount()
        stream = await run_pipe(["cat"], count=count)
        await stream.write(b"\0\xff one\r\n")
        assert await stream.read(10) == b"\0\xff one\r\n"
        await stream.close()
        return count

    count = asyncio.run(scenario())
    assert (count.bytes_out, count.bytes_in) == (8, 8)


def test_much_data_both_ways_at_once_does_not_stand_still():
    size = 2_000_000

    async def scenario():
        stream = await run_pipe(["cat"])

        async def reader():
            received = 0
            while received < size:
                received += len(await stream.read(20))
            return received

        reading = asyncio.ensure_future(reader())
        for _ in range(size // 20_000):
            await stream.write(bytes(20_000), 20)
        assert await reading == size
        await stream.close()

    asyncio.run(scenario())


def test_no_shell_sees_the_words():
    async def scenario():
        stream = await run_pipe(["printf", "%s", "$(id) `id`; x"])
        assert await stream.read(10) == b"$(id) `id`; x"
        await stream.close()

    asyncio.run(scenario())


def test_its_end_is_the_end_of_the_stream_and_writing_then_tells_the_exit_code():
    async def scenario():
        stream = await run_pipe(python("import sys; sys.exit(3)"))
        assert await stream.read(10) == b""
        assert await stream.read(10) == b""
        with pytest.raises(LineLost, match="ended with exit code 3"):
            while True:
                await stream.write(b"x" * 4096, 10)
                await asyncio.sleep(0)
        await stream.close()

    asyncio.run(scenario())


def test_silence_is_a_time_out_and_the_stream_goes_on():
    async def scenario():
        stream = await run_pipe(["cat"])
        with pytest.raises(TimedOut):
            await stream.read(0.01)
        await stream.write(b"x")
        assert await stream.read(10) == b"x"
        await stream.close()

    asyncio.run(scenario())


def test_a_program_that_is_not_there_is_told():
    with pytest.raises(ConnectFailed, match="/no/such: No such file or directory"):
        asyncio.run(run_pipe(["/no/such"]))
    with pytest.raises(ConnectFailed):
        asyncio.run(run_pipe(["/bin/sh\0"]))


def test_what_it_complains_about_goes_to_the_log_and_not_to_the_stream(caplog):
    code = (
        "import sys; print('no \\x1b route', file=sys.stderr); print('x' * 5000, file=sys.stderr)"
    )

    async def scenario():
        stream = await run_pipe(python(code))
        assert await stream.read(10) == b""
        await stream.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    first, second = caplog.messages
    assert first.endswith("]: no \\x1b route")
    assert len(second) < 1100


def test_closing_ends_its_input_and_waits_for_it(tmp_path):
    code = f"import sys; sys.stdin.read(); open('{tmp_path}/done', 'w').close()"

    async def scenario():
        stream = await run_pipe(python(code))
        await stream.close()
        return stream._process.returncode

    assert asyncio.run(scenario()) == 0
    assert (tmp_path / "done").exists()


def test_closing_kills_what_does_not_end_and_its_children(monkeypatch):
    monkeypatch.setattr(pipe, "END_SECONDS", 0.1)
    code = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )

    async def scenario():
        stream = await run_pipe(python(code))
        child = int(await stream.read(10))
        await stream.close()
        await asyncio.wait_for(gone(child), 10)
        return stream._process.returncode

    assert asyncio.run(scenario()) == -9


def test_children_that_it_left_behind_are_killed_too():
    code = (
        "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL).pid, flush=True)"
    )

    async def scenario():
        stream = await run_pipe(python(code))
        child = int(await stream.read(10))
        await stream.close()
        await asyncio.wait_for(gone(child), 10)

    asyncio.run(scenario())


def test_aborting_kills_at_once():
    async def scenario():
        stream = await run_pipe(WAITS)
        stream.abort()
        await asyncio.wait_for(stream._process.wait(), 10)
        assert await stream.read(10) == b""
        await stream.close()

    asyncio.run(scenario())
