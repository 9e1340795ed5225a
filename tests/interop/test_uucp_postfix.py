"""A site with Postfix behind a UUCP neighbour: Postfix hands its mail to Taylor's uux, and gets
ours from the rmail that Taylor's uuxqt runs: sendmail's, as Debian has it for Postfix."""

from __future__ import annotations

import smtplib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.found import require
from peers.postfix import Postfix
from peers.processes import free_port, wait_until
from peers.taylor import USER, Taylor
from peers.uucp_lines import Inetd
from uucp.real import Beta
from uucp_letters import Letter, copies_at, letters, queue, tally
from uucp_node import UucpNode
from uucp_site import LOGIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAILS = 500
"""Each way, in one session."""

HANDED_OVER = 60

SERVICE = """\
uucp unix - n n - - pipe
  flags=Fqhu user={user} argv={uux} -r -n -z -a$sender - $nexthop!rmail ($recipient)
"""
"""As Debian's master.cf has it, with our path of uux."""

ADDED = b"\n"
"""Flag F of Postfix's pipe(8) puts an empty line behind the message, too."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def _copy(program: Path, to: Path, compiled_in: bytes, instead: bytes) -> None:
    content = program.read_bytes()
    assert content.count(compiled_in + b"\0") == 1
    to.write_bytes(content.replace(compiled_in + b"\0", instead.ljust(len(compiled_in) + 1, b"\0")))
    to.chmod(0o755)


def _script(path: Path, surroundings: str, program: Path | str) -> None:
    path.write_text(f'#!/bin/sh\nexec /usr/bin/env {surroundings} {program} "$@"\n')
    path.chmod(0o755)


class PostfixSite:
    """Taylor's beta with a Postfix that takes all mail but that for alpha.example, which goes to
    uux. To be used in a `with`."""

    def __init__(self, home: Path) -> None:
        self.uucp = Beta(home / "beta")
        self.postfix = Postfix(
            extra={"transport_maps": "inline:{{alpha.example=uucp:alpha}}"},
            services=SERVICE.format(user=USER, uux=self.uucp.uux),
        )

    def __enter__(self) -> PostfixSite:
        self.postfix.__enter__()
        self._install_rmail()
        return self

    def __exit__(self, *_: object) -> None:
        self.postfix.__exit__()

    def _install_rmail(self) -> None:
        """In the place of the other. What is compiled into it and into Postfix is replaced: where
        sendmail is, and where its configuration is, since only root may choose another."""
        postfix = require("postfix")
        folder = self.uucp.folder / "rmail"
        folder.mkdir()
        _copy(postfix.program("rmail"), folder / "rmail", b"/usr/lib/sendmail", b"./sendmail")
        library = "libpostfix-global.so"
        _copy(
            postfix.path(f"/usr/lib/postfix/{library}"), folder / library, b"/etc/postfix", b"etc"
        )
        for place in (folder, self.postfix.home / "queue"):  # postdrop is started in the latter
            (place / "etc").symlink_to(self.postfix.home / "config")
        libraries = f"{folder}:{postfix.environment.get('LD_LIBRARY_PATH', '')}"
        _script(folder / "sendmail", f"LD_LIBRARY_PATH={libraries}", postfix.program("sendmail"))
        _script(self.uucp.folder / "commands" / "rmail", f"-C {folder}", "./rmail")
        # Postfix's postdrop is set-group-id where it is installed.
        self.uucp.as_user["extra_groups"] = ["postdrop"]

    def send(self, mails: Sequence[Letter]) -> None:
        """Have Postfix hand them to uux."""
        with smtplib.SMTP("127.0.0.1", self.postfix.port) as server:
            for one in mails:
                server.sendmail(one.sender, one.recipients, one.content)
        self.postfix.wait_until_settled(60)
        assert len(self.uucp.jobs("alpha")) == len(mails), self.postfix.log()[-2000:]

    def execute(self, mails: Sequence[Letter]) -> None:
        """Run what has come, and wait until it is in the mailbox."""
        self.uucp.execute()
        self.postfix.wait_for(sum(len(one.recipients) for one in mails), 60)
        self.postfix.wait_until_settled(60)

    def copies(self) -> Counter[tuple[str, str, bytes]]:
        """What Postfix delivered: mailbox, reverse-path, body."""
        return Counter(
            (
                one.recipient.removesuffix("@beta.example"),
                one.reverse_path,
                one.content.partition(b"\n\n")[2],
            )
            for one in self.postfix.deliveries()
        )


def ours(home: Path, calls: str, port: int, keys: str = "") -> UucpNode:
    """Our node alpha, which sends beta.example to beta."""
    node = UucpNode(
        home / "alpha",
        f'[neighbour.beta]\ncall = ["{calls}"]\nlogin = "Ualpha"\npassword_file = "pw"\n'
        f'called_login = "Ubeta"\ncalled_password_file = "pw"\nprotocols = "i"\n{keys}'
        f'commands = ["rmail"]\n[listen.x]\nuucp = ["127.0.0.1:{port}"]\n',
        node_keys='local_domains = ["alpha.example"]',
    )
    (node.folder / "tables" / "mailertable").write_text("beta.example uucp-dom:beta\n")
    return node


def is_empty(node: UucpNode) -> bool:
    return "is empty" in node.sendmail("-bp").stdout


def check(node: UucpNode, site: PostfixSite, out: list[Letter], back: list[Letter]) -> None:
    """Nothing was lost or doubled, and nothing is left."""
    came, went = tally(copies_at(node), back, ADDED), tally(site.copies(), out)
    assert came.is_clean and went.is_clean, f"to us: {came}; to Postfix: {went}"
    assert node.jobs() == []
    assert not site.uucp.has_jobs


def test_postfix_and_we_exchange_mail_in_a_session_that_taylor_calls_for(home):
    port = free_port()
    out, back = letters(MAILS, "beta.example"), letters(MAILS, "alpha.example")
    with PostfixSite(home) as site:
        node = ours(home, "tcp:127.0.0.1:1", port, 'times = ["Never"]\n')
        queue(node, out)
        site.send(back)
        site.uucp.speak("i", LOGIN, port)
        with node.daemon() as daemon:
            assert site.uucp.begin_call().wait(120) == 0, site.uucp.log()[-2000:]
            site.execute(out)
            assert wait_until(lambda: is_empty(node), 60), daemon.log()[-2000:]
            node.wait_for_idle(1)
        check(node, site, out, back)
    (session,) = node.sessions()
    assert not session.is_caller
    assert session.files_received == session.files_sent == MAILS


def test_postfix_and_we_exchange_mail_in_a_session_that_we_call_for(home):
    out, back = letters(MAILS, "beta.example"), letters(MAILS, "alpha.example")
    with PostfixSite(home) as site:
        uucico = [site.uucp.folder / "bin/uucico", "-I", site.uucp.folder / "config", "-l"]
        with Inetd(uucico) as inetd:
            node = ours(home, f"tcp:127.0.0.1:{inetd.port}", free_port())
            queue(node, out)
            site.send(back)
            site.uucp.speak("i")
            node.call("beta")
            inetd.wait()
        site.execute(out)
        assert node.run("flush").returncode == 0
        check(node, site, out, back)
    (session,) = node.sessions()
    assert session.is_caller
    assert session.files_received == session.files_sent == MAILS


def test_mail_for_a_neighbour_of_taylors_goes_by_its_uux_to_postfix(home):
    """`transport = "taylor"`: who is called by the system's own uucico."""
    out = letters(HANDED_OVER, "beta.example")
    with PostfixSite(home) as site:
        alpha = Taylor(home / "alpha", "alpha", ["beta"])
        node = UucpNode(
            home / "node",
            f'[routing]\nuux = "{alpha.uux}"\n[neighbour.beta]\ntransport = "taylor"\n',
        )
        (node.folder / "tables" / "mailertable").write_text("beta.example uucp-dom:beta\n")
        node.replace("[local]\n", f'[local]\ndefault_user = "{USER}"\n')
        queue(node, out)
        assert node.run("flush").returncode == 0
        assert is_empty(node)
        assert len(alpha.jobs("beta")) == HANDED_OVER
        site.uucp.speak("i")
        alpha.call(site.uucp)
        site.execute(out)
        went = tally(site.copies(), out)
    assert went.is_clean, str(went)
    assert alpha.neighbours_with_jobs == set()
