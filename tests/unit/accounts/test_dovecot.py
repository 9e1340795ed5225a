"""Dovecot's auth socket, played by a script; tests/interop asks the real one."""

import asyncio
import base64
import socket
import threading

import pytest

from relaynode.accounts.answers import Denied, Later, More, Passed, Visitor
from relaynode.accounts.dovecot import DovecotChecker

HELLO = (
    "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\nMECH\tGSSAPI\n"
    "MECH\tEXTERNAL\tprivate\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n"
)
VISITOR = Visitor("smtp", "192.0.2.1", True)


class Script:
    """Says a line for each that it hears behind the greeting; `heard` is all of those."""

    def __init__(self, path, *lines, hello=HELLO):
        self.heard = []
        self._lines = lines
        self._hello = hello
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            connection, _ = self._listener.accept()
            if not self._hello:
                connection.close()
                continue
            with connection, connection.makefile("rw", newline="\n") as file:
                file.write(self._hello)
                file.flush()
                for line in self._lines:
                    self.heard.append(self._next(file))
                    file.write(line)
                    file.flush()
                if all(self._lines):  # an empty one: it goes away
                    self._next(file)

    def _next(self, file):
        while (line := file.readline()).startswith(("VERSION", "CPID")):
            pass
        return line.rstrip("\n").split("\t")


def steps(path, mechanism, *responses):
    """What each of the responses leads to."""

    async def run():
        talk = DovecotChecker(path).open(mechanism, VISITOR)
        answers = [await talk.step(response) for response in responses]
        talk.close()
        return answers

    return asyncio.run(run())


def test_it_is_told_who_asks_and_the_response_comes_last(tmp_path):
    script = Script(tmp_path / "s", "OK\t1\tuser=alice\tx=y\n")
    assert steps(tmp_path / "s", "PLAIN", b"\0alice\0sesame") == [Passed("alice")]
    response = base64.b64encode(b"\0alice\0sesame").decode()
    assert script.heard == [
        [*"AUTH 1 PLAIN service=smtp nologin secured rip=192.0.2.1".split(), f"resp={response}"]
    ]


def test_challenges_and_what_comes_along_with_success_pass_through(tmp_path):
    final = base64.b64encode(b"v=proof").decode()
    challenge = base64.b64encode(b"<1@d>").decode()
    script = Script(tmp_path / "s", f"CONT\t1\t{challenge}\n", f"OK\t1\tuser=a\tresp={final}\n")
    assert steps(tmp_path / "s", "CRAM-MD5", None, b"a 0", b"") == [
        More(b"<1@d>"),
        More(b"v=proof"),
        Passed("a"),
    ]
    assert script.heard[0][-1] == "rip=192.0.2.1"
    assert script.heard[1] == ["CONT", "1", base64.b64encode(b"a 0").decode()]


@pytest.mark.parametrize(
    "line, answer",
    [
        ("FAIL\t1\tuser=alice\n", Denied),
        ("FAIL\t1\tuser=alice\ttemp\treason=x\n", Later),
        ("OK\t1\n", Later),
        ("OK\t1\tuser=\n", Later),
        ("CONT\t1\t%%%\n", Later),
        ("WHAT\n", Later),
        ("\n", Later),
        ("", Later),
        ("x" * 40_000, Later),
    ],
)
def test_whatever_it_says_there_is_an_answer(tmp_path, line, answer):
    Script(tmp_path / "s", line)
    (found,) = steps(tmp_path / "s", "PLAIN", b"\0alice\0sesame")
    assert isinstance(found, answer)


def test_mechanisms_are_those_that_it_offers_and_we_can_carry(tmp_path):
    async def mechanisms():
        checker = DovecotChecker(tmp_path / "s")
        before = await checker.mechanisms()
        Script(tmp_path / "s")
        return before, await checker.mechanisms()

    before, then = asyncio.run(mechanisms())
    assert before == ("PLAIN", "LOGIN")
    assert then == ("CRAM-MD5", "PLAIN")


@pytest.mark.parametrize("hello", ["", "VERSION\t2\t0\nDONE\n", "x" * 40_000])
def test_a_stranger_on_the_socket_is_not_believed(tmp_path, hello):
    Script(tmp_path / "s", hello=hello)
    assert isinstance(steps(tmp_path / "s", "PLAIN", b"x")[0], Later)
    assert isinstance(steps(tmp_path / "none", "PLAIN", b"x")[0], Later)
