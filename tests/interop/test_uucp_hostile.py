"""Neighbours that ask for what they may not have, and callers that are nobody's neighbours."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.hostile_uucp import HostileCaller
from peers.processes import free_port, wait_until
from uucp_node import Commands, UucpNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nodes import NodeDaemon

SEED = 30
ENDLESS_BYTES = 100 * 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


class Target:
    """A node with a neighbour beta, a link out of its public folder, and things to be stolen."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.commands = Commands(home / "commands", "rmail", "evil")
        self.node = UucpNode(
            home / "alpha",
            '[neighbour.beta]\ncalled_login = "Ubeta"\ncalled_password_file = "pw"\n'
            "max_remote_request_bytes = 1000000\n"
            f'commands = ["{self.commands.folder}/rmail"]\n'
            '[neighbour.gamma]\ncalled_login = "Ugamma"\ncalled_password_file = "pw"\n'
            f'[listen.x]\nuucp = ["127.0.0.1:{self.port}"]\n',
        )
        elsewhere = home / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        (elsewhere / "secret").write_text("secret")
        self.node.public.mkdir(parents=True)
        (self.node.public / "link").symlink_to(elsewhere)
        (self.node.public / "secret").symlink_to(elsewhere / "secret")

    def outside(self) -> dict[str, bytes]:
        """All files but those of the spool and the public folder, and what was run."""
        spool = self.node.folder / "spool"
        kept = self.commands.folder / "kept"
        return {
            str(path): path.read_bytes()
            for path in self.home.rglob("*")
            if path.is_file() and path.name != "daemon.log"
            if not path.is_relative_to(spool) and not path.is_relative_to(kept)
        }

    def public(self) -> set[str]:
        return {str(path.relative_to(self.node.public)) for path in self.node.public.rglob("*")}

    @contextlib.contextmanager
    def attacked(self) -> Iterator[tuple[HostileCaller, NodeDaemon]]:
        """A conversation of beta's, and what must hold behind it."""
        before = self.outside()
        with self.node.daemon() as daemon:
            with HostileCaller(self.port) as beta:
                beta.log_in("Ubeta")
                assert beta.shake_hands("beta").startswith(b"ROKN0")
                yield beta, daemon
            self.node.wait_for_idle(1)
            assert "Traceback" not in daemon.log()
        assert self.outside() == before
        assert not Path("/etc/evil").exists()


def offer(target: str, *, letter: str = "S", temp: str = "D.0001", tail: str = "0x4") -> str:
    return f'{letter} from {target} user -C {temp} 0644 "" {tail}'


TARGETS = [
    "/etc/evil",
    "/etc/../etc/evil",
    "../evil",
    "~/../evil",
    "~/a/../../evil",
    "~/./../evil",
    "~root/evil",
    "~/link/../../evil",
    "C.evil",
    "C.alphaN0001",
    "D./../evil",
    "D.x/../../evil",
    "X./../evil",
    "D.",
    "D..",
    "D.\udcff\udcfe",
    "D." + "x" * 300,
    "~/" + "x" * 1500,
]
SOURCES = ["/etc/passwd", "../alpha/pw", "~/../../pw", "~root/x", "D.0001", "X.0001", "~/secret"]
COMMANDS = [
    "sh",
    "/bin/sh",
    "evil",
    "./rmail",
    "../commands/evil",
    "rmail -oQ/tmp/evil bob",
    "rmail |evil",
    "rmail /etc/passwd",
    "rmail;evil",
    "ALL",
]


def test_names_that_lead_out_are_refused_on_the_wire_and_in_the_log(home):
    target = Target(home)
    with target.attacked() as (beta, daemon):
        for name in TARGETS:
            assert beta.ask(offer(name)) == b"SN2", name
        for name in SOURCES:
            assert beta.ask(f"R {name} x user -") == b"RN2", name
        assert beta.ask(offer("~/link/evil")) in (b"SN2", b"SN4") or beta.send(b"evil") == b"CN5"
        assert beta.ask("R ~/link/secret x user -") == b"RN2"
        for name in ("/etc/*", "~/../*", "~/link/*"):
            assert beta.ask(f"X {name} beta!~/x user -") == b"XN", name
        assert beta.ask("X ~/* gamma!~/x user -") == b"XN"
        # After all that it is still served.
        assert beta.ask(offer("~/good")) == b"SY"
        assert beta.send(b"good") == b"CY"
        beta.hang_up()
        assert wait_until(lambda: "Call complete" in daemon.log(), 10)
        log = daemon.log()
    assert log.count("Refused ") >= len(TARGETS) + len(SOURCES)
    assert "beta user Refused /etc/evil: " in log
    assert "\udcff" not in log
    assert target.public() == {"link", "secret", "good"}


def test_commands_that_are_not_allowed_are_refused_before_their_data_comes(home):
    target = Target(home)
    with target.attacked() as (beta, daemon):
        for command in COMMANDS:
            assert beta.ask(offer("D.1", letter="E", tail=f"0x4 {command}")) == b"EN2", command
        assert beta.ask(offer("~/x", letter="E", tail="0x4 rmail bob")) == b"EN2"
        assert beta.ask(offer("X.1", letter="E", tail="0x4 rmail bob")) == b"EN2"
        beta.hang_up()
        assert wait_until(lambda: "Call complete" in daemon.log(), 10)
        assert daemon.log().count("not permitted to execute") >= len(COMMANDS) - 3
    assert target.commands.begun() == 0


XFILES = [
    "C sh -c evil",
    "C rmail;evil",
    "C rmail bob\nC evil",
    "C rmail bob\nI /etc/passwd",
    "C rmail bob\nO /etc/evil",
    "C rmail bob\nO ~/../evil",
    "C rmail bob\nF {data} ../../../evil\nI {data}",
    "C rmail \x01bob",
    "C rmail carl\nU root gamma\nI {data}",
    'C rmail $(evil) `evil` ;evil "a b" \'c\nI {data}',
    "e\nC rmail $(evil)\nI {data}",
]
RUN = [
    ["rmail", "carl"],
    ["rmail", "$(evil)", "`evil`", ";evil", '"a', 'b"', "'c"],
    ["rmail", "$(evil)"],
]


def test_tricks_in_execution_files_run_nothing_but_what_is_allowed(home):
    target = Target(home)
    with target.attacked() as (beta, _):
        for number, text in enumerate(XFILES):
            data = f"D.data{number}"
            lines = f"U user beta\nF {data}\nZ\n{text.replace('{data}', data)}\n"
            for name, content in ((data, b"text"), (f"X.x{number}", lines.encode())):
                temp = f"D.{number:03}{name[0]}"
                assert beta.ask(offer(name, temp=temp, tail=hex(len(content)))) == b"SY"
                assert beta.send(content) in (b"CY", b"CN5"), text
        beta.hang_up()
    assert target.commands.ran() == [(argv, b"text") for argv in RUN]
    assert target.commands.begun() == len(RUN)
    states = [(one.new.neighbour, one.state.value) for one in target.node.executions()]
    assert states.count(("beta", "done")) == len(RUN)
    assert {state for _, state in states} <= {"done", "failed"}


@pytest.mark.parametrize("size", ["0xf4241", "0xffffffff", "0xffffffffffffffff"])
def test_absurd_sizes_are_refused(home, size):
    target = Target(home)
    with target.attacked() as (beta, _):
        assert beta.ask(offer("~/big", tail=size)) in (b"SN6", b"SN7")
        # One that says little and sends much is cut off, and leaves nothing.
        assert beta.ask(offer("~/big")) == b"SY"
        assert beta.send_without_end(ENDLESS_BYTES) < ENDLESS_BYTES
    assert target.public() == {"link", "secret"}


def test_who_pretends_to_be_another_is_sent_away(home):
    target = Target(home)
    with target.node.daemon() as daemon:
        for login, name, verdict, line in (
            ("Ubeta", "gamma", b"RLOGIN", "System gamma used wrong login name Ubeta"),
            ("Ubeta", "delta", b"RYou are unknown to me", "Call from unknown system delta"),
            ("Ubeta", "../beta", b"", "is no introduction of a caller"),
        ):
            with HostileCaller(target.port) as caller:
                caller.log_in(login)
                assert caller.shake_hands(name) == verdict
            assert wait_until(lambda line=line: line in daemon.log(), 10), daemon.log()
        for login, password in (("Ubeta", "wrong"), ("root", "secret"), ("Ubeta", "")):
            before = daemon.log().count("ERROR: Bad login")
            with HostileCaller(target.port) as caller:
                caller.log_in(login, password)
                assert caller.hear_all() == b""
            assert wait_until(
                lambda before=before: daemon.log().count("ERROR: Bad login") > before, 10
            )
        assert "Traceback" not in daemon.log()
        assert "secret" not in daemon.log()


def test_noise_and_silence_at_any_point_keep_nobody_else_from_calling(home):
    target = Target(home)
    noise = random.Random(SEED)
    with target.node.daemon() as daemon, contextlib.ExitStack() as open_callers:
        for point in range(4):
            for makes_noise in (True, False):
                caller = open_callers.enter_context(HostileCaller(target.port))
                if point >= 1:
                    caller.log_in("Ugamma")
                if point >= 2:
                    caller.hear(b"\0")
                if point >= 3 and makes_noise:
                    caller.say(b"\x10Sgamma -R -N047\0\x10Ug\0")
                if makes_noise:
                    caller.say(noise.randbytes(5000))
        with HostileCaller(target.port) as beta:
            beta.log_in("Ubeta")
            assert beta.shake_hands("beta").startswith(b"ROK")
            assert beta.ask(offer("~/good")) == b"SY"
            assert beta.send(b"good") == b"CY"
            beta.hang_up()
        assert wait_until(lambda: "beta - Call complete" in daemon.log(), 10)
        daemon.stop()  # with the silent ones still there
        assert "Traceback" not in daemon.log()
    assert (target.node.public / "good").read_bytes() == b"good"


def test_a_called_system_that_is_silent_or_another_is_given_up(home):
    node = UucpNode(home / "alpha", "[neighbour.beta]\ncall = ['tcp:127.0.0.1:1']\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node.replace("127.0.0.1:1'", f"127.0.0.1:{listener.getsockname()[1]}'")
        node.replace(
            "[neighbour.beta]", "[neighbour.beta]\nchat = 'ogin: x'\nchat_timeout_seconds = 1"
        )
        log = node.call("beta", code=75)
        assert "beta - ERROR: timed out waiting for b'ogin:'" in log
        listener.accept()[0].close()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"login: \x10Shere=gamma\0")
                while connection.recv(100):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        log = node.call("beta", code=75)
        thread.join(20)
    assert "beta - ERROR: Called wrong system (gamma)" in log
