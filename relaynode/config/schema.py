"""The schema of relaynode.toml: every table, every key, its type and its default.

Durations and sizes carry their unit in the key's name. A key that has no default is required.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from relaynode.config.drop_off import DropOff
from relaynode.config.milter_values import MilterSocket
from relaynode.config.quota_values import Allowance
from relaynode.config.timestring import TimeString
from relaynode.config.uucp_values import (
    MAIL_GRADE,
    CallText,
    ChatText,
    Fingerprint,
    GradeTime,
    MailGrade,
    Parameter,
)
from relaynode.config.values import (
    Command,
    HostPort,
    HostPorts,
    ListenAddress,
    Mailbox,
    MailboxLogin,
    NameServer,
    Network,
    OwnAddress,
    ReplyText,
    SaslName,
    ServerPlace,
    SmartHostNames,
    TokenUrl,
)
from relaynode.timetable import Timetable

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\s<>@,;:\"]+$")]
ClientName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\s<>@,;\"]+$")]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(gt=0)]
Price = Annotated[float, Meta(ge=0)]
InterfaceName = Annotated[str, Meta(min_length=1, max_length=15, pattern=r"^[^\s/]+$")]
GRADE = "^[0-9A-Za-z]$"
Grade = Annotated[str, Meta(pattern=GRADE)]
SYSTEM_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
SystemName = Annotated[str, Meta(max_length=255, pattern=SYSTEM_NAME)]
WORD = r"^\S+$"
Word = Annotated[str, Meta(max_length=1024, pattern=WORD)]
PROTOCOLS = r"^[itegGvfjya]+$"
Protocols = Annotated[str, Meta(max_length=16, pattern=PROTOCOLS)]
FILE_NAME = r"^[A-Za-z0-9_.:@+-]+$"
FolderName = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
FileName = Annotated[str, Meta(min_length=1, max_length=255, pattern=FILE_NAME)]
MAIL_DOMAIN = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"
MailDomain = Annotated[str, Meta(max_length=255, pattern=MAIL_DOMAIN)]
FIELD_NAME = r"^[!-9;-~]*$"
FieldName = Annotated[str, Meta(max_length=76, pattern=FIELD_NAME)]
ETRN_NAME = r"^[@#]?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
EtrnName = Annotated[str, Meta(max_length=255, pattern=ETRN_NAME)]
Relay = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^\S")]
Tls = Literal["none", "starttls", "tls"]


class Section(Struct, frozen=True, kw_only=True, rename={"as_domain": "as"}):
    """Base of all tables."""


class NodeSection(Section, frozen=True, kw_only=True):
    """[node]"""

    hostname: Name | None = None
    user: Name | None = None
    spool: Path | None = None
    tables: Path = Path("/etc/mail")
    local_domains: list[Name] = field(default_factory=list)
    smart_host: SmartHostNames | None = None
    postmaster: Name = "postmaster"
    language: Literal["en", "ja", "de", "es", "fr", "pt"] = "en"


class MasqueradeSection(Section, frozen=True, kw_only=True):
    """[masquerade]: see sendmail's MASQUERADE_AS and its features."""

    as_domain: Name | None = None
    all: bool = False
    envelope: bool = False
    exposed_users: list[Name] = field(default_factory=list)
    domains: list[Name] = field(default_factory=list)
    entire_domain: bool = False
    exceptions: list[Name] = field(default_factory=list)
    limited: bool = False
    local: bool = True
    generics_domains: list[Name] = field(default_factory=list)
    generics_entire_domain: bool = False


class RoutingSection(Section, frozen=True, kw_only=True):
    """[routing]: where mail goes, in sendmail's terms.

    The relays are written as in a mailertable: `mailer:host`, `mailer:user@host`, `local:user`,
    `error:...`, or a host alone, for which mailer relay is meant.
    """

    smart_host: Relay | None = None
    uucp_relay: Relay | None = None
    mail_hub: Relay | None = None
    local_relay: Relay | None = None
    luser_relay: Relay | None = None
    stickyhost: bool = False
    local_users: list[Name] = field(default_factory=list)
    bang_paths: Literal["uucp", "plain", "reject"] = "uucp"
    uucp_mailer: bool = False
    uucp_old: list[Name] = field(default_factory=list)
    uucp_new: list[Name] = field(default_factory=list)
    uucp_uudom: list[Name] = field(default_factory=list)
    uucp_max_size_bytes: Positive = 100_000
    uux: Path | None = None
    virtual_domains: list[Name] = field(default_factory=list)
    virtual_entire_domain: bool = False


class AccessSection(Section, frozen=True, kw_only=True):
    """[access]: whom we take mail from and relay for; sendmail's FEATUREs of the same names.

    `look_up_dot_domain` and `relay_to_full_address` are arguments of its FEATURE(access_db).
    """

    relay_domains: list[ClientName] = field(default_factory=list)
    relay_entire_domain: bool = False
    relay_hosts_only: bool = False
    relay_local_from: bool = False
    relay_mail_from: Literal["no", "address", "domain"] = "no"
    relay_based_on_mx: bool = False
    promiscuous_relay: bool = False
    loose_relay_check: bool = False
    accept_unresolvable_domains: bool = True
    accept_unqualified_senders: bool = True
    blocklist_recipients: bool = True
    delay_checks: Literal["no", "yes", "friend", "hater"] = "no"
    look_up_clients: bool = False
    look_up_dot_domain: bool = False
    relay_to_full_address: bool = False
    vrfy: bool = False
    expn: bool = False
    etrn: bool = True
    pop_before_smtp_minutes: Annotated[int, Meta(ge=0)] = 0


class LinkBudget(Section, frozen=True, kw_only=True):
    """What of [link.NAME] says what it may cost."""

    budget_minutes_per_session: Amount | None = None
    budget_minutes_per_day: Amount | None = None
    budget_minutes_per_month: Amount | None = None
    budget_megabytes_per_session: Amount | None = None
    budget_megabytes_per_day: Amount | None = None
    budget_megabytes_per_month: Amount | None = None
    budget_money_per_session: Amount | None = None
    budget_money_per_day: Amount | None = None
    budget_money_per_month: Amount | None = None
    cost_per_minute: Price = 0
    cost_per_megabyte: Price = 0
    cost_per_call: Price = 0
    billing_seconds: Positive = 1
    interface: InterfaceName | None = None


class LinkSection(LinkBudget, frozen=True, kw_only=True):
    """[link.NAME]: a line with its own times."""

    kind: Literal["always", "event", "dial"] = "event"
    timetable: Timetable | None = None
    window: TimeString | None = None
    up_command: Command | None = None
    is_up_command: Command | None = None
    down_command: Command | None = None
    up_timeout_seconds: Positive = 90
    idle_seconds: NotNegative = 0
    redial_attempts: NotNegative = 3
    redial_wait_seconds: Positive = 30
    dials_per_day: NotNegative = 0
    dial_grade: Grade | None = None
    max_calls: Positive | None = None
    source_address: list[OwnAddress] = field(default_factory=list)
    header_first_bytes: NotNegative = 0
    bits_per_second: NotNegative = 0
    round_trip_milliseconds: NotNegative = 0


class RemoteSection(Section, frozen=True, kw_only=True):
    """What all servers that we call have in common."""

    host: HostPort
    tls: Tls
    user: str | None = None
    password_file: Path | None = None
    password_command: Command | None = None
    password_credential: FileName | None = None
    password_keyring: str | None = None
    oauth: Name | None = None
    auth: list[SaslName] = field(default_factory=list)
    ca_file: Path | None = None
    verify: bool = True
    fingerprints: list[Fingerprint] = field(default_factory=list)
    old_tls: bool = False
    certificate: Path | None = None
    key: Path | None = None
    link: Name | None = None
    timeout_seconds: Positive = 300


class OauthSection(Section, frozen=True, kw_only=True):
    """[oauth.NAME]: where tokens for OAUTHBEARER and XOAUTH2 come from."""

    token_command: Command | None = None
    token_url: TokenUrl | None = None
    device_url: TokenUrl | None = None
    client_id: Word | None = None
    client_secret_file: Path | None = None
    refresh_token_file: Path | None = None
    scope: str = ""
    ca_file: Path | None = None


class SmartHostSection(RemoteSection, frozen=True, kw_only=True):
    """[smart_host.NAME]"""

    host: HostPorts
    protocol: Literal["smtp", "lmtp"] = "smtp"
    tls: Tls = "starttls"
    max_in_flight: Positive = 64
    max_connections: Positive = 5


class SenderSection(Section, frozen=True, kw_only=True):
    """[sender."user@example.net"], [sender."@example.net"]: where mail of a sender goes out."""

    smart_host: SmartHostNames


class DnsSection(Section, frozen=True, kw_only=True):
    """[dns]: who is asked for mail exchangers, their addresses, and TLSA records."""

    servers: list[NameServer] = field(default_factory=list)
    validates: bool = False
    timeout_seconds: Positive = 20


class AccountSection(RemoteSection, frozen=True, kw_only=True):
    """[account.NAME]: a mailbox to poll, or with ODMR the mail of whole domains."""

    protocol: Literal["pop3", "imap", "odmr"] = "pop3"
    tls: Tls = "tls"
    auth: list[MailboxLogin] = field(default_factory=list)  # type: ignore[assignment]
    poll_minutes: NotNegative = 0
    idle: bool = False
    folders: list[FolderName] = field(default_factory=lambda: ["INBOX"])
    move_to: Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    deliver_to: str | None = None
    domains: list[MailDomain] = field(default_factory=list)
    keep: bool = False
    envelope_header: FieldName | None = None
    envelope_skip: NotNegative = 0
    user_prefix: str = ""
    aka: list[MailDomain] = field(default_factory=list)
    local_domains: list[MailDomain] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    others_as_they_are: bool = False
    use_addressees: bool = False
    fix_addresses: bool = False
    drop_status: bool = False
    drop_delivered: bool = False
    drop_off: list[DropOff] = field(default_factory=list)
    mda: Command | None = None
    smtp_address: MailDomain | None = None
    smtp_name: str | None = None
    fetch_all: bool = False
    flush: bool = False
    limit_bytes: NotNegative = 0
    flush_oversized: bool = False
    warn_hours: NotNegative = 24
    fetch_limit: NotNegative = 0
    expunge: NotNegative = 0
    delete_after_days: NotNegative = 0
    header_first_bytes: NotNegative | None = None


class FetchSection(Section, frozen=True, kw_only=True):
    """[fetch]: what holds for all accounts. `fetchmailrc`: a file of fetchmail's with more."""

    fetchmailrc: Path | None = None


class EtrnSection(RemoteSection, frozen=True, kw_only=True):
    """[etrn.NAME]: a server that keeps mail for us and sends it when it is asked to."""

    tls: Tls = "starttls"
    domains: Annotated[list[EtrnName], Meta(min_length=1)]


class ListenSection(Section, frozen=True, kw_only=True):
    """[listen.NAME]"""

    smtp: list[ListenAddress] = field(default_factory=list)
    submission: list[ListenAddress] = field(default_factory=list)
    submissions: list[ListenAddress] = field(default_factory=list)
    odmr: list[ListenAddress] = field(default_factory=list)
    pop3s: list[ListenAddress] = field(default_factory=list)
    certificate: Path | None = None
    key: Path | None = None
    plain_text_logins: list[Network] = field(default_factory=list)
    pop3: list[ListenAddress] = field(default_factory=list)
    uucp: list[ListenAddress] = field(default_factory=list)
    uucp_tls: list[ListenAddress] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    xclient_hosts: list[Network] = field(default_factory=list)
    proxy_hosts: list[Network] = field(default_factory=list)

    @property
    def addresses(self) -> list[ListenAddress]:
        """All that is listened on, for whatever protocol."""
        mail = (self.smtp, self.submission, self.submissions, self.pop3, self.pop3s)
        return [where for some in (*mail, self.uucp, self.uucp_tls) for where in some]


class OdmrSection(Section, frozen=True, kw_only=True):
    """[odmr.NAME]: a site that calls us for the mail of its domains, which we keep until then."""

    user: Word
    domains: Annotated[list[MailDomain], Meta(min_length=1)]


class LimitsSection(Section, frozen=True, kw_only=True):
    """[limits]: what SMTP clients may do; 0 is no limit, where it is allowed."""

    connections: NotNegative = 450
    connections_per_client: NotNegative = 50
    connections_per_minute: NotNegative = 0
    messages_per_minute: NotNegative = 0
    recipients_per_minute: NotNegative = 0
    messages_per_connection: NotNegative = 0
    recipients_per_message: Positive = 1000
    wrong_commands: Positive = 20
    refused_commands: Positive = 200
    idle_commands: Positive = 100
    command_seconds: Positive = 300
    slowest_bytes_per_second: NotNegative = 100
    greeting_delay_seconds: NotNegative = 0
    pipelining: Literal["strict", "lenient"] = "strict"
    exempt_networks: bool = True
    receivers: NotNegative | None = None


class QuotaSection(Section, frozen=True, kw_only=True):
    """[quota]: how much mail is taken from those whom this node serves."""

    sender_bytes_per_day: NotNegative = 0
    senders: list[Allowance] = field(default_factory=list)
    link_bytes_per_day: NotNegative = 0
    links: list[Allowance] = field(default_factory=list)


class MilterSection(Section, frozen=True, kw_only=True):
    """[milter.NAME]: a filter that is asked about mail. `listeners`: those of [listen.NAME], all
    if none is named. `local`: it is asked about the mail of this machine's programs too. `sources`:
    and about what else comes in: by UUCP, fetched from mailboxes, fetched by ODMR."""

    socket: MilterSocket
    default_action: Literal["accept", "tempfail", "reject", "quarantine"] = "tempfail"
    connect_timeout_seconds: Positive = 30
    command_timeout_seconds: Positive = 30
    content_timeout_seconds: Positive = 300
    listeners: list[Name] = field(default_factory=list)
    local: bool = False
    sources: list[Literal["uucp", "poll", "odmr"]] = field(default_factory=list)


class AccountsSection(Section, frozen=True, kw_only=True):
    """[accounts]: who may log in here, beside the [user.NAME]s, and as whom they may write."""

    password_file: Path | None = None
    dovecot_socket: Path | None = None
    pam_service: FileName | None = None
    keytab: Path | None = None
    senders: Literal["any", "domain", "own"] = "any"
    sender_domains: list[Name] = field(default_factory=list)
    sender_refusal: ReplyText = ReplyText(553, "5.7.1", "Sender address is not yours")


class UucpSection(Section, frozen=True, kw_only=True):
    """[uucp]: what holds for all neighbours. Taylor's own files may say some of it, too."""

    nodename: SystemName | None = None
    taylor: Path | None = None
    spool: Path | None = None
    public: Path | None = None
    locks: Path | None = None
    log: Path | None = None
    stats: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    min_free_bytes: Annotated[int, Meta(ge=0)] = 8 * 1024 * 1024


class NeighbourSection(Section, frozen=True, kw_only=True):
    """[neighbour.NAME]: a UUCP system. What Taylor has a keyword for means what it means there."""

    call: list[CallText] = field(default_factory=list)
    aliases: list[SystemName] = field(default_factory=list)
    our_name: SystemName | None = None
    link: Name | None = None
    login: Word | None = None
    password_file: Path | None = None
    chat: ChatText | None = None
    chat_timeout_seconds: Positive = 10
    chat_fail: list[Word] = field(default_factory=list)
    times: list[GradeTime] = field(default_factory=lambda: [GradeTime()])
    request_grades: list[GradeTime] = field(default_factory=list)
    called_login: Word | None = None
    called_password_file: Path | None = None
    called_grades: list[GradeTime] = field(default_factory=list)
    poll_minutes: Annotated[int, Meta(ge=0)] | None = None
    transport: Literal["native", "taylor"] = "native"
    batch: Literal["rsmtp", "bsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp"] | None = None
    batch_bytes: Positive | None = None
    mail_grades: list[MailGrade] = field(default_factory=lambda: [MAIL_GRADE])
    max_mail_bytes: Positive | None = None
    callback: bool = False
    sequence: bool = False
    protocols: Protocols | None = None
    parameters: list[Parameter] = field(default_factory=list)
    commands: list[Word] = field(default_factory=lambda: ["rnews", "rmail"])
    command_path: list[Word] = field(default_factory=lambda: ["/bin", "/usr/bin", "/usr/local/bin"])
    local_send: list[Word] = field(default_factory=lambda: ["/"])
    remote_send: list[Word] = field(default_factory=lambda: ["~"])
    local_receive: list[Word] = field(default_factory=lambda: ["~"])
    remote_receive: list[Word] = field(default_factory=lambda: ["~"])
    max_local_request_bytes: Positive | None = None
    max_remote_request_bytes: Positive | None = None
    certificate: Path | None = None
    key: Path | None = None
    ca_file: Path | None = None
    fingerprints: list[Fingerprint] = field(default_factory=list)


class ModemSection(Section, frozen=True, kw_only=True):
    """[modem.NAME]: a modem on a serial line."""

    device: Word
    speed: Positive | None = None
    hardflow: bool = True
    carrier: bool = True
    carrier_wait_seconds: Positive = 60
    dtr_toggle: bool = False
    lock_name: Word | None = None
    chat: ChatText = ChatText(('""', "ATZ", "OK-AT-OK", r"ATDT\T", "CONNECT"))
    chat_timeout_seconds: Positive = 60
    chat_fail: list[Word] = field(
        default_factory=lambda: [
            "BUSY",
            r"NO\sCARRIER",
            r"NO\sDIALTONE",
            r"NO\sANSWER",
            "ERROR",
        ]
    )
    dialtone: str = ","
    pause: str = ","
    dialcodes: Path | None = None
    complete: ChatText | None = None
    abort: ChatText | None = None
    attempts: Positive = 3
    redial_seconds: Positive = 5
    reliable: bool = True


class LocalSection(Section, frozen=True, kw_only=True):
    """[local]: where local mail goes."""

    mailbox: Mailbox | None = None
    users: list[Name] = field(default_factory=list)
    aliases: Path | None = None
    forward: list[str] = field(default_factory=lambda: ["~/.forward+{detail}", "~/.forward"])
    always_add_domain: bool = False
    preserve_plus_detail: bool = False
    dash_details: bool = False
    subdomains_of: list[Name] = field(default_factory=list)
    detail: Literal["folder", "ignore"] = "folder"
    command: Command | None = None
    command_from_line: bool = True
    lmtp: ServerPlace | None = None
    default_user: Name | None = None
    program_timeout_seconds: Positive = 600


class UserSection(Section, frozen=True, kw_only=True):
    """[user.NAME]: somebody who may fetch mail here."""

    password_file: Path


class QueueSection(Section, frozen=True, kw_only=True):
    """[queue]"""

    give_up_after_days: Positive = 5
    give_up_min_attempts: Positive = 5
    warn_after_hours: Annotated[int, Meta(ge=0)] = 4
    keep_finished_days: Positive = 7
    remember_days: Annotated[int, Meta(ge=0)] = 10
    message_size_bytes: Positive = 50 * 1024 * 1024
    min_free_bytes: Annotated[int, Meta(ge=0)] = 8 * 1024 * 1024
    max_hops: Positive = 25


class OrderRuleSection(Section, frozen=True, kw_only=True):
    """One of [[order.rules]]: mail that all of this fits. `sender`, `to`: patterns with `*`."""

    grade: Grade
    sender: str = ""
    to: str = ""
    larger_than_bytes: NotNegative = 0
    smaller_than_bytes: Positive | None = None
    within_hours: Annotated[float, Meta(gt=0)] | None = None


class OrderSection(Section, frozen=True, kw_only=True):
    """[order]: in which order mail goes over a line."""

    use_header: bool = True
    ageing_hours: NotNegative = 24
    rules: list[OrderRuleSection] = field(default_factory=list)


class File(Section, frozen=True, kw_only=True):
    """The whole file."""

    node: NodeSection = NodeSection()
    masquerade: MasqueradeSection = MasqueradeSection()
    routing: RoutingSection = RoutingSection()
    access: AccessSection = AccessSection()
    link: dict[str, LinkSection] = field(default_factory=dict)
    smart_host: dict[str, SmartHostSection] = field(default_factory=dict)
    sender: dict[str, SenderSection] = field(default_factory=dict)
    dns: DnsSection = DnsSection()
    account: dict[str, AccountSection] = field(default_factory=dict)
    fetch: FetchSection = FetchSection()
    oauth: dict[str, OauthSection] = field(default_factory=dict)
    etrn: dict[str, EtrnSection] = field(default_factory=dict)
    listen: dict[str, ListenSection] = field(default_factory=dict)
    odmr: dict[str, OdmrSection] = field(default_factory=dict)
    milter: dict[str, MilterSection] = field(default_factory=dict)
    accounts: AccountsSection = AccountsSection()
    limits: LimitsSection = LimitsSection()
    quota: QuotaSection = QuotaSection()
    order: OrderSection = OrderSection()
    uucp: UucpSection = UucpSection()
    neighbour: dict[str, NeighbourSection] = field(default_factory=dict)
    modem: dict[str, ModemSection] = field(default_factory=dict)
    local: LocalSection = LocalSection()
    user: dict[str, UserSection] = field(default_factory=dict)
    queue: QueueSection = QueueSection()
