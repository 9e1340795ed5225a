"""What a peer may name: the spool's D. and X. files, and paths below the public folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.uucp.names import (
    MAX_COMPONENTS,
    MAX_PATH_BYTES,
    MAX_SPOOL_NAME,
    Forbidden,
    PublicPath,
    SpoolName,
    is_system_name,
    is_temp,
    public_path,
    spool_name,
    target_of,
)

PUBLIC = "/var/spool/uucppublic"


@pytest.mark.parametrize("name", ["D.alphaN0001", "X.alphaC00A7", "D.a-b_c.d", "D.0001", "D.X0002"])
def test_names_of_data_and_execution_files_lead_to_the_spool(name):
    assert target_of(name, "D.0001", PUBLIC) == SpoolName(name)


def test_an_execution_file_is_known_by_its_name():
    assert SpoolName("X.alphaN0001").is_execution
    assert not SpoolName("D.XalphaN0001").is_execution


@pytest.mark.parametrize(
    "name",
    [
        "C.alphaN0001",
        "C.x",
        "TM.123",
        "D.",
        "D..",
        "D...",
        "D.a..b",
        "D.a b",
        "D.a\n",
        "D.\x00",
        "X.é",
        "d.abc",
        "D.-rf",
        "D." + "a" * MAX_SPOOL_NAME,
    ],
)
def test_other_spool_names_are_forbidden(name):
    assert isinstance(spool_name(name), Forbidden)


@pytest.mark.parametrize(
    "name",
    ["C.x", "D.a..b", "D.", "L.x"],
)
def test_what_looks_like_a_spool_name_is_never_a_public_path(name):
    assert isinstance(target_of(name, "file", PUBLIC), Forbidden)


@pytest.mark.parametrize(
    ("name", "components", "is_folder"),
    [
        ("~/in/file", ("in", "file"), False),
        ("~uucp/file", ("file",), False),
        ("~", (), True),
        ("~/", (), True),
        ("~/in/", ("in",), True),
        ("~/in/.", None, True),
        ("~//in///file", ("in", "file"), False),
        ("file", ("file",), False),
        ("in/file", ("in", "file"), False),
        (PUBLIC, (), True),
        (PUBLIC + "/in/file", ("in", "file"), False),
        ("~/with blank", ("with blank",), False),
        ("~/\udcff", ("\udcff",), False),
    ],
)
def test_paths_lead_below_the_public_folder(name, components, is_folder):
    path = target_of(name, "/home/u/own", PUBLIC)
    assert isinstance(path, PublicPath)
    if components is not None:
        assert path.components == components
    assert path.is_folder == is_folder
    assert path.base_name == "own"
    assert path.within == (*path.components, "own")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "/var/spool/uucppublic2/x",
        "/var/spool/uucppublic/../x",
        "~/../../evil",
        "../../evil",
        "~/a/../b",
        "D./../../evil",
        "~root/x",
        "~alice/file",
        "~root",
        "~/.ssh/authorized_keys",
        "~/.rhosts",
        "~/a\nb",
        "~/a\x00b",
        "~/" + "a" * 256,
        "~/" + "a/" * (MAX_COMPONENTS + 1) + "b",
        "~/" + "a" * MAX_PATH_BYTES,
        "/",
        "//etc/passwd",
    ],
)
def test_all_other_paths_are_forbidden(name):
    forbidden = target_of(name, "/home/u/own", PUBLIC)
    assert isinstance(forbidden, Forbidden)
    assert forbidden.reason.isprintable()


@pytest.mark.parametrize("source", ["..", ".", "/", "~/..", "/a/.hidden", "a/\x07"])
def test_a_folder_needs_a_name_for_the_file_in_it(source):
    assert isinstance(public_path("~/in/", source, PUBLIC), Forbidden)
    path = public_path("~/in/file", source, PUBLIC)
    assert isinstance(path, PublicPath)
    assert path.base_name == ""


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_name_leads_out_of_the_public_folder(name, source):
    target = target_of(name, source, PUBLIC)
    if isinstance(target, PublicPath):
        for part in (*target.components, target.base_name):
            assert "/" not in part
            assert not part.startswith(".")
            assert "\x00" not in part


@given(st.lists(st.sampled_from(["..", ".", "a", "~", "", "D.x", "~root", ".x", " "]), max_size=8))
def test_no_steps_lead_out_of_the_public_folder(parts):
    target = target_of("/".join(parts), "own", PUBLIC)
    if isinstance(target, PublicPath):
        assert all(part and not part.startswith(".") for part in target.components)


def test_dummies_are_no_keys_of_broken_transfers():
    assert is_temp("D.0001")
    assert is_temp("D.X0002")
    assert is_temp("D.alphaN0001")
    assert not is_temp("D.0")
    assert not is_temp("/home/u/file")
    assert not is_temp("D.../x")
    assert not is_temp("")


def test_names_of_systems_are_plain():
    assert is_system_name("alpha")
    assert is_system_name("if-bus.example.org")
    for name in ("", "../x", "a b", "a/b", "-x", "a" * 65, "a\n", ".a"):
        assert not is_system_name(name)
