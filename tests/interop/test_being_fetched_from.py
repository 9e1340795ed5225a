"""Mail that waits elsewhere and is asked for: by ETRN from a real Postfix, by ODMR from our double.

No free program that Debian has speaks ATRN as a server; tests/peers/odmr.py says what stands in.
"""

import asyncio
import json

from connections import start_server
from nodes import TestNode
from peers.odmr import PASSWORD, Mail, OdmrServer
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from relaynode.wire.tcp import TcpStream

SECONDARY = {
    "virtual_mailbox_domains": "",
    "relay_domains": "home.example, shut.example",
    "fast_flush_domains": "home.example",
    "smtpd_etrn_restrictions": "permit_mynetworks, reject",
}
ETRN = """
[etrn.mx2]
host = "127.0.0.1:{postfix}"
tls = "none"
domains = ["home.example", "shut.example"]

[listen.world]
smtp = ["127.0.0.1:{smtp}"]
"""
ODMR = """
[account.isp]
protocol = "odmr"
host = "127.0.0.1:{port}"
tls = "none"
user = "ann"
password_file = "password"
domains = ["home.example"]
"""
DOMAINS = 'local_domains = ["home.example"]'


def test_a_secondary_mx_sends_at_link_up_what_it_could_not_send_before(tmp_path):
    smtp = free_port()
    extra = SECONDARY | {"relay_transport": f"smtp:[127.0.0.1]:{smtp}"}
    with Postfix(tmp_path / "postfix", extra=extra) as postfix:
        sections = ETRN.format(postfix=postfix.port, smtp=smtp)
        node = TestNode(tmp_path / "node", sections, node_keys=DOMAINS)
        sender = TestNode(
            tmp_path / "sender",
            f'[smart_host.mx2]\nhost = "127.0.0.1:{postfix.port}"\ntls = "none"\n',
        )
        sender.path.write_text(sender.path.read_text().replace("bsd.home", "far.home"))
        mail = b"Subject: waits\n\nbody\n"
        assert sender.sendmail("user@home.example", stdin=mail).returncode == 0
        assert sender.run("flush").returncode == 0
        assert wait_until(lambda: "status=deferred" in postfix.log(), 15), postfix.log()
        assert node.mails("user") == []
        with node.daemon():
            ended = node.run("linkup", "--json")
            summary = json.loads(ended.stdout)
            assert wait_until(lambda: node.mails("user"), 15), postfix.log()
    assert [(one["asked_for"], one["code"]) for one in summary["asked"]] == [
        ("home.example", 250),
        ("shut.example", 459),
    ]
    assert [problem.partition(": ")[0] for problem in summary["problems"]] == ["etrn mx2"]
    assert b"Subject: waits\n" in node.mails("user")[0]


def test_fetch_turns_an_odmr_session_and_a_lost_answer_brings_no_second_copy(tmp_path):
    letters = [Mail(b"Subject: %d\r\n\r\nbody\r\n" % number) for number in range(3)]
    odmr = OdmrServer(letters, step="final", way="lose", nth=2)

    async def run():
        serving = []
        async with await start_server(
            lambda made: serving.append(asyncio.ensure_future(odmr.serve(TcpStream(made)))),
            "127.0.0.1",
            0,
        ) as listening:
            port = listening.sockets[0].getsockname()[1]
            node = TestNode(tmp_path, ODMR.format(port=port), node_keys=DOMAINS)
            node.password("password", PASSWORD)
            ends = [
                await asyncio.to_thread(node.run, "fetch", "isp", "--verbose") for _ in range(3)
            ]
        return node, ends

    node, (broken, rest, empty) = asyncio.run(run())
    assert [one.returncode for one in (broken, rest, empty)] == [75, 0, 0]
    assert "account isp" in broken.stderr
    assert "2 received" in broken.stdout
    assert "1 received" in rest.stdout
    assert "0 received" in empty.stdout
    subjects = sorted(mail.partition(b"Subject: ")[2][:1] for mail in node.mails("user"))
    assert subjects == [b"0", b"1", b"2"]
