"""`relaynode account` and `relaynode cert`: what they write, and what they refuse."""

import io
import sys

import pytest

from relaynode.accounts import hashes
from relaynode.accounts.hashes import parse_secret
from relaynode.cli.main import main
from relaynode.errors import EX_CONFIG, EX_NOINPUT, EX_NOUSER, EX_OK, EX_USAGE


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command; gives exit code, output and standard error."""
    monkeypatch.setattr(hashes, "LOG_N", 4)
    path = tmp_path / "relaynode.toml"
    path.write_text('[node]\nhostname = "gate.lan"\n[accounts]\npassword_file = "accounts"\n')

    def runner(*words, typed=b""):
        stdin = io.TextIOWrapper(io.BytesIO(typed))
        monkeypatch.setattr(sys, "stdin", stdin)
        code = main(["--config", str(path), *map(str, words)])
        return code, *capsys.readouterr()

    return runner


def test_somebody_is_added_changed_and_removed(run, tmp_path):
    assert run("account", "add", "Alice", typed=b"sesame\n")[0] == EX_OK
    assert run("account", "add", "--scram", "bob", typed=b"sesame")[0] == EX_OK
    lines = dict(line.split(":") for line in (tmp_path / "accounts").read_text().splitlines())
    assert parse_secret(lines["alice"]).is_password("sesame")
    assert parse_secret(lines["bob"]).keys("SHA-256")
    assert "changed" in run("account", "add", "alice", typed=b"other\n")[1]
    _, out, _ = run("account", "list")
    assert out == "alice  LOGIN PLAIN\nbob  LOGIN PLAIN SCRAM-SHA-256\n"
    assert run("account", "remove", "ALICE")[0] == EX_OK
    assert run("account", "remove", "alice")[0] == EX_NOUSER
    assert "sesame" not in (tmp_path / "accounts").read_text()


@pytest.mark.parametrize("typed", [b"", b"\n", b"a\0b\n", b"x" * 300 + b"\n", b"\xff\n"])
def test_what_cannot_be_a_password_is_refused(run, tmp_path, typed):
    code, _, err = run("account", "add", "alice", typed=typed)
    assert code == EX_NOINPUT and "password" in err
    assert not (tmp_path / "accounts").exists()


@pytest.mark.parametrize("user", ["", "a:b", "#a", "a b", "a\nb"])
def test_what_cannot_be_a_name_is_refused(run, user):
    assert run("account", "add", user, typed=b"sesame\n")[0] == EX_USAGE


def test_without_a_file_of_passwords_the_remedy_is_told(run, tmp_path):
    (tmp_path / "relaynode.toml").write_text("")
    code, _, err = run("account", "list")
    assert code == EX_CONFIG and "write [accounts] password_file" in err


def test_a_certificate_is_made_for_the_node_although_the_settings_lack_it(run, tmp_path):
    path = tmp_path / "relaynode.toml"
    path.write_text(path.read_text() + '[listen.l]\ncertificate = "c.pem"\nkey = "k.pem"\n')
    assert run("check")[0] == EX_CONFIG
    files = tmp_path / "c.pem", tmp_path / "k.pem"
    code, out, _ = run("cert", *files, "--name", "mail.example.net")
    assert code == EX_OK
    assert "a certificate for gate.lan, mail.example.net\n" in out
    assert 'fingerprints = ["sha256:' in out
    assert run("account", "add", "alice", typed=b"sesame\n")[0] == EX_OK
    assert run("check")[0] == EX_OK
    code, _, err = run("cert", *files)
    assert code == EX_NOINPUT and "--force" in err
    assert run("cert", *files, "--force")[0] == EX_OK


def test_a_request_wants_a_name_and_shows_no_fingerprint(run, tmp_path):
    files = tmp_path / "c.csr", tmp_path / "k.pem"
    assert run("cert", "--request", "--only", *files)[0] == EX_USAGE
    assert run("cert", "--days", "0", *files)[0] == EX_USAGE
    code, out, _ = run("cert", "--request", "--only", "--name", "x.example", *files)
    assert code == EX_OK and "fingerprints" not in out
    assert "BEGIN CERTIFICATE REQUEST" in files[0].read_text()


def test_check_names_passwords_and_certificates_that_cannot_be_used(run, tmp_path):
    path, accounts = tmp_path / "relaynode.toml", tmp_path / "accounts"
    code, _, err = run("check")
    assert code == EX_CONFIG and "accounts: the settings name it and it is not there" in err
    run("account", "add", "alice", typed=b"sesame\n")
    assert run("check")[0] == EX_OK
    with accounts.open("a") as file:
        file.write("bob:sesame\n")
    code, _, err = run("check")
    assert code == EX_CONFIG and "accounts:2: bob: no hash that is known here" in err
    accounts.chmod(0o644)
    assert "chmod 600" in run("check")[2]
    accounts.unlink()
    path.write_text('[listen.l]\ncertificate = "accounts"\nkey = "accounts"\n')
    accounts.write_text("no certificate")
    code, _, err = run("check")
    assert code == EX_CONFIG and "[listen.l]: " in err and "no certificate and key" in err
