"""Gets the real peers ready: `python tests/peers/prepare.py`, which tests/run does.

What is not installed is unpacked from Debian's packages into the cache folder, together with the
libraries that this machine lacks. Nothing is installed and no daemon is started, so the machine's
own mail system is left alone. The one change outside the cache, made as root only: system users
that the peers' daemons run as are added where they are missing.

It says in plain words what it does and which peers stay missing. It exits with 0 also then: the
tests that need a peer say so themselves.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peers.found import (
    PEERS,
    STAMP,
    Peer,
    PeerMissing,
    Relocation,
    cache_folder,
    find,
    is_current,
    missing_accounts,
    stamp_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

# A second C library beside the loader of the first makes programs crash; the machine's must do.
_NEVER_UNPACKED = frozenset({"libc6", "libc-bin"})


class UnpackFailed(Exception):
    """apt-get or dpkg did not do what was asked. str() is the last thing it said."""


def main() -> int:
    """Prepare every peer; tell about each that needed work or is missing."""
    os.umask(0o022)  # what is unpacked is for the daemons' users too
    for peer in PEERS.values():
        try:
            prepare(peer)
            find(peer.name)
        except (PeerMissing, UnpackFailed) as problem:
            print(f"tests/run: no {peer.name}: {problem}")
            print(f"tests/run: tests that need {peer.name} are left out, or fail in CI")
    return 0


def prepare(peer: Peer) -> None:
    """Make `peer` usable if that is possible here. Raises UnpackFailed."""
    _add_accounts(peer)
    try:
        find(peer.name)
    except PeerMissing:
        if _can_unpack(peer):
            _unpack_once(peer)


def _can_unpack(peer: Peer) -> bool:
    may_run = os.geteuid() == 0 or not peer.needs_root
    return may_run and all(shutil.which(program) for program in ("apt-get", "dpkg"))


def _add_accounts(peer: Peer) -> None:
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        return
    users, groups = missing_accounts(peer)
    for group in groups:
        _run("groupadd", "--system", group)
    for user in users:
        _run("useradd", "--system", "--user-group", "--no-create-home", *_nobody_logs_in(), user)
    if users or groups:
        print(f"tests/run: added for {peer.name}: system users/groups {' '.join(users + groups)}")


def _nobody_logs_in() -> tuple[str, ...]:
    return ("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


def _unpack_once(peer: Peer) -> None:
    """Unpack `peer` unless it is; two runs at the same time do it one after the other."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{peer.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(cache / peer.name, stamp_of(peer)):
            print(f"tests/run: unpacking {peer.name} into {cache / peer.name}", flush=True)
            _unpack(peer, cache / peer.name)


def _unpack(peer: Peer, tree: Path) -> None:
    """Download and unpack beside `tree` and rename, so that `tree` is complete or absent."""
    with tempfile.TemporaryDirectory(prefix=f".{peer.name}.", dir=tree.parent) as work:
        downloads, fresh = Path(work, "downloads"), Path(work, "tree")
        downloads.mkdir()
        fresh.mkdir()
        for package in _downloaded(peer.packages, downloads):
            _run("dpkg", "-x", str(package), str(fresh))
        for relocation in peer.relocations:
            _relocate(relocation, fresh)
        fresh.chmod(0o755)
        (fresh / STAMP).write_text(stamp_of(peer))
        if tree.exists():
            tree.rename(Path(work, "old"))
        fresh.rename(tree)


def _relocate(relocation: Relocation, tree: Path) -> None:
    """Write the new path over the old, which ends with NUL as all strings in C do."""
    path = tree / relocation.file
    content = path.read_bytes()
    old = relocation.old + b"\0"
    if content.count(old) != 1:
        raise UnpackFailed(f"{relocation.file} has another layout than we know; install it instead")
    path.write_bytes(content.replace(old, relocation.new.ljust(len(old), b"\0")))


def _downloaded(packages: Iterable[str], folder: Path) -> list[Path]:
    """The files of `packages` and of what they need that is not installed."""
    try:
        return _download(packages, folder)
    except UnpackFailed:
        # No lists of packages yet, or lists that name versions gone since.
        if os.geteuid() != 0:
            raise
        with contextlib.suppress(UnpackFailed):  # one broken source of several does not matter
            _run("apt-get", "-qq", "update")
        return _download(packages, folder)


def _download(packages: Iterable[str], folder: Path) -> list[Path]:
    # As root apt-get downloads as _apt, who may not write here, and warns about it.
    own = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
    _run("apt-get", "-qq", *own, "download", *_to_unpack(packages), folder=folder)
    return sorted(folder.glob("*.deb"))


def _to_unpack(packages: Iterable[str]) -> list[str]:
    """What apt-get would install for `packages`, told by a run that only simulates."""
    said = _run("apt-get", "-s", "--no-install-recommends", "install", *packages)
    names = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
    return sorted({*packages, *names} - _NEVER_UNPACKED)


def _run(*command: str, folder: Path | None = None) -> str:
    """What `command` writes. Raises UnpackFailed with its last words."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise UnpackFailed(f"{' '.join(command[:2])}: {last}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
