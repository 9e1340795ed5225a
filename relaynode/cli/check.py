"""`relaynode check`: all that is wrong or odd with configuration and tables, at once."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

from relaynode.accounts.password_file import PasswordFile
from relaynode.cli.rights import become_node_user
from relaynode.config.loader import find, load, search_path
from relaynode.errors import EX_CONFIG, EX_OK, Problem, TableError, TlsFailed, UsageError
from relaynode.mail.packing import can_pack
from relaynode.mailers.users import Users
from relaynode.neighbours import load_neighbours
from relaynode.policy.access import Gate
from relaynode.policy.client import Client
from relaynode.policy.lint import Finding, Site, lint
from relaynode.policy.lint.whole import lint_line_ends
from relaynode.rules import Rules
from relaynode.tables.aliases import is_warning
from relaynode.wire.authority import can_vouch
from relaynode.wire.server_context import server_context

if TYPE_CHECKING:
    import argparse
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relaynode.config.loader import Config
    from relaynode.neighbours import Neighbours

_STRANGER = "192.0.2.1"
"""Anybody on the net (RFC 5737)."""


def run(arguments: argparse.Namespace) -> int:
    """Print what must be mended, and warnings. Raises: ConfigError, whose text is a list."""
    path = find(arguments.config)
    if arguments.running:
        from relaynode.cli.running import check_running

        config = load(path, with_secrets=False)
        return check_running(config, starts=arguments.start, is_verbose=arguments.verbose)
    if arguments.start or arguments.verbose:
        raise UsageError("--start and --verbose go with --running")
    become_node_user(load(path, with_secrets=False))
    config = load(path)
    findings = sorted(_findings(config), key=_place)
    for finding in findings:
        print(f"{'' if finding.is_error else 'warning: '}{finding.problem}", file=sys.stderr)
    if any(finding.is_error for finding in findings):
        return EX_CONFIG
    if path is None:
        places = ", ".join(str(place) for place in search_path())
        print(f"no configuration file ({places}); the defaults are in force")
    print(f"{path or 'defaults'}: ok (spool {config.spool}, tables {config.tables})")
    return EX_OK


def _place(finding: Finding) -> tuple[str, int]:
    return finding.problem.file, finding.problem.line or 0


def _findings(config: Config) -> Iterator[Finding]:
    users = Users(config.mailbox, frozenset(config.file.local.users))
    rules = Rules(config, users)
    neighbours = load_neighbours(config)
    yield from (Finding(problem, is_error=True) for problem in neighbours.problems)
    yield from _unrecognised(config, neighbours)
    yield from _unpackable(config, neighbours)
    yield from _unvouched(config)
    yield from _unheard(config)
    yield from _closed_doors(config)
    yield from _unreadable_mailboxes(config)
    try:
        site = _site(config, rules, users, neighbours)
    except TableError:
        site = None  # the file is among the problems
    for problem in rules.tables.problems():
        yield Finding(problem, is_error=not is_warning(problem))
    for path in rules.tables.files():
        yield from _file(path)
    if site is not None:
        yield from _unrelayed(config, rules)
        yield from lint(site, str(config.path))


def _file(path: Path) -> Iterator[Finding]:
    """What is odd with a file as such; that it cannot be read is told elsewhere."""
    try:
        with path.open("rb") as lines:
            found = lint_line_ends(str(path), lines)
        if _others_may_write(path.stat()):
            what = "others than its owner may change it, and sendmail would not read it"
            yield Finding(Problem(str(path), None, what, f"chmod go-w {path}"))
    except OSError:
        return
    if found is not None:
        yield found


def _others_may_write(found: os.stat_result) -> bool:
    """A group of the same number is the owner's own, as many systems have it."""
    is_own_group = found.st_gid == found.st_uid
    return bool(found.st_mode & (stat.S_IWOTH | (0 if is_own_group else stat.S_IWGRP)))


def _unrecognised(config: Config, neighbours: Neighbours) -> Iterator[Finding]:
    """Neighbours that could not call: a server can check only certificates that it has."""
    if not any(listen.uucp_tls for listen in config.file.listen.values()):
        return
    for neighbour in neighbours:
        if neighbour.tls.fingerprints and neighbour.tls.authorities is None:
            what = f"{neighbour.name}: a fingerprint is enough to call it, not to be called by it"
            remedy = "add ca_file, a copy of its certificate will do"
            yield Finding(Problem(str(config.path), None, what, remedy))


def _closed_doors(config: Config) -> Iterator[Finding]:
    """What keeps people from logging in: certificates and passwords that cannot be used."""
    for name, listen in config.file.listen.items():
        if listen.certificate is not None and listen.key is not None:
            try:
                server_context(config.absolute(listen.certificate), config.absolute(listen.key))
            except TlsFailed as error:
                problem = Problem(str(config.path), None, f"[listen.{name}]: {error}")
                yield Finding(problem, is_error=True)
    if config.file.accounts.password_file is not None:
        book = PasswordFile(config.absolute(config.file.accounts.password_file))
        for problem in book.check():
            yield Finding(problem, is_error=True)


def _unreadable_mailboxes(config: Config) -> Iterator[Finding]:
    """Maildirs that POP3 is to serve and that the node's own user cannot read."""
    user, listeners = config.file.node.user, config.file.listen.values()
    serves_pop3 = any(listen.pop3 or listen.pop3s for listen in listeners)
    if user is not None and serves_pop3 and config.mailbox.needs_home:
        what = f"{user} cannot read Maildirs in the homes of others, to serve them by POP3"
        remedy = "keep the mail of [local] users in a folder of its own, or let Dovecot serve it"
        yield Finding(Problem(str(config.path), None, what, remedy), is_error=True)


def _unpackable(config: Config, neighbours: Neighbours) -> Iterator[Finding]:
    """Batches that cannot be made here: their mail goes singly."""
    for neighbour in neighbours:
        command = neighbour.mail.batch
        if command and not can_pack(command):
            what = f'{neighbour.name}: batch = "{command}" needs zstd, which is not installed'
            remedy = "pip install 'relaynode[zstd]', or take rgsmtp"
            yield Finding(Problem(str(config.path), None, what, remedy), is_error=True)


def _unvouched(config: Config) -> Iterator[Finding]:
    """Certificates that cannot be checked here, though the DNS may name their authority."""
    if config.file.dns.validates and not can_vouch():
        what = "[dns] validates: records that name an authority (TLSA 2) need cryptography"
        remedy = "pip install 'relaynode[dane]'; until then TLS with such hosts is with anybody"
        yield Finding(Problem(str(config.path), None, what, remedy))


def _unheard(config: Config) -> Iterator[Finding]:
    """What servers are asked to send, they send to us: somebody must listen."""
    listening = [where.address for listen in config.file.listen.values() for where in listen.smtp]
    if all(address.is_loopback for address in listening):
        for name in config.file.etrn:
            what = f"[etrn.{name}]: its mail comes by SMTP, and nobody else can reach a listener"
            remedy = 'add [listen.NAME] with smtp = ["0.0.0.0:25"], unless another program listens'
            yield Finding(Problem(str(config.path), None, what, remedy))


def _unrelayed(config: Config, rules: Rules) -> Iterator[Finding]:
    """Domains of sites that come for their mail, which nobody could send us. Raises: TableError."""
    access = rules.access()
    if access.settings.needs_dns:
        return
    gate = Gate(access, Client(address=_STRANGER))
    for name, site in config.file.odmr.items():
        for domain in site.domains:
            refusal = gate.check_rcpt("", f"somebody@{domain}").status
            if refusal is not None:
                what = f"[odmr.{name}]: mail for {domain} would be refused: {refusal}"
                remedy = f"add {domain} to relay-domains"
                yield Finding(Problem(str(config.path), None, what, remedy))


def _site(config: Config, rules: Rules, users: Users, neighbours: Neighbours) -> Site:
    """Raises: TableError."""
    known: dict[str, bool] = {}

    def has_user(name: str) -> bool:
        if name not in known:
            known[name] = users.exists(name)
        return known[name]

    access = rules.access()
    return Site(
        routing=rules.routing,
        genericstable=rules.tables.genericstable,
        access=access.table,
        access_settings=access.settings,
        aliases=rules.tables.aliases,
        has_user=has_user,
        has_other_names=config.file.local.dash_details,
        is_neighbour=_knows(neighbours),
    )


def _knows(neighbours: Neighbours) -> Callable[[str], bool] | None:
    """Whether a name is a neighbour's. Where none is configured, uux's own are meant."""
    if not neighbours.all:
        return None
    return lambda name: neighbours.find_like(name) is not None
