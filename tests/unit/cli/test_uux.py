"""uux and uucp: what is queued for what was asked, and what is refused."""

from __future__ import annotations

import asyncio
import os

import pytest

from nodes import TestNode
from relaynode.cli import uu_desk, uucp, uux
from relaynode.queue.uucp.model import JobKind

NODE = """
[uucp]
nodename = "alpha"
[neighbour.beta]
aliases = ["betty"]
call = ["tcp:127.0.0.1:1"]
local_send = ["{folder}/work"]
local_receive = ["~", "{folder}/work"]
[neighbour.gamma]
called_login = "Ugamma"
called_password_file = "pw"
"""


class _Site:
    def __init__(self, folder, monkeypatch):
        self.node = TestNode(folder / "n", NODE)
        self.node.password("pw")
        self.work = self.node.folder / "work"
        self.work.mkdir()
        self.public = self.node.folder / "spool" / "uucppublic"
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(self.work)
        monkeypatch.setenv("RELAYNODE_CONFIG", str(self.node.path))
        self.calls = []
        monkeypatch.setattr(
            uu_desk.Desk, "_begin_calls", lambda _, wishes: self.calls.extend(wishes)
        )

    def file(self, name, content="text\n", mode=0o644):
        path = self.work / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def run(self, program, *words, stdin=b""):
        """The exit code; `stdin` is read from the descriptor."""
        hears, tells = os.pipe()
        os.write(tells, stdin)
        os.close(tells)
        before = os.dup(0)
        os.dup2(hears, 0)
        os.close(hears)
        try:
            return program.main(list(words))
        finally:
            os.dup2(before, 0)
            os.close(before)

    def jobs(self):
        """The jobs with their contents."""

        async def play():
            node = self.node.open()
            try:
                jobs = await node.store.uucp.jobs.find()
                claimed = await node.store.uucp.jobs.claim([job.job_id for job in jobs])
                return [
                    (one.job, one.content.head(100_000) if one.content else None) for one in claimed
                ]
            finally:
                await node.close()

        return asyncio.run(play())


@pytest.fixture
def site(tmp_path, monkeypatch):
    return _Site(tmp_path, monkeypatch)


# --- uux


def test_mail_is_queued_and_the_neighbour_called(site, capsys):
    assert site.run(uux, "-", "-j", "-gC", "betty!rmail", "(bob)", stdin=b"hello\n") == 0
    ((job, content),) = site.jobs()
    assert (job.neighbour, job.kind, job.command) == ("beta", JobKind.EXECUTE, "rmail bob")
    assert (job.user, job.grade, content) == (uu_desk.own_user(), "C", b"hello\n")
    assert capsys.readouterr().out == f"beta.C{job.job_id}\n"
    assert [wish.neighbour for wish in site.calls] == ["beta"]


def test_r_only_queues(site):
    assert site.run(uux, "-r", "-", "beta!rmail", "bob") == 0
    assert site.calls == []
    assert len(site.jobs()) == 1


def test_options_may_stand_behind_the_dash_but_not_behind_the_command(site):
    assert site.run(uux, "-", "-r", "-n", "beta!rmail", "-x") == 0
    ((job, _),) = site.jobs()
    assert (job.command, job.options) == ("rmail -x", "N")


def test_no_shell_sees_what_would_be_one(site):
    marker = site.work / "touched"
    assert site.run(uux, "-r", "-", "beta!rmail", f"`touch {marker}`; touch {marker}") == 0
    ((job, _),) = site.jobs()
    assert "e" in job.options
    assert not marker.exists()


def test_a_file_that_everybody_may_read_goes_as_it_will_be_others_as_they_are(site):
    for folder in (site.work, *site.work.parents):
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    site.file("open")
    site.file("closed", mode=0o600)
    assert site.run(uux, "-r", "beta!lpr", "!open", "!closed") == 0
    contents = {job.source: content for job, content in site.jobs() if job.source}
    assert contents == {str(site.work / "open"): None, str(site.work / "closed"): b"text\n"}


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["!echo", "hi"], 69, "this system itself"),
        (["alpha!echo"], 69, "this system itself"),
        (["gamma!beta!rmail", "bob"], 64, "not over several"),
        (["beta!lpr", "gamma!~/x"], 69, "third system"),
        (["beta!lpr", "!/etc/passwd"], 69, "Not permitted to send /etc/passwd"),
        (["beta!lpr", "!../work/../../x"], 66, "No such file"),
        (["beta!lpr", "!../work/f", "!f"], 64, "another file called f"),
        (["beta!lpr", "!."], 66, "Is a directory"),
        (["beta!lpr", "!fifo"], 66, "not a plain file"),
        (["beta!c", ">!/etc/x"], 69, "Not permitted to create /etc/x"),
        (["beta!c", ">!~/../x"], 69, "Not permitted to create"),
        (["beta!c", "(a b)"], 64, "Mismatched parentheses"),
        (["-g"], 64, "requires an argument"),
    ],
)
def test_uux_refuses(site, capsys, words, code, why):
    site.file("f")
    os.mkfifo(site.work / "fifo")
    assert site.run(uux, *words) == code
    assert why in capsys.readouterr().err
    assert site.jobs() == []


def test_a_grade_that_is_none_is_passed_over(site, capsys):
    assert site.run(uux, "-r", "-g-", "beta!who") == 0
    assert capsys.readouterr().err == "uux: Ignoring illegal grade\n"
    assert [job.grade for job, _ in site.jobs()] == ["N"]


def test_output_to_us_goes_into_the_public_folder(site):
    assert site.run(uux, "-r", "beta!who", ">!~/who") == 0
    ((_, content),) = site.jobs()
    assert f"O {site.public}/who alpha\n".encode() in content


# --- uucp


def test_a_copy_is_taken_now(site):
    site.file("notes", "now\n", mode=0o640)
    assert site.run(uucp, "-r", "-m", "-nann", "notes", "beta!~/") == 0
    site.file("notes", "later\n")
    ((job, content),) = site.jobs()
    assert content == b"now\n"
    assert (job.source, job.target) == (str(site.work / "notes"), "~/")
    assert (job.options, job.mode, job.notify) == ("dmn", 0o640, "ann")


def test_a_whole_folder_keeps_its_form(site):
    (site.work / "d/e").mkdir(parents=True)
    (site.work / "d/x").write_text("x")
    (site.work / "d/e/y").write_text("y")
    assert site.run(uucp, "-r", "-R", "d", "beta!~/to/") == 0
    assert [(job.target, content) for job, content in site.jobs()] == [
        ("~/to/d/x", b"x"),
        ("~/to/d/e/y", b"y"),
    ]


def test_files_of_theirs_are_fetched_and_patterns_asked_for(site):
    assert site.run(uucp, "-r", "beta!~/a", "beta!~/b*", "~/") == 0
    (first, _), (second, _) = site.jobs()
    assert (first.kind, first.source, first.target) == (JobKind.FETCH, "~/a", f"{site.public}/")
    assert (second.kind, second.source) == (JobKind.REQUEST, "~/b*")
    assert second.target == f"alpha!{site.public}/"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["f", "beta!gamma!~/x"], "over several systems"),
        (["beta!~/x", "gamma!~/y"], "files of others are not passed on"),
        (["f", "delta!~/x"], "delta: System not found"),
        (["beta!~/x", "/etc/x"], "Not permitted to receive to /etc/x"),
        (["/etc/passwd", "beta!~/x"], "Not permitted to send /etc/passwd"),
        (["f", "g", "h"], "several files need a folder"),
        (["f", "f"], "the same file"),
        (["f", "beta!"], "no name of a file"),
        (["f\nx", "beta!x"], "no name of a file"),
        (["f"], "Usage: "),
    ],
)
def test_uucp_refuses(site, capsys, words, why):
    for name in "fg":
        site.file(name)
    assert site.run(uucp, "-r", *words) == 1
    assert why in capsys.readouterr().err
    assert site.jobs() == []
    assert not (site.work / "h").exists()


def test_nothing_is_queued_if_one_file_is_missing(site):
    site.file("f")
    assert site.run(uucp, "-r", "f", "missing", "beta!~/") == 1
    assert site.jobs() == []


def test_copies_here_are_made_at_once(site):
    site.file("f", "here\n")
    (site.work / "d").mkdir()
    assert site.run(uucp, "f", "~/new/g") == 0
    assert (site.public / "new/g").read_text() == "here\n"
    assert site.run(uucp, "-f", "f", "d/none/g") == 1
    assert site.run(uucp, "f", "d") == 0
    assert (site.work / "d/f").read_text() == "here\n"
