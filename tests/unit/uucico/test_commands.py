"""Which commands may be run, with which arguments, and which program that is."""

from dataclasses import replace
from pathlib import Path

import pytest

from relaynode.neighbours import Terms
from relaynode.uucico import commands
from relaynode.uucico.commands import NotPermitted, is_permitted

TERMS = Terms(our_name="alpha", public=Path("/srv/public"), commands=("rmail", "rnews", "echo"))


def with_commands(*names, **more):
    return replace(TERMS, commands=names, **more)


@pytest.mark.parametrize(
    "command",
    [
        "rmail bob",
        "rmail beta!bob carl@example.org",
        "echo a;b $(id) `id` | > x",
        "echo ~/file",
        "echo /srv/public/in/file",
        "echo",
    ],
)
def test_what_is_on_the_list_is_permitted_whatever_a_shell_would_make_of_it(command):
    assert is_permitted(command.split(), TERMS)


@pytest.mark.parametrize(
    "command",
    [
        [],
        [""],
        ["sh", "-c", "id"],
        ["Rmail", "bob"],
        ["rmail ", "bob"],
        ["/bin/rmail", "bob"],
        ["../rmail", "bob"],
        ["bin/../rmail"],
        ["."],
        ["..", "x"],
        ["ALL"],
        ["rmail\n", "bob"],
        ["rmail", "-oQ/tmp", "bob"],
        ["rmail", "bob", "-bs"],
        ["rmail", "/etc/passwd"],
        ["rmail", "|id"],
        ["rmail", ":include:/etc/passwd"],
        ["rmail", "a\nb"],
        ["rmail", "a\0b"],
        ["echo", "/etc/passwd"],
        ["echo", "--file=/etc/passwd"],
        ["echo", "-f/etc/passwd"],
        ["echo", "../../etc/passwd"],
        ["echo", "x/../../etc/passwd"],
        ["echo", "--file=../x"],
        ["echo", "/srv/public/../../etc/passwd"],
        ["echo", "~root/x"],
        ["echo", "~/../x"],
        ["echo", *["x"] * 1001],
    ],
)
def test_everything_else_is_refused(command):
    assert not is_permitted(command, TERMS)


def test_a_command_with_a_path_must_stand_on_the_list_as_such():
    terms = with_commands("/opt/bin/rnews")
    assert is_permitted(["/opt/bin/rnews"], terms)
    assert is_permitted(["rnews"], terms)
    assert not is_permitted(["/usr/bin/rnews"], terms)
    assert not is_permitted(["opt/bin/rnews"], terms)


def test_all_means_neither_paths_nor_commands_that_pass_work_on():
    terms = with_commands("ALL")
    assert is_permitted(["date"], terms)
    assert not is_permitted(["/bin/date"], terms)
    assert not is_permitted(["uux", "gamma!rmail", "x"], terms)
    assert not is_permitted(["ALL"], terms)


def test_forwarding_must_be_configured_and_only_to_systems_that_are_named():
    terms = with_commands("uux", forward_to=("gamma",))
    assert is_permitted(["uux", "-r", "-gC", "gamma!rmail", "bob"], terms)
    assert not is_permitted(["uux", "-r", "delta!rmail", "bob"], terms)
    assert not is_permitted(["uux", "gamma!rmail", "bob"], with_commands("uux"))
    assert is_permitted(["uux", "delta!rmail"], with_commands("uux", forward_to=("ANY",)))


@pytest.mark.parametrize(
    "option", ["-I/srv/public/x", "--config=x", "-uroot", "-xall", "--user", "-Wx", "--", "-s"]
)
def test_an_option_that_would_change_who_forwards_is_refused(option):
    # CVE-2001-0873
    terms = with_commands("uux", "uucp", forward_to=("ANY",))
    assert not is_permitted(["uux", option, "gamma!rmail"], terms)
    assert not is_permitted(["uucp", option, "~/x", "gamma!~/x"], terms)


def test_the_program_is_the_first_in_the_command_path_that_can_be_executed(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "echo").write_text("not executable")
    for name in ("two", "three"):
        (tmp_path / name / "echo").write_text("#!/bin/sh\n")
        (tmp_path / name / "echo").chmod(0o755)
    path = tuple(str(tmp_path / name) for name in ("none", "one", "two", "three"))
    found = commands.find(["echo", "~/x", "a b"], replace(TERMS, command_path=path))
    assert found.program == tmp_path / "two" / "echo"
    assert found.arguments == (b"echo", b"/srv/public/x", b"a b")
    with pytest.raises(NotPermitted, match="no such command"):
        commands.find(["rnews"], replace(TERMS, command_path=path))


def test_an_absolute_entry_names_its_program(tmp_path):
    program = tmp_path / "rnews"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    terms = with_commands(str(program), command_path=("/nowhere",))
    assert commands.find(["rnews"], terms).program == program
    assert commands.find([str(program)], terms).arguments == (b"rnews",)
