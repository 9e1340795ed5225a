"""Giving up root's rights: what root starts goes on as the user of [node] user.

`step_down` returns in another process than it was called in. The one that called it stays root,
and does nothing any more but serve as the other's monitor (mailers/monitor.py), until that ends.
"""

from __future__ import annotations

import atexit
import os
import pwd
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import relaynode
from relaynode.config.loader import load
from relaynode.errors import ConfigError, ConnectFailed, Problem, StoreError
from relaynode.mailers import as_others
from relaynode.wire.ports import Ports
from relaynode.wire.systemd import handed_over, notify

if TYPE_CHECKING:
    from relaynode.config.loader import Config

_caller_uid: int | None = None


def caller_uid() -> int:
    """Who has called this program, whoever it has become since."""
    return os.getuid() if _caller_uid is None else _caller_uid


def open_ports(config: Config) -> Ports:
    """What systemd has opened for us; and while we are root and will not be, all else that is to be
    listened on. Raises: ConnectFailed."""
    ports = Ports(handed_over())
    if os.geteuid() == 0 and config.file.node.user is not None:
        try:
            for listen in config.file.listen.values():
                for where in listen.addresses:
                    ports.bind(where)
        except ConnectFailed:
            ports.close()
            raise
    return ports


def load_and_step_down(path: Path | None) -> Config:
    """The configuration, as who goes on with it may read it. Raises: as `load`, `step_down`."""
    if os.geteuid() == 0:
        step_down(load(path, with_secrets=False))
    return load(path)


def step_down(config: Config, ports: Ports | None = None) -> None:
    """Go on as [node] user, if we are root and it names one; else do nothing. `ports`: what goes
    along, and does not stay with the monitor.

    Raises: StoreError if the spool is somebody else's; ConfigError if the configuration is that
    user's to change.
    """
    global _caller_uid
    if os.geteuid() != 0 or config.file.node.user is None:
        return
    from relaynode.cli.powers import Powers  # which others need not wait for
    from relaynode.mailers.monitor import Monitor

    account = pwd.getpwnam(config.file.node.user)
    _own_spool(config.spool, account)
    _caller_uid = os.getuid()
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # whoever started us has closed these, and the monitor's processes need them
    os.close(descriptor)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    node = os.fork()
    if node:
        theirs.close()
        if ports is not None:
            ports.close()
        powers = Powers(config)
        code = Monitor(node, ours, powers.act, notify, powers.reload).run()
        os._exit(code)  # not sys.exit(): what our caller would clean up is the other process's
    ours.close()
    _become(account)
    os.environ.pop("NOTIFY_SOCKET", None)  # the monitor is who systemd listens to
    atexit.register(theirs.close)
    _keep_what_root_believes(config)
    as_others.lend(as_others.MonitorClient(theirs))


def give_to_node_user(config: Config, path: Path) -> None:
    """A file of secrets that root has made is for the node to read, if that is not root."""
    if os.geteuid() == 0 and config.file.node.user is not None:
        os.chown(path, pwd.getpwnam(config.file.node.user).pw_uid, -1)


def _keep_what_root_believes(config: Config) -> None:
    """What the monitor goes by must not be the node's to change. For who has stepped down.

    Raises: ConfigError.
    """
    believed = [config.aliases, config.tables, Path(relaynode.__file__)]
    if config.path is not None:
        believed.append(config.path)
    for path in dict.fromkeys(place for one in believed for place in (one, one.parent)):
        if os.access(path, os.W_OK) and not path.stat().st_mode & stat.S_ISVTX:
            what = f"{path} may be changed by {config.file.node.user}, as whom the node runs"
            raise ConfigError([Problem(str(config.path), None, what, f"chown root {path}")])


def become_node_user(config: Config) -> None:
    """Go on as [node] user, if we are root and it names one, without any rights to come back to:
    to see what that user sees."""
    if os.geteuid() == 0 and config.file.node.user is not None:
        _become(pwd.getpwnam(config.file.node.user))


def _become(account: pwd.struct_passwd) -> None:
    os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)


def _own_spool(spool: Path, account: pwd.struct_passwd) -> None:
    """Make the spool, if it is not there; it must be the user's. Raises: StoreError."""
    try:
        if not spool.exists():
            spool.mkdir(mode=0o711, parents=True)
            os.chown(spool, account.pw_uid, account.pw_gid)
        for path in (spool, *spool.iterdir()):
            owner = path.lstat().st_uid
            # daemon.pid and its like are who has started the daemon's.
            if owner != account.pw_uid and not path.name.startswith("daemon."):
                whose = _name(owner)
                raise StoreError(
                    f"{path} belongs to {whose}, and [node] user is {account.pw_name}; end what"
                    f" runs there, then: chown -R {account.pw_name} {spool}"
                )
    except OSError as error:
        raise StoreError(f"{error.filename or spool}: {error.strerror}") from error


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
