"""Consignments shared by those who deliver them: connections to a next hop, or hops in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from relaynode.mailers.mailer import Consignment


@runtime_checkable
class Stocked(Protocol):
    """A source that may have something without being waited for."""

    def at_hand(self) -> Consignment | None:
        """The next one, if it is there already."""
        ...


class Supply:
    """Gives each consignment to one taker. What comes back goes out before anything new."""

    def __init__(self, source: AsyncIterator[Consignment]) -> None:
        self._source = source
        self._stock = source if isinstance(source, Stocked) else None
        self._returned: deque[Consignment] = deque()
        self._asking: asyncio.Future[Consignment | None] | None = None

    async def take(self) -> Consignment | None:
        """The next one, None when there is no more."""
        while (at_hand := self.at_hand()) is None:
            # A taker that is called off must not end the source for the others: what it asked for
            # is for whoever comes next.
            if self._asking is None:
                self._asking = asyncio.ensure_future(anext(self._source, None))
            asking = self._asking
            await asyncio.wait((asking,))
            if self._asking is asking:
                found = asking.result()
                if found is None:
                    return None  # it stays so: an iterator that has ended has
                self._asking = None
                self._returned.append(found)
        return at_hand

    def at_hand(self) -> Consignment | None:
        """See Stocked."""
        if self._returned:
            return self._returned.popleft()
        # Whoever asks the source already is to have what it gives next.
        return self._stock.at_hand() if self._stock and self._asking is None else None

    async def has_more(self) -> bool:
        """Is there another one, which nobody has taken?"""
        found = await self.take()
        if found is not None:
            self.give_back(found)
        return found is not None

    def give_back(self, consignment: Consignment) -> None:
        """It was not tried after all, or a part of it was not."""
        self._returned.appendleft(consignment)

    def begin_again(self, consignments: Iterable[Consignment]) -> None:
        """These were given out and came to nothing: they are all that has come back."""
        self._returned = deque(consignments)

    @property
    def has_returned(self) -> bool:
        """Is there something that came back?"""
        return bool(self._returned)

    async def close(self) -> None:
        """Nobody takes anything any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
