"""Kerberos through python-gssapi (an extra), which is imported only when somebody names GSSAPI.

The first step asks the key server for a ticket, so it is made in a thread, before the dialogue
needs it; those that follow stay on this machine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from relaynode.errors import ServerNotProven
from relaynode.logins.login import no_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.sasl import SecurityContext


async def ticket_maker(host: str, service: str) -> Callable[[], SecurityContext]:
    """Something that gives a context for `service` at `host` whose first step is made.

    Raises: NoSecret when there is no library or no ticket.
    """
    context = await asyncio.to_thread(_begun, host, service)
    return lambda: context


def _begun(host: str, service: str) -> _Context:
    try:
        import gssapi
    except ImportError:
        text = "the library is missing: pip install relaynode[gssapi]"
        raise no_secret("auth GSSAPI", text) from None
    except OSError as error:  # its C library is
        raise no_secret("auth GSSAPI", f"the library cannot be loaded: {error}") from None
    try:
        name = gssapi.Name(f"{service}@{host}", gssapi.NameType.hostbased_service)
        flags = gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.integrity
        context = gssapi.SecurityContext(name=name, usage="initiate", flags=flags)
        return _Context(context, context.step(None))
    except gssapi.exceptions.GSSError as error:
        raise no_secret("auth GSSAPI", f"no ticket for {service}@{host}: {error}; kinit") from None


class _Context:
    """A SecurityContext on python-gssapi's."""

    def __init__(self, context: Any, first: bytes | None) -> None:
        self._context = context
        self._first = first

    @property
    def is_complete(self) -> bool:
        """See SecurityContext."""
        return bool(self._context.complete)

    def step(self, token: bytes | None) -> bytes | None:
        """See SecurityContext."""
        if token is None:
            return self._first
        answer: bytes | None = self._do(lambda: self._context.step(token))
        return answer

    def unwrap(self, message: bytes) -> bytes:
        """See SecurityContext."""
        plain: bytes = self._do(lambda: self._context.unwrap(message).message)
        return plain

    def wrap(self, message: bytes) -> bytes:
        """See SecurityContext."""
        signed: bytes = self._do(lambda: self._context.wrap(message, False).message)
        return signed

    def _do(self, step: Callable[[], Any]) -> Any:
        from gssapi.exceptions import GSSError

        try:
            return step()
        except GSSError as error:
            raise ServerNotProven(f"GSSAPI: {error}") from None
