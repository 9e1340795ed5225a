"""A configuration as a plan for `simulate/`: links, accounts, order, and where mail goes.

Routes are those of the real tables; nobody is asked anything, the DNS neither, and the queue is not
looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.links import hours
from relaynode.links.budgets import budget_of
from relaynode.links.ways import Ways
from relaynode.mail.envelope import Recipient
from relaynode.mailers.users import Users
from relaynode.neighbours import load_neighbours
from relaynode.policy.expand import final_route
from relaynode.policy.line_model import Server
from relaynode.queue.retry import RetryPolicy
from relaynode.queue.servers import NoServers
from relaynode.rules import Rules
from relaynode.simulate.line import LineState
from relaynode.simulate.plan import AccountPlan, Hop, LinkPlan, Plan

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.config.schema import AccountSection, LinkSection
    from relaynode.links.ways import Way
    from relaynode.simulate.events import MailOut

LOGIN_ROUND_TRIPS = 1
"""PLAIN, and what comes with it."""

USUAL_RECIPIENT = "somebody@elsewhere.example"
"""Whom mail of a trace is to that says nothing: it goes to the smart host."""


def plan_of(config: Config) -> Plan:
    """The plan."""
    users = Users(config.mailbox, frozenset(config.file.local.users))
    rules = Rules(config, users)
    ways = Ways(config, rules, users, load_neighbours(config), lambda: 0.0, NoServers())
    hops = _Hops(config, rules, ways)
    links = {name: _link(name, section) for name, section in config.links.items()}
    accounts = {
        name: _account(name, section, config.link_of(section))
        for name, section in config.file.account.items()
    }
    next_attempt_at = RetryPolicy().next_attempt_at
    return Plan(links, accounts, hops.hop, rules.order, next_attempt_at, hours.local_offset)


def _link(name: str, section: LinkSection) -> LinkPlan:
    line = LineState()
    if section.bits_per_second:
        line = LineState(float(section.bits_per_second))
    return LinkPlan(
        name,
        section.kind,
        line,
        section.timetable,
        section.window,
        budget_of(section),
        redial_attempts=section.redial_attempts,
        redial_seconds=section.redial_wait_seconds,
        dials_per_day=section.dials_per_day,
        idle_seconds=section.idle_seconds,
        dial_grade=section.dial_grade or "",
    )


def _account(name: str, section: AccountSection, link: str) -> AccountPlan:
    return AccountPlan(
        name, link, section.tls, login_round_trips=2, goes_on=section.protocol == "imap"
    )


class _Hops:
    """Where mail goes."""

    def __init__(self, config: Config, rules: Rules, ways: Ways) -> None:
        self._config = config
        self._rules = rules
        self._ways = ways

    def hop(self, mail: MailOut, links_up: frozenset[str]) -> Hop:
        """The next hop of a mail while these links are up. Raises: TableError."""
        self._ways.note_links(links_up)
        sender = mail.sender or f"somebody@{self._config.hostname}"
        recipient = Recipient(mail.recipient or USUAL_RECIPIENT)
        way = self._ways.way_of(final_route(self._rules.routing, recipient), sender)
        return Hop(str(way), self._ways.link_of(way), self._server(way), way.kind == "neighbour")

    def _server(self, way: Way) -> Server:
        section = self._config.file.smart_host.get(way.name) if way.smart_hosts else None
        if section is None:
            return Server()
        return Server(
            security=section.tls, login_round_trips=0 if section.user is None else LOGIN_ROUND_TRIPS
        )
