"""What of a node speaks UUCP, wired from the configuration: calls, executions, mail of neighbours.

A node without neighbours never imports this, nor what it imports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.links.calling import Calling
from relaynode.mailers.run_as import deliverer
from relaynode.sources.filters import source_filters_of
from relaynode.sources.uucp_letters import UucpLetters
from relaynode.sources.uucp_mail import RMAIL, UucpMail
from relaynode.uucico.calls import Calls, Desk
from relaynode.uucico.executor import Executor, ExecutorSettings
from relaynode.uucico.journal import Journal
from relaynode.uucico.opening import line_opener

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config
    from relaynode.links.run_parts import RunParts
    from relaynode.mailers.users import User, Users
    from relaynode.neighbours import Neighbours, Terms
    from relaynode.sources.intake import Intake


@dataclass(frozen=True, slots=True)
class UucpSide:
    """The parts. `calling`: which neighbours there is something for, over which link."""

    calls: Calls
    executor: Executor
    mail: UucpMail
    calling: Calling


def wire(
    config: Config,
    parts: RunParts,
    intake: Intake,
    neighbours: Neighbours,
    users: Users,
    *,
    monotonic: Callable[[], float],
) -> UucpSide:
    """Wire it. `monotonic`: seconds for measuring."""
    store, clock = parts.store, parts.clock
    letters = UucpLetters(intake, store, postmaster=config.file.node.postmaster)
    journal = Journal(neighbours.log, neighbours.stats, clock=clock)
    desk = Desk(
        neighbours=lambda: neighbours,
        store=store,
        post=letters,
        open_line=line_opener(lambda: neighbours, config.source_addresses),
        mail_for=lambda neighbour: calling.mail_for(neighbour),
        journal=journal,
        clock=clock,
        monotonic=monotonic,
    )
    uucp_mail = UucpMail(
        intake,
        store,
        hostname=config.hostname,
        our_names=_our_names(neighbours),
        letter=letters.parcel,
        max_message_bytes=config.file.queue.message_size_bytes,
        filters=source_filters_of(config, "uucp"),
    )
    executor = Executor(
        store,
        lambda name: _terms_of(neighbours, name),
        letters,
        ExecutorSettings(neighbours.spool / "work", config.hostname, _runner(users, config)),
        clock=clock,
        builtins=uucp_mail.builtins(),
        short=(RMAIL,),
        journal=journal,
    )
    calls = Calls(desk)
    calling = Calling(config, parts, neighbours, calls, executor)
    return UucpSide(calls, executor, uucp_mail, calling)


def _our_names(neighbours: Neighbours) -> frozenset[str]:
    """What UUCP systems call us."""
    names = {neighbours.our_name}
    for one in neighbours:
        names.update(way.terms.our_name for way in one.ways)
        names.update(answer.terms.our_name for answer in one.answers)
    return frozenset(map(str.lower, names))


def _runner(users: Users, config: Config) -> User | None:
    """As whom neighbours' commands run; None: nobody could, so they wait. A node with a user of its
    own runs them as that, like uuxqt: the monitor knows nothing of neighbours."""
    try:
        return deliverer(users, "", config.file.local.default_user or "")
    except RefusedError:
        return None


def _terms_of(neighbours: Neighbours, name: str) -> Terms | None:
    """What a neighbour may have executed: what holds when it calls, or else when we do."""
    found = neighbours.find(name)
    if found is None:
        return None
    terms = [*(one.terms for one in found.answers), *(one.terms for one in found.ways)]
    return terms[0] if terms else None
