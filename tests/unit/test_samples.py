"""The samples in conf/ are right, and the full one is full."""

import re
import shutil
from pathlib import Path

import msgspec
import pytest

from relaynode.cli.names import FAST_NAMES, OTHER_NAMES
from relaynode.config import node_user, schema
from relaynode.config.loader import load
from relaynode.tables.loader import Tables

CONF = Path(__file__).parents[2] / "conf"
FULL = (CONF / "relaynode.toml").read_text(encoding="utf-8")
SETTING = re.compile(r"^#(?=\[|[a-z0-9_]+ = )", re.MULTILINE)
"""A setting that is commented out; prose has a blank behind its #."""

REPEATED = {
    "link",
    "smart_host",
    "sender",
    "account",
    "oauth",
    "etrn",
    "listen",
    "milter",
    "odmr",
    "neighbour",
    "modem",
    "user",
}

ALTERNATIVE = re.compile(
    r"^(?:password_command|password_credential|password_keyring|oauth|token_command"
    r"|dovecot_socket|pam_service|keytab|fetchmailrc|up_command) = .*\n",
    re.MULTILINE,
)
"""Settings that exclude others that are shown, or name a file that has a grammar of its own."""

EVERYTHING = ALTERNATIVE.sub("", SETTING.sub("", FULL))


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Loads the text of a sample from a folder that has the files which it names, on a system that
    has the user whom it names."""
    monkeypatch.setattr(node_user, "uid_of", lambda user: 4242)

    def loader(text):
        for name in re.findall(r'"([\w-]+\.(?:password|pem|key|client|refresh)|dialcode)"', text):
            (tmp_path / name).write_text("sesame\n")
            (tmp_path / name).chmod(0o600)
        path = tmp_path / "relaynode.toml"
        path.write_text(text)
        return load(path)

    return loader


def sections():
    """(table, schema) of each section, as a key path with one name for the repeated ones."""
    for info in msgspec.structs.fields(schema.File):
        kind = info.type.__args__[1] if info.name in REPEATED else info.type
        yield info.encode_name, kind


def shown_in(table):
    """What the full sample says in a table: the lines between its header and the next."""
    text = SETTING.sub("", FULL)
    head = re.search(rf"^\[{table}(?:\.[^\]]+)?\]\n((?:(?!\[).*\n)*)", text, re.MULTILINE)
    assert head, f"[{table}] is not shown"
    return head[1]


@pytest.mark.parametrize("sample", sorted(CONF.glob("*.toml")), ids=lambda path: path.name)
def test_every_sample_loads(loaded, sample):
    assert loaded(sample.read_text(encoding="utf-8"))


def test_the_full_sample_as_it_is_changes_nothing(loaded):
    assert loaded(FULL).file == schema.File()


def test_the_full_sample_with_all_its_settings_loads(loaded):
    config = loaded(EVERYTHING)
    for name in REPEATED:
        assert len(getattr(config.file, name)) == 1, name
    assert len(config.passwords) == 8


@pytest.mark.parametrize(("table", "kind"), list(sections()))
def test_the_full_sample_shows_every_key_and_no_other(table, kind):
    keys = re.findall(r"^(\w+) = ", shown_in(table), re.MULTILINE)
    assert sorted(keys) == sorted(kind.__struct_encode_fields__)


@pytest.mark.parametrize(("table", "kind"), list(sections()))
def test_the_full_sample_shows_defaults_as_they_are(loaded, table, kind):
    """Of those settings that it does not call examples."""
    config = loaded(EVERYTHING)
    found = getattr(config.file, table)
    section = next(iter(found.values())) if table in REPEATED else found
    shown = shown_in(table)
    checked = 0
    for info in msgspec.structs.fields(kind):
        (before,) = re.findall(rf"((?:^#.*\n)*)^{info.encode_name} = ", shown, re.MULTILINE)
        default = _default(info)
        if default is not None and not before.endswith("for example\n"):
            assert getattr(section, info.name) == default, info.encode_name
            checked += 1
    all_shown = (schema.ListenSection, schema.SenderSection, schema.OdmrSection, schema.UserSection)
    assert checked or kind in (*all_shown, schema.FetchSection)


def _default(info):
    if info.default_factory is not msgspec.NODEFAULT:
        return info.default_factory()
    return None if info.required else info.default


def test_the_dial_up_home_is_what_its_comments_say(loaded):
    config = loaded((CONF / "home-dialup.toml").read_text(encoding="utf-8"))
    assert list(config.file.link) == ["isp"]
    assert config.default_smart_host == "isp"
    assert config.link_of(config.file.smart_host["isp"]) == "isp"
    assert config.link_of(config.file.account["isp"]) == "isp"
    assert config.file.masquerade.as_domain == "example.net"
    assert set(config.passwords) == {("smart_host", "isp"), ("account", "isp")}


def test_the_sample_tables_have_no_mistake_and_say_something(tmp_path):
    for name in ("mailertable", "aliases", "local-host-names"):
        shutil.copy(CONF / name, tmp_path)
    tables = Tables(tmp_path)
    assert tables.problems() == []
    assert tables.mailertable.entries
    assert tables.aliases.entries["postmaster"].value == "root"
    assert "bsd.home" in tables.local_host_names


@pytest.mark.parametrize("name", ["mailertable", "aliases", "local-host-names"])
def test_the_sample_tables_have_no_mistake_in_what_is_commented_out(tmp_path, name):
    text = (CONF / name).read_text()
    (tmp_path / name).write_text(re.sub(r"^#(?=[^# \n])|^#(?=\t)", "", text, flags=re.MULTILINE))
    assert Tables(tmp_path).problems() == []


def test_mailer_conf_names_all_of_sendmails_names_that_install_names_puts_in_place():
    lines = (CONF / "mailer.conf").read_text(encoding="utf-8").splitlines()
    entries = [line.split() for line in lines if line and not line.startswith("#")]
    assert {name for name, *_ in entries} == {*FAST_NAMES, *OTHER_NAMES}
    for name, *command in entries:  # mailwrapper wants an absolute path
        assert command == [f"/usr/local/libexec/relaynode/{name}"]
    assert any("install-names /usr/local/libexec/relaynode" in line for line in lines)
