"""`uustat`: what waits for UUCP neighbours and how calls went, in Taylor UUCP's lines.

    uustat            one's own jobs            uustat -m    how the last calls went
    uustat -a         everybody's               uustat -q    how much waits, by neighbour
    uustat -s beta -u bob -c rmail -o 24        those of a neighbour, a user, a command, an age
    uustat -e         what neighbours want to be run here
    uustat -k ID      takes a job away          uustat -p    sessions and locked lines

Mail that is routed to a neighbour is shown as the rmail execution that it will be, and can be taken
away as one. Jobs do not grow too old here, so there is nothing that -r could make young.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from relaynode.cli.opened import in_node
from relaynode.cli.uu_options import Given, Option, Parser, Refused, ended, number_of, own_user
from relaynode.cli.uu_waiting import Waiting, lines, waiting
from relaynode.errors import EX_OK
from relaynode.queue.model import Verb
from relaynode.sources.uucp_letters import UucpLetters
from relaynode.uucico.post import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from relaynode.node import Node
    from relaynode.queue.uucp.model import Execution, NeighbourStatus

_OPTIONS = (
    Option("a", "all", "list all UUCP jobs"),
    Option("B", "mail-lines", "accepted, without effect", "num"),
    Option("c", "command", "list requests for named command", "command"),
    Option("C", "not-command", "list requests for other than named command", "command"),
    Option("e", "executions", "list queued executions rather than job requests"),
    Option("i", "prompt", "prompt for whether to kill each listed job"),
    Option("k", "kill", "kill specified UUCP job", "job"),
    Option("K", "kill-all", "kill each listed job"),
    Option("m", "status", "report status for all remote machines"),
    Option("M", "mail", "mail report on each listed job to the postmaster"),
    Option("N", "notify", "mail report on each listed job to requestor"),
    Option("o", "older-than", "list all jobs older than given number of hours", "hours"),
    Option("p", "ps", "show sessions, and processes holding UUCP locks"),
    Option("q", "list", "list number of jobs for each system"),
    Option("Q", "no-list", "don't list jobs, just take actions (-i, -K, -M, -N)"),
    Option("r", "rejuvenate", "accepted: jobs do not grow too old", "job"),
    Option("R", "rejuvenate-all", "the same of each listed job"),
    Option("s", "system", "list all jobs for specified system", "system"),
    Option("S", "not-system", "list all jobs for other than specified system", "system"),
    Option("u", "user", "list all jobs for specified user", "user"),
    Option("U", "not-user", "list all jobs for other than specified user", "user"),
    Option("W", "comment", "comment to include in mail messages", "comment"),
    Option("y", "younger-than", "list all jobs younger than given number of hours", "hours"),
)

_HOUR = 3600.0
_UNITS = ((86400, "day"), (3600, "hour"), (60, "min"), (1, "sec"))
_CHOICES = "command not-command older-than system not-system user not-user younger-than executions"


def main(words: Sequence[str], program: str = "uustat") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    return ended(program, lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, "[options]", _OPTIONS)
    given = parser.parse(words)
    if given.words:
        raise parser.wrong()
    modes = [
        name for name in ("all", "list", "status", "ps", "kill", "rejuvenate") if name in given
    ]
    chooses = any(name in given for name in _CHOICES.split())
    if len(modes) > 1 or (chooses and modes not in ([], ["list"], ["all"])):
        raise parser.wrong("too many options")
    in_node(given.config(), lambda node: _MODES.get("".join(modes), _list)(_Stat(node, given)))
    return EX_OK


class _Stat:
    """One run: the node, what is asked for, and who asks."""

    def __init__(self, node: Node, given: Given) -> None:
        self.node = node
        self.given = given
        self.user = own_user()
        self.now = node.clock()
        self._oldest = _seconds(given, "older-than")
        self._youngest = _seconds(given, "younger-than")
        self.letters = UucpLetters(
            node.intake, node.store, postmaster=node.config.file.node.postmaster
        )

    @property
    def is_operator(self) -> bool:
        """May we do something to the jobs of others?"""
        return os.geteuid() in (0, self.node.config.spool.stat().st_uid)

    def name_of(self, system: str) -> str:
        """The name of a neighbour. Raises: Refused."""
        found = self.node.neighbours.find(system)
        if found is None:
            raise Refused(f"{system}: System not found")
        return found.name

    def takes(self, *, neighbour: str, user: str, command: str, at: float) -> bool:
        """Was it asked for? Raises: Refused."""
        given = self.given
        age = self.now - at
        return (
            _is_in(neighbour, given, "system", self.name_of)
            and _is_in(user, given, "user")
            and _is_in(command, given, "command", needs_one=True)
            and (self._oldest is None or age >= self._oldest)
            and (self._youngest is None or age <= self._youngest)
        )

    def is_own_only(self) -> bool:
        """Are just the jobs of who asks meant?"""
        return not any(name in self.given for name in (*_CHOICES.split(), "all", "list"))


def _is_in(
    value: str,
    given: Given,
    name: str,
    known: Callable[[str], str] = str,
    *,
    needs_one: bool = False,
) -> bool:
    """Is it among those that an option names, and not among those its opposite does?"""
    wanted, unwanted = given.all(name), given.all(f"not-{name}")
    if needs_one and (wanted or unwanted) and not value:
        return False
    is_wanted = not wanted or value in map(known, wanted)
    return is_wanted and value not in map(known, unwanted)


def _seconds(given: Given, name: str) -> float | None:
    """Hours that were given, in seconds. Raises: Refused."""
    return _HOUR * number_of(given.last(name), f"--{name}") if name in given else None


def moment(at: float) -> str:
    """A time as all lists have it."""
    return time.strftime("%m-%d %H:%M", time.localtime(at))


# --- jobs


async def _list(stat: _Stat) -> None:
    if "executions" in stat.given:
        await _list_executions(stat)
        return
    chosen = [one for one in await waiting(stat.node) if _is_chosen(stat, one)]
    for one in chosen:
        if "no-list" not in stat.given:
            print(*lines(one, moment(one.at)), sep="\n")
        await _act(stat, one)


def _is_chosen(stat: _Stat, one: Waiting) -> bool:
    if stat.is_own_only() and one.user != stat.user:
        return False
    name = one.command_name
    return stat.takes(neighbour=one.neighbour, user=one.user, command=name, at=one.at)


async def _act(stat: _Stat, one: Waiting) -> None:
    """What is to be done to each job that is listed."""
    kills = "kill-all" in stat.given or ("prompt" in stat.given and _agreed(one.id))
    if kills:
        await _kill(stat, one)
    for option, to in (("mail", stat.node.config.file.node.postmaster), ("notify", one.user)):
        if option in stat.given:
            await stat.letters.send(_letter(stat, one, to, is_killed=kills))


def _agreed(what: str) -> bool:
    print(f"uustat: Kill {what}? ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()[:1] in ("y", "Y")


def _letter(stat: _Stat, one: Waiting, to: str, *, is_killed: bool) -> Letter:
    what = "Taken away" if is_killed else "Waiting"
    comment = stat.given.last("comment")
    told = "\n".join(f"    {line}" for line in lines(one, moment(one.at)))
    text = f"{comment}\n\n" * bool(comment) + f"{what}:\n\n{told}\n"
    return Letter(to, f"{what} for {one.neighbour}", text)


async def _kill(stat: _Stat, one: Waiting) -> None:
    """Raises: Refused."""
    if one.user != stat.user and not stat.is_operator:
        raise Refused(f"{one.id}: Not submitted by you")
    if not one.is_whole:
        text = f"it has recipients elsewhere; relaynode remove {one.queue_id} is for all of it"
        raise Refused(f"{one.id}: {text}")
    store, now = stat.node.store, stat.node.clock()
    if one.queue_id:
        await store.operate(Verb.REMOVE, [one.queue_id], now)
    else:
        await store.uucp.jobs.operate(Verb.REMOVE, one.job_ids, now)


async def _found(stat: _Stat, named: str) -> Waiting:
    """The job of an id. Raises: Refused."""
    neighbour = stat.node.neighbours.find(named.rpartition(".")[0])
    if neighbour is None:
        raise Refused(f"{named}: Bad job id")
    found = await waiting(stat.node, neighbour.name)
    for one in found:
        if one.id.rpartition(".")[2] == named.rpartition(".")[2]:
            return one
    raise Refused(f"{named}: Job not found")


async def _kill_named(stat: _Stat) -> None:
    for named in stat.given.all("kill"):
        await _kill(stat, await _found(stat, named))


async def _rejuvenate(stat: _Stat) -> None:
    for named in stat.given.all("rejuvenate"):
        await _found(stat, named)


# --- executions


async def _list_executions(stat: _Stat) -> None:
    for one in await stat.node.store.uucp.executions.find():
        new = one.new
        name = new.command[0].rpartition("/")[2] if new.command else ""
        if not stat.takes(neighbour=new.neighbour, user=new.user, command=name, at=new.received_at):
            continue
        if "no-list" not in stat.given:
            print(execution_line(one))
        command = " ".join(new.command)
        if "kill-all" in stat.given or ("prompt" in stat.given and _agreed(command)):
            await _kill_execution(stat, one)


async def _kill_execution(stat: _Stat, one: Execution) -> None:
    if not stat.is_operator:
        raise Refused(f"{one.new.execution_id}: Not submitted by you")
    executions = stat.node.store.uucp.executions
    await executions.operate(Verb.REMOVE, [one.new.execution_id], stat.node.clock())


def execution_line(one: Execution) -> str:
    """A line of -e."""
    new = one.new
    user = f"{new.neighbour}!{new.user}"
    return f"{new.neighbour} {user} {moment(new.received_at)} {' '.join(new.command)}"


# --- neighbours


async def _count(stat: _Stat) -> None:
    """-q: how much waits, and since when."""
    jobs = await waiting(stat.node)
    executions = await stat.node.store.uucp.executions.find()
    statuses = await stat.node.store.uucp.neighbours.statuses()
    theirs = [one.new.neighbour for one in executions]
    names = [*(one.name for one in stat.node.neighbours), *theirs]
    for name in dict.fromkeys(names):
        if not _is_in(name, stat.given, "system", stat.name_of):
            continue
        since = [one.at for one in jobs if one.neighbour == name]
        came = [one.new.received_at for one in executions if one.new.neighbour == name]
        if since or came:
            print(count_line(name, since, came, statuses.get(name), stat.now))


def count_line(
    name: str,
    queued: list[float],
    received: list[float],
    status: NeighbourStatus | None,
    now: float,
) -> str:
    """A line of -q. `queued`, `received`: the times of jobs and executions."""
    jobs = f"{len(queued):3d}C {age(queued, now):11s}"
    executions = f"{len(received):3d}X {age(received, now):11s}"
    called = f" {moment(status.at)} {status.text}" if status is not None and status.at else ""
    return f"{name:10s} {jobs} {executions}{called}"


def age(times: list[float], now: float) -> str:
    """How old the oldest is, in the largest unit that fits."""
    seconds = max(0, int(now - min(times, default=now)))
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"({count} {unit}{'s' * (count != 1)})"
    return "(0 secs)"


async def _status(stat: _Stat) -> None:
    """-m: how the last calls went."""
    statuses = await stat.node.store.uucp.neighbours.statuses()
    for name, status in statuses.items():
        if status.at or status.is_in_session:
            print(status_line(name, status, stat.now))


def status_line(name: str, status: NeighbourStatus, now: float) -> str:
    """A line of -m."""
    if status.is_in_session:
        return f"{name:14s} {moment(now)} Talking"
    tries, when = status.tries, moment(status.at + status.wait_seconds)
    after = f" ({tries} tr{'y' if tries == 1 else 'ies'}, next after {when})" if tries else ""
    return f"{name:14s} {moment(status.at)} {status.text}{after}"


async def _locks(stat: _Stat) -> None:
    """-p: who is talking, and which lines are locked by which process."""
    for name, status in (await stat.node.store.uucp.neighbours.statuses()).items():
        if status.is_in_session:
            print(f"{name}: in a session")
    for line in lock_lines(stat.node):
        print(line)


def lock_lines(node: Node) -> Iterator[str]:
    """The lock files of lines, with the processes in them."""
    folder = node.neighbours.locks
    for path in sorted(folder.glob("LCK..*")) if folder.is_dir() else []:
        try:
            yield f"{path.name}: {path.read_text(errors='replace').strip()}"
        except OSError:
            continue  # it was given back meanwhile


_MODES = {
    "list": _count,
    "status": _status,
    "ps": _locks,
    "kill": _kill_named,
    "rejuvenate": _rejuvenate,
}
