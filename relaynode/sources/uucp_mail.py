"""The UUCP source: mail that neighbours bring by `rmail`, `rsmtp` and other commands for batches.

As builtins of the executor they queue everything of one execution together with its end; as
programs (another's uuxqt runs them, or somebody by hand) they do the same without that end.

A neighbour has logged in and has the command on its list: it is trusted to send to anybody and from
anybody, as sendmail trusts its UUCP. The access table is about SMTP clients and is not asked. There
is nobody to refuse a recipient to, so what cannot be delivered goes back to the reverse-path as a
DSN, and the others get theirs.

    an execution                      ends    and
    ------------------------------    ------  ----------------------------------------------------
    rmail without recipient           failed  whoever asked for it gets a letter (executor.py)
    rmail without a From line         failed  the same
    a batch that is damaged, or none  failed  the same: none of it is to be trusted
    a batch that was cut, too long    failed  what was whole is delivered, the message in the cut
                                              goes back, our postmaster gets a letter
    all others                        done    mail and DSNs are queued
    no room, a table unreadable,      later   nothing of it is queued
    a filter that cannot say now

What failed keeps its files for the operator.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from relaynode.errors import (
    EX_DATAERR,
    EX_OK,
    EX_TEMPFAIL,
    EX_USAGE,
    RelaynodeError,
    StoreError,
    TableError,
    UsageError,
)
from relaynode.mail import trace
from relaynode.mail.address import split
from relaynode.mail.bangpath import seen_at
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.packing import BATCH_COMMANDS
from relaynode.mail.status import Status, permanent
from relaynode.queue.content import Content
from relaynode.queue.finish import finish
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import WorkState
from relaynode.sources.intake import Arrival, Parcel, Rejected
from relaynode.sources.uucp_incoming import Incoming, IncomingReader, Mail
from relaynode.uucico.post import Letter
from relaynode.uucico.running import Ran

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import ClaimedExecution, Settled
    from relaynode.sources.filters import Filters
    from relaynode.sources.intake import Intake
    from relaynode.uucico.executor import Builtin

RMAIL = "rmail"
COMMANDS = (RMAIL, *BATCH_COMMANDS, "rfsmtp")
"""All of them; what a batch is packed with is seen in it, whatever the name says."""

UUX_GRADE = "N"
"""What uux gives a job that nobody gave a grade: no wish of the sender's."""

NOBODY_NAMED = "unspecified-recipient"
"""Stands in a DSN where no recipient was given."""

log = logging.getLogger("relaynode.uucp")


DEFAULT_DOMAIN = "UUCP"
"""What Received calls the domain of neighbours, unless `rmail -D` says otherwise; as sendmail's."""


class UucpMail:
    """Takes mail of neighbours. `letter`: makes a message of a letter to our postmaster, None if
    that cannot be now. `our_names`: UUCP names of ours, in lower case, which mean nobody else when
    they stand in an address. `max_message_bytes`: a longer one goes back. `filters`: who is asked
    about each message; what they refuse for good goes back, too."""

    def __init__(
        self,
        intake: Intake,
        store: Store,
        *,
        hostname: str,
        our_names: Collection[str],
        letter: Callable[[Letter], Parcel | None],
        max_message_bytes: int,
        filters: Filters | None = None,
    ) -> None:
        self._filters = filters
        self._intake = intake
        self._store = store
        self._hostname = hostname
        self._our_names = our_names
        self._letter = letter
        self._max_message_bytes = max_message_bytes

    def builtins(self) -> dict[str, Builtin]:
        """For the executor."""
        return dict.fromkeys(COMMANDS, self._execute)

    async def _execute(self, claimed: ClaimedExecution, done: Settled) -> Ran | None:
        """See Builtin."""
        new = claimed.execution.new
        content = claimed.files.get(new.input_name)
        arrival = Arrival(
            trace.uucp_origin(new.neighbour),
            "UUCP",
            f"uucp {new.neighbour}",
            grade="" if new.grade == UUX_GRADE else new.grade,
        )
        ran = await self._take(new.command, content, new.neighbour, arrival, done)
        return None if ran.code == EX_OK else ran

    async def run(
        self, words: Sequence[str], user: str, machine: str, pieces: AsyncIterator[bytes]
    ) -> tuple[int, str]:
        """The command line `words` as a program, with `pieces` as its input: its exit code, and
        what is to be said about that. Never raises an error of ours.

        `user`: the local one who runs it. `machine`: the neighbour that it is run for, as he says
        (UU_MACHINE), or "".
        """
        name, *arguments = words
        try:
            domain, recipients = _options(name, arguments)
        except UsageError as error:
            return error.exit_code, str(error)
        draft = self._store.draft(new_queue_id())
        try:
            async for piece in pieces:
                draft.write(piece)
            content = await asyncio.to_thread(draft.finish)
            arrival = self._arrival(user, machine, domain)
            ran = await self._take([name, *recipients], content, machine, arrival, None)
        except (StoreError, TableError) as error:
            return EX_TEMPFAIL, f"{name}: {error}"
        except RelaynodeError as error:
            return error.exit_code, f"{name}: {error}"
        finally:
            draft.discard()
        return ran.code or EX_OK, ran.complaint

    def _arrival(self, user: str, machine: str, domain: str) -> Arrival:
        """Raises: TableError."""
        warnings: tuple[str, ...] = ()
        if not self._intake.trusts(user):
            warnings = (f"{user} set sender using rmail",)
        return Arrival(
            trace.user_origin(user, f"{machine}.{domain}" if machine else ""),
            "UUCP",
            f"uucp {machine}" if machine else f"local {user}",
            warnings=warnings,
        )

    async def _take(
        self,
        words: Sequence[str],
        content: Content | None,
        neighbour: str,
        arrival: Arrival,
        done: Settled | None,
    ) -> Ran:
        """Queue what the command was given, in one transaction with `done`; or say why nothing was
        queued. Raises: StoreError, NotClaimed."""
        name, *recipients = words
        if name == RMAIL and not recipients:
            return Ran(EX_USAGE, "usage: rmail user ...")
        for word in recipients:
            if word.startswith("-"):
                return Ran(EX_USAGE, f"{name}: {word[:20]} is no address")
        reader = IncomingReader(neighbour, self._intake.collector, self._max_message_bytes)
        try:
            parcels = await self._parcels(reader, words, content or Content.of(b""), arrival)
        except TableError as error:
            return Ran(EX_TEMPFAIL, str(error))
        except StoreError:
            raise
        except Rejected as error:
            return Ran(EX_TEMPFAIL, f"{name}: {error.status}")
        except RelaynodeError as error:
            return Ran(error.exit_code, f"{name}: {error}")
        for remark in reader.mail.remarks:
            log.warning("%s: %s: %s", neighbour or "-", name, remark)
        if reader.mail.loss:
            return await self._with_loss(reader.mail, parcels, name, neighbour, done)
        await self._intake.accept_all(parcels, settled=done)
        return Ran(EX_OK)

    async def _parcels(
        self, reader: IncomingReader, words: Sequence[str], content: Content, arrival: Arrival
    ) -> list[Parcel]:
        """What there was; all of it or nothing. Raises: RelaynodeError."""
        try:
            await finish(asyncio.to_thread(_read, reader, words, content))
            parcels = [self._parcel(one, arrival) for one in reader.mail.messages]
        except BaseException:
            reader.mail.discard()
            raise
        return await self._filtered(parcels)

    async def _filtered(self, parcels: list[Parcel]) -> list[Parcel]:
        """What the filters leave of it. Raises: Rejected if they cannot say so now, StoreError,
        TableError; all contents are then discarded."""
        if self._filters is None:
            return parcels
        # `sendmail` and `rmail` start fast without.
        from relaynode.sources.local_filters import filter_taken

        left: list[Parcel] = []
        waiting = deque(parcels)
        try:
            while waiting:
                parcel = waiting.popleft()
                if all(one.mailer == "error" for one in parcel.envelope.recipients):
                    left.append(parcel)
                    continue
                found = await filter_taken(self._intake, self._filters, parcel, _sent_back)
                left += [] if found is None else [found]
        except BaseException:
            for parcel in (*left, *waiting):
                parcel.collector.discard()
            raise
        return left

    async def _with_loss(
        self, mail: Mail, parcels: list[Parcel], name: str, neighbour: str, done: Settled | None
    ) -> Ran:
        """Some of it may be missing, and nobody can tell whose."""
        reason = f"{name}: {mail.loss}"
        log.error("%s: %s", neighbour or "-", reason)
        whole = sum(one.refusal is None for one in mail.messages)
        letter = self._letter(
            Letter(
                "postmaster",
                f"Mail from {neighbour or 'a batch'} may be missing",
                f"A batch of mail came by {name} from {neighbour or 'an unknown system'}:\n\n"
                f"    {mail.loss}\n\n"
                f"{whole} of its messages came whole and were taken. What else was in it is not\n"
                "known, and its senders were not told.\n"
                + (f"\nThe batch is kept as execution {_id(done)}.\n" if done else ""),
            )
        )
        settled = None if done is None else _as_failed(done, reason)
        await self._intake.accept_all(
            [*parcels, *([letter] if letter is not None else [])], settled=settled
        )
        # As a builtin it has ended, in this commit; as a program it says so.
        return Ran(EX_OK) if done is not None else Ran(EX_DATAERR, reason)

    def _parcel(self, one: Incoming, arrival: Arrival) -> Parcel:
        """Raises: TableError."""
        message = one.message
        path = message.reverse_path
        if path and "!" not in path and not split(path)[1]:
            path = f"{path}@{self._hostname}"
        given = tuple(recipient.path for recipient in message.recipients)
        envelope = Envelope(
            path,
            self._recipients(one),
            body=message.body,
            smtputf8=message.smtputf8,
            ret=message.ret,
            envid=message.envid,
        )
        parcel = Parcel(one.collector, envelope, arrival, given)
        loop = self._intake.too_many_hops(parcel)
        if loop is None:
            return parcel
        one.refusal = loop
        return replace(parcel, envelope=replace(envelope, recipients=self._recipients(one)))

    def _recipients(self, one: Incoming) -> tuple[Recipient, ...]:
        """Whom to queue it for; those who cannot have it are among them, each with the reason.

        Raises: TableError.
        """
        found: dict[tuple[str, ...], Recipient] = {}
        for recipient in one.message.recipients:
            notify, orcpt = recipient.notify, recipient.orcpt
            for each in self._expand(recipient.path, one.refusal):
                known = replace(each, notify=notify, orcpt=orcpt)
                found.setdefault(self._intake.identity(known), known)
        for text, why in one.message.refused:
            status = one.refusal or permanent(why, "5.1.3", 553)
            failed = _failed(text, status)
            found.setdefault(self._intake.identity(failed), failed)
        if not found:
            status = one.refusal or permanent("The message names no recipient", "5.5.0")
            return (_failed(NOBODY_NAMED, status),)
        return tuple(found.values())

    def _expand(self, path: str, refusal: Status | None) -> list[Recipient]:
        if refusal is not None:
            return [_failed(path, refusal)]
        try:
            return self._intake.expand([seen_at(path, self._our_names)])
        except Rejected as rejected:
            text = rejected.status.text.removeprefix(f"<{path}>... ")
            return [_failed(path, replace(rejected.status, text=text))]


def _options(name: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The domain of `-D`, and what is behind the options, as getopt(3) parts them; `-T` is for
    debugging sendmail's. Raises: UsageError."""
    words, domain = list(arguments), DEFAULT_DOMAIN
    while words and words[0].startswith("-") and words[0] != "-":
        option = words.pop(0)
        if option == "--":
            break
        if option.startswith("-D") and (option[2:] or words):
            domain = option[2:] or words.pop(0)
        elif option != "-T":
            raise UsageError(f"{name}: illegal option {option[:20]}")
    return domain, words


def _read(reader: IncomingReader, words: Sequence[str], content: Content) -> None:
    """Raises: RelaynodeError."""
    if words[0] == RMAIL:
        reader.rmail(words[1:], content)
    else:
        reader.batch(content)


def _failed(address: str, status: Status) -> Recipient:
    """A recipient who cannot have it: its DSN is made by the next queue run."""
    return Recipient(address, mailer="error", host=str(replace(status, enhanced=status.dsn_status)))


def _sent_back(parcel: Parcel, status: Status) -> Parcel:
    """The same for nobody but its sender."""
    recipients = tuple(
        replace(_failed(one.address, status), notify=one.notify, orcpt=one.orcpt)
        for one in parcel.envelope.recipients
    )
    return replace(parcel, envelope=replace(parcel.envelope, recipients=recipients))


def _as_failed(done: Settled, reason: str) -> Settled:
    ended = tuple(replace(one, state=WorkState.FAILED, text=reason) for one in done.executions)
    return replace(done, executions=ended)


def _id(done: Settled) -> str:
    return ", ".join(one.work_id for one in done.executions)
