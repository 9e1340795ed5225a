"""[node] user: what is no user to run as is told with file and line."""

import os
import pwd

import pytest

from relaynode.config.loader import load
from relaynode.config.secrets import read_password
from relaynode.errors import ConfigError

NOBODY = pwd.getpwnam("nobody")


def problems(tmp_path, text):
    path = tmp_path / "relaynode.toml"
    path.write_text(f"[node]\n{text}")
    with pytest.raises(ConfigError) as raised:
        load(path)
    return [str(one).removeprefix(f"{path}:") for one in raised.value.problems]


def test_a_user_that_is_not_there_is_named_with_the_command_that_makes_him(tmp_path):
    (told,) = problems(tmp_path, 'spool = "x"\nuser = "no-such-user"\n')
    assert told.startswith('3: there is no user "no-such-user" on this system; say: useradd')


def test_a_name_that_nobody_can_have_is_no_user_either(tmp_path):
    (told,) = problems(tmp_path, 'spool = "x"\nuser = "a\\u0000b"\n')
    assert told.startswith('3: there is no user "a\0b"')


def test_root_is_no_user_to_give_up_roots_rights_for(tmp_path):
    (told,) = problems(tmp_path, 'spool = "x"\nuser = "root"\n')
    assert told.startswith('3: "root" is root; take the key out')


def test_a_spool_must_be_named_where_its_place_would_depend_on_who_asks(tmp_path):
    (told,) = problems(tmp_path, 'user = "nobody"\n')
    assert told == '2: a node of "nobody" must name its spool; spool = "/var/spool/relaynode"'


def test_mail_goes_where_roots_goes_whoever_asks(tmp_path, monkeypatch):
    path = tmp_path / "relaynode.toml"
    path.write_text('[node]\nuser = "nobody"\nspool = "spool"\n')
    for uid in (0, NOBODY.pw_uid):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        assert load(path).mailbox.pattern == "/var/mail/{user}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_password_files_may_be_the_nodes_users(tmp_path):
    path = tmp_path / "isp.password"
    path.write_text("sesame\n")
    path.chmod(0o600)
    os.chown(path, NOBODY.pw_uid, -1)
    assert read_password(path, NOBODY.pw_uid).reveal() == "sesame"
    with pytest.raises(ValueError, match="belongs to another user"):
        read_password(path)
