"""Mail that waits elsewhere: visits to accounts, by protocol, and asking servers to send (ETRN)."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.recipient_checks import is_multidrop
from relaynode.errors import LoginRefused
from relaynode.links import etrn
from relaynode.links.drop_off import address_maker
from relaynode.links.next_hops import USUAL_PORTS, context_maker, opener
from relaynode.mailers.smtp_hop import NextHop
from relaynode.policy.multidrop import RECEIVED, Multidrop
from relaynode.polls.account import Account
from relaynode.polls.choice import Wishes
from relaynode.polls.content import STATUS, HeaderEdits
from relaynode.polls.imap import ImapPoller, ImapWishes
from relaynode.polls.imap_idle import ImapIdler
from relaynode.polls.odmr import OdmrAccount, OdmrPoller
from relaynode.polls.pop3 import Pop3Poller
from relaynode.polls.refusals import Refusals
from relaynode.queue.partials import Partials
from relaynode.sources.filters import source_filters_of
from relaynode.sources.smtp_guard import Guard
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.config.loader import Config
    from relaynode.config.schema import AccountSection, RemoteSection
    from relaynode.links.run_parts import RunParts
    from relaynode.polls.poll import Poll
    from relaynode.sources.intake import Intake
    from relaynode.wire.stream import Stream

_PORTS = {
    "pop3": {"none": 110, "starttls": 110, "tls": 995},
    "imap": {"none": 143, "starttls": 143, "tls": 993},
}
_ODMR_PORT = 366


@dataclass(frozen=True, slots=True)
class Fetching:
    """`clock`: monotonic seconds."""

    config: Config
    parts: RunParts
    intake: Intake
    clock: Callable[[], float]

    async def poll(
        self,
        result: Poll,
        count: ByteCount,
        on_progress: Callable[[object], None],
        *,
        only_counts: bool = False,
        is_named: bool = False,
    ) -> None:
        """Visit an account; `result` is kept up to date and stays true if this raises.

        `only_counts`: see what is there, and change nothing. `is_named`: somebody asked for this
        account, so that it is tried though its login was refused before.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError, Rejected.
        """
        section = self.config.file.account[result.account]
        mailboxes = self.parts.store.mailboxes
        refusals = Refusals(result.account, mailboxes, self._tried(section))
        if not is_named:
            await refusals.check()
        try:
            await self._visit(section, result, count, on_progress, only_counts=only_counts)
        except LoginRefused as error:
            await refusals.note(error)
            raise
        await refusals.forget()

    async def idle(
        self,
        name: str,
        on_news: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> bool:
        """Wait at the server of an IMAP account until the line is lost; False: it knows no IDLE.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError.
        """
        section = self.config.file.account[name]
        refusals = Refusals(name, self.parts.store.mailboxes, self._tried(section))
        await refusals.check()
        idler = ImapIdler(self._mailbox(section, name, ByteCount()), section.folders[0], sleep)
        try:
            return await idler.idle(on_news)
        except LoginRefused as error:
            await refusals.note(error)
            raise

    async def _visit(
        self,
        section: AccountSection,
        result: Poll,
        count: ByteCount,
        on_progress: Callable[[object], None],
        *,
        only_counts: bool,
    ) -> None:
        if section.protocol == "odmr":
            await self._odmr(section, result, count, on_progress).poll()
        else:
            poller = self._poller(section, result.account, count, on_progress, only_counts)
            await poller.poll(result)

    def _tried(self, section: AccountSection) -> str:
        """Tells what an account is tried with from what it would be tried with otherwise."""
        words = [repr(section)]
        if section.password_file is not None and self.config.path is not None:
            with contextlib.suppress(OSError):
                status = (self.config.path.parent / section.password_file).stat()
                words += [str(status.st_mtime_ns), str(status.st_size)]
        return hashlib.sha256("\0".join(words).encode()).hexdigest()

    def _poller(
        self,
        section: AccountSection,
        name: str,
        count: ByteCount,
        on_progress: Callable[[object], None],
        only_counts: bool,
    ) -> Pop3Poller | ImapPoller:
        account = self._mailbox(section, name, count)
        store, clock = self.parts.store, self.parts.clock
        rate = self.config.links[self.config.link_of(section)].bits_per_second / 8
        if section.protocol == "imap":
            return ImapPoller(
                account,
                ImapWishes(tuple(section.folders), section.move_to),
                store,
                self.intake,
                Partials(self.config.spool / "partial"),
                clock=clock,
                on_progress=on_progress,
                only_counts=only_counts,
                bytes_per_second=rate,
                count=count,
            )
        return Pop3Poller(
            account,
            store,
            self.intake,
            on_progress=on_progress,
            clock=clock,
            monotonic=self.clock,
            only_counts=only_counts,
            bytes_per_second=rate,
            count=count,
        )

    async def ask(self, name: str, asked: list[etrn.Asked], count: ByteCount) -> None:
        """Ask the server of [etrn.NAME] to send; `asked` gets its answers.

        Raises: WireError, RefusedError, ProtocolError, TableError.
        """
        section = self.config.file.etrn[name]
        hop = self._hop("etrn", name, section, USUAL_PORTS[section.tls], count)
        hostname = self.config.hostname
        await etrn.ask(name, hop, section.domains, asked, hostname=hostname, clock=self.clock)

    def _odmr(
        self,
        section: AccountSection,
        result: Poll,
        count: ByteCount,
        on_progress: Callable[[object], None],
    ) -> OdmrPoller:
        def taken(size_bytes: int) -> None:
            result.take(size_bytes)
            on_progress(result)

        queue = self.config.file.queue
        source = SmtpSource(
            self.intake,
            self.parts.rules,
            hostname=self.config.hostname,
            networks=[],
            max_size_bytes=queue.message_size_bytes,
            knows_again=queue.remember_days > 0,
            common_id=f"odmr {result.account}",
            on_taken=taken,
            filters=source_filters_of(self.config, "odmr"),
            guard=Guard(command_seconds=section.timeout_seconds),
        )
        hop = self._hop("account", result.account, section, _ODMR_PORT, count)
        account = OdmrAccount(hop, tuple(section.domains))
        return OdmrPoller(
            account,
            source.serve_called,
            source.gate,
            hostname=self.config.hostname,
            clock=self.clock,
        )

    def _hop(
        self, table: str, name: str, section: RemoteSection, port: int, count: ByteCount
    ) -> NextHop:
        ways = self.parts.ways
        return NextHop(
            name=section.host.host,
            open=self._opener(section, port, count),
            tls=section.tls,
            tls_context=context_maker(self.config, section, ways.contexts),
            login=ways.logins.of(table, name, section) or ways.logins.of_tables,
            timeout_seconds=section.timeout_seconds,
        )

    def _opener(
        self, section: RemoteSection, port: int, count: ByteCount
    ) -> Callable[[], Awaitable[Stream]]:
        sources = self.config.source_addresses(self.config.link_of(section))
        return opener(section.host, port, count, sources)

    def _mailbox(self, section: AccountSection, name: str, count: ByteCount) -> Account:
        ways = self.parts.ways
        login = ways.logins.of("account", name, section)
        assert login is not None  # the loader insists on it
        return Account(
            name=name,
            server=section.host.host,
            open=self._opener(section, _PORTS[section.protocol][section.tls], count),
            login=login,
            deliver_to=section.deliver_to or "",
            tls=section.tls,
            tls_context=context_maker(self.config, section, ways.contexts),
            timeout_seconds=section.timeout_seconds,
            wishes=self._wishes(section),
            expunge=section.expunge,
            warn_hours=section.warn_hours,
            filters=source_filters_of(self.config, "poll"),
            multidrop=multidrop_of(section) if is_multidrop(section) else None,
            drop_off_address=address_maker(section),
            edits=edits_of(section),
        )

    def _wishes(self, section: AccountSection) -> Wishes:
        header_first_bytes = section.header_first_bytes
        if header_first_bytes is None:
            header_first_bytes = self.config.links[self.config.link_of(section)].header_first_bytes
        return Wishes(
            keep=section.keep,
            fetch_all=section.fetch_all,
            flush=section.flush,
            limit_bytes=section.limit_bytes,
            flush_oversized=section.flush_oversized,
            fetch_limit=section.fetch_limit,
            delete_after_days=section.delete_after_days,
            header_first_bytes=header_first_bytes,
            max_message_bytes=self.config.file.queue.message_size_bytes,
        )


def multidrop_of(section: AccountSection) -> Multidrop:
    """How the recipients of an account's messages are found."""
    header = section.envelope_header
    return Multidrop(
        server=section.host.host,
        aka=tuple(section.aka),
        local_domains=tuple(section.local_domains),
        names=section.names,
        others_as_they_are=section.others_as_they_are,
        envelope_header=RECEIVED if header is None else header,
        envelope_skip=section.envelope_skip,
        user_prefix=section.user_prefix,
        uses_addressees=section.use_addressees,
    )


def edits_of(section: AccountSection) -> HeaderEdits:
    """What becomes of the headers of an account's messages."""
    drops = (STATUS if section.drop_status else ()) + (
        (b"delivered-to",) if section.drop_delivered else ()
    )
    return HeaderEdits(drops, section.host.host if section.fix_addresses else "")
