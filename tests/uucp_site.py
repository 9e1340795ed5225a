"""Our node alpha and Taylor's beta, who know each other, and work for both."""

from __future__ import annotations

import getpass
import os
import random
from typing import TYPE_CHECKING

from peers.processes import free_port
from peers.taylor import USER
from peers.uucp_lines import BreakingLine, Inetd
from uucp.real import Beta
from uucp_node import Commands, UucpNode, executes, fetches

if TYPE_CHECKING:
    from pathlib import Path

    from peers.uucp_lines import Passage

SIZES = (0, 1, 4096, 1 << 20)
LOGIN = "chat ogin: Ubeta word: secret"
_HARMLESS = ("write: Broken pipe", "Got SIGPIPE signal")
"""Its last words may find nobody: who was agreed with hangs up at once."""
TAYLORS_USER = USER if os.geteuid() == 0 else getpass.getuser()


def content(size: int, seed: int) -> bytes:
    """The bytes of a file, the same for the same seed."""
    return random.Random(seed * 7919 + size).randbytes(size)


class Site:
    """alpha, which is ours, and beta, which is Taylor's.

    `calls`: how alpha calls. `listens`: alpha's daemon answers. `keys`: of alpha's neighbour beta.
    `more`: sections behind it.
    """

    def __init__(
        self,
        home: Path,
        calls: str = "",
        *,
        listens: bool = False,
        keys: str = "",
        more: str = "",
    ) -> None:
        self.beta = Beta(home / "beta")
        self.commands = Commands(home / "commands", "rmail")
        self.port = free_port() if listens else 0
        listener = f'[listen.x]\nuucp = ["127.0.0.1:{self.port}"]\n' if listens else ""
        way = f"call = ['{calls}']\n" if calls else ""
        self.alpha = UucpNode(
            home / "alpha",
            f"[neighbour.beta]\n{way}{keys}"
            f'\ncommands = ["{self.commands.folder}/rmail"]\n{listener}{more}',
        )

    def fill(self) -> None:
        """Work of every kind and size, both ways."""
        alpha, beta = self.alpha, self.beta
        for size in SIZES:
            alpha.offer(f"ours{size}", content(size, 3))
            beta.put_public(f"theirs{size}", content(size, 4))
            beta.queue_file(content(size, 5), f"~/came{size}", f"out{size}")
            beta.queue_fetch(f"~/ours{size}", f"fetched{size}")
        beta.queue_mail(content(4096, 6), "dave", "eve")
        alpha.queue(
            *(alpha.sends("beta", content(size, 1), f"sent{size}") for size in SIZES),
            *(fetches("beta", f"theirs{size}", f"got{size}") for size in SIZES),
            executes("beta", "rmail bob carl", content(4096, 2)),
        )

    def check(self, *, allowing: str = "") -> None:
        """All of it is where it belongs, unchanged, and nothing is left. `allowing`: an error that
        Taylor may have noted."""
        alpha, beta = self.alpha, self.beta
        log = beta.log()
        for size in SIZES:
            assert beta.public(f"sent{size}") == content(size, 1), log
            assert (alpha.public / f"got{size}").read_bytes() == content(size, 4), log
            assert (alpha.public / f"came{size}").read_bytes() == content(size, 5), log
            assert beta.public(f"fetched{size}") == content(size, 3), log
        assert self.commands.ran() == [(["rmail", "dave", "eve"], content(4096, 6))]
        assert beta.execute() == [(["bob", "carl"], content(4096, 2))]
        assert alpha.jobs() == []
        assert not beta.has_jobs
        errors = [line for line in log.splitlines() if "ERROR" in line]
        allowed = (*_HARMLESS, *filter(None, [allowing]))
        assert all(any(one in line for one in allowed) for line in errors), log

    def check_record(self, protocol: str, *, is_caller: bool) -> None:
        """One session: theirs of 4 files, 4 files fetched, 1 mail, and as many of ours."""
        (one,) = self.alpha.sessions()
        assert (one.neighbour, one.is_caller, one.protocol) == ("beta", is_caller, protocol)
        assert (one.files_sent, one.files_received, one.errors) == (9, 9, 0)
        total = 2 * sum(SIZES) + 4096
        assert total < one.bytes_sent < 1.7 * total
        assert total < one.bytes_received < 1.7 * total
        assert one.ended == ""


class Calls:
    """Calls over a line that keeps what was said, whoever calls."""

    def __init__(self, home: Path, protocol: str, keys: str = "", taylors: str = "") -> None:
        self.site = Site(
            home,
            "tcp:127.0.0.1:1",
            listens=True,
            keys=f'protocols = "{protocol}"\nlogin = "Ualpha"\npassword_file = "pw"\n'
            f'called_login = "Ubeta"\ncalled_password_file = "pw"\n{keys}',
        )
        self._speaks = (protocol, f"{LOGIN}\n{taylors}")

    def ours(self) -> tuple[str, Passage]:
        """We call: our log, and what was said."""
        beta = self.site.beta.folder
        uucico = [beta / "bin/uucico", "-I", beta / "config", "-l"]
        self.site.beta.speak(*self._speaks)
        with Inetd(uucico) as inetd, BreakingLine(inetd.port) as line:
            self.site.alpha.replace("127.0.0.1:1'", f"127.0.0.1:{line.port}'")
            log = self.site.alpha.call("beta")
            inetd.wait()
        (passage,) = line.passages
        return log, passage

    def theirs(self) -> tuple[str, Passage]:
        """Taylor calls."""
        site = self.site
        with site.alpha.daemon() as daemon, BreakingLine(site.port) as line:
            site.beta.speak(*self._speaks, line.port)
            assert site.beta.begin_call().wait(60) == 0, site.beta.log()
            site.alpha.wait_for_idle(1)
            log = daemon.log()
        (passage,) = line.passages
        return log, passage
