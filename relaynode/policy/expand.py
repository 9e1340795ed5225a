"""What a recipient stands for, found once when a message is accepted: the whole way from an address
to those who get the mail.

`expanding.py` takes the steps; here is how it is asked, and what it gives. Every look-up is in the
trail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mail.address import normalise_domain, split
from relaynode.mail.envelope import Recipient
from relaynode.mail.status import Status
from relaynode.policy.canonify import canonify, final
from relaynode.policy.expanding import (
    MAX_RECIPIENTS,
    Complaint,
    Node,
    Search,
    State,
    TooManyRecipients,
)
from relaynode.policy.localname import LocalNames, unescaped
from relaynode.policy.locals import Locals
from relaynode.policy.ordinary import PROBE, ordinary
from relaynode.policy.route import Decision, Route, unquote
from relaynode.policy.tokens import join, tokenise
from relaynode.policy.trail import Step, Trail

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from relaynode.policy.route import Routing
    from relaynode.tables.aliases import Aliases


_LEAVE_US = frozenset(("smtp", "esmtp", "smtp8", "dsmtp", "relay"))


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who gets the mail: the address as it was written, and where its mail goes."""

    text: str
    route: Route


@dataclass(frozen=True, slots=True)
class Expansion:
    """What addresses became.

    `recipients`: whom to queue the mail for. A member of a list that is bad is among them, with
    mailer "error", if others are good: its failure is told to whoever keeps the list. `refusal`: if
    nobody is good. `targets` and `complaints`: the same for people, as sendmail prints them.
    """

    recipients: tuple[Recipient, ...]
    trail: tuple[Step, ...]
    refusal: Status | None = None
    targets: tuple[Target, ...] = ()
    complaints: tuple[Complaint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNameRules:
    """Settings of [local] about names: see the schema there."""

    preserve_plus_detail: bool = False
    has_dash_details: bool = False
    subdomains_of: Set[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Expander:
    """Expands recipients. `uses_aliases`: no for `sendmail -n`."""

    routing: Routing
    aliases: Aliases
    locals: Locals
    names: LocalNameRules = LocalNameRules()
    uses_aliases: bool = True

    def expand(self, address: str) -> Expansion:
        """What mail for `address` is to be queued for. Raises: TableError (the mail waits)."""
        search = self._search()
        try:
            search.add(address)
        except TooManyRecipients:
            return _too_many(search)
        return self._result(search)

    def expand_plain(self, address: str) -> Recipient | None:
        """What `expand` gives for an ordinary address of somewhere else, which stands for itself;
        None where more must be looked at."""
        if self.names.subdomains_of:
            return None
        route = _of_domain(self.routing, address)
        return Recipient(address) if route is not None and route.mailer in _LEAVE_US else None

    def expand_lists(self, texts: Iterable[str]) -> Expansion:
        """The same for words of a command line, each of which may name several addresses.

        Raises: TableError.
        """
        search = self._search()
        try:
            for text in texts:
                search.add_list(text)
        except TooManyRecipients:
            return _too_many(search)
        return self._result(search)

    def identity(self, recipient: Recipient) -> tuple[str, ...]:
        """What tells recipients apart: mailer, host, user in lower case, and for programs and files
        whose they are."""
        if recipient.mailer:
            whose = (recipient.mailer, recipient.host.lower(), recipient.run_as)
            name = recipient.address
            return (*whose, name if recipient.mailer in ("prog", "*file*") else name.lower())
        local, domain = split(recipient.address)
        if self.routing.is_local(domain):
            return "local", "", "", unescaped(unquote(local))
        return "", normalise_domain(domain), "", local.lower()

    def _search(self) -> Search:
        local_names = LocalNames(
            self.routing,
            self.locals.is_user,
            self.names.preserve_plus_detail,
            self.names.has_dash_details,
        )
        return Search(
            self.routing,
            self.aliases,
            local_names,
            self.locals,
            self._noted_subdomain,
            self.uses_aliases,
        )

    def of_subdomain(self, address: str) -> str:
        """`foo@abc.example.net` is abc's, with the detail foo, if abc's name may have domains
        below it; any other address is itself."""
        return self._noted_subdomain(address, Trail())

    def _noted_subdomain(self, text: str, trail: Trail) -> str:
        if not self.names.subdomains_of:
            return text
        address = join(final(canonify(self.routing.names, tokenise(text), Trail())))
        local, domain = split(address)
        label, _, parent = normalise_domain(domain).partition(".")
        if not local or parent not in self.names.subdomains_of:
            return text
        if not (self.locals.is_user(label) or self.aliases.find(label, self.routing.is_local)):
            return text
        trail.note(f"sub-domain {domain}", f"belongs to {label}")
        return f"{label}+{local}"

    def _result(self, search: Search) -> Expansion:
        good = [node for node in search.nodes if node.state is State.GOOD]
        bad = [node for node in search.nodes if node.state is State.BAD]
        targets = tuple(Target(node.text, node.route) for node in good)
        common = (tuple(search.trail.steps), _refusal(search, good))
        queued = [one for one in good if one.status is None]
        if common[1] is not None:
            return Expansion((), *common, targets, tuple(search.complaints))
        recipients = [self._bad(node) for node in (*bad, *(n for n in good if n.status))]
        recipients += [self._recipient(node) for node in queued]
        return Expansion(
            tuple(self._distinct(recipients)), *common, targets, tuple(search.complaints)
        )

    def _distinct(self, recipients: Iterable[Recipient]) -> list[Recipient]:
        found: dict[tuple[str, ...], Recipient] = {}
        for recipient in recipients:
            found.setdefault(self.identity(recipient), recipient)
        return list(found.values())

    # --- nodes as recipients

    def _recipient(self, node: Node) -> Recipient:
        root = node.root()
        origin = "" if node is root else root.text
        owner = node.told()
        route = node.route
        if route.mailer in ("prog", "*file*"):
            command = unquote(route.user)
            return Recipient(
                command,
                expanded_from=origin,
                mailer=route.mailer,
                run_as=node.runs_as(),
                owner=owner,
            )
        if route.mailer == "local":
            address = self._local_address(node)
        elif node.is_led_on:
            return Recipient(
                route.user,
                expanded_from=origin,
                mailer=route.mailer,
                host=route.host,
                owner=owner,
            )
        else:
            address = self._plain(node.text) if node.above is not None else node.text
        origin = "" if address == root.text else origin
        return Recipient(address, expanded_from=origin, owner=owner)

    def _local_address(self, node: Node) -> str:
        """As the sender wrote it, if that alone leads to this user; else the user's name."""
        name = unescaped(node.route.user)
        root = node.root()
        text = root.text
        if all(one.is_led_on for one in _below_root(node)):
            again = self.routing.route(text).route
            user = again.user if again.mailer == "local" else ""
            if name in (user, user.partition("+")[0]):
                return text
        return f"{name}+{node.route.host}" if node.route.stays and node.route.host else name

    def _bad(self, node: Node) -> Recipient:
        assert node.status is not None
        root = node.root()
        return Recipient(
            self._plain(node.text),
            expanded_from="" if node is root else root.text,
            mailer="error",
            host=str(node.status),
            owner=node.told(),
        )

    def _plain(self, text: str) -> str:
        """The address alone, without phrase and comments."""
        names = self.routing.names
        address = canonify(names, tokenise(text), Trail())
        return join(final(address, bang_paths=names.bang_paths)) or text.strip()


def known_route(routing: Routing, address: str) -> Route:
    """`routing.route(address).route`. What was asked for lately is known."""
    key = "\0" + address  # apart from what holds for queued recipients
    known = routing.known.get(key) or _by_domain(routing, address)
    return known or routing.known.note(key, routing.route(address).route)


def final_route(routing: Routing, recipient: Recipient) -> Route:
    """Where the mail of a queued recipient goes now.

    What was decided when the message was accepted (a program, a hub) stays; all else follows the
    tables as they are.
    """
    if recipient.mailer:
        return decide(routing, recipient).route
    # A queue is looked through more than once in a run.
    known = routing.known.get(recipient.address) or _by_domain(routing, recipient.address)
    if known is None:
        known = routing.known.note(recipient.address, decide(routing, recipient).route)
    return known


def _by_domain(routing: Routing, address: str) -> Route | None:
    """The route of an ordinary address of another's domain, where only the domain decides."""
    route = _of_domain(routing, address)
    return None if route is None else route.for_user(address)


def _of_domain(routing: Routing, address: str) -> Route | None:
    """The same for somebody of that domain."""
    domain = ordinary(address)
    if domain is None or routing.virtusertable.entries or routing.is_local(domain):
        return None
    probe = f"{PROBE}@{domain}"
    route = routing.known.get("@" + domain)
    if route is None:
        route = routing.known.note("@" + domain, _for_anybody(routing.route(probe)).route)
    return route if route.user == probe else None


def decide(routing: Routing, recipient: Recipient) -> Decision:
    """`final_route` with its trail."""
    if not recipient.mailer:
        return _for_anybody(routing.route(recipient.address))
    step = Step("decided when the message was accepted", recipient.mailer)
    if recipient.mailer == "error":
        status = _status(recipient.host)
        return Decision(Route("error", "", recipient.address, status=status), (step,))
    return Decision(Route(recipient.mailer, recipient.host, recipient.address), (step,))


def _for_anybody(decision: Decision) -> Decision:
    """Only what is in aliases and .forward files is run or written to, whoever queued the mail."""
    what = {"prog": "programs", "*file*": "files", "*include*": ":include:s"}
    named = what.get(decision.route.mailer)
    if named is None:
        return decision
    status = Status(550, "5.7.1", f"Cannot mail directly to {named}")
    return Decision(Route("error", "", decision.route.user, status=status), decision.trail)


def _status(text: str) -> Status:
    """A Status from its own text, "CODE D.S.N TEXT"."""
    code, _, rest = text.partition(" ")
    enhanced, _, what = rest.partition(" ")
    return Status(int(code), enhanced, what)


def _below_root(node: Node) -> list[Node]:
    found = []
    while node.above is not None:
        found.append(node)
        node = node.above
    return found


def _refusal(search: Search, good: list[Node]) -> Status | None:
    if good or not search.complaints:
        return None
    first = search.complaints[0]
    root = search.nodes[0].root().text if search.nodes else ""
    status = first.status
    return Status(status.code, status.enhanced, f"<{root}>... {status.text}")


def _too_many(search: Search) -> Expansion:
    text = f"more than {MAX_RECIPIENTS} recipients"
    return Expansion((), tuple(search.trail.steps), Status(554, "5.5.3", text))
