"""Our ODMR server as a daemon, and who comes for mail: fetchmail's own ODMR client, and ours."""

import json
import subprocess

from nodes import TestNode
from peers.found import require
from peers.processes import free_port, wait_until

ISP = """
[user.ann]
password_file = "password"

[listen.world]
odmr = ["127.0.0.1:{odmr}"]

[odmr.home]
user = "ann"
domains = ["home.example"]
"""
HOME = """
[listen.lan]
smtp = ["127.0.0.1:{smtp}"]

[account.isp]
protocol = "odmr"
host = "127.0.0.1:{odmr}"
tls = "none"
user = "ann"
password_file = "password"
"""
TABLES = {"relay-domains": "home.example\n", "mailertable": "home.example dsmtp:home.example\n"}
BODIES = [b".\n..\n.end\n", b"line\n" * 20_000, b"\xfcml\xe4ut\n"]


def nodes(folder):
    """An ISP, a site at home, and the ports they listen on."""
    odmr, smtp = free_port(), free_port()
    isp = TestNode(folder / "isp", ISP.format(odmr=odmr), tables=TABLES)
    isp.path.write_text(isp.path.read_text().replace("bsd.home", "isp.example"))
    home = TestNode(
        folder / "home",
        HOME.format(odmr=odmr, smtp=smtp),
        node_keys='local_domains = ["home.example"]',
    )
    for node in (isp, home):
        node.password("password")
    return isp, home, odmr, smtp


def submit(isp):
    for number, body in enumerate(BODIES):
        mail = b"Subject: number %d\n\n%s" % (number, body)
        assert isp.sendmail("-i", "user@home.example", stdin=mail).returncode == 0


def bodies(home):
    found = [mail.partition(b"\n\n")[2] for mail in home.mails("user")]
    return sorted(found)


def test_fetchmail_turns_the_session_and_brings_all_that_is_kept(tmp_path):
    found = require("fetchmail")
    isp, home, odmr, smtp = nodes(tmp_path)
    rc = tmp_path / "fetchmailrc"
    rc.touch(mode=0o600)
    rc.write_text(
        f"poll 127.0.0.1 protocol odmr port {odmr} timeout 20\n"
        'user ann password secret sslproto ""\n'
        f"smtphost 127.0.0.1/{smtp} fetchdomains home.example\n"
    )
    command = [found.program("fetchmail"), "--nodetach", "--invisible", "-v", "-f", rc]
    environment = found.environment | {"HOME": str(tmp_path)}
    with isp.daemon(), home.daemon():
        submit(isp)
        ended = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, timeout=60
        )
        told = (ended.stdout + ended.stderr).decode("utf-8", "replace")
        assert wait_until(lambda: len(home.mails("user")) == len(BODIES), 15), told
        assert bodies(home) == sorted(BODIES)
        assert wait_until(lambda: json.loads(isp.run("queue", "--json").stdout) == [], 15), told
        again = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, timeout=60
        )
        submit(isp)
        assert "3 received" in home.run("fetch", "isp", "--verbose").stdout
        assert wait_until(lambda: bodies(home) == sorted(BODIES * 2), 15)
    assert ended.returncode == 0, told
    assert b"You have no mail" in again.stderr
