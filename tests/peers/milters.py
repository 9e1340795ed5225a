"""Real filters: rspamd, opendkim, clamav-milter, and a small one on libmilter that does what it is
told.

Each lives in a folder of its own for as long as it is entered, listening on a unix socket or a port
of 127.0.0.1, and asks nobody in the world.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from peers.folders import leave_home, make_home
from peers.found import leave_out, require
from peers.processes import PeerFailed, Process, free_port, tail, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 15


@contextmanager
def changer(flags: int = 0) -> Iterator[str]:
    """changer.c, running; its socket as filters are configured. `flags`: steps it asks for."""
    home = make_home("changer")
    where = home / "socket"
    try:
        process = Process(
            [_compiled(), f"unix:{where}", f"{flags:x}"], log=home / "log", environment={}
        )
        try:
            _wait(process, lambda: _answers(str(where)))
            yield f"unix:{where}"
        finally:
            process.stop(0.2)
    finally:
        leave_home(home, None, ())


@functools.cache
def _compiled() -> Path:
    """The program; the compiler is this machine's, the library Debian's."""
    found, compiler = require("libmilter"), shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        leave_out("there is no C compiler")
    program = Path(_kept_folder().name, "changer")
    (library,) = found.root.glob("usr/lib/*/libmilter.a")
    source = Path(__file__).parent / "changer.c"
    subprocess.run(
        [
            *(compiler, "-D_GNU_SOURCE", f"-I{found.root}/usr/include", "-o", program, source),
            *(library, "-lpthread"),
        ],
        check=True,
        capture_output=True,
    )
    return program


@functools.cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    """Goes with this process."""
    return tempfile.TemporaryDirectory(prefix="rn-changer-")


_RSPAMD = """
options {{
  pidfile = "{home}/pid"; filters = ""; tempdir = "{home}"; hs_cache_dir = "{home}/";
  url_tld = "{home}/tld"; control_socket = "{home}/control mode=0600"; gtube_patterns = "all";
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "rspamd_proxy" {{
  bind_socket = "127.0.0.1:{port}"; milter = yes; count = 1; timeout = 10s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
"""
"""Without rules, lists and name servers: GTUBE is known to the program itself."""

_RSPAMD_FOLDERS = ("DBDIR", "RUNDIR", "LOGDIR", "CONFDIR", "LOCAL_CONFDIR", "WWWDIR")


@contextmanager
def rspamd() -> Iterator[str]:
    """rspamd's proxy worker as a milter; its socket."""
    found, home, port = require("rspamd"), make_home("rspamd"), free_port()
    try:
        (home / "tld").write_text("com\norg\nexample\n")
        config = home / "rspamd.conf"
        config.write_text(_RSPAMD.format(home=home, port=port))
        share = found.path("/usr/share/rspamd")
        folders = dict.fromkeys(_RSPAMD_FOLDERS, home) | {
            "SHAREDIR": share,
            "LUALIBDIR": share / "lualib",
            "PLUGINSDIR": share / "plugins",
            "RULESDIR": share / "rules",
        }
        words = [f"--var={name}={folder}" for name, folder in folders.items()]
        process = Process(
            # -i: it may run as whoever runs the tests.
            [found.program("rspamd"), "-f", "-i", "-c", config, *words],
            log=home / "log",
            environment=found.environment,
        )
        try:
            _wait(process, lambda: _answers(port))
            yield f"inet:{port}@127.0.0.1"
        finally:
            process.stop(1)
    finally:
        leave_home(home, None, ())


@contextmanager
def opendkim(domain: str) -> Iterator[str]:
    """opendkim, signing mail of `domain` that comes from this machine, and checking all other; its
    socket. It finds the key in a file, where the world would ask the DNS."""
    found, home = require("opendkim"), make_home("opendkim")
    where = home / "socket"
    try:
        private = home / "private"
        _openssl("genrsa", "-out", private, "2048")
        public = _openssl("rsa", "-in", private, "-pubout").decode().splitlines()[1:-1]
        (home / "public").write_text(
            f"test._domainkey.{domain} v=DKIM1; k=rsa; p={''.join(public)}\n"
        )
        config = home / "opendkim.conf"
        config.write_text(
            f"Socket local:{where}\nDomain {domain}\nSelector test\nKeyFile {private}\n"
            "Mode sv\nSyslog no\nCanonicalization relaxed/simple\nInternalHosts 127.0.0.1\n"
            f"TestPublicKeys {home}/public\n"
            "Background no\n"
        )
        process = Process(
            [found.program("opendkim"), "-f", "-x", config],
            log=home / "log",
            environment=found.environment,
        )
        try:
            _wait(process, lambda: _answers(str(where)))
            yield f"local:{where}"
        finally:
            process.stop(1)
    finally:
        leave_home(home, None, ())


VIRUS = b"RELAYNODE-TEST-VIRUS"
"""What the one signature of our clamd is of."""

_CLAMD = """\
LocalSocket {home}/clamd
DatabaseDirectory {home}/signatures
User {user}
Foreground yes
MaxThreads 1
"""
_CLAMAV_MILTER = """\
MilterSocket unix:{home}/socket
ClamdSocket unix:{home}/clamd
User {user}
Foreground yes
OnInfected Reject
RejectMsg Found %v
AddHeader Replace
"""


@contextmanager
def clamav() -> Iterator[str]:
    """clamav-milter before a clamd that knows `VIRUS` and nothing else; its socket."""
    found, home = require("clamav"), make_home("clamav")
    user = pwd.getpwuid(os.geteuid()).pw_name
    try:
        (home / "signatures").mkdir()
        (home / "signatures" / "test.ndb").write_text(f"Test.Virus:0:*:{VIRUS.hex()}\n")
        processes = []
        try:
            for name, text, socket_name in (
                ("clamd", _CLAMD, "clamd"),
                ("clamav-milter", _CLAMAV_MILTER, "socket"),
            ):
                config = home / f"{name}.conf"
                config.write_text(text.format(home=home, user=user))
                process = Process(
                    [found.program(name), "-c", config],
                    log=home / f"{name}.log",
                    environment=found.environment,
                )
                processes.append(process)
                _wait(process, functools.partial(_answers, str(home / socket_name)))
            yield f"unix:{home}/socket"
        finally:
            for process in processes:
                process.stop(1)
    finally:
        leave_home(home, None, ())


def _openssl(*words: str | Path) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def _wait(process: Process, answers) -> None:
    if not wait_until(lambda: answers() or not process.is_running, _START_SECONDS):
        raise PeerFailed(f"{process.name} does not answer\n{tail(process.log)}")
    if not process.is_running:
        raise PeerFailed(f"{process.name} ended\n{tail(process.log)}")


def _answers(where: int | str) -> bool:
    """Does anybody take connections there?"""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(where if isinstance(where, str) else ("127.0.0.1", where)) == 0
