"""Every error this program raises on purpose, in one tree.

    RelaynodeError
    ├── UsageError           the command line is wrong                       EX_USAGE 64
    ├── InputError           a file that a command was given cannot be read   EX_NOINPUT 66
    ├── TraceError           a trace is wrong, all problems at once           EX_DATAERR 65
    ├── ConfigError          the configuration is wrong, all problems at once  EX_CONFIG 78
    ├── AddressError         an address does not follow RFC 5321
    ├── TableError           a table cannot be read: mail waits              EX_TEMPFAIL 75
    ├── StoreError           our own disk or database failed: ask again later EX_TEMPFAIL 75
    │   ├── StoreFull        there is no room
    │   ├── NotClaimed       work that was taken away from us meanwhile
    │   ├── TakenBefore      mail that another session has queued meanwhile
    │   ├── MessageBroke     a message that we stumble over: a defect of ours
    │   └── StoreVersionError  the store was written by a newer relaynode    EX_CONFIG 78
    ├── ProtocolError        somebody broke the rules of a protocol
    │   ├── LocalProtocolError   we did: a defect of ours
    │   └── RemoteProtocolError  the peer did
    │       └── ServerNotProven  a login: it does not know our password, so it is an impostor
    ├── WireError            the line, not what was said on it
    │   ├── ConnectFailed    no connection came about
    │   │   └── FarHostSilent    to one of many hosts out there: it says nothing of the line
    │   ├── DialFailed       a link's line could not be dialled
    │   ├── NameServerFailed     the DNS could not be asked, or did not know
    │   ├── LineLost         the connection ended in the middle
    │   ├── TimedOut         the peer stayed silent too long
    │   ├── BudgetSpent      the link may not be used any more: time, bytes or money are used up
    │   └── TlsFailed        no trust, no common version, a wrong name
    ├── RefusedError         a peer's refusal, with its Status (greeting, login, mailbox)
    │   └── LoginRefused     name or password were not accepted
    │       └── NoSecret     nothing to log in with: the password or token cannot be had now
    ├── BusyError            another process is doing this already           EX_TEMPFAIL 75
    └── CalledOff            the line went down, or somebody asked to stop    EX_TEMPFAIL 75

Foreign exceptions (OSError, sqlite3.Error, ssl.SSLError ...) are translated at the edge where they
arise. `exit_code` is the sysexits(3) value that a command ends with when the error reaches it.
`reason` is the stable code (docs/why.md, mail/reason.py) that a recipient keeps when the error ends
a try: each class has one of its own, and whoever raises may name a narrower one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.mail.status import Status

# sysexits(3)
EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_NOUSER = 67
EX_NOHOST = 68
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_OSFILE = 72
EX_CANTCREAT = 73
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_PROTOCOL = 76
EX_NOPERM = 77
EX_CONFIG = 78


class RelaynodeError(Exception):
    """Base of all errors raised on purpose. str() is fit to be shown to a user.

    `host`: the host it was met with, where a mailer has several to choose from; else "".
    `is_stranger`: who was connected to had not shown that it is the server that was meant: it may
    be what stands in the way to it, such as a captive portal.
    """

    exit_code = EX_SOFTWARE
    host = ""
    is_stranger = False
    reason = "local-error"

    def __init__(self, *args: object, reason: str = "") -> None:
        super().__init__(*args)
        if reason:
            self.reason = reason


class UsageError(RelaynodeError):
    """The command line asks for something that cannot be."""

    exit_code = EX_USAGE


class InputError(RelaynodeError):
    """A file that was named on the command line cannot be read."""

    exit_code = EX_NOINPUT


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file the user wrote.

    `line` is None where the problem is an absence (a missing key, an unreadable file).
    """

    file: str
    line: int | None
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(RelaynodeError):
    """The configuration cannot be used. `problems` holds all that was found, in file order."""

    exit_code = EX_CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TraceError(RelaynodeError):
    """A trace for the simulator cannot be read. `problems`: all that was found, in file order."""

    exit_code = EX_DATAERR

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


class AddressError(RelaynodeError):
    """A text is no address in the sense of RFC 5321 (or RFC 5322 in a header)."""

    exit_code = EX_DATAERR


class TableError(RelaynodeError):
    """A table exists but cannot be read. Never treated as "no entry": mail waits."""

    exit_code = EX_TEMPFAIL
    reason = "table-unreadable"


class StoreError(RelaynodeError):
    """The queue cannot be read or written. The fault is ours and may pass."""

    exit_code = EX_TEMPFAIL


class StoreFull(StoreError):
    """There is no room on the disk that holds the queue."""


class NotClaimed(StoreError):
    """Work cannot be ended by us: the operator removed it, or it was never ours."""


class TakenBefore(StoreError):
    """Mail with a once-only id is in the queue already: another session brought it just now."""


class MessageBroke(StoreError):
    """Something that nobody expected happened while a message was made ready to be sent.

    A StoreError because it concerns one message and none of its next hops: that one waits.
    """

    reason = "message-broke"

    def __init__(self, queue_id: str, error: BaseException) -> None:
        self.queue_id = queue_id
        super().__init__(f"{queue_id}: {type(error).__name__}: {error}")


class StoreVersionError(StoreError):
    """The store has a schema that this program does not know."""

    exit_code = EX_CONFIG


class ProtocolError(RelaynodeError):
    """A rule of a protocol was broken."""

    exit_code = EX_PROTOCOL
    reason = "protocol-error"


class LocalProtocolError(ProtocolError):
    """Our side asked a protocol core for something its state forbids: a defect of ours."""

    exit_code = EX_SOFTWARE
    reason = "local-error"


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol forbids."""

    reason = "protocol-error"


class ServerNotProven(RemoteProtocolError):
    """The server did not show that it knows the password that it asks for."""

    reason = "server-not-proven"


class WireError(RelaynodeError):
    """The connection failed, whatever was being said on it."""

    exit_code = EX_TEMPFAIL
    reason = "line-lost"


class ConnectFailed(WireError):
    """No connection came about (refused, unreachable, name unknown)."""

    reason = "connect-failed"


class FarHostSilent(ConnectFailed):
    """No connection came about to a host that only the DNS names: others may well answer."""


class DialFailed(WireError):
    """The line of a link that is dialled did not come up, or may not be dialled any more today."""

    reason = "link-down"


class NameServerFailed(WireError):
    """No name server answered, or none could: ask again later.

    `is_silent`: not one has said anything, as when the line is gone.
    """

    reason = "dns-temporary"

    def __init__(self, text: str, *, is_silent: bool = False) -> None:
        self.is_silent = is_silent
        super().__init__(text)


class LineLost(WireError):
    """The connection ended before the dialogue did."""

    reason = "line-lost"


class TimedOut(WireError):
    """The peer was silent for longer than the protocol allows."""

    reason = "timed-out"


class BudgetSpent(WireError):
    """The link's budget is used up: what was not done waits until there is more."""

    reason = "budget"


class TlsFailed(WireError):
    """TLS could not be agreed on, or the certificate is not the peer's."""

    reason = "tls-failed"


class RefusedError(RelaynodeError):
    """The peer refuses to serve us. `status` says whether that may pass."""

    exit_code = EX_UNAVAILABLE
    reason = "refused"

    def __init__(self, status: Status, what: str, reason: str = "") -> None:
        self.status = status
        super().__init__(f"{what}: {status}", reason=reason)


class LoginRefused(RefusedError):
    """The peer did not accept name and password."""

    exit_code = EX_NOPERM
    reason = "auth-refused"


class NoSecret(LoginRefused):
    """The password or token that a login needs cannot be had: its source fails."""

    exit_code = EX_TEMPFAIL
    reason = "secret-unavailable"


class BusyError(RelaynodeError):
    """Another process holds the lock that this work needs (a link's session, a mailbox)."""

    exit_code = EX_TEMPFAIL


class CalledOff(RelaynodeError):
    """The work was stopped in order; what was done is recorded, the rest waits."""

    exit_code = EX_TEMPFAIL
    reason = "called-off"
