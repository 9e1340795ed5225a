"""What serves those who come in by SMTP and POP3, made as a [listen.NAME] says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from relaynode.accounts.accounts import Accounts
from relaynode.accounts.dovecot import DovecotChecker
from relaynode.accounts.kerberos import Keytab
from relaynode.accounts.local import LocalChecker, NamedUsers
from relaynode.accounts.pam import PamChecker
from relaynode.accounts.password_file import PasswordFile
from relaynode.mail.status import Status
from relaynode.mailboxes.pop3_listener import Pop3Service
from relaynode.policy.senders import SenderRule
from relaynode.sources.filters import filters_of
from relaynode.sources.smtp_door import Door
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.server_context import ServerCertificate

if TYPE_CHECKING:
    from relaynode.accounts.local import Book
    from relaynode.config.loader import Config
    from relaynode.config.schema import ListenSection
    from relaynode.node import Node
    from relaynode.sources.recent_logins import RecentLogins
    from relaynode.sources.smtp_guard import Guard


def make_accounts(config: Config) -> Accounts:
    """Who may log in, anywhere: one for all doors, so that failures at one count at all."""
    section = config.file.accounts
    if section.dovecot_socket is not None:
        return Accounts(DovecotChecker(config.absolute(section.dovecot_socket)))
    ours: dict[str, Any] = {"hostname": config.hostname, "domains": config.local_domains}
    if section.keytab is not None:
        ours["tickets"] = Keytab(config.absolute(section.keytab)).context
    if section.pam_service is not None:
        return Accounts(PamChecker(section.pam_service, **ours))
    passwords = {name: one for (table, name), one in config.passwords.items() if table == "user"}
    books: list[Book] = [NamedUsers(passwords)] if passwords else []
    if section.password_file is not None:
        books.append(PasswordFile(config.absolute(section.password_file)))
    if not books and section.keytab is None:
        return Accounts(None)
    return Accounts(LocalChecker(books, **ours))


@dataclass(slots=True)
class Doors:
    """The services of one section, [listen.`name`]. `guard`: what its SMTP clients are offered, and
    what is borne from them. `recent`: addresses from which somebody has fetched mail lately."""

    node: Node
    name: str
    section: ListenSection
    accounts: Accounts
    guard: Guard
    recent: RecentLogins
    _certificate: ServerCertificate | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        section, config = self.section, self.node.config
        if section.certificate is not None and section.key is not None:
            files = config.absolute(section.certificate), config.absolute(section.key)
            self._certificate = ServerCertificate(*files)

    def for_mail(self) -> dict[str, SmtpSource]:
        """Those that take mail from whoever comes, by the key that has their addresses."""
        return {
            "smtp": self.smtp(),
            "submission": self.submission(),
            "submissions": self.submission(is_private=True),
        }

    def smtp(self) -> SmtpSource:
        """For servers and clients of the LAN."""
        return self._smtp(demands_login=False, is_private=False)

    def submission(self, *, is_private: bool = False) -> SmtpSource:
        """For those who log in; `is_private`: with TLS from the start."""
        return self._smtp(demands_login=True, is_private=is_private)

    def odmr(self) -> SmtpSource:
        """For sites that come for the mail of their domains."""
        guard = replace(self.guard, terms=replace(self.guard.terms, takes_atrn=True))
        return self._smtp(demands_login=True, is_private=False, guard=guard)

    def _smtp(
        self, *, demands_login: bool, is_private: bool, guard: Guard | None = None
    ) -> SmtpSource:
        node, file = self.node, self.node.config.file
        return SmtpSource(
            node.intake,
            node.rules,
            hostname=node.config.hostname,
            networks=self.section.networks,
            max_size_bytes=file.queue.message_size_bytes,
            looks_up_clients=file.access.look_up_clients,
            knows_again=file.queue.remember_days > 0,
            guard=guard or self.guard,
            recent=self.recent,
            filters=filters_of(node.config, self.name),
            door=Door(
                accounts=self.accounts,
                certificate=self._certificate,
                is_private=is_private,
                demands_login=demands_login,
                plain_networks=self.section.plain_text_logins,
                senders=self._senders(),
            ),
        )

    def _senders(self) -> SenderRule:
        file = self.node.config.file
        shown = [file.masquerade.as_domain] if file.masquerade.as_domain else []
        refusal = file.accounts.sender_refusal
        return SenderRule(
            file.accounts.senders,
            frozenset(name.lower() for name in (*shown, *file.accounts.sender_domains)),
            Status(refusal.code, refusal.enhanced, refusal.text),
        )

    def pop3(self) -> Pop3Service:
        """For the mailboxes of those who log in."""
        return Pop3Service(
            self.node.users,
            self.accounts,
            hostname=self.node.config.hostname,
            certificate=self._certificate,
            plain_networks=self.section.plain_text_logins,
            on_login=self.recent.note,
        )
