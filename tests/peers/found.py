"""Where the real programs are that interoperability tests talk to.

A peer is used as the machine has it installed, or else as `prepare.py` unpacked it into a cache
folder. Unpacked is the usual case: mail servers cannot be installed beside one another, and a
test must not replace the machine's own. This module only looks; it installs and starts nothing.

A test that needs a peer calls `require(name)`. Where the peer is missing the test is left out and
the reason is printed, but with RELAYNODE_REQUIRE_PEERS=1 (as in CI) it fails.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Relocation:
    """A path compiled into a file of a package, which no setting of the program changes."""

    file: str  # below the tree
    old: bytes
    new: bytes  # at most as long; relative to the folder that the program runs in


@dataclass(frozen=True)
class Peer:
    """A program, or a family of programs, that tests use as the other side."""

    name: str
    programs: tuple[str, ...]  # it counts as present when all of these are
    packages: tuple[str, ...]  # of Debian
    files: tuple[str, ...] = ()  # patterns; it counts as present when these are there, too
    users: tuple[str, ...] = ()  # system users its daemons run as; asked for when we are root
    groups: tuple[str, ...] = ()  # system groups beside those of the users
    needs_root: bool = False
    relocations: tuple[Relocation, ...] = ()  # made where it is unpacked


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "postfix",
            programs=("postfix", "master", "smtpd", "virtual"),
            packages=("postfix",),
            users=("postfix",),
            groups=("postdrop",),
            needs_root=True,
        ),
        Peer(
            "dovecot",
            programs=("dovecot", "doveconf", "pop3-login", "imap-login", "lmtp", "sievec"),
            packages=(
                "dovecot-core",
                "dovecot-pop3d",
                "dovecot-imapd",
                "dovecot-lmtpd",
                "dovecot-sieve",
            ),
            users=("dovecot", "dovenull"),
            # Where it looks for its TLS module. Its processes run in the folder `base_dir`, where
            # dovecot.py puts the link that this names.
            relocations=(
                Relocation(
                    "usr/lib/dovecot/libdovecot.so.0.0.0", b"/usr/lib/dovecot/modules", b"modules"
                ),
            ),
        ),
        Peer(
            "exim",
            programs=("exim4",),
            packages=("exim4-daemon-light",),
            users=("Debian-exim",),
            needs_root=True,
        ),
        Peer(
            "opensmtpd",
            programs=("smtpd", "smtpctl"),
            packages=("opensmtpd",),
            files=("usr/libexec/opensmtpd/mail.maildir",),
            users=("opensmtpd", "opensmtpq"),
            needs_root=True,
        ),
        # Asked what it would do, or started as a server, with a configuration of the test's own.
        Peer(
            "sendmail",
            programs=("makemap", "mail.local", "m4"),
            packages=("sendmail-bin", "sendmail-cf", "m4"),
            needs_root=True,
        ),
        # Always with a configuration and a spool of the test's own.
        Peer("uucp", programs=("uux", "uucico", "uuxqt"), packages=("uucp",)),
        Peer("swaks", programs=("swaks",), packages=("swaks", "libnet-ssleay-perl")),
        # Filters behind the milter client; the library is for a small one that tests compile.
        Peer("rspamd", programs=("rspamd",), packages=("rspamd",)),
        Peer(
            "clamav",
            programs=("clamd", "clamav-milter"),
            packages=("clamav-daemon", "clamav-milter"),
        ),
        Peer("opendkim", programs=("opendkim",), packages=("opendkim",)),
        Peer(
            "libmilter",
            programs=(),
            packages=("libmilter-dev",),
            files=("usr/include/libmilter/mfapi.h", "usr/lib/*/libmilter.a"),
        ),
        # Watches what the daemon asks of the kernel, and in which order.
        Peer("strace", programs=("strace",), packages=("strace", "libunwind8")),
        # Tickets, and the library that our extra gssapi is, where it was not built.
        Peer(
            "kerberos",
            programs=("krb5kdc", "kdb5_util", "kadmin.local", "kinit"),
            packages=("krb5-kdc", "krb5-admin-server", "krb5-user", "python3-gssapi"),
        ),
        # Logins are checked by the system's own PAM, with a service of the test's own.
        Peer(
            "pam",
            programs=(),
            packages=("libpam0g", "libpam-modules"),
            files=("usr/lib/*/security/pam_exec.so",),
        ),
        # Programs that fetch mail, and one that mail is handed to.
        Peer("fetchmail", programs=("fetchmail",), packages=("fetchmail",)),
        Peer("mpop", programs=("mpop",), packages=("mpop",)),
        Peer("getmail", programs=("getmail",), packages=("getmail6",)),
        Peer("procmail", programs=("procmail",), packages=("procmail",)),
        Peer("maildrop", programs=("maildrop",), packages=("maildrop",)),
        # It sends its replies by the sendmail of the system; here by one in its user's home.
        Peer(
            "vacation",
            programs=("vacation",),
            packages=("vacation",),
            relocations=(Relocation("usr/bin/vacation", b"/usr/sbin/sendmail", b"./sendmail"),),
        ),
        Peer("mutt", programs=("mutt",), packages=("mutt",)),
        Peer("msmtp", programs=("msmtp",), packages=("msmtp",)),
        # What Postfix and sendmail log in with, as clients.
        Peer(
            "sasl",
            programs=(),
            packages=("libsasl2-modules",),
            files=("usr/lib/*/sasl2/libplain.so", "usr/lib/*/sasl2/liblogin.so"),
        ),
        # Run as an ordinary user, for a user that only nss_wrapper knows: many system users have no
        # shell, and sshd runs a forced command with one.
        Peer(
            "openssh-server",
            programs=("sshd", "ssh", "ssh-keygen"),
            packages=("openssh-server", "openssh-client", "libnss-wrapper"),
            files=("usr/lib/*/libnss_wrapper.so",),
        ),
    )
}

# Daemons keep helpers outside PATH. Relative to / or to an unpacked tree; Debian's places first,
# then those of other systems.
_PROGRAM_FOLDERS = (
    "usr/sbin",
    "usr/bin",
    "sbin",
    "bin",
    "usr/lib/postfix/sbin",
    "usr/lib/dovecot",
    "usr/libexec/postfix",
    "usr/libexec/dovecot",
    "usr/libexec/sendmail",
    "usr/local/sbin",
    "usr/local/bin",
    "usr/local/libexec/postfix",
    "usr/local/libexec/dovecot",
)

# A tree counts only with this file, which `prepare.py` writes last: what was unpacked, and for
# which system.
STAMP = ".unpacked"


class PeerMissing(Exception):
    """A peer cannot be used here. str() says why, and what to do about it."""


@dataclass(frozen=True)
class Found:
    """A peer that can be used."""

    peer: Peer
    root: Path  # "/" for an installed peer, else the tree it was unpacked into
    environment: dict[str, str] = field(repr=False)  # complete; to start its programs with

    @property
    def is_unpacked(self) -> bool:
        """Whether the paths compiled into its programs are wrong here."""
        return self.root != Path("/")

    def program(self, name: str) -> Path:
        """The path of one of its programs. Raises PeerMissing when it has none of that name."""
        path = _program(self.root, name)
        if path is None:
            raise PeerMissing(f"{self.peer.name} in {self.root} has no program {name}")
        return path

    def path(self, installed: str) -> Path:
        """Where a file or folder lies that a Debian package installs as `installed`."""
        return self.root / installed.lstrip("/")


def require(name: str) -> Found:
    """The peer `name`; where it is missing the running test is left out, or fails if it must not.

    Outside a test, as in a benchmark, raises PeerMissing.
    """
    try:
        return find(name)
    except PeerMissing as missing:
        reason = str(missing)
    return leave_out(reason)


def leave_out(reason: str) -> NoReturn:
    """Leave out the running test, or let it fail if it must run. Elsewhere raises PeerMissing."""
    if "PYTEST_CURRENT_TEST" not in os.environ:
        raise PeerMissing(reason)
    import pytest  # here, because prepare.py uses this module without the test environment

    if os.environ.get("RELAYNODE_REQUIRE_PEERS") == "1":
        pytest.fail(f"RELAYNODE_REQUIRE_PEERS=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def find(name: str) -> Found:
    """The peer `name`, installed or unpacked. Raises PeerMissing."""
    peer = PEERS[name]
    if peer.needs_root and os.geteuid() != 0:
        raise PeerMissing(f"only root can start {name}")
    found = _installed(peer) or _unpacked(peer)
    if found is None:
        raise PeerMissing(
            f"{name} is missing (Debian: {' '.join(peer.packages)}; tests/run gets it)"
        )
    _check_accounts(peer)
    if found.is_unpacked and peer.users:
        _check_reachable(found.root)
    return found


def cache_folder() -> Path:
    """The folder of unpacked peers: $RELAYNODE_PEERS, or the usual place of caches."""
    if chosen := os.environ.get("RELAYNODE_PEERS"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        # Not below /root: the daemons give up root and must still reach their programs.
        return Path("/var/cache/relaynode-peers")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relaynode-peers"


def missing_accounts(peer: Peer) -> tuple[list[str], list[str]]:
    """The users and groups that `peer` needs and this system has not."""
    users = [name for name in peer.users if not _exists(pwd.getpwnam, name)]
    groups = [name for name in peer.groups if not _exists(grp.getgrnam, name)]
    return users, groups


def is_current(tree: Path, stamp: str) -> bool:
    """Whether `tree` is completely unpacked from what `stamp` names."""
    try:
        return (tree / STAMP).read_text() == stamp
    except FileNotFoundError:
        return False


def system_name() -> str:
    """This operating system and version, which an unpacked tree is bound to."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    return " ".join((names.get("ID", "?"), names.get("VERSION_ID", "?"), os.uname().machine))


def stamp_of(peer: Peer) -> str:
    """What STAMP in the tree of `peer` must say for the tree to be of use."""
    moved = [f"{change.file}:{change.new.decode()}" for change in peer.relocations]
    return f"{system_name()}: {' '.join((*peer.packages, *moved))}\n"


def _installed(peer: Peer) -> Found | None:
    if not _has_all(Path("/"), peer):
        return None
    return Found(peer, Path("/"), dict(os.environ))


def _unpacked(peer: Peer) -> Found | None:
    tree = cache_folder() / peer.name
    if not (is_current(tree, stamp_of(peer)) and _has_all(tree, peer)):
        return None
    return Found(peer, tree, dict(os.environ) | _tree_environment(tree))


def _has_all(root: Path, peer: Peer) -> bool:
    has_files = all(any(root.glob(pattern)) for pattern in peer.files)
    return has_files and all(_program(root, name) for name in peer.programs)


def _program(root: Path, name: str) -> Path | None:
    for folder in _PROGRAM_FOLDERS:
        path = root / folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    return None


@functools.cache
def _tree_environment(tree: Path) -> dict[str, str]:
    """What makes programs in `tree` find their own libraries, programs and Perl modules."""
    libraries = sorted({str(path.parent) for path in tree.rglob("lib*.so*")})
    programs = [str(tree / folder) for folder in _PROGRAM_FOLDERS[:2]]
    environment = {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": ":".join((*programs, os.environ.get("PATH", os.defpath))),
    }
    patterns = ("usr/share/perl5", "usr/lib/*/perl5/*", "usr/share/perl/*", "usr/lib/*/perl/*")
    modules = [str(folder) for pattern in patterns for folder in sorted(tree.glob(pattern))]
    return environment | ({"PERL5LIB": ":".join(modules)} if modules else {})


def _check_accounts(peer: Peer) -> None:
    if os.geteuid() != 0:
        return
    users, groups = missing_accounts(peer)
    if users or groups:
        names = " ".join((*users, *groups))
        raise PeerMissing(f"{peer.name} lacks system users or groups: {names} (tests/run adds)")


def _check_reachable(tree: Path) -> None:
    """Daemons that root starts continue as other users, who must be able to enter the tree."""
    if os.geteuid() != 0:
        return
    for folder in (tree, *tree.parents):
        if not folder.stat().st_mode & 0o001:
            raise PeerMissing(
                f"users other than root cannot enter {folder}, where peers were unpacked; "
                "set RELAYNODE_PEERS to a folder that they can"
            )


def _exists(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True
