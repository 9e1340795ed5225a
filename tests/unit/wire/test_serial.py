"""A serial line, with the master side of a pty as its other end."""

import asyncio
import contextlib
import os
import termios
import tty

import pytest

from relaynode.config.uucp_values import SerialLine
from relaynode.errors import BusyError, ConnectFailed, LineLost, TimedOut, TlsFailed
from relaynode.wire.meter import ByteCount
from relaynode.wire.serial import open_serial


@pytest.fixture
def line(tmp_path):
    """The other end's descriptor, and a line with a lock folder."""
    master, slave = os.openpty()
    tty.setraw(slave)
    made = SerialLine(device=os.ttyname(slave), speed=57600, has_hardflow=False)
    locks = tmp_path / "locks"
    locks.mkdir()
    yield master, slave, made, locks
    for descriptor in (master, slave):
        with contextlib.suppress(OSError):  # the test may have closed it
            os.close(descriptor)


def test_every_byte_passes_as_it_is_both_ways(line):
    master, _, made, locks = line
    every = bytes(range(256))

    async def scenario():
        count = ByteCount()
        stream = await open_serial(made, locks=locks, count=count)
        await stream.write(every, 10)
        assert await asyncio.to_thread(os.read, master, 1000) == every
        os.write(master, every)
        received = b""
        while len(received) < 256:
            received += await stream.read(10)
        assert received == every
        await stream.close()
        return count

    count = asyncio.run(scenario())
    assert (count.bytes_out, count.bytes_in) == (256, 256)


def test_the_line_is_set_to_its_speed_raw_and_to_hang_up(line):
    _, slave, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        settings = termios.tcgetattr(slave)
        await stream.close()
        return settings

    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = asyncio.run(scenario())
    assert ispeed == ospeed == termios.B57600
    assert not iflag & (termios.IXON | termios.IXOFF | termios.ICRNL)
    assert not oflag & termios.OPOST
    assert not lflag & (termios.ICANON | termios.ECHO)
    assert cflag & termios.HUPCL
    assert cflag & termios.CLOCAL
    assert not cflag & termios.PARENB
    assert cflag & termios.CSIZE == termios.CS8
    assert cc[termios.VMIN] in (1, b"\1")


def test_a_line_without_a_speed_keeps_its_own(line):
    _, slave, made, locks = line
    settings = termios.tcgetattr(slave)
    settings[4] = settings[5] = termios.B2400
    termios.tcsetattr(slave, termios.TCSANOW, settings)

    async def scenario():
        stream = await open_serial(SerialLine(device=made.device), locks=locks)
        speed = termios.tcgetattr(slave)[5]
        stream.abort()
        return speed

    assert asyncio.run(scenario()) == termios.B2400


def test_hardware_flow_control_is_as_it_is_wished(line):
    _, slave, made, locks = line

    async def scenario(has_hardflow):
        wished = SerialLine(device=made.device, speed=9600, has_hardflow=has_hardflow)
        stream = await open_serial(wished, locks=locks)
        flags = termios.tcgetattr(slave)[2]
        await stream.close()
        return bool(flags & termios.CRTSCTS)

    assert asyncio.run(scenario(True)) is True
    assert asyncio.run(scenario(False)) is False


def test_the_carrier_is_watched_when_that_is_wished(line):
    _, slave, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        stream.watch_carrier(True)
        watched = termios.tcgetattr(slave)[2] & termios.CLOCAL
        stream.watch_carrier(False)
        ignored = termios.tcgetattr(slave)[2] & termios.CLOCAL
        stream.abort()
        return bool(watched), bool(ignored)

    assert asyncio.run(scenario()) == (False, True)


def test_silence_is_a_time_out_and_nothing_is_lost(line):
    master, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        with pytest.raises(TimedOut):
            await stream.read(0.01)
        os.write(master, b"late")
        assert await stream.read(10) == b"late"
        await stream.close()

    asyncio.run(scenario())


def test_an_other_end_that_takes_nothing_is_a_time_out(line):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        with pytest.raises(TimedOut, match="took nothing"):
            await stream.write(bytes(1_000_000), 0.2)
        stream.abort()

    asyncio.run(scenario())


def test_much_data_both_ways_at_once_does_not_stand_still(line):
    master, _, made, locks = line
    size = 200_000

    def echo():
        left = size
        while left:
            data = os.read(master, 4096)
            os.write(master, data)
            left -= len(data)

    async def scenario():
        stream = await open_serial(made, locks=locks)
        echoing = asyncio.get_running_loop().run_in_executor(None, echo)
        writing = asyncio.ensure_future(stream.write(bytes(size), 60))
        received = 0
        while received < size:
            received += len(await stream.read(60))
        await writing
        await echoing
        await stream.close()

    asyncio.run(scenario())


def test_a_line_that_is_hung_up_has_ended(line):
    master, slave, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        reading = asyncio.ensure_future(stream.read(10))
        await asyncio.sleep(0)
        os.close(slave)
        os.close(master)
        assert await reading == b""
        stream.abort()

    asyncio.run(scenario())


def test_aborting_wakes_who_reads_and_the_stream_is_of_no_more_use(line):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        stream.abort()
        stream.abort()
        with pytest.raises(LineLost, match="closed"):
            await reading
        with pytest.raises(LineLost):
            await stream.write(b"x")
        with pytest.raises(LineLost):
            stream.has_carrier()
        await stream.close()
        assert stream.backlog() == 0

    asyncio.run(scenario())


def test_a_line_is_locked_while_it_is_open(line):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        (lock,) = locks.iterdir()
        assert lock.name == f"LCK..{made.device.rpartition('/')[2]}"
        assert lock.read_text() == f"{os.getpid():10}\n"
        with pytest.raises(BusyError):
            await open_serial(made, locks=locks)
        await stream.close()
        assert list(locks.iterdir()) == []

    asyncio.run(scenario())


def test_a_line_of_another_program_is_left_alone(line):
    _, _, made, locks = line
    named = SerialLine(device=made.device, lock_name="LCK..shared")
    (locks / "LCK..shared").write_text(f"{os.getppid():10}\n")
    with pytest.raises(BusyError):
        asyncio.run(open_serial(named, locks=locks))


@pytest.mark.parametrize("device", ["/dev/none", "/dev/null"])
def test_what_is_no_line_is_told_and_leaves_no_lock(tmp_path, device):
    with pytest.raises(ConnectFailed, match=device):
        asyncio.run(open_serial(SerialLine(device=device), locks=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_pty_has_no_carrier_to_ask_for_and_says_so(line):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        with pytest.raises(LineLost, match="no carrier signal"):
            await stream.wait_for_carrier(5)
        stream.abort()

    asyncio.run(scenario())


def test_a_carrier_that_does_not_come_is_a_call_that_failed(line, monkeypatch):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        monkeypatch.setattr(type(stream), "has_carrier", lambda _: False)
        with pytest.raises(ConnectFailed, match=r"no carrier within 0\.01 s"):
            await stream.wait_for_carrier(0.01)
        stream.abort()

    asyncio.run(scenario())


def test_there_is_no_tls_and_a_break_is_sent(line):
    _, _, made, locks = line

    async def scenario():
        stream = await open_serial(made, locks=locks)
        await stream.send_break()
        await stream.toggle_dtr()
        with pytest.raises(TlsFailed):
            await stream.start_tls(None, None)
        await stream.close()

    asyncio.run(scenario())
