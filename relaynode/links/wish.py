"""What is wished of a link's run: all there is, or some of it. It travels on the control socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaynode.queue.model import QueuedMessage, QueuedRecipient


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run shall do: flush, poll, or both.

    `only`: (kind, text) pairs, kind being "I" (queue id), "R" (a recipient) or "S" (sender): the
    messages in which the text occurs, case-blind, as sendmail's -qI, -qR and -qS have it; pairs of
    one kind are alternatives. With "!I" and so on, the messages in which it does not occur; of
    several such pairs, none may. `accounts`: which to poll, and which servers of [etrn] to ask; all
    of the link if None; one that is named is tried though its login was refused before.
    `only_counts`: look into mailboxes, and change nothing in them. `is_ordered`: somebody asked for
    it; else its time has come. `over_budget`: whatever it costs.
    """

    flush: bool = True
    poll: bool = True
    only: tuple[tuple[str, str], ...] = ()
    accounts: tuple[str, ...] | None = None
    only_counts: bool = False
    is_ordered: bool = True
    over_budget: bool = False

    @property
    def names_recipients(self) -> bool:
        """Is it mail for certain recipients that is asked for (-qR, ETRN)?"""
        return any(kind == "R" for kind, _ in self.only)

    def takes(self, message: QueuedMessage, recipient: QueuedRecipient | None = None) -> bool:
        """Is this message to be tried? With one recipient that fits, all of them are."""
        fields = {
            "I": [message.queue_id],
            "R": [one.forward_path.address for one in message.recipients],
            "S": [message.envelope.reverse_path],
        }
        fits: dict[str, bool] = {}
        for kind, text in self.only:
            occurs = any(text.lower() in value.lower() for value in fields[kind[-1]])
            if kind.startswith("!"):
                fits[kind] = fits.get(kind, True) and not occurs
            else:
                fits[kind] = fits.get(kind, False) or occurs
        return all(fits.values())

    def to_json(self) -> str:
        """For the control socket."""
        flags = (self.only_counts, self.is_ordered, self.over_budget)
        return json.dumps([self.flush, self.poll, self.only, self.accounts, *flags])

    @classmethod
    def from_json(cls, text: str) -> Wish:
        """What `to_json` made."""
        flush, poll, only, accounts, *flags = json.loads(text)
        pairs = tuple((kind, one) for kind, one in only)
        named = None if accounts is None else tuple(accounts)
        return cls(flush, poll, pairs, named, *flags)


ALL = Wish()
