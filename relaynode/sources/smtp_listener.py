"""The SMTP source: drives `smtp.server.Session` for each client of the LAN, and for servers that we
have called and that turned the session round (`odmr.py`). What one client says leads to is in
`smtp_dialogue.py`.

Who may send what is decided in `policy/access.py`, asked through `smtp_gate.py`; the replies are
sendmail's.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, WireError
from relaynode.mail.status import Status
from relaynode.smtp import server
from relaynode.smtp.reply import encode
from relaynode.sources.smtp_desk import SmtpDesk
from relaynode.sources.smtp_dialogue import Dialogue
from relaynode.sources.smtp_door import Entering
from relaynode.sources.smtp_guard import EARLY

if TYPE_CHECKING:
    from relaynode.policy.client import Client
    from relaynode.wire.stream import Stream


class SmtpSource(SmtpDesk):
    """Serves SMTP connections; see SmtpDesk for its settings."""

    async def serve(self, stream: Stream, client: str, *, trusted_user: str = "") -> None:
        """Talk to one client until it leaves. Never raises but CancelledError.

        `client`: its IP address. `trusted_user`: for SMTP on standard input, the user who calls.
        """
        crowd = self.guard.crowd
        is_exempt = bool(trusted_user) or self.is_near(client)
        try:
            refusal = crowd.enter(client, is_exempt=is_exempt)
            if refusal is not None:
                await self._turn_away(stream, refusal)
                return
            try:
                with contextlib.suppress(WireError):  # it went away; what it was told stays true
                    # Before anything is awaited: under TLS the client speaks at once.
                    if self.door.is_private:
                        await self.door.start_tls(stream)
                    known = await self.gate.identify(client, trusted_user)
                    may_be_early = not (is_exempt or self.door.is_private)
                    if may_be_early and await self.guard.is_early(stream):
                        await self._turn_away(stream, EARLY)
                        return
                    await self._talk(await self._meet(stream, known, trusted_user))
            finally:
                crowd.leave(client, is_exempt=is_exempt)
        finally:
            await stream.close()

    async def _turn_away(self, stream: Stream, status: Status) -> None:
        if self.door.is_private:
            return  # it would not understand us before TLS
        with contextlib.suppress(WireError):
            await stream.write(encode(status), timeout=1)

    async def serve_called(self, stream: Stream, server: Client) -> None:
        """Take what a server has for us that we have called, until it leaves.

        Raises: WireError, also when it leaves without a word.
        """
        dialogue = await self._meet(stream, server)
        try:
            await self._talk(dialogue)
        except WireError as error:
            if not dialogue.session.has_quit:  # else it need not wait for our goodbye
                raise LineLost(f"{error}{dialogue.doubt}") from error
        if not dialogue.session.has_quit:
            raise LineLost(f"{stream.peer}: left in the middle of the session{dialogue.doubt}")

    async def _meet(self, stream: Stream, client: Client, trusted_user: str = "") -> Dialogue:
        verdict = await self.gate.check_relay(client)
        filtering = self.filtering(verdict)
        denial = verdict.status or await filtering.connect(client, stream)
        terms = self.guard.terms
        if terms.takes_xclient and not self.is_proxy(client):
            terms = replace(terms, takes_xclient=False)
        session = server.Session(
            self.hostname,
            max_size_bytes=self.max_size_bytes,
            terms=terms,
            denial=denial,
            knows_again=self.knows_again,
            security=await self.door.security(client.address),
        )
        entering = Entering(self.door, session, client.address)
        return Dialogue(self, session, stream, client, trusted_user, verdict, filtering, entering)

    async def _talk(self, dialogue: Dialogue) -> None:
        try:
            await dialogue.run()
        except asyncio.CancelledError:
            dialogue.session.shut_down("closing")
            with contextlib.suppress(WireError):
                await dialogue.stream.write(dialogue.session.data_to_send(), timeout=1)
            raise
        finally:
            dialogue.reset()
            dialogue.entering.cancel()
            await dialogue.filtering.close()
