"""The monitor: what it does for a node, and what one that has been taken over does not get."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nodes import TestNode
from relaynode.mailers.as_others import MonitorClient
from relaynode.mailers.monitor_words import (
    AppendFile,
    FillMailbox,
    ReadForward,
    ReadList,
    RunCommand,
    RunProgram,
    Tell,
    decode,
    decode_file,
    encode,
    encode_file,
)
from relaynode.policy.locals import AddressFile, Unopened

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")

SERVE = """
import os, signal, socket, sys
from pathlib import Path
from relaynode.cli.powers import Powers
from relaynode.config.loader import load
from relaynode.mailers.monitor import Monitor
connection = socket.socket(fileno=int(sys.argv[1]))
node = os.fork()
if node == 0:
    connection.close()
    signal.pause()
powers = Powers(load(Path(sys.argv[2])))
tell = lambda state: Path(sys.argv[2] + ".told").write_text(state)
os._exit(Monitor(node, connection, powers.act, tell, powers.reload).run())
"""
"""A monitor whose node does nothing: we speak in its place."""

USER = "nobody"


@pytest.fixture(scope="module")
def site():
    """A folder with a node's configuration, and a client of its monitor: one for all tests."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    node = TestNode(
        folder,
        f'command = ["/bin/sh", "-c", "id -un >>{folder}/all/$0", "{{user}}"]\n'
        f'forward = ["{folder}/forward/{{user}}/.forward"]\ndefault_user = "daemon"\n',
        users=(),
    )
    for name, mode in (
        ("mail", 0o1777),
        ("all", 0o777),
        ("forward", 0o755),
        ("forward/" + USER, 0o700),
    ):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    (folder / "tables" / "aliases").write_text(
        f'prog: "|id -un >{folder}/all/ran; cat >>{folder}/all/ran"\n'
        f'file: {folder}/all/file\nsleep: "|echo x; exec sleep 60"\nlist: :include:{folder}/list\n'
    )
    (folder / "list").write_text("joe\n")
    (folder / "forward" / USER / ".forward").write_text("joe@far.example\n")
    account = pwd.getpwnam(USER)
    for path in (folder / "forward" / USER, folder / "forward" / USER / ".forward"):
        os.chown(path, account.pw_uid, account.pw_gid)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(theirs.fileno()), str(node.path)],
        pass_fds=[theirs.fileno()],
        env=node.environment,
    ) as process:
        theirs.close()
        yield folder, MonitorClient(ours), ours
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM  # as its node ended
    ours.close()
    shutil.rmtree(folder)


def done(client, request, content=b"x\n"):
    """Exit code and output, with this as the message."""
    lent = client.start(request)
    with contextlib.suppress(BrokenPipeError), lent.stdin as sink:
        sink.write(content)
    with lent.stdout as output:
        said = output.read()
    return lent.wait(20), said


def mail(folder):
    return sorted(str(path.relative_to(folder)) for path in (folder / "mail").rglob("new/*"))


FRAMED = b"\0\0\0\3hi\n\0\0\0\0"


def test_a_mailbox_is_filled_as_its_user(site):
    folder, client, _ = site
    assert done(client, FillMailbox(b"nobody", b"1.unique.host"), FRAMED) == (0, b"")
    (found,) = (folder / "mail" / "nobody" / "new").glob("1.unique*")
    assert (found.owner(), found.read_bytes()) == ("nobody", b"hi\n")


def test_a_message_that_is_cut_short_is_not_delivered(site):
    folder, client, _ = site
    code, said = done(client, FillMailbox(b"nobody", b"2.cut.host"), FRAMED[:6])
    assert (code, b"ended in its middle" in said) == (os.EX_TEMPFAIL, True)
    assert not list((folder / "mail" / "nobody").rglob("*2.cut*"))


def test_what_an_address_leads_to_is_run_and_written_as_the_default_user(site):
    folder, client, _ = site
    program = f"|id -un >{folder}/all/ran; cat >>{folder}/all/ran".encode()
    assert done(client, RunProgram(b"prog", b"", program)) == (0, b"")
    assert (folder / "all/ran").read_text() == "daemon\nx\n"
    path = str(folder / "all/file").encode()
    assert done(client, AppendFile(b"file", b"", path, b"From x y"), FRAMED) == (0, b"")
    assert (folder / "all/file").read_bytes() == b"From x y\nhi\n\n"


def test_the_command_of_the_configuration_runs_as_the_user_and_for_root_as_nobody_special(site):
    folder, client, _ = site
    for user, runner in ((b"nobody", "nobody"), (b"root", "daemon")):
        assert done(client, RunCommand(user, b"", b"a@b")) == (0, b"")
        assert (folder / "all" / user.decode()).read_text().split() == [runner]


def test_forward_files_and_lists_are_read_where_only_their_user_may(site):
    folder, client, _ = site
    code, answer = client.ask(ReadForward(b"nobody", b""))
    assert (code, decode_file(answer).text) == (0, "joe@far.example\n")
    code, answer = client.ask(ReadList(str(folder / "list").encode(), b""))
    assert (code, decode_file(answer).text) == (0, "joe\n")
    code, answer = client.ask(ReadForward(b"daemon", b""))
    assert (code, decode_file(answer)) == (0, None)


@pytest.mark.parametrize(
    "request_",
    [
        FillMailbox(b"root", b"1.x"),
        FillMailbox(b"no-such-user", b"1.x"),
        FillMailbox(b"../nobody", b"1.x"),
        FillMailbox(b"nobody", b"../../x"),
        FillMailbox(b"nobody", b""),
        RunProgram(b"prog", b"", b"|id >{folder}/all/pwned"),
        RunProgram(b"prog", b"nobody", b"|id >{folder}/all/pwned"),
        RunProgram(b"prog", b"root", b"|id >{folder}/all/pwned"),
        RunProgram(b"|id >{folder}/all/pwned", b"", b"|id >{folder}/all/pwned"),
        RunProgram(b'"|id >{folder}/all/pwned"', b"", b"|id >{folder}/all/pwned"),
        RunProgram(b":include:{folder}/list", b"", b"|id >{folder}/all/pwned"),
        AppendFile(b"file", b"", b"{folder}/all/pwned", b"From x y"),
        AppendFile(b"file", b"root", b"{folder}/all/file", b"From x y"),
        AppendFile(b"{folder}/all/pwned", b"", b"{folder}/all/pwned", b"From x y"),
        AppendFile(b"file", b"", b"{folder}/all/file", b"From x\ny"),
        RunCommand(b"no-such-user", b"", b""),
        ReadForward(b"nobody", b"\0"),
        ReadList(b"/etc/shadow", b""),
        ReadList(b"/etc/shadow", b"root"),
        ReadList(b"{folder}/lis", b""),
        ReadList(b"{folder}/../etc/shadow", b""),
    ],
    ids=str,
)
def test_one_that_has_been_taken_over_gets_nothing_else(site, request_):
    folder, client, _ = site
    (folder / "all/file").write_bytes(b"before")
    before = mail(folder)
    place = str(folder).encode()
    fields = (getattr(request_, name) for name in request_.__struct_fields__)
    request = type(request_)(
        *(one.replace(b"{folder}", place) if isinstance(one, bytes) else one for one in fields)
    )
    code, said = done(client, request, FRAMED)
    assert code in (os.EX_NOPERM, os.EX_TEMPFAIL)
    assert b"root:" not in said
    assert not list(folder.rglob("pwned"))
    assert mail(folder) == before
    assert (folder / "all/file").read_bytes() == b"before"


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        b"\xff" * 65536,
        encode(["RunProgram"]),
        encode({"type": "Shell", "command": b"id"}),
        encode({"type": "FillMailbox", "user": b"nobody", "unique": b"1", "uid": 0}),
        encode({"type": "FillMailbox", "user": 0, "unique": b"1"}),
        encode(FillMailbox(b"x" * 300, b"1")),
    ],
    ids=lambda packet: packet[:16].hex(),
)
@pytest.mark.parametrize("count", [0, 3, 9])
def test_what_is_no_request_is_passed_over_and_the_next_one_served(site, packet, count):
    _, client, raw = site
    with open(os.devnull) as file:
        socket.send_fds(raw, [packet], [file.fileno()] * count)
    assert done(client, RunProgram(b"prog", b"", b"|false"))[0] == os.EX_TEMPFAIL


def test_a_request_without_its_descriptors_is_passed_over(site):
    _, client, raw = site
    raw.send(encode(FillMailbox(b"nobody", b"3.none")))
    assert client.ask(ReadForward(b"daemon", b""))[0] == 0


def test_who_hangs_up_ends_what_he_has_started(site):
    _, client, _ = site
    lent = client.start(RunProgram(b"sleep", b"", b"|echo x; exec sleep 60"))
    assert lent.stdout.read(2) == b"x\n"
    with pytest.raises(subprocess.TimeoutExpired):
        lent.wait(0)
    lent.kill_all()
    assert lent.wait(20) == -signal.SIGKILL
    lent.stdin.close()
    lent.stdout.close()


def test_systemd_is_told_in_the_nodes_words(site):
    folder, client, _ = site
    client.tell("READY=1")
    client.ask(ReadForward(b"daemon", b""))  # which comes behind it
    assert (folder / "relaynode.toml.told").read_text() == "READY=1"


def test_requests_and_answers_come_back_as_they_were():
    for request in (Tell(b"READY=1"), RunProgram(b"\xff", b"", b"|x")):
        assert decode(encode(request)) == request
    for found in (AddressFile("/x", "caf\udce9\n", "joe"), Unopened("/x", "no"), None):
        assert decode_file(encode_file(found)) == found
