"""uux, uucp, uuname, uustat and uulog beside Taylor UUCP's: the same command lines, the same words.

Both read the same configuration, Taylor's own, and work in the same folder as the same user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from nodes import SOURCE
from peers.folders import leave_home, make_home
from peers.found import leave_out, require
from peers.processes import wait_until
from peers.taylor import USER, as_user
from uucp_node import UucpNode, python_for_all
from uucp_site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAMS = ("uux", "uucp", "uuname", "uustat", "uulog", "uuxqt")
_FILES = ("portfile", "dialfile", "dialcodefile", "callfile", "passwdfile")
_CONFIG = """\
nodename alpha
spool {folder}/spool
pubdir {folder}/public
lockdir {folder}/locks
sysfile {folder}/sys
logfile {folder}/Log
statfile {folder}/Stats
debugfile {folder}/Debug
v2-files no
hdb-files no
run-uuxqt never
"""
_SYS = """\
local-receive {folder}/work
local-send {folder}/work {folder}/public
system beta
alias betty
time any
port type pipe
port command /bin/false
system averylongsystemname
time never
port type pipe
port command /bin/false
"""
_PIPE = 'protocols = "i"\n'
_TIME = re.compile(r"\b\d\d-\d\d \d\d:\d\d\b")
"""In uustat's lists: the minute may end between two programs."""

_ID = re.compile(r"\b(beta|averylongsystemname)\.([0-9A-Za-z])[0-9A-Za-z]{8,}\b")


@dataclass(frozen=True)
class Said:
    """How a program ended. Of ids only the neighbour and the grade are kept, of times the form."""

    code: int
    output: str
    complaint: str


class Both:
    """The two sets of programs. `work`: where they run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        for part in ("bin", "spool", "public", "locks", "work"):
            (folder / part).mkdir()
        (folder / "empty").touch()
        files = "".join(f"{file} {folder}/empty\n" for file in _FILES)
        (folder / "config").write_text(_CONFIG.format(folder=folder) + files)
        (folder / "sys").write_text(_SYS.format(folder=folder))
        for name in _PROGRAMS:
            shutil.copyfile(require("uucp").program(name), folder / "bin" / name)
            (folder / "bin" / name).chmod(0o755)
        self.node = UucpNode(folder / "alpha", "", uucp_keys=f'taylor = "{folder}"')
        self.node.give_away()
        self._as_user = as_user()
        for path in (folder, *folder.rglob("*")) if self._as_user else ():
            shutil.chown(path, USER, USER)

    def file(self, name: str, content: str) -> None:
        """A file where the programs run."""
        (self.work / name).parent.mkdir(exist_ok=True)
        (self.work / name).write_text(content)
        (self.work / name).chmod(0o644)
        (self.work / name).parent.chmod(0o777)

    def taylors(self, name: str, *words: str, stdin: str = "") -> Said:
        """Run Taylor's."""
        program = self.folder / "bin" / name
        return self._run([str(program), "-I", str(self.folder / "config"), *words], stdin)

    def ours(self, name: str, *words: str, stdin: str = "") -> Said:
        """Run ours."""
        return run_ours(self.node, name, *words, stdin=stdin, folder=self.work)

    def _run(self, command: list[str], stdin: str) -> Said:
        said = _said(command, stdin, cwd=self.work, **self._as_user)
        return replace(said, complaint=said.complaint.replace(f"{self.folder}/bin/", ""))

    def same(self, name: str, *words: str, stdin: str = "") -> Said:
        """Run both: they must say the same, in whatever order."""
        theirs = self.taylors(name, *words, stdin=stdin)
        ours = self.ours(name, *words, stdin=stdin)
        assert _sorted(ours) == _sorted(theirs), (name, *words)
        return ours

    def queued(self, name: str, *words: str, stdin: str = "") -> str:
        """Run both without a call; what uustat -a says of it, in both the same."""
        self.same(name, "-r", *words, stdin=stdin)
        return self.same("uustat", "-a").output


def run_ours(
    node: UucpNode, name: str, *words: str, stdin: str = "", folder: Path | None = None, **who: Any
) -> Said:
    """Run one of our names. `who`: as whom, if not as whom the node runs."""
    python = python_for_all() if who else node.command()[0]
    command = [python, "-P", "-m", "relaynode.cli.classic", name, *words]
    environment = {
        **node.environment,
        "PYTHONPATH": f"{SOURCE}:{sysconfig.get_path('purelib')}",
    }
    return _said(command, stdin, cwd=folder or "/", env=environment, **(who or node.as_user))


def _said(command: list[str], stdin: str, **more: Any) -> Said:
    ended = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, **more
    )
    texts = (ended.stdout, ended.stderr)
    said = (_TIME.sub("MM-DD HH:MM", _ID.sub(r"\1.\2", text)) for text in texts)
    return Said(ended.returncode, *said)


def _sorted(said: Said) -> tuple[int, list[str], str]:
    return said.code, sorted(said.output.splitlines()), said.complaint


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uunames")
    yield folder
    leave_home(folder, tmp_path / "uunames", ())


@pytest.fixture
def both(home: Path) -> Both:
    return Both(home)


@pytest.mark.parametrize("words", [[], ["-a"], ["-l"], ["-al"], ["--aliases"]])
def test_uuname(both: Both, words: list[str]) -> None:
    assert both.same("uuname", *words).output


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["-", "beta!rmail", "(bob)", "(c!d@e)"], "From bob\n\nhello\n"),
        (["-", "-j", "-gC", "beta!rmail", "bob"], "hello\n"),
        (["-p", "-j", "-g", "5", "-n", "betty!rmail", "bob"], "hello\n"),
        (["--stdin", "-z", "-aalice@example.org", "beta!rmail bob carl"], "hello\n"),
        (["-", "-n", "-z", "-aalice@example.org", "-", "beta!rmail", "(bob@x.org)"], "Postfix\n"),
        (["-", "beta!rmail", "a;b", "c|d"], "x"),
        (["-", "-b", "beta!rnews"], "x" * 70000),
        (["beta!lpr", "!notes", "~/there", "beta!more"], ""),
        (["-C", "beta!lpr", "!notes"], ""),
        (["-", "-j", "-C", "beta!lpr", "!notes"], "hello\n"),
        (["-C", "beta!cat", "<!notes"], ""),
        (["beta!cat", "<", "notes", ">beta!~/out"], ""),
        (["averylongsystemname!who", ">averylongsystemname!/tmp/out"], ""),
    ],
)
def test_uux_queues_what_taylors_does(both: Both, words: list[str], stdin: str) -> None:
    both.file("notes", "a file\n")
    listed = both.queued("uux", *words, stdin=stdin)
    assert "Executing" in listed


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 64),
        (["-r", "-Q", "beta!rmail"], 64),
        (["-r", "nosys!rmail", "bob"], 69),
        (["-r", "beta!lpr", "!missing"], 66),
        (["-r", "beta!lpr", "x!notes"], 69),
        (["-r", "-", "beta!cat", "<!notes"], 69),
        (["-r", "beta!cat", ">/out"], 69),
    ],
)
def test_uux_refuses_what_taylors_does(both: Both, words: list[str], code: int) -> None:
    both.file("notes", "a file\n")
    assert both.same("uux", *words).code == code
    assert both.same("uustat", "-a").output == ""


@pytest.mark.parametrize(
    "words",
    [
        ["notes", "beta!~/x"],
        ["-j", "notes", "more", "beta!~/d/"],
        ["-c", "notes", "betty!/tmp/x"],
        ["-W", "notes", "beta!there/"],
        ["-m", "-n", "bob", "-f", "-gC", "notes", "beta!~/"],
        ["-R", "folder", "beta!~/d"],
        ["-t", "notes", "beta!bob"],
        ["-j", "beta!~/x", "got"],
        ["beta!~/x", "beta!/tmp/y", "averylongsystemname!~/z", "folder/"],
        ["beta!~/x*", "folder"],
        ["beta!~bob/x", "y"],
        ["notes", "beta!rel"],
    ],
)
def test_uucp_queues_what_taylors_does(both: Both, words: list[str]) -> None:
    both.file("notes", "a file\n")
    both.file("more", "more\n")
    both.file("folder/inner", "below\n")
    assert both.queued("uucp", *words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["notes"],
        ["missing", "beta!~/x"],
        ["notes", "missing", "beta!~/d/"],
        ["folder", "beta!~/"],
        ["notes", "nosys!~/x"],
        ["beta!~/x", "/elsewhere/x"],
    ],
)
def test_uucp_refuses_what_taylors_does(both: Both, words: list[str]) -> None:
    both.file("notes", "a file\n")
    both.file("folder/inner", "below\n")
    assert both.same("uucp", "-r", *words).code == 1
    assert both.same("uustat", "-a").output == ""


def test_uucp_copies_into_the_public_folder_at_once(both: Both) -> None:
    both.file("notes", "a file\n")
    both.same("uucp", "notes", "~/d/copy")
    assert (both.folder / "public/d/copy").read_text() == "a file\n"
    assert both.same("uustat", "-a").output == ""


def test_uustat_finds_what_taylors_does(both: Both) -> None:
    both.file("notes", "a file\n")
    for number in range(11):
        both.same("uux", "-r", "-", "beta!rmail", f"bob{number}", stdin="hello\n")
    both.same("uux", "-r", "-", "averylongsystemname!rnews", stdin="news\n")
    both.same("uucp", "-r", "notes", "beta!~/x")
    me = both.ours("uustat", "-a").output.split()[2]
    for words in (
        [],
        ["-a"],
        ["-s", "beta"],
        ["-sbetty"],
        ["-S", "beta"],
        ["-c", "rmail"],
        ["-c", "rmail", "-c", "rnews"],
        ["-C", "rmail"],
        ["-u", me],
        ["-u", "nobody"],
        ["-U", me],
        ["-o", "1"],
        ["-y", "1"],
        ["-s", "beta", "-c", "rnews"],
        ["-s", "nosys"],
        ["-a", "-q"],
        ["-m", "-s", "beta"],
        ["-Z"],
        ["word"],
        ["-k", "nosys.N0123456789"],
        ["-k", "beta.Nxxxxx"],
    ):
        both.same("uustat", *words)
    counts = [
        re.sub(r"\(\d+ (?:sec|min)s?\) *", "(N)", run("uustat", "-q").output) for run in _runs(both)
    ]
    assert counts[0] == counts[1]
    assert counts[0].startswith("beta        12C (N)")


def _runs(both: Both) -> tuple:
    return both.ours, both.taylors


def test_uustat_takes_jobs_away(both: Both) -> None:
    both.file("notes", "a file\n")
    for run in _runs(both):
        run("uucp", "-r", "notes", "notes", "beta!~/x/")
        run("uux", "-r", "beta!lpr", "!notes")
        run("uux", "-r", "-", "beta!rmail", "bob", stdin="x")
    both.same("uustat", "-a")
    assert both.same("uustat", "-c", "lpr", "-K", "-Q").output == ""
    assert "lpr" not in both.same("uustat", "-a").output
    both.same("uustat", "-r", "beta.Nxxxxx")
    left = both.same("uustat", "-K", "-a")
    assert left.code == 0
    assert both.same("uustat", "-a").output == ""


def test_uulog_shows_the_same_lines_of_the_same_log(both: Both) -> None:
    both.file("notes", "a file\n")
    theirs = both.folder / "Log"
    both.taylors("uux", "-r", "-", "beta!rmail", "(a)", "b", stdin="x")
    both.taylors("uux", "-r", "beta!lpr", "!notes")
    both.taylors("uucp", "-r", "notes", "beta!~/x")
    both.taylors("uucp", "-r", "beta!~/x", "y", "averylongsystemname!~/z", "y")
    ours = both.folder / "alpha/spool/uucp/Log"
    both.ours("uux", "-r", "-", "beta!rmail", "(a)", "b", stdin="x")
    both.ours("uux", "-r", "beta!lpr", "!notes")
    both.ours("uucp", "-r", "notes", "beta!~/x")
    both.ours("uucp", "-r", "beta!~/x", "y", "averylongsystemname!~/z", "y")
    assert _without_times(ours.read_text()) == _without_times(theirs.read_text())
    now = time.strftime("%Y-%m-%d %H")
    assert re.match(rf"uux beta \w+ \({now}:\d\d:\d\d\.\d\d \d+\) ", ours.read_text())
    shutil.copyfile(theirs, ours)
    stats = "bob beta (2026-11-21 16:12:29.08) sent 5 bytes in 0.107 seconds (46 bytes/sec) on x\n"
    for path in (both.folder / "Stats", ours.with_name("Stats")):
        path.write_text(stats + stats.replace("beta", "gamma"))
    for words in (
        [],
        ["-s", "beta"],
        ["-saverylongsystemname"],
        ["-s", "nosys"],
        ["-u", "nobody"],
        ["-n", "2"],
        ["-2"],
        ["-x"],
        ["-S"],
        ["-S", "-s", "gamma"],
        ["-S", "-u", "bob", "-n1"],
        ["-Z"],
        ["beta"],
    ):
        both.same("uulog", *words)


def _without_times(log: str) -> list[str]:
    """Nor temporary names, whose numbers begin elsewhere."""
    lines = [re.sub(r"\(\d{4}-[^)]*\)", "(T)", line) for line in log.splitlines()]
    return sorted(re.sub(r"\bD\.X?[0-9A-Z]{4}\b", "D.N", line) for line in lines)


# --- what neighbours make of it


def test_taylors_uuxqt_runs_a_command_with_its_files_and_sends_its_output_back(home: Path) -> None:
    site = Site(home, f"pipe:{home}/beta/bin/uucico -I {home}/beta/config", keys=_PIPE)
    alpha, beta = site.alpha, site.beta
    (beta.folder / "commands/merge").write_text('#!/bin/sh\ncat - "$@" >&1\n')
    (beta.folder / "commands/merge").chmod(0o755)
    (beta.folder / "config").write_text(
        (beta.folder / "config").read_text() + "debug abnormal,execute\n"
    )
    beta.speak("i")
    systems = (beta.folder / "sys").read_text()
    (beta.folder / "sys").write_text(systems.replace("commands rmail", "commands rmail merge"))
    for name, text in (("one", "1" * 70000), ("two", "two\n")):
        (alpha.folder / "out" / name).write_text(text)
        (alpha.folder / "out" / name).chmod(0o644)
    alpha.give_away()
    out = f"{alpha.folder}/out"
    command = ["beta!merge", f"!{out}/one", f"!{out}/two", ">!~/merged"]
    queued = run_ours(alpha, "uux", "-r", "-j", "-", "-C", *command, stdin="first\n")
    assert (queued.code, queued.complaint) == (0, "")
    listed = run_ours(alpha, "uustat", "-a").output
    assert re.search(
        r"beta\.N beta \w+ \S+ \S+ Executing merge one two \(sending 70\d+ bytes\)", listed
    )
    alpha.call("beta")
    beta.execute()
    alpha.call("beta")
    merged = (alpha.public / "merged").read_text()
    assert merged == "first\n" + "1" * 70000 + "two\n", beta.log()
    assert run_ours(alpha, "uustat", "-a").output == ""
    log = run_ours(alpha, "uulog", "-s", "beta").output
    assert re.search(r"^uucico beta - \(.*\) Handshake successful \(protocol 'i'", log, re.M), log
    assert re.search(r"^uux beta \w+ \(.*\) Queuing merge one two \(D", log, re.M), log
    stats = run_ours(alpha, "uulog", "-S").output
    assert re.search(
        r"^\w+ beta \(.*\) sent 70000 bytes in \d+\.\d{3} seconds \(\d+ byt", stats, re.M
    )
    assert re.search(r"^\S+ beta \(.*\) received 70010 bytes in .* on port \S+$", stats, re.M), (
        stats
    )
    assert re.match(
        r"beta +MM-DD HH:MM Conversation complete$",
        run_ours(alpha, "uustat", "-m").output.strip(),
    )


def test_without_r_the_neighbour_is_called_at_once(home: Path) -> None:
    site = Site(home, f"pipe:{home}/beta/bin/uucico -I {home}/beta/config", keys=_PIPE)
    site.beta.speak("i")
    site.alpha.give_away()
    queued = run_ours(site.alpha, "uux", "-", "beta!rmail", "(bob@example.org)", stdin="hello\n")
    assert (queued.code, queued.complaint) == (0, "")
    # The queue is looked at as its owner, who is calling at the same time.
    ended = wait_until(lambda: "Call complete" in run_ours(site.alpha, "uulog").output, 30)
    assert ended, run_ours(site.alpha, "uulog").output
    assert run_ours(site.alpha, "uustat", "-a").output == ""
    assert site.beta.execute() == [(["bob@example.org"], b"hello\n")]


def test_a_user_to_whom_the_queue_is_closed_hands_in_at_the_daemon_which_calls(home: Path) -> None:
    if os.geteuid() != 0:
        leave_out("only root can be two users")
    secret = '[neighbour.gamma]\ncall = ["tcp:localhost"]\nlogin = "U"\npassword_file = "pw"\n'
    uucico = f"pipe:{home}/beta/bin/uucico -I {home}/beta/config"
    site = Site(home, uucico, keys=_PIPE, more=secret)
    site.beta.speak("i")
    alpha = site.alpha
    for path in (alpha.folder, alpha.folder / "out"):
        path.chmod(0o755)
    with alpha.daemon():
        as_nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        said = run_ours(
            alpha, "uux", "-j", "-", "beta!rmail", "(bob)", stdin="x" * 100_000, **as_nobody
        )
        assert said.code == 0, said.complaint
        alpha.wait_for_idle(1)
        (home / "secret").write_text("x")
        (home / "secret").chmod(0o600)
        for words, code in (
            (["-", "nosys!rmail", "bob"], 69),
            (["-", "-a", "a b", "beta!rmail", "bob"], 65),
            (["beta!lpr", f"!{home}/secret"], 66),
        ):
            refused = run_ours(alpha, "uux", *words, stdin="x" * 5_000_000, **as_nobody)
            assert refused.code == code, refused
            assert refused.complaint
    assert "beta nobody" in run_ours(alpha, "uulog").output
    (arrived,) = site.beta.arrived("alpha")
    assert arrived.data == b"x" * 100_000
    assert {"U nobody alpha", "C rmail bob"} <= set(arrived.lines)
