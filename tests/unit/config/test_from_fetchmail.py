"""Accounts out of a .fetchmailrc: by import, and as the configuration names the file."""

import tomllib

import pytest

from relaynode.cli.main import main
from relaynode.config.fetchmail_entries import complete
from relaynode.config.fetchmail_setup import Surroundings
from relaynode.config.fetchmailrc import parse
from relaynode.config.from_fetchmail import accounts_of
from relaynode.config.loader import load
from relaynode.errors import ConfigError

SERVICES = {"pop3s": 995}
AROUND = Surroundings("alice", "gate.example.org", "/home/alice", "/tmp", port_of=SERVICES.get)


def accounts(text, **options):
    return accounts_of(complete(parse(text, "RC"), AROUND), SERVICES.get, **options)


def rc_file(folder, text):
    path = folder / "fetchmailrc"
    path.write_text(text)
    path.chmod(0o600)
    return path


def configuration(folder, more=""):
    path = folder / "relaynode.toml"
    path.write_text(f'[node]\nhostname = "n.example"\nspool = "spool"\n{more}\n')
    return path


@pytest.mark.parametrize(
    ("options", "tls", "host"),
    [
        ("user u ssl", "tls", "h.example"),
        ("user u", "starttls", "h.example"),
        ("user u sslproto ''", "none", "h.example"),
        ("port 1110 user u no sslcertck", "starttls", "h.example:1110"),
        ("via '::1' service pop3s user u ssl", "tls", "[::1]:995"),
    ],
)
def test_how_the_server_is_reached(options, tls, host):
    (account,) = accounts(f"poll h.example proto pop3 {options}")
    assert (account.keys["tls"], account.keys["host"]) == (tls, host)
    assert account.keys.get("verify", True) == ("no sslcertck" not in options)


def test_each_mailbox_is_an_account_with_a_name_of_its_own():
    found = accounts("poll h proto pop3 user u is joe here user v user u pass x is a=bob")
    assert [account.name for account in found] == ["u@h", "v@h", "u@h#2"]
    assert [account.keys["deliver_to"] for account in found] == ["joe", "alice", "bob"]
    assert found[2].password == "x"


def test_what_cannot_be_done_is_never_silent():
    (account,) = accounts('poll h proto pop3 interface "e/1.2.3.4" user u bsmtp x antispam 571')
    assert {remark.split()[0].rstrip(":") for remark in account.remarks} >= {
        "interface",
        "bsmtp",
        "antispam",
    }
    assert not accounts("poll h proto kpop user u")[0].is_usable


def test_etrn_and_odmr_ask_for_domains():
    first, second = accounts(
        "poll h proto etrn fetchdomains a.example\npoll o proto odmr user u pass p"
    )
    assert (first.table, first.keys["domains"]) == ("etrn", ["a.example"])
    assert second.keys["protocol"] == "odmr"
    assert second.keys["domains"] == ["gate.example.org"]


def test_a_configuration_may_name_the_file_as_it_is(tmp_path):
    rc_file(
        tmp_path, "poll h.example proto pop3 user u pass s3cret is joe here keep\nskip i user v"
    )
    config = load(configuration(tmp_path, '[fetch]\nfetchmailrc = "fetchmailrc"'))
    (name,) = config.file.account
    assert name == "u@h.example"
    assert config.file.account[name].keep
    assert config.passwords["account", name].reveal() == "s3cret"


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("poll h proto bogus", 0o600, "fetchmailrc:1: syntax error at bogus"),
        ("poll h proto pop3 user u pass p", 0o640, "no more than -rwx------"),
        ("poll h proto pop3 user u", 0o600, "no password for u at h"),
        ("poll h proto pop3 user u pass p is 'a b'", 0o600, "is no address"),
    ],
)
def test_a_mistake_in_it_is_one_of_the_configuration(tmp_path, monkeypatch, text, mode, problem):
    monkeypatch.setenv("HOME", str(tmp_path))
    rc_file(tmp_path, text).chmod(mode)
    with pytest.raises(ConfigError) as raised:
        load(configuration(tmp_path, '[fetch]\nfetchmailrc = "fetchmailrc"'))
    assert problem in str(raised.value)
    assert raised.value.problems[0].line == (1 if "address" in problem else 5)


def test_what_import_prints_is_a_configuration(tmp_path, capsys):
    text = 'set postmaster pm\npoll h.example proto pop3 user "u v" pass s3cret is joe keep ssl\n'
    rc = rc_file(tmp_path, text)
    assert main(["import", "fetchmailrc", str(rc), "--passwords", str(tmp_path / "pw")]) == 0
    printed = capsys.readouterr().out
    assert "s3cret" not in printed
    path = tmp_path / "relaynode.toml"
    path.write_text(printed)
    config = load(path)
    assert config.passwords["account", "u v@h.example"].reveal() == "s3cret"
    assert tomllib.loads(printed)["node"] == {"postmaster": "pm"}
    assert config.file.account["u v@h.example"].deliver_to == "joe"


SERVER_OPTIONS = """
interval 3|envelope X-Orig|no envelope|envelope 2 X-Orig|qvirtual u-|auth cram-md5|auth gssapi
auth external|auth ntlm|auth any|auth otp|auth ssh|no dns|uidl|aka a.example b.example
localdomains x.example|plugout x|principal x|esmtpname x esmtppassword y|tracepolls|timeout 5
port 1234|checkalias
"""
USER_OPTIONS = """
is joe here|is a=b c * here|fetchall|keep|flush|keep flush|limitflush|limit 10 limitflush
limit 1000 warnings 7200|warnings 0|no rewrite|stripcr|forcecr|pass8bits|dropstatus
dropdelivered|mimedecode|idle|mda '/bin/cat -f %F %T'|bsmtp x|lmtp smtphost /tmp/x
lmtp smtphost h/2003|smtphost a,b|smtphost a/2525|preconnect x|postconnect y|fetchlimit 3
fetchsizelimit 3|fastuidl 0|batchlimit 3|ssl|ssl sslkey a sslcert b|no sslcertck|sslproto TLS1
sslproto tls1.2+|sslcertfile x|sslcertpath x|sslcommonname x|sslfingerprint x|expunge 3
properties x|fetchdomains a.example|smtpaddress x.example|smtpname a@b.example|antispam 571,550
folder A|folder A B fetchall expunge 5 limit 3
"""


@pytest.mark.parametrize("protocol", "auto pop3 imap apop sdps odmr etrn".split())
def test_no_legal_option_makes_the_configuration_unusable(protocol):
    begin = f"poll h.example proto {protocol}"
    texts = [
        f"{begin} {one} user u pass p"
        for one in SERVER_OPTIONS.strip().replace("\n", "|").split("|")
    ]
    texts += [
        f"{begin} user u pass p {one}" for one in USER_OPTIONS.strip().replace("\n", "|").split("|")
    ]
    for text in texts:
        (account,) = accounts(text)
        assert account.is_usable, text
        load(None, accounts=[account])


def test_apop_is_asked_for_in_the_clear_and_shows_no_password():
    (account,) = accounts("poll h proto apop user u")
    assert (account.keys["tls"], account.keys["auth"]) == ("none", ["APOP"])
    (account,) = accounts("poll h proto pop3 auth ntlm user u sslproto ''")
    assert "PLAIN" not in account.keys["auth"] and account.keys["auth"]


def test_what_a_plugin_would_hide_is_not_shown_without_it():
    assert not accounts("poll h proto imap plugin 'ssh %h nc' user u")[0].is_usable


@pytest.mark.parametrize(("seconds", "hours"), [(0, 1), (3600, 1), (3601, 2), (86400, 24)])
def test_the_letters_about_large_mail_come_as_often_as_it_says(seconds, hours):
    (account,) = accounts(f"poll h proto pop3 user u limit 5 warnings {seconds}")
    assert account.keys["warn_hours"] == hours
