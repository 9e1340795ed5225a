"""A Kerberos key server (MIT's) on ports of 127.0.0.1, with all that it needs in one folder."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from peers.found import require
from peers.processes import PeerFailed, Process, free_port, tail, wait_until

if TYPE_CHECKING:
    from pathlib import Path

REALM = "HOME.EXAMPLE"

_CLIENTS = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
"""
_SERVER = """\
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principals
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
}}
[dbmodules]
db_module_dir = {modules}
[logging]
kdc = FILE:{folder}/kdc.log
"""


class Kdc:
    """In use: `with Kdc(folder) as kdc: kdc.add("ann", "secret"); kdc.kinit("ann", "secret")`.

    `environment`: for programs that are to use this realm; Debian's python3-gssapi is found, too.
    """

    def __init__(self, folder: Path) -> None:
        self._found = require("kerberos")
        self._folder = folder
        folder.mkdir()
        modules = next(self._found.root.glob("usr/lib/*/krb5/plugins/kdb"))
        known = {"realm": REALM, "port": free_port(), "folder": folder, "modules": modules}
        for name, text in (("krb5.conf", _CLIENTS), ("kdc.conf", _SERVER)):
            (folder / name).write_text(text.format(**known))
        self.environment = self._found.environment | {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{folder}/tickets",
            "KRB5RCACHEDIR": str(folder),
            "PYTHONPATH": str(self._found.path("usr/lib/python3/dist-packages")),
        }

    def __enter__(self) -> Kdc:
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        log = self._folder / "kdc.log"
        self._process = Process(
            [self._found.program("krb5kdc"), "-n"],
            log=self._folder / "output",
            environment=self.environment,
        )
        if not wait_until(lambda: log.exists() and "commencing operation" in log.read_text(), 15):
            self._process.stop()
            raise PeerFailed(f"krb5kdc does not come up\n{tail(self._folder / 'output')}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def add(self, principal: str, password: str) -> None:
        """A new principal."""
        self._run("kadmin.local", "-q", f"addprinc -pw {password} {principal}")

    def keytab(self, *principals: str) -> Path:
        """A file with the keys of new principals."""
        path = self._folder / "keytab"
        for principal in principals:
            self._run("kadmin.local", "-q", f"addprinc -randkey {principal}")
            self._run("kadmin.local", "-q", f"ktadd -k {path} {principal}")
        return path

    def kinit(self, principal: str, password: str) -> None:
        """Get a ticket for what runs in `environment`."""
        self._run("kinit", principal, told=password)

    def _run(self, program: str, *words: str, told: str = "") -> None:
        ended = subprocess.run(
            [self._found.program(program), *words],
            env=self.environment,
            input=f"{told}\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if ended.returncode:
            raise PeerFailed(f"{program}: {ended.stdout}{ended.stderr}")
