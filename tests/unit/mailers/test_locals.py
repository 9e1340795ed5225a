"""The real users' files: which .forward counts, which lists are read, who may have programs."""

import os
import pwd
from dataclasses import replace

import pytest

from relaynode.errors import TableError
from relaynode.mailers import locals as real
from relaynode.mailers.locals import DEFAULT_USERS, SystemLocals, default_user
from relaynode.mailers.users import User
from relaynode.policy.locals import Unopened

PATTERNS = ("~/.forward+{detail}", "~/.forward")


class Known:
    """Alice, who is whoever runs this."""

    def __init__(self, home, uid=None):
        gid = os.getgid()
        self.alice = User("alice", home, os.getuid() if uid is None else uid, gid, "/bin/sh")

    def find(self, name):
        return self.alice if name == "alice" else None

    def exists(self, name):
        return self.find(name) is not None


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "alice"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def shells(tmp_path):
    path = tmp_path / "shells"
    path.write_text("# shells\n/bin/sh\n")
    return path


def machine(home, patterns=PATTERNS, uid=None, **more):
    return SystemLocals(Known(home, uid), "bsd.home", patterns, **more)


def write(path, text="bob\n", mode=0o644):
    path.write_text(text)
    path.chmod(mode)


def forward(made, detail=""):
    found = made.forward("alice", detail)
    return None if found is None else found.text


# ---- .forward


def test_a_forward_is_read_from_the_home(home):
    write(home / ".forward", "bob\n")
    found = machine(home).forward("alice", "")
    assert (found.path, found.text, found.owner) == (str(home / ".forward"), "bob\n", "alice")


def test_the_first_pattern_that_is_there_counts_even_if_it_is_empty(home):
    write(home / ".forward", "bob\n")
    write(home / ".forward+x", "carol\n")
    write(home / ".forward+off", "")
    made = machine(home)
    assert forward(made, "x") == "carol\n"
    assert forward(made, "y") == "bob\n"
    assert forward(made, "off") == ""


def test_patterns_know_the_user_and_our_short_name(home, tmp_path):
    write(home / ".forward.bsd", "bob\n")
    assert forward(machine(home, ("~/.forward.{node}",))) == "bob\n"
    write(tmp_path / "alice.fwd", "carol\n")
    assert forward(machine(home, (f"{tmp_path}/{{user}}.fwd",))) == "carol\n"


@pytest.mark.parametrize("detail", ["../other", "x/y", "/etc/passwd", "a\0b"])
def test_a_detail_from_outside_leads_to_no_other_folder(home, detail):
    write(home / ".forward", "bob\n")
    (home / "x").mkdir()
    assert forward(machine(home, ("~/{detail}",)), detail) is None
    assert forward(machine(home), detail) == "bob\n"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_forward_that_others_can_write_is_as_if_it_were_not_there(home, mode):
    write(home / ".forward", mode=mode)
    assert forward(machine(home)) is None


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_so_is_one_in_a_home_that_others_can_write(home, mode):
    write(home / ".forward")
    home.chmod(mode)
    assert forward(machine(home)) is None


def test_so_is_one_that_belongs_to_somebody_else(home):
    if os.getuid() == 0:
        write(home / ".forward")
        os.chown(home / ".forward", 65534, -1)
        assert forward(machine(home)) is None
    else:
        write(home / ".forward")
        assert forward(machine(home, uid=os.getuid() + 1)) is None


def test_without_a_home_or_an_account_there_is_no_forward(home):
    made = machine(home)
    assert made.forward("nobody-at-all", "") is None
    made.users.alice = replace(made.users.alice, home=None)
    assert made.forward("alice", "") is None


def test_what_is_no_plain_file_is_not_opened(home):
    (home / ".forward").mkdir()
    assert forward(machine(home)) is None
    (home / ".forward").rmdir()
    os.mkfifo(home / ".forward")
    assert forward(machine(home)) is None  # and returns at once


def test_a_forward_may_be_a_link_to_the_user_s_own_file(home):
    write(home / "real")
    (home / ".forward").symlink_to("real")
    assert forward(machine(home)) == "bob\n"


def test_trouble_that_may_pass_makes_the_mail_wait(home, monkeypatch):
    def stale(path, reader):
        raise OSError(116, "Stale file handle", path)

    monkeypatch.setattr(real, "read_safely", stale)
    with pytest.raises(TableError, match="Stale file handle"):
        machine(home).forward("alice", "")
    with pytest.raises(TableError, match="Stale file handle"):
        machine(home).include("/l", "alice")


# ---- lists


def include(made, path, reader="alice"):
    return made.include(str(path), reader)


def test_a_list_is_read_and_knows_whose_it_is(home, tmp_path):
    write(tmp_path / "list", "alice\n")
    found = include(machine(home), tmp_path / "list")
    assert (found.text, found.owner) == ("alice\n", pwd.getpwuid(os.getuid()).pw_name)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Regular files only"),
        (lambda path: write(path, mode=0o664), "Group writable file"),
        (lambda path: write(path, mode=0o646), "World writable file"),
        (lambda path: write(path, "x" * 2_000_000), "Longer than 1048576 bytes"),
    ],
)
def test_a_list_that_is_not_read_says_why(home, tmp_path, make, why):
    make(tmp_path / "list")
    assert include(machine(home), tmp_path / "list") == Unopened(str(tmp_path / "list"), why)


@pytest.mark.parametrize(
    ("mode", "why"), [(0o777, "World writable directory"), (0o775, "Group writable directory")]
)
def test_a_list_in_a_folder_that_others_can_write_is_not_read(home, tmp_path, mode, why):
    folder = tmp_path / "open"
    folder.mkdir()
    write(folder / "list")
    folder.chmod(mode)
    assert include(machine(home), folder / "list").reason == why


@pytest.mark.parametrize("path", ["list", "", "./list"])
def test_a_list_is_named_by_its_whole_path(home, path):
    assert machine(home).include(path, "alice") == Unopened(path, "Permission denied")


# ---- programs


def test_a_user_with_a_login_shell_may_have_programs(home, shells):
    assert machine(home, shells=shells).why_not_deliver("alice") == ""


def test_a_user_without_one_may_not(home, shells):
    shells.write_text("/bin/other\n")
    text = "User alice@bsd.home doesn't have a valid shell for mailing to"
    assert machine(home, shells=shells).why_not_deliver("alice") == text
    shells.write_text("/SENDMAIL/ANY/SHELL/\n")
    assert machine(home, shells=shells).why_not_deliver("alice") == ""
    shells.unlink()
    assert machine(home, shells=shells).why_not_deliver("alice") == ""  # /bin/sh always is one


def test_only_root_runs_programs_of_others(home, shells, monkeypatch):
    made = machine(home, shells=shells, uid=4711)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    assert made.why_not_deliver("alice") == "Address alice is unsafe for mailing to"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert made.why_not_deliver("alice") == ""


def test_the_default_user_is_the_configured_one_or_the_first_there_is(monkeypatch):
    known = {"nobody", "daemon", "mine"}

    def getpwnam(name):
        if name not in known:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 1, 1, "", "/", ""))

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    assert default_user("mine") == "mine"
    assert default_user("") == default_user("gone") == "daemon"
    assert DEFAULT_USERS.index("daemon") < DEFAULT_USERS.index("nobody")
