"""An account whose login was refused for good is not tried at every link-up, on the line's money.

It is tried again when somebody asks for it by name, or when its settings or its password file have
changed. A refusal that may pass (another session has the mailbox, too many connections) counts for
nothing. One that the server marks [AUTH] is sure at once; of the others it takes some in a row,
because a server whose own memory is out of order says the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.errors import LoginRefused, NoSecret
from relaynode.mail.status import permanent

if TYPE_CHECKING:
    from relaynode.queue.mailboxes import Mailboxes

REFUSALS_UNTIL_WEDGED = 3


class Wedged(LoginRefused):
    """The account was not tried: its login was refused before, and nothing has changed."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The memory of one account. `tried`: tells the settings it is tried with from others."""

    account: str
    mailboxes: Mailboxes
    tried: str

    async def check(self) -> None:
        """Raises: Wedged if there is no use in trying; StoreError."""
        state = await self.mailboxes.state(self.account)
        if state.refusals >= REFUSALS_UNTIL_WEDGED and state.refused_with == self.tried:
            text = (
                f"its login was refused ({state.refused}); `relaynode fetch {self.account}` tries"
                " it again, and so does a change of its settings"
            )
            raise Wedged(permanent(text, "5.7.8", 535), "not tried")

    async def note(self, error: LoginRefused) -> None:
        """A login was refused. Raises: StoreError."""
        if not error.status.is_permanent or isinstance(error, NoSecret):
            return
        state = await self.mailboxes.state(self.account)
        is_sure = error.status.text.upper().startswith("[AUTH]")
        before = state.refusals if state.refused_with == self.tried else 0
        count = REFUSALS_UNTIL_WEDGED if is_sure else before + 1
        refused = error.status.text
        await self.mailboxes.remember(
            self.account, replace(state, refusals=count, refused=refused, refused_with=self.tried)
        )

    async def forget(self) -> None:
        """A login was granted. Raises: StoreError."""
        state = await self.mailboxes.state(self.account)
        if state.refusals:
            await self.mailboxes.remember(self.account, replace(state, refusals=0, refused=""))
