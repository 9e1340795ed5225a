"""Lines that break, nodes that are killed: nothing is lost, doubled or begun anew."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_folder, make_home
from peers.processes import free_port
from peers.uucp_lines import BreakingLine, Inetd
from uucp_kills import call_and_kill
from uucp_node import Commands, UucpNode, executes
from uucp_site import LOGIN, Site, content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20
SIZE = 1 << 20
MOST = 1.1
"""Of the file's size: what may go over the line in all."""

BREAKS = 3
PROTOCOLS = "igt"
EACH = pytest.mark.parametrize("protocol", PROTOCOLS)
SENDERS = pytest.mark.parametrize("sender", ["caller", "called"])
G = "protocol-parameter g packet-size 1024"
"""With its packets of 64 bytes the heads alone would be a tenth."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


class Pair:
    """Our alpha, which calls over `line_port`, and our beta, which answers."""

    def __init__(self, home: Path, line_port: int, port: int, keys: str = "") -> None:
        self.commands = {name: Commands(home / f"at-{name}", "rmail") for name in ("alpha", "beta")}
        self.alpha = UucpNode(
            home / "alpha",
            f'[neighbour.beta]\ncall = ["tcp:127.0.0.1:{line_port}"]\nlogin = "Ualpha"\n'
            f'password_file = "pw"\n{self._allowed("alpha")}{keys}',
        )
        self.beta = UucpNode(
            home / "beta",
            '[neighbour.alpha]\ncalled_login = "Ualpha"\ncalled_password_file = "pw"\n'
            f'{self._allowed("beta")}{keys}[listen.x]\nuucp = ["127.0.0.1:{port}"]\n',
        )

    def _allowed(self, name: str) -> str:
        folder = self.commands[name].folder
        return f'commands = ["{folder}/rmail"]\n'


@SENDERS
@EACH
def test_a_file_that_is_cut_three_times_goes_on_where_it_broke(home, protocol, sender):
    places = random.Random(f"{SEED} {protocol} {sender}")
    port = free_port()
    with BreakingLine(port) as line:
        pair = Pair(home, line.port, port, f'protocols = "{protocol}"\n')
        file = content(SIZE, 1)
        if sender == "caller":
            pair.alpha.queue(pair.alpha.sends("beta", file, "big"))
        else:
            pair.beta.queue(pair.beta.sends("alpha", file, "big"))
        with pair.beta.daemon():
            for number in range(1, BREAKS + 1):
                line.next_cut = (sender, places.randrange(SIZE // 50, SIZE // 4))
                pair.alpha.call("beta", code=75)
                pair.beta.wait_for_idle(number)
            log = pair.alpha.call("beta")
            pair.beta.wait_for_idle(BREAKS + 1)
    receiver = pair.beta if sender == "caller" else pair.alpha
    assert (receiver.public / "big").read_bytes() == file
    assert "ERROR" not in log
    assert SIZE < line.size_bytes(sender) < MOST * SIZE
    assert pair.alpha.jobs() == pair.beta.jobs() == []


def test_taylor_takes_a_file_of_ours_on_from_where_it_broke(home):
    """All protocols at the same time: Taylor waits two seconds after a lost line."""
    with ThreadPoolExecutor() as at_once:
        folders = [make_folder(home / protocol) for protocol in PROTOCOLS]
        list(at_once.map(_break_on_the_way_to_taylor, folders, PROTOCOLS))


def _break_on_the_way_to_taylor(home: Path, protocol: str) -> None:
    places = random.Random(f"{SEED} {protocol}")
    beta = home / "beta"
    uucico = [beta / "bin/uucico", "-I", beta / "config", "-l"]
    with Inetd(uucico) as inetd, BreakingLine(inetd.port) as line:
        site = Site(
            home,
            f"tcp:127.0.0.1:{line.port}",
            keys=f'login = "Ualpha"\npassword_file = "pw"\nprotocols = "{protocol}"\n',
        )
        site.beta.speak(protocol, G)
        file = content(SIZE, 2)
        site.alpha.queue(site.alpha.sends("beta", file, "big"))
        for _ in range(BREAKS):
            line.next_cut = ("caller", places.randrange(SIZE // 50, SIZE // 4))
            site.alpha.call("beta", code=75)
            inetd.wait()
        site.alpha.call("beta")
        inetd.wait()
    assert site.beta.public("big") == file
    assert SIZE < line.size_bytes("caller") < MOST * SIZE


@EACH
def test_we_take_a_file_of_taylors_on_from_where_it_broke(home, protocol):
    places = random.Random(f"{SEED} {protocol}")
    site = Site(
        home,
        listens=True,
        keys=f'called_login = "Ubeta"\ncalled_password_file = "pw"\nprotocols = "{protocol}"\n'
        'parameters = ["g packet-size 1024"]\n',
    )
    file = content(SIZE, 3)
    site.beta.queue_file(file, "~/big")
    with BreakingLine(site.port) as line, site.alpha.daemon():
        site.beta.speak(protocol, f"{LOGIN}\n{G}", line.port)
        for number in range(1, BREAKS + 1):
            line.next_cut = ("caller", places.randrange(SIZE // 50, SIZE // 4))
            assert site.beta.begin_call().wait(60) != 0
            site.alpha.wait_for_idle(number)
        assert site.beta.begin_call().wait(60) == 0, site.beta.log()
        site.alpha.wait_for_idle(BREAKS + 1)
    assert (site.alpha.public / "big").read_bytes() == file
    assert not site.beta.has_jobs
    assert SIZE < line.size_bytes("caller") < MOST * SIZE


KILLS = 4
MAILS = 12


@pytest.mark.parametrize("killed", ["alpha", "beta"])
def test_a_node_that_is_killed_again_and_again_loses_and_doubles_nothing(home, killed):
    """The one that calls, or the daemon that answers."""
    places = random.Random(f"{SEED} {killed}")
    port = free_port()
    with BreakingLine(port) as line:
        pair = Pair(home, line.port, port)
        nodes = {"alpha": ("beta", pair.alpha), "beta": ("alpha", pair.beta)}
        for seed, (other, node) in enumerate(nodes.values()):
            mails = (
                executes(other, f"rmail {number}", content(9000, 100 * seed + number))
                for number in range(MAILS)
            )
            node.queue(node.sends(other, content(SIZE, seed), f"big{seed}"), *mails)
        for _ in range(KILLS):
            call_and_kill(
                (pair.alpha, pair.beta),
                line,
                ("caller", places.randrange(2000, SIZE // 4)),
                kills_caller=killed == "alpha",
                afterwards=pair.beta.wait_for_idle if killed == "alpha" else lambda: None,
            )
        line.on_cut = None
        with pair.beta.daemon() as daemon:
            pair.alpha.call("beta")
            pair.beta.wait_for_idle()
            log = daemon.log()
    assert (pair.beta.public / "big0").read_bytes() == content(SIZE, 0)
    assert (pair.alpha.public / "big1").read_bytes() == content(SIZE, 1)
    for name, seed in (("beta", 0), ("alpha", 1)):
        commands = pair.commands[name]
        wanted = [
            (["rmail", str(number)], content(9000, 100 * seed + number)) for number in range(MAILS)
        ]
        assert sorted(commands.ran()) == sorted(wanted)
        assert commands.begun() == MAILS
    assert pair.alpha.jobs() == pair.beta.jobs() == []
    assert "Traceback" not in log
