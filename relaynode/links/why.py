"""Why mail is where it is: what happened to a message, what holds it now, what happens next.

For each recipient: the code of what it waits for or ended with (mail/reason.py), its route as it is
decided now with the trail of look-ups, the link, the last reply, and the next chance. Nothing is
guessed from texts: codes were stored when replies came. Not here: how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from relaynode.errors import TableError
from relaynode.links.plan import Planner
from relaynode.mail.reason import Reason, of_status
from relaynode.policy.expand import decide
from relaynode.queue.model import HELD_FOR, MessageState, RecipientState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relaynode.config.loader import Config
    from relaynode.links.plan import Plan
    from relaynode.links.run_parts import RunParts
    from relaynode.links.ways import Way
    from relaynode.policy.budget import Left
    from relaynode.policy.route import Decision
    from relaynode.queue.model import Event, QueuedMessage, QueuedRecipient


@dataclass(frozen=True, slots=True)
class _Path:
    """Where a recipient's mail goes now. `link`: None for what stays here."""

    decision: Decision
    way: Way
    link: str | None
    link_kind: str
    is_up: bool
    told: str


class Why:
    """Explains messages. `links_up`: the event links that were last said to be up. `spent`: the
    links whose budget allows no run now."""

    def __init__(
        self,
        config: Config,
        parts: RunParts,
        links_up: set[str],
        spent: Mapping[str, Left] = MappingProxyType({}),
    ) -> None:
        self._spent = spent
        self._config = config
        self._parts = parts
        self._links_up = links_up
        self._now = parts.clock()
        always = {name for name, section in config.links.items() if section.kind == "always"}
        self._are_up = always | links_up
        parts.ways.note_links(self._are_up)
        self._plans: dict[str, Plan] = {}

    async def find(self, what: str) -> list[QueuedMessage]:
        """The message of a queue id; or those to or from an address, the finished ones that are
        still known too. Raises: StoreError."""
        one = await self._parts.store.message(what)
        if one is not None:
            return [one]
        names = {what.strip("<>").lower()}
        if "@" not in what:
            names.add(f"{what}@{self._config.hostname}".lower())
        messages = await self._parts.store.messages(finished=True)
        return [message for message in messages if names & _addresses(message)]

    async def explain(self, message: QueuedMessage) -> dict[str, Any]:
        """All that is known, as plain values. Raises: StoreError."""
        history = await self._parts.store.history(message.queue_id)
        recipients = [self._recipient(message, one) for one in message.recipients]
        for found in recipients:
            if found["reason"] == Reason.LINK_DOWN:
                found["would_leave"] = await self._foreseen(message, found)
        return {
            "id": message.queue_id,
            "state": message.state,
            "sender": message.envelope.reverse_path,
            "source": message.source,
            "arrived_at": message.arrived_at,
            "size_bytes": message.size_bytes,
            "hold": _hold(message, history),
            "recipients": recipients,
            "history": [
                {"at": one.at, "kind": one.kind, "recipient": one.recipient, "text": one.text}
                for one in history
            ],
        }

    async def _foreseen(
        self, message: QueuedMessage, recipient: dict[str, Any]
    ) -> dict[str, Any] | None:
        """When it would go if its link came up now: seconds since then. None: nobody can tell."""
        link = recipient["link"]["name"]
        if link not in self._plans:
            self._plans[link] = await Planner(self._config, self._parts).plan(link)
            self._parts.ways.note_links(self._are_up)  # the plan has taken it to be up
        moment = self._plans[link].moment_of(message.queue_id, recipient["address"])
        if moment is None:
            return None
        return {
            "link": link,
            "begins_seconds": round(moment.begins, 3),
            "ends_seconds": round(moment.ends, 3),
        }

    def _recipient(self, message: QueuedMessage, recipient: QueuedRecipient) -> dict[str, Any]:
        path = self._path(recipient, message.envelope.reverse_path)
        reason = self._reason(message, recipient, path)
        status = recipient.last_status
        found: dict[str, Any] = {
            "address": recipient.forward_path.address,
            "expanded_from": recipient.forward_path.expanded_from,
            "state": recipient.state,
            "reason": reason,
            "last_reason": _last_reason(recipient),
            "status": str(status) if status is not None else "",
            "relay": recipient.relay,
            "in_doubt": recipient.in_doubt,
            "attempts": recipient.attempts,
            "last_attempt_at": recipient.last_attempt_at,
            "aged_seconds": recipient.aged_seconds,
        }
        if recipient.state is RecipientState.WAITING:
            found["route"] = None if path is None else _route(path)
            found["link"] = None if path is None else _link(path)
            found["next"] = self._next(message, recipient, path, reason)
            found["gives_up"] = self._gives_up(recipient)
        return found

    def _path(self, recipient: QueuedRecipient, reverse_path: str) -> _Path | None:
        """None while a table cannot be read."""
        try:
            decision = decide(self._parts.rules.routing, recipient.forward_path)
            way = self._parts.ways.way_of(decision.route, reverse_path)
        except TableError:
            return None
        link = self._parts.ways.link_of(way)
        kind = "" if link is None else self._config.links[link].kind
        is_up = link is None or kind == "always" or link in self._links_up
        told = self._parts.ways.told(way)
        return _Path(decision, way, link, kind, is_up, told)

    def _reason(
        self, message: QueuedMessage, recipient: QueuedRecipient, path: _Path | None
    ) -> str:
        """What it waits for now, or how it ended."""
        match recipient.state:
            case RecipientState.DELIVERED:
                return recipient.reason or Reason.DELIVERED
            case RecipientState.FAILED:
                return _last_reason(recipient) or Reason.REFUSED
            case RecipientState.REMOVED:
                return Reason.REMOVED
        if message.state is MessageState.HELD:
            return HELD_FOR[message.held_for]
        if recipient.claim is not None:
            return Reason.BEING_DELIVERED
        if path is None:
            return Reason.TABLE_UNREADABLE
        if path.way.waits_to_be_asked:
            return Reason.WAITS_TO_BE_ASKED
        if path.link in self._spent:
            return Reason.BUDGET
        return Reason.LINK_DOWN if not path.is_up else _last_reason(recipient) or Reason.WAITING

    def _next(
        self, message: QueuedMessage, recipient: QueuedRecipient, path: _Path | None, reason: str
    ) -> dict[str, Any]:
        """The next chance: a time (epoch seconds), an event, or both."""
        at = max(recipient.next_attempt_at, self._now)
        if message.state is MessageState.HELD:
            return {"at": None, "event": f"it is released (relaynode release {message.queue_id})"}
        if reason == Reason.BEING_DELIVERED:
            return {"at": self._now, "event": ""}
        if path is None:
            return {"at": at, "event": "the table can be read"}
        if path.way.waits_to_be_asked:
            return {"at": None, "event": "somebody asks for it by recipient (ETRN, -qR)"}
        event = f"link {path.link} comes up" if path.link_kind not in ("", "always") else ""
        if path.link is not None and path.link in self._spent:
            left = self._spent[path.link]
            begins = f"the budget of link {path.link} for the next {left.period} begins"
            until = None if left.until is None else max(at, left.until)
            return {"at": until, "event": f"{begins}, {event}" if event else begins}
        if not path.is_up:
            return {"at": None, "event": event}
        if path.way.kind == "neighbour":
            return {"at": at, "event": f"{path.way.name} calls" + (f", {event}" if event else "")}
        return {"at": at, "event": event}

    def _gives_up(self, recipient: QueuedRecipient) -> dict[str, Any]:
        """What is left until it is returned; both must be used up."""
        retry = self._parts.retry
        return {
            "attempts_left": max(retry.give_up_min_attempts - recipient.attempts, 0),
            "seconds_left": max(retry.give_up_after_seconds - recipient.aged_seconds, 0.0),
        }


def _addresses(message: QueuedMessage) -> set[str]:
    paths = [one.forward_path for one in message.recipients]
    found = {path.address for path in paths} | {path.expanded_from for path in paths}
    return {one.lower() for one in (*found, message.envelope.reverse_path) if one}


def _last_reason(recipient: QueuedRecipient) -> str:
    """Why its last try ended as it did; of one by an older version, as far as its status says."""
    if recipient.reason or recipient.last_status is None:
        return recipient.reason
    return of_status(recipient.last_status)


def _hold(message: QueuedMessage, history: Sequence[Event]) -> str:
    """Why a message is held, in the words of who holds it."""
    if message.state is not MessageState.HELD:
        return ""
    return next((one.text for one in reversed(history) if one.kind == "hold"), "")


def _route(path: _Path) -> dict[str, Any]:
    route = path.decision.route
    return {
        "trail": [
            {"question": step.question, "answer": step.answer, "place": step.place}
            for step in path.decision.trail
        ],
        "route": str(route),
        "mailer": route.mailer,
        "host": route.host,
        "user": route.user,
        "way": path.told or str(path.way),
    }


def _link(path: _Path) -> dict[str, Any] | None:
    if path.link is None:
        return None
    return {"name": path.link, "kind": path.link_kind, "is_up": path.is_up}
