"""The classic tables at work: what they say happens to mail, and a change counts at once."""

import json

from nodes import TestNode
from peers.postfix import Postfix

LETTER = b"From: user\nTo: x\nSubject: s\n\nbody\n"
LINK = '[link.isp]\nkind = "event"\n'


def send(node, *recipients):
    sent = node.sendmail("-i", "-odq", *recipients, stdin=LETTER)
    assert sent.returncode == 0, sent.stdout + sent.stderr


def recipients(node, *options):
    """By address: state and number of tries."""
    shown = node.run("queue", "--json", *options)
    assert shown.returncode == 0, shown.stderr
    return {
        one["address"]: (one["state"], one["attempts"])
        for message in json.loads(shown.stdout)
        for one in message["recipients"]
    }


def reached(postfix):
    """Whom mail was delivered for."""
    return {one.recipient for one in postfix.deliveries()}


def test_each_mailer_of_the_table_does_what_its_name_says(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        table = "\n".join(
            [
                f"direct.example  smtp:[127.0.0.1]:{postfix.port}",
                f"asked.example   dsmtp:[127.0.0.1]:{postfix.port}",
                f"other.example   esmtp:bob@localhost:{postfix.port}",
                "gone.example    discard:",
                "here.example    local:user",
                "",
            ]
        )
        node = TestNode(tmp_path / "home", LINK, tables={"mailertable": table})
        names = ("direct", "asked", "other", "gone", "here")
        send(node, *(f"x@{name}.example" for name in names))
        assert node.run("linkup").returncode == 0
        postfix.wait_for(2)
        assert recipients(node) == {
            "x@direct.example": ("delivered", 1),
            "x@asked.example": ("waiting", 0),
            "x@other.example": ("delivered", 1),
            "x@gone.example": ("delivered", 1),
            "x@here.example": ("delivered", 1),
        }
        assert len(node.mails("user")) == 1
        assert node.run("flush", "--to", "asked.example").returncode == 0
        postfix.wait_for(3)
        assert reached(postfix) == {"x@direct.example", "x@asked.example", "bob@localhost"}


def test_the_next_host_of_a_list_is_called_when_the_first_does_not_answer(tmp_path):
    table = "x.example relay:nobody.invalid:[127.0.0.1]\n"
    node = TestNode(tmp_path / "home", LINK, tables={"mailertable": table})
    send(node, "a@x.example")
    ended = node.run("linkup")
    assert "127.0.0.1:25: Connection refused" in ended.stderr  # nobody listens there either
    assert recipients(node) == {"a@x.example": ("waiting", 1)}


def test_a_table_that_cannot_be_read_keeps_mail_waiting(tmp_path):
    node = TestNode(tmp_path / "home", LINK)
    send(node, "x@gone.example")
    (node.folder / "tables/mailertable").mkdir()
    node.run("linkup")
    assert recipients(node) == {"x@gone.example": ("waiting", 0)}
    (node.folder / "tables/mailertable").rmdir()
    (node.folder / "tables/mailertable").write_text("gone.example discard:\n")
    assert node.run("linkup").returncode == 0
    assert recipients(node) == {}


def test_a_changed_table_counts_while_the_daemon_runs(tmp_path):
    with Postfix(tmp_path / "p") as postfix:
        node = TestNode(tmp_path / "home", LINK, tables={"mailertable": ". smtp:[127.0.0.1]:1\n"})
        with node.daemon():
            send(node, "x@far.example")
            (node.folder / "tables/mailertable").write_text(f". smtp:[127.0.0.1]:{postfix.port}\n")
            assert node.run("linkup").returncode == 0
            postfix.wait_for(1)
            (node.folder / "tables/virtusertable").write_text("@bsd.home y@far.example\n")
            send(node, "z@bsd.home")
            assert node.run("linkup").returncode == 0
            postfix.wait_for(2)
            assert reached(postfix) == {"x@far.example", "y@far.example"}


MAILERTABLE = """\
.lan.example      smtp8:%1.gw
exact.example     esmtp:[gw.example.net]
list.example      relay:gw1.example.net:gw2.example.net
refused.example   error:5.7.1:550 Mail to this host is refused
later.example     error:4.4.1:450 Try again tomorrow
box.example       smtp:bob@other.example.net
mine.example      local:user
nbr.UUCP          uucp-dom:nbr
.UUCP             uucp-old:uurelay
"""

VIRTUSERTABLE = """\
info@hosted.example    alice@exact.example
sales+*@hosted.example user+%2
gone@hosted.example    error:nouser 550 No such user here
@hosted.example        %1%3@far.example
"""

USERS = ["user", "user+x", "info", "sales+y", "gone", "a!b", "nbr!u", "x%far.example", '"user"']
DOMAINS = ["@bsd.home", "@hosted.example", "@pc.lan.example", "@exact.example", "@list.example"]
DOMAINS += ["@refused.example", "@later.example", "@box.example", "@mine.example", "@x.UUCP", ""]
DOMAINS += ["@[192.0.2.9]", "@short"]


def test_explain_and_sendmail_bt_give_the_same_answer(tmp_path):
    addresses = [user + domain for user in USERS for domain in DOMAINS]
    assert len(addresses) > 100
    node = TestNode(
        tmp_path / "home",
        LINK + '[smart_host.isp]\nhost = "relay.example.net:587"\nlink = "isp"\n',
        node_keys='local_domains = ["hosted.example"]',
        tables={"mailertable": MAILERTABLE, "virtusertable": VIRTUSERTABLE},
    )
    typed = "".join(f"/parse {address}\n" for address in addresses).encode()
    said = node.sendmail("-bt", stdin=typed).stdout
    tested = [line for line in said.splitlines() if line.startswith("mailer ")]
    explained = json.loads(node.run("explain", "--json", *addresses).stdout)
    assert [one["route"] for one in explained] == tested
    assert {one["mailer"] for one in explained} >= {"local", "esmtp", "relay", "error", "uucp-dom"}
    for one in explained:  # what a table said stands with its place
        hits = [step for step in one["trail"] if "table " in step["question"]]
        for step in hits:
            assert (step["answer"] == "no entry") is not ("table:" in step["place"]), step
