"""What a link-up now would move: which mail, in which order, in how many bytes and seconds.

The mail is chosen as a queue run chooses it and measured as it would go out, header rewritten and
commands with it; the line is as earlier runs have found it (`known_line.py`); what a session takes
on it says `policy/line_model.py`. Nothing is claimed, and no line is touched: what waits elsewhere,
in mailboxes and at neighbours, is not known, but for what was said of it before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from relaynode.errors import RelaynodeError
from relaynode.links.known_line import KnownLine, known_line
from relaynode.links.next_hops import USUAL_PORTS
from relaynode.links.plan_budget import fitting, price, refusal, room_of
from relaynode.links.queuerun import QueueRun
from relaynode.links.ways import Way
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.smtp_size import USUAL_EXTENSIONS, command_bytes, hello_reply
from relaynode.mailers.smtp_transaction import transaction_of
from relaynode.policy.line_model import (
    Call,
    Letter,
    Line,
    Moment,
    Played,
    Server,
    SmtpSession,
    Visit,
)
from relaynode.policy.line_model import play as played_over
from relaynode.queue.model import Decision, Delivery
from relaynode.queue.servers import KnownServer
from relaynode.queue.uucp.model import WorkState
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.config.loader import Config
    from relaynode.config.schema import AccountSection, RemoteSection
    from relaynode.links.run_parts import RunParts, Wanted
    from relaynode.policy.line_model import Mode, Security, Session

SMTP_PORT = 25
RMAIL_BYTES = 300
"""The X. file and the commands of a mail for a neighbour."""

UNREAD_BYTES = 300
"""What trace lines add, for a message that cannot be looked at."""

LATELY_RUNS = 10


@dataclass(slots=True)
class PlannedMail:
    """A message on one way. `bytes_out`: with its commands. `moment`: seconds since the link is up;
    None where the line's rate is not known. `fits`: does the budget let it go?"""

    queue_id: str
    grade: str
    arrived_at: float
    way: str
    recipients: tuple[str, ...]
    bytes_out: int
    moment: Moment | None = None
    fits: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "id": self.queue_id,
            "grade": self.grade,
            "arrived_at": self.arrived_at,
            "way": self.way,
            "recipients": list(self.recipients),
            "bytes_out": self.bytes_out,
            "fits": self.fits,
            "begins_seconds": None if self.moment is None else round(self.moment.begins, 3),
            "ends_seconds": None if self.moment is None else round(self.moment.ends, 3),
        }


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """An account that is asked. `wanted`: messages sure to be fetched, with `wanted_bytes`."""

    account: str
    protocol: str
    wanted: int = 0
    wanted_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "account": self.account,
            "protocol": self.protocol,
            "wanted": self.wanted,
            "wanted_bytes": self.wanted_bytes,
        }


@dataclass(slots=True)
class Plan:
    """A link-up now. `mails`: in the order in which they leave. `calls`: UUCP neighbours with the
    jobs that wait for them. `seconds`: None while the line's rate is not known. `lately_in`: bytes
    that came in over a run of late, with what nobody can plan. `money`: by the tariff, None where
    there is none or the rate is not known. `refusal`: why the budget allows no run now, or ""."""

    link: str
    line: KnownLine
    mails: list[PlannedMail] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    visits: list[PlannedVisit] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    bytes_out: int = 0
    bytes_in: int = 0
    seconds: float | None = None
    lately_in: int | None = None
    money: float | None = None
    refusal: str = ""

    def moment_of(self, queue_id: str, address: str) -> Moment | None:
        """When a recipient's mail would go."""
        for mail in self.mails:
            if mail.queue_id == queue_id and address in mail.recipients:
                return mail.moment
        return None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "link": self.link,
            "line": self.line.as_json(),
            "mails": [one.as_json() for one in self.mails],
            "calls": [{"neighbour": name, "jobs": jobs} for name, jobs in self.calls.items()],
            "accounts": [one.as_json() for one in self.visits],
            "asked": self.asked,
            "strangers": self.strangers,
            "bytes_out": self.bytes_out,
            "bytes_in": self.bytes_in,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "lately_in": self.lately_in,
            "money": None if self.money is None else round(self.money, 4),
            "refusal": self.refusal,
        }


class Planner:
    """Plans link-ups of a node."""

    def __init__(self, config: Config, parts: RunParts) -> None:
        self._config = config
        self._parts = parts

    async def plan(self, link: str) -> Plan:
        """A link-up of `link` now. Raises: StoreError."""
        store = self._parts.store
        plan = Plan(link, await known_line(link, self._config.links[link], store.link_runs))
        sessions: list[Session] = []
        for way, wanted in (await self._chosen(link)).items():
            sessions.append(await self._session(plan, way, wanted))
        sessions += await self._jobs(plan)
        sessions += await self._visits(plan)
        plan.asked = [
            name
            for name, section in self._config.file.etrn.items()
            if self._config.link_of(section) == link
        ]
        await self._keep_budget(plan, sessions)
        self._play(plan, [] if plan.refusal else sessions)
        runs = [one for one in await store.link_runs.last(LATELY_RUNS, link) if one.is_ordered]
        if runs and plan.visits:
            plan.lately_in = sum(one.bytes_in for one in runs) // len(runs)
        return plan

    async def _chosen(self, link: str) -> dict[Way, list[Wanted]]:
        always = {name for name, one in self._config.links.items() if one.kind == "always"}
        ways = self._parts.ways
        ways.note_links({*always, *await self._parts.store.links_up(), link})
        run = QueueRun(
            self._parts,
            ByteCount(),
            takes_way=lambda way: ways.link_of(way) == link and not way.waits_to_be_asked,
        )
        return await run.choose()

    async def _keep_budget(self, plan: Plan, sessions: Sequence[Session]) -> None:
        """Mail that does not fit stays here."""
        section = self._config.links[plan.link]
        runs = self._parts.store.link_runs
        room = await room_of(plan.link, section, runs, self._parts.clock())
        plan.refusal = refusal(room)
        taken: set[object] = set()
        planned = 0.0
        for session in sessions:
            if isinstance(session, SmtpSession | Call):
                session.letters = fitting(room, plan.line.line, planned, session.letters)
                planned += sum(one.content_bytes for one in session.letters)
                taken.update(one.key for one in session.letters)
        for mail in plan.mails:
            mail.fits = not plan.refusal and (mail.queue_id, mail.way) in taken

    def _play(self, plan: Plan, sessions: Sequence[Session]) -> None:
        """Without a rate there are still bytes: they do not depend on it."""
        line = plan.line.line
        played = played_over(line or _ANY_LINE, sessions) if sessions else Played()
        plan.bytes_out, plan.bytes_in = played.bytes_up, played.bytes_down
        if line is None:
            return
        plan.seconds = played.seconds
        section = self._config.links[plan.link]
        plan.money = price(section, played.seconds, played.bytes_up + played.bytes_down)
        for mail in plan.mails:
            mail.moment = played.moments.get((mail.queue_id, mail.way))
        plan.mails.sort(key=lambda one: one.moment.ends if one.moment else inf)

    # --- mail

    async def _session(self, plan: Plan, way: Way, wanted: Sequence[Wanted]) -> Session:
        if way.kind == "neighbour":
            letters = [await self._letter(plan, way, one, None) for one in wanted]
            plan.calls.setdefault(way.name, 0)
            return Call(letters)
        known, server = await self._server(way)
        if not known.extensions:
            plan.strangers.append(str(way))
        letters = [await self._letter(plan, way, one, known) for one in wanted]
        return SmtpSession(server, letters)

    async def _letter(
        self, plan: Plan, way: Way, wanted: Wanted, known: KnownServer | None
    ) -> Letter:
        message = wanted.message
        delivery = await self._delivery(wanted)
        addresses = tuple(wanted.addresses[one.id] for one in wanted.recipients)
        content_bytes, commands = message.size_bytes + UNREAD_BYTES, RMAIL_BYTES
        if delivery is not None:
            consignment = Consignment(delivery, addresses)
            content_bytes, commands = self._size(way, consignment, known)
        plan.mails.append(
            PlannedMail(
                message.queue_id,
                message.grade,
                message.arrived_at,
                str(way),
                tuple(one.forward_path.address for one in wanted.recipients),
                content_bytes + commands,
            )
        )
        key = (message.queue_id, str(way))
        return Letter(key, content_bytes, commands, len(addresses))

    async def _delivery(self, wanted: Wanted) -> Delivery | None:
        found = await self._parts.store.look(wanted.message.queue_id)
        if found is None:
            return None
        return Delivery(wanted.message, tuple(wanted.recipients), *found)

    def _size(
        self, way: Way, consignment: Consignment, known: KnownServer | None
    ) -> tuple[int, int]:
        """Bytes of the content as it goes out, and of the commands."""
        extensions = _extensions(known)
        masquerade = self._parts.rules.masquerade
        mailer = way.mailer or "esmtp"
        hostname = self._config.hostname
        size = consignment.delivery.message.size_bytes + UNREAD_BYTES
        try:
            size = compose(
                consignment.delivery,
                masquerade,
                mailer=mailer,
                host=way.name if known is None else "",
                takes_8bit=known is None or "8BITMIME" in extensions,
            ).size_bytes
            if known is None:
                return size, RMAIL_BYTES
            transaction = transaction_of(
                consignment, size, masquerade, mailer=mailer, hostname=hostname
            )
            return size, command_bytes(transaction, extensions, hostname)
        except RelaynodeError:  # it has ended meanwhile, or will be refused
            return size, RMAIL_BYTES

    async def _server(self, way: Way) -> tuple[KnownServer, Server]:
        """What is known of a way's server, and how it is spoken to."""
        section = self._config.file.smart_host[way.name] if way.smart_hosts else None
        security: Security = "starttls"
        if section is None:
            known = await self._recall(way.name, SMTP_PORT, "opportunistic")
            if known.extensions and "STARTTLS" not in known.extensions:
                security = "none"
        else:
            security = section.tls
            host = section.host.all[0]
            port = host.with_default(USUAL_PORTS[section.tls])[1]
            known = await self._recall(host.host, port, section.tls)
        hostname = self._config.hostname
        extensions = _extensions(known)
        return known, Server(
            mode=_mode(extensions),
            is_known=bool(known.extensions) and not known.insists,
            security=security,
            login_round_trips=0 if section is None else _login_round_trips(section, extensions),
            connections=known.connections,
            max_connections=5 if section is None else section.max_connections,
            hello_bytes=len(f"EHLO {hostname}\r\n"),
            hello_reply_bytes=len(hello_reply(extensions, hostname)),
        )

    async def _recall(self, host: str, port: int, tls: str) -> KnownServer:
        found = await self._parts.store.servers.recall_host(host, port, tls)
        return found or KnownServer()

    # --- what else the link is used for

    async def _jobs(self, plan: Plan) -> list[Session]:
        """Jobs that were made before: for neighbours over this link that can be told."""
        sizes: dict[str, list[int]] = {}
        for job in await self._parts.store.uucp.jobs.find():
            link = self._parts.ways.link_of(Way("neighbour", job.neighbour))
            if job.state is WorkState.WAITING and link == plan.link:
                sizes.setdefault(job.neighbour, []).append(job.size_bytes or 0)
        for name, some in sizes.items():
            plan.calls[name] = len(some)
        return [
            Call([Letter(("job", name, place), size) for place, size in enumerate(some)])
            for name, some in sizes.items()
        ]

    async def _visits(self, plan: Plan) -> list[Session]:
        sessions: list[Session] = []
        for name, section in self._config.file.account.items():
            if self._config.link_of(section) != plan.link:
                continue
            offers = await self._parts.store.mailboxes.offers(name)
            sizes = [one.listed_bytes for one in offers if one.decision == Decision.GET]
            plan.visits.append(PlannedVisit(name, section.protocol, len(sizes), sum(sizes)))
            sessions.append(Visit(sizes, security=section.tls, round_trips=_visit_trips(section)))
        return sessions


_ANY_LINE = Line(1000.0, 1000.0, 0.0)


def _extensions(known: KnownServer | None) -> dict[str, str]:
    """What a server offers; a stranger, what most do."""
    if known is None:
        return {}
    offered = dict(known.extensions) or dict(USUAL_EXTENSIONS)
    return {key: value for key, value in offered.items() if key not in known.broken}


def _mode(extensions: dict[str, str]) -> Mode:
    if "PIPELINING" not in extensions:
        return "lockstep"
    return "chunked" if "CHUNKING" in extensions else "pipelined"


def _login_round_trips(section: RemoteSection, extensions: dict[str, str]) -> int:
    """SCRAM takes three, LOGIN and CRAM-MD5 two, the others one."""
    if section.user is None:
        return 0
    offered = extensions.get("AUTH", "PLAIN").upper()
    if "SCRAM" in offered:
        return 3
    return 1 if "PLAIN" in offered or "OAUTH" in offered else 2


def _visit_trips(section: AccountSection) -> int:
    """Greeting apart: CAPABILITY, login, what is there, goodbye; IMAP's folders two each."""
    return 5 if section.protocol != "imap" else 4 + 2 * len(section.folders)
