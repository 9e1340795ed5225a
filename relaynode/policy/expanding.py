"""The expansion of recipients, step by step: aliases, local names, .forward files, lists.

A recipient passes these steps until one takes it: it was there already; it is a list of addresses
to read; it has an alias; ruleset 5 leads it on; it is a user with a .forward; it is a user; nobody
knows it. Members of a list begin anew, one level deeper, the last one first. The order of the
steps, what counts as the same recipient, and where a loop is cut are sendmail's.

Nothing here reads a file: see `locals.py`. What was found is put together in `expand.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.policy.localname import unescaped
from relaynode.policy.locals import DEFAULT_USER, Unopened
from relaynode.policy.route import Route
from relaynode.policy.tokens import scan
from relaynode.policy.trail import Trail
from relaynode.tables.addresslist import lines_of, split_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.localname import LocalNames
    from relaynode.policy.locals import AddressFile, Locals
    from relaynode.policy.route import Routing
    from relaynode.tables.aliases import Aliases
    from relaynode.tables.keyed import Entry

MAX_DEPTH = 10
"""Aliases of aliases: sendmail's MaxAliasRecursion."""

MAX_RECIPIENTS = 100_000
"""What a message may grow to: a list gone mad must not fill the memory."""

LOOP = "aliasing/forwarding loop broken"

_DELIVERED_BY_US = {"prog": "programs", "*file*": "files"}


class State(Enum):
    """What became of an address: it has a mailbox or a way; it is bad; others stand for it."""

    GOOD = auto()
    BAD = auto()
    REPLACED = auto()


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with an address. `text` is what is printed, `status` what a sender is told.

    `is_final`: the command that asked ends with the status's exit code; others just say something.
    """

    text: str
    status: Status
    is_final: bool
    route: Route | None = None


@dataclass(slots=True, eq=False)
class Node:
    """An address on its way. `text`: as it was written. `above`: what it was expanded from.

    `is_primary`, `is_done`: it was given by the sender; all its steps are behind it (until then
    only members of lists count as duplicates of others). `is_self`: it is among what it stands
    for. `is_led_on`: ruleset 5 made it of the one above. `user`: whose programs and files stand
    below it, None if that is not said here. `why_not_deliver`: why programs and files below it are
    refused. `owner`: who is told about failures below it, "" if that is not said here.
    """

    text: str
    route: Route
    above: Node | None
    state: State = State.GOOD
    is_primary: bool = False
    is_done: bool = False
    is_self: bool = False
    is_led_on: bool = False
    user: str | None = None
    why_not_deliver: str = ""
    owner: str = ""
    status: Status | None = None

    def runs_as(self) -> str:
        """The user that a program or file here belongs to."""
        node: Node | None = self
        while node is not None:
            if node.user is not None:
                return node.user
            node = node.above
        return DEFAULT_USER

    def told(self) -> str:
        """Who is told when it fails, "" for the sender: the owner of the nearest list."""
        node: Node | None = self
        while node is not None:
            if node.owner:
                return node.owner
            node = node.above
        return ""

    def root(self) -> Node:
        """The address as the sender gave it."""
        node = self
        while node.above is not None:
            node = node.above
        return node

    def is_same(self, other: Node) -> bool:
        """Would it be the same delivery?"""
        mine, theirs = self.route, other.route
        if (mine.mailer, mine.host, mine.user) != (theirs.mailer, theirs.host, theirs.user):
            return False
        return mine.mailer != "prog" or self.runs_as() == other.runs_as()


class TooManyRecipients(Exception):
    """A list has more members than we take."""


@dataclass(slots=True)
class Search:
    """One expansion under way: what was found so far, in order."""

    routing: Routing
    aliases: Aliases
    local_names: LocalNames
    locals: Locals
    rename: Callable[[str, Trail], str]
    uses_aliases: bool = True
    nodes: list[Node] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    trail: Trail = field(default_factory=Trail)
    _by_route: dict[tuple[str, str, str], list[Node]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _place: str = ""

    def add(self, text: str) -> None:
        """An address that the sender gave. Raises: TableError, TooManyRecipients."""
        self._recipient(self._node(text, None), 0)

    def add_list(self, text: str) -> None:
        """Addresses that the sender gave in one word, divided as sendmail does.

        Raises: TableError, TooManyRecipients.
        """
        is_old_style = not any(char in text for char in ",;<(")
        self._list(text, None, 0, " " if is_old_style else ",")

    # --- lists

    def _node(self, text: str, above: Node | None) -> Node:
        for what in scan(text).complaints:
            self._complain(text, what, Status(553, "5.1.3", what), is_final=False)
        decision = self.routing.route(self.rename(text, self.trail))
        self.trail.steps.extend(step for step in decision.trail if step.place)
        node = Node(text, decision.route, above)
        status = node.route.status
        if status is not None:
            node.status = status
            if not status.is_temporary:
                node.state = State.BAD
            self._complain(
                text, status.text, status, is_final=not status.is_temporary, route=node.route
            )
        return node

    def _list(self, text: str, above: Node | None, depth: int, delimiter: str = ",") -> int:
        """Expand the members of a list; how many there were."""
        nodes = [self._node(member, above) for member in split_list(text, delimiter)]
        members = [node for node in nodes if not self._is_cut(node)]
        for node in reversed(members):
            self._recipient(node, depth)
        return len(members)

    def _is_cut(self, node: Node) -> bool:
        """Does the node lead back to where it came from? A real user above keeps a copy."""
        above = node.above
        if above is None:
            return False
        above.is_self = above.is_self or above.is_same(node)
        kept = self._kept(node)
        if kept is None:
            return False
        kept.is_self = True
        return kept is not node

    def _kept(self, node: Node) -> Node | None:
        """Of a loop that ends in `node`, the address that is a real user; None without a loop."""
        top = node.above
        while top is not None and not top.is_same(node):
            top = top.above
        if top is None:
            return None
        current: Node | None = node
        while current is not None:
            if current.route.mailer == "local" and self.locals.is_user(current.route.user):
                return top if top.is_same(current) else current
            current = current.above
        return None

    # --- one recipient

    def _recipient(self, node: Node, depth: int) -> None:
        node.is_primary = node.is_primary or depth == 0
        if depth > MAX_DEPTH:
            self._cut(node, depth)
            return
        self._check_mailer(node)
        twin = self._twin(node)
        if twin is not None:
            twin.is_self = twin.is_self or node.is_self
            if twin.is_primary and twin.is_self:
                twin.state = node.state
            return
        self._keep(node)
        if node.state is State.GOOD:
            self._pass(node, depth)
        self._check_anybody_left(node)
        node.is_done = True

    def _keep(self, node: Node) -> None:
        if len(self.nodes) >= MAX_RECIPIENTS:
            raise TooManyRecipients
        self.nodes.append(node)
        self._by_route[_key(node)].append(node)

    def _twin(self, node: Node) -> Node | None:
        for other in self._by_route.get(_key(node), ()):
            if other.is_same(node) and (other.is_done or not other.is_primary):
                return other
        return None

    def _pass(self, node: Node, depth: int) -> None:
        """The steps of one recipient."""
        if node.route.mailer == "*include*":
            self._include(node, depth)
        if node.route.mailer != "local":
            return
        is_quoted = "\\" in node.route.user
        if not is_quoted:
            self._alias(node, depth)
        if node.state is State.GOOD and not node.route.stays:
            self._lead_on(node, depth)
        if node.state is State.GOOD:
            self._user(node, depth, reads_forward=not is_quoted)

    def _check_mailer(self, node: Node) -> None:
        """Programs and files are for aliases and .forward files, never for a sender to name."""
        what = _DELIVERED_BY_US.get(node.route.mailer)
        if what is None or node.state is not State.GOOD:
            return
        if node.above is None:
            self._refuse(node, f"Cannot mail directly to {what}", "5.7.1")
        elif node.above.why_not_deliver:
            self._refuse(node, f"{node.above.why_not_deliver} {what}", "5.7.1")

    def _check_anybody_left(self, node: Node) -> None:
        if node.above is not None:
            return
        if all(other.state is State.REPLACED for other in (node, *self.nodes)):
            node.state = State.BAD
            node.status = Status(554, "5.4.6", LOOP)
            self._complain("", LOOP, node.status, is_final=False)

    def _cut(self, node: Node, depth: int) -> None:
        text = f"{LOOP} ({depth} aliases deep; {MAX_DEPTH} max)"
        for one in (node, node.above):
            if one is not None:
                one.state = State.BAD
                one.status = Status(554, "5.4.6", text)
        self._complain("", text, Status(554, "5.4.6", text), is_final=False)

    # --- aliases and local names

    def _alias(self, node: Node, depth: int) -> None:
        entry = self._find_alias(node.route.user)
        if entry is None:
            return
        node.is_self = False
        node.state = State.REPLACED
        node.user = DEFAULT_USER
        self._list(entry.value, node, depth + 1)
        if node.is_self and node.state is State.REPLACED:
            node.state = State.GOOD
        node.owner = self._owner_of(node.route.user)

    def _find_alias(self, name: str) -> Entry | None:
        if not self.uses_aliases:
            return None
        entry = self.aliases.find(name, self.routing.is_local)
        self.trail.look_up("aliases", self.aliases.file, name, entry)
        return entry

    def _owner_of(self, name: str) -> str:
        owner = "owner-owner" if name.startswith("owner-") else f"owner-{name}"
        entry = self.aliases.find(owner, self.routing.is_local)
        if entry is None:
            return ""
        self.trail.look_up("aliases", self.aliases.file, owner, entry)
        # A list of owners, or a program, has its address in its own name.
        return owner if any(char in entry.value for char in ',:/|"') else entry.value.strip()

    def _lead_on(self, node: Node, depth: int) -> None:
        route = self.local_names.next_step(node.route, self.trail)
        if route is None:
            return
        following = Node(node.text, route, node, is_primary=node.is_primary, is_led_on=True)
        if following.is_same(node):
            return
        node.state = State.REPLACED
        if route.status is not None:
            following.status = route.status
            following.state = State.GOOD if route.status.is_temporary else State.BAD
            self._complain(
                node.text,
                route.status.text,
                route.status,
                is_final=not route.status.is_temporary,
                route=route,
            )
        self._recipient(following, depth + 1)

    # --- users and their files

    def _user(self, node: Node, depth: int, *, reads_forward: bool) -> None:
        name = unescaped(node.route.user)
        if not self.locals.is_user(name):
            self.trail.note(f"user {name}", "does not exist")
            self._refuse(node, "User unknown", "5.1.1")
            return
        self.trail.note(f"user {name}", "exists")
        node.user = name
        if not reads_forward:
            return
        file = self.locals.forward(name, node.route.host)
        if file is not None:
            node.why_not_deliver = file.why_not or self.locals.why_not_deliver(name)
            self._read(file, node, depth)

    def _include(self, node: Node, depth: int) -> None:
        node.state = State.REPLACED
        if node.above is None:
            self._refuse(node, "Cannot mail directly to :include:s", "5.7.1")
            return
        path = node.route.user
        reader = node.runs_as()
        file = self.locals.include(path, reader)
        if isinstance(file, Unopened):
            self.trail.note(f"file {path}", file.reason)
            self._refuse(node, f"Cannot open {path}: {file.reason}", "5.2.4")
            return
        node.user = file.owner if reader == DEFAULT_USER else reader
        node.why_not_deliver = file.why_not
        self._read(file, node, depth)

    def _read(self, file: AddressFile, node: Node, depth: int) -> None:
        node.is_self = False
        before = self._place
        count = 0
        for line in lines_of(file.text):
            self._place = f"{file.path}: line {line.number}: "
            self.trail.note(f"file {file.path}", line.text, f"{file.path}:{line.number}")
            count += self._list(line.text, node, depth + 1)
        self._place = before
        if count and not node.is_self and node.state is State.GOOD:
            node.state = State.REPLACED

    # --- complaints

    def _refuse(self, node: Node, what: str, enhanced: str) -> None:
        node.state = State.BAD
        node.status = Status(550, enhanced, what)
        is_final = enhanced == "5.1.1"
        self._complain(node.text, what, node.status, is_final=is_final)

    def _complain(
        self, text: str, what: str, status: Status, *, is_final: bool, route: Route | None = None
    ) -> None:
        about = f"{text}... " if text else ""
        self.complaints.append(Complaint(f"{self._place}{about}{what}", status, is_final, route))


def _key(node: Node) -> tuple[str, str, str]:
    return node.route.mailer, node.route.host, node.route.user
