"""A link that is dialled: a command that talks with a modem on a pty, a server, and kill -9."""

from pathlib import Path

from homes import Home
from oddball import Oddball
from peers.modem import ScriptedModem
from peers.processes import wait_until

UP = """\
#!/bin/sh
exec 3<>{device}
printf 'ATDT111\\r' >&3
while read -r answer <&3; do
    case $answer in
    CONNECT*) echo "$answer"; : >{folder}/is-up; exit 0 ;;
    BUSY*) echo "$answer"; exit 4 ;;
    esac
done
"""
DOWN = """\
#!/bin/sh
exec 3<>{device}
printf '+++' >&3
read -r _ <&3 && read -r _ <&3
printf 'ATH\\r' >&3
rm {folder}/is-up
"""
KEYS = """\
up_command = "{folder}/up"
down_command = "{folder}/down"
redial_wait_seconds = 1
"""
MAIL = b"From: user\nTo: bob@x.example\nSubject: s\n%s\nthe body\n"


class Line:
    """A node whose one link is dialled with a modem."""

    def __init__(self, folder: Path, modem: ScriptedModem, port: int, keys: str = "") -> None:
        self.folder = folder
        for name, text in (("up", UP), ("down", DOWN)):
            (folder / name).write_text(text.format(device=modem.device, folder=folder))
            (folder / name).chmod(0o755)
        link = KEYS.format(folder=folder) + keys
        more = '[routing]\nsmart_host = "relay:127.0.0.1:PORT"\n'.replace("PORT", str(port))
        self.home = Home(folder / "node", port, kind="dial", link=link, more=more)

    @property
    def is_up(self) -> bool:
        return (self.folder / "is-up").exists()


def waiting(home):
    return [one for one in home.messages() for one in one.recipients if one.state == "waiting"]


def test_a_busy_line_is_dialled_again_worked_over_hung_up_and_at_its_limit_left_alone(tmp_path):
    with ScriptedModem({"111": ["BUSY", "CONNECT 33600"]}) as modem, Oddball() as server:
        line = Line(tmp_path, modem, server.port, "dials_per_day = 2\n")
        line.home.queue()
        summary = line.home.flush()
        assert (summary.flush.delivered, summary.all_problems) == (1, [])
        assert modem.heard == ["ATDT111", "ATDT111", "+++", "ATH"]
        assert not line.is_up

        line.home.queue(queue_id="A2")
        summary = line.home.flush()
    assert summary.all_problems == ["link isp: dialled 2 times today, which is all that it may be"]
    assert (server.sessions, len(modem.heard)) == (1, 4)
    (recipient,) = waiting(line.home)
    assert recipient.attempts == 0


def test_urgent_mail_dials_and_what_a_killed_daemon_left_up_is_hung_up(tmp_path):
    with (
        ScriptedModem({"111": ["CONNECT 33600"] * 2}) as modem,
        Oddball({b"greeting": b"220-not done yet\r\n"}) as server,
    ):
        line = Line(tmp_path, modem, server.port, 'dial_grade = "A"\n')
        node = line.home.node
        with node.daemon() as daemon:
            assert node.sendmail("-t", stdin=MAIL % b"").returncode == 0
            assert modem.heard == []
            assert node.sendmail("-t", stdin=MAIL % b"Priority: urgent\n").returncode == 0
            assert wait_until(lambda: server.sessions, 20), daemon.log()
            daemon.process.kill()
            assert line.is_up

            server.answers[b"greeting"] = b"220 odd\r\n"
            daemon.start()
            assert not line.is_up
            linkup = node.run("linkup", "--verbose")
            assert linkup.returncode == 0, linkup.stderr
            assert "2 sent" in linkup.stdout, linkup.stdout
    assert modem.heard == ["ATDT111", "+++", "ATH"] * 2
    assert "left up by a process that was killed" in daemon.log()
