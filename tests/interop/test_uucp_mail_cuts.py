"""Mail over a line that is cut again and again, and by nodes that are killed: none is lost, none
doubled.

RELAYNODE_SOAK=1 plays it with more protocols, with all kinds of batches and for several seeds,
which takes half an hour:

    RELAYNODE_SOAK=1 tests/run tests/interop/test_uucp_mail_cuts.py -s
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_folder, make_home
from peers.processes import free_port, wait_until
from peers.uucp_lines import BreakingLine, Inetd
from relaynode.mail.bangpath import NOBODY
from uucp.real import Beta
from uucp_kills import call_and_kill
from uucp_letters import Tally, copies_at, letters, queue, tally
from uucp_node import UucpNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOAKS = os.environ.get("RELAYNODE_SOAK") == "1"
SEEDS = (41, 42, 43, 44) if SOAKS else (41,)
MAILS = 300
"""Each way."""

CUTS = 20
KILLS = 8
USUAL_BYTES = 24_000
"""On the line, at most, until a cut: so much that work is left for the last one."""

COMMANDS = 'commands = ["rmail", "rsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp"]\n'
G = '"g packet-size 1024", "g remote-packet-size 1024"'
BATCHES = 'batch = "{}"\nbatch_bytes = 20000\n'
TABLE = "beta.example uucp-dom:beta\nalpha.example uucp-dom:alpha\n"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def with_table(node: UucpNode) -> UucpNode:
    (node.folder / "tables" / "mailertable").write_text(TABLE)
    return node


def caller(home: Path, line_port: int, keys: str) -> UucpNode:
    """Our alpha, which calls beta over `line_port`."""
    return with_table(
        UucpNode(
            home / "alpha",
            f'[neighbour.beta]\ncall = ["tcp:127.0.0.1:{line_port}"]\nlogin = "Ualpha"\n'
            f'password_file = "pw"\n{COMMANDS}{keys}',
            node_keys='local_domains = ["alpha.example"]',
        )
    )


class Pair:
    """Our alpha, and our beta, whose daemon answers on `port`. Both have mail for the other."""

    def __init__(self, home: Path, line_port: int, port: int, keys: str, seed: int) -> None:
        self.alpha = caller(home, line_port, keys)
        self.beta = with_table(
            UucpNode(
                home / "beta",
                '[neighbour.alpha]\ncalled_login = "Ualpha"\ncalled_password_file = "pw"\n'
                f'{COMMANDS}{keys}[listen.x]\nuucp = ["127.0.0.1:{port}"]\n',
                node_keys='local_domains = ["beta.example"]',
            )
        )
        self.out = letters(MAILS, "beta.example", seed)
        self.back = letters(MAILS, "alpha.example", seed)
        self.queue_half(0)

    def queue_half(self, half: int) -> None:
        """The first one, or the second, so that there is always something under way."""
        queue(self.alpha, self.out[half::2])
        queue(self.beta, self.back[half::2])

    def finish(self) -> None:
        """One call without trouble; then all must be where it belongs."""
        with self.beta.daemon() as daemon:
            self.alpha.call("beta")
            self.beta.wait_for_idle()
            assert wait_until(lambda: is_empty(self.beta), 60), daemon.log()[-2000:]
            assert "Traceback" not in daemon.log()
        assert self.alpha.run("flush").returncode == 0
        assert is_empty(self.alpha)
        to_beta = tally(copies_at(self.beta), self.out)
        to_alpha = tally(copies_at(self.alpha), self.back)
        assert to_beta.is_clean and to_alpha.is_clean, f"to beta: {to_beta}; to alpha: {to_alpha}"
        assert self.alpha.jobs() == self.beta.jobs() == []


def is_empty(node: UucpNode) -> bool:
    return "is empty" in node.sendmail("-bp").stdout


def problem_of_call(node: UucpNode) -> str:
    """Call beta, in this process: what went wrong."""
    (called,) = node.in_node(lambda opened: opened.links.call("beta")).calls
    return str(called.problem)


def places(name: str, count: int, most_bytes: int) -> list[tuple[str, int]]:
    """Where the line is cut: first in what the caller says, then in what the called side says.

    With g, who is called says little until all mail of the caller has gone.
    """
    chance = random.Random(name)
    speakers = ["caller"] * (count // 2) + ["called"] * (count - count // 2)
    return [(speaker, chance.randrange(300, most_bytes)) for speaker in speakers]


def keys_of(protocol: str, batch: str) -> str:
    keys = f'protocols = "{protocol}"\nparameters = [{G}]\n'
    return keys + (BATCHES.format(batch) if batch else "")


KINDS = (
    list(itertools.product("igt", ["", "rsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp"]))
    if SOAKS
    else [("i", ""), ("g", "rzsmtp")]
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("protocol", "batch"), KINDS)
def test_a_line_that_is_cut_again_and_again_loses_and_doubles_no_mail(home, protocol, batch, seed):
    port = free_port()
    with BreakingLine(port) as line:
        pair = Pair(home, line.port, port, keys_of(protocol, batch), seed)
        most_bytes = USUAL_BYTES // 4 if batch else USUAL_BYTES
        with pair.beta.daemon():
            for number, place in enumerate(places(f"{protocol} {batch} {seed}", CUTS, most_bytes)):
                if number == CUTS // 2:
                    pair.queue_half(1)
                line.next_cut = place
                assert problem_of_call(pair.alpha) != "", "all had gone before the last cut"
        sizes = [line.size_bytes("caller"), line.size_bytes("called")]
        pair.finish()
    all_sizes = [line.size_bytes("caller"), line.size_bytes("called")]
    print(f"{protocol} {batch or 'rmail'}: {CUTS} cuts in {sizes} of {all_sizes} bytes")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", ["", "rgsmtp"], ids=["singly", "batches"])
def test_nodes_that_are_killed_again_and_again_lose_and_double_no_mail(home, batch, seed):
    """In turn the one that calls, and the daemon that answers and delivers."""
    port = free_port()
    with BreakingLine(port) as line:
        pair = Pair(home, line.port, port, keys_of("i", batch), seed)
        most_bytes = USUAL_BYTES // 4 if batch else USUAL_BYTES
        for number, place in enumerate(places(f"kill {batch} {seed}", KILLS, most_bytes)):
            if number == KILLS // 2:
                pair.queue_half(1)
            nodes = pair.alpha, pair.beta
            call_and_kill(nodes, line, place, kills_caller=bool(number % 2))
        line.on_cut = None
        pair.finish()


# --- with Taylor at the other end


@pytest.mark.parametrize("protocol", "ig")
def test_with_taylor_mail_is_doubled_only_where_taylor_repeats(home, protocol):
    """All seeds at the same time: Taylor waits two seconds after a lost line."""
    with ThreadPoolExecutor() as at_once:
        folders = [make_folder(home / f"{protocol}{seed}") for seed in SEEDS]
        tallies = list(at_once.map(cut_to_taylor, folders, protocol * len(SEEDS), SEEDS))
    for seed, (to_taylor, to_us) in zip(SEEDS, tallies, strict=True):
        print(f"{protocol} {seed}: to Taylor {to_taylor}; to us {to_us}")
    for to_taylor, to_us in tallies:
        assert not (to_taylor.lost or to_taylor.strange or to_us.lost or to_us.strange)
        assert to_us.doubled == []
        assert len(to_taylor.doubled) <= CUTS, to_taylor


def cut_to_taylor(home: Path, protocol: str, seed: int) -> tuple[Tally, Tally]:
    """How the mail arrived: at Taylor's beta, and at our alpha."""
    out, back = letters(MAILS, "beta.example", seed), letters(MAILS, "alpha.example", seed)
    beta = Beta(home / "beta")
    record_mail(beta)
    beta.speak(protocol, "protocol-parameter g packet-size 1024")
    uucico = [beta.folder / "bin/uucico", "-I", beta.folder / "config", "-l"]
    with Inetd(uucico) as inetd, BreakingLine(inetd.port) as line:
        alpha = caller(home, line.port, keys_of(protocol, ""))
        queue(alpha, out)
        for one in back:
            sender = (one.sender or NOBODY).encode()
            beta.queue_mail(b"From %s x\n" % sender + one.content, *one.recipients)
        for place in places(f"taylor {protocol} {seed}", CUTS, USUAL_BYTES):
            line.next_cut = place
            assert problem_of_call(alpha) != "", "all had gone before the last cut"
            inetd.wait()
        alpha.call("beta")
        inetd.wait()
    assert alpha.jobs() == [] and not beta.has_jobs
    beta._run("uuxqt")
    assert alpha.run("flush").returncode == 0
    return tally(executed(beta), out), tally(copies_at(alpha), back)


_RMAIL = """\
#!/bin/sh
file=$(mktemp {folder}/mail/XXXXXXXX) && { echo "$@"; cat; } >"$file"
"""


def record_mail(beta: Beta) -> None:
    """Have its rmail keep each mail in a file, below a line with the recipients."""
    command = beta.folder / "commands" / "rmail"
    command.write_text(_RMAIL.replace("{folder}", str(beta.folder)))


def executed(beta: Beta) -> Counter[tuple[str, str, bytes]]:
    """What Taylor's rmail was given: mailbox, reverse-path, body."""
    found: Counter[tuple[str, str, bytes]] = Counter()
    for path in (beta.folder / "mail").iterdir():
        recipients, _, mail = path.read_bytes().partition(b"\n")
        head, _, body = mail.partition(b"\n\n")
        sender = head.split(b" ", 2)[1].decode().removeprefix(NOBODY)
        for one in recipients.decode().split():
            found[one.removesuffix("@beta.example"), sender, body] += 1
    return found
