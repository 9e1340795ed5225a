"""`relaynode check`: problems end in EX_CONFIG, warnings are printed and all is well."""

import pytest

from relaynode.cli.main import main
from relaynode.errors import EX_CONFIG, EX_OK


@pytest.fixture
def check(tmp_path, capsys):
    """Writes tables and settings, and gives exit code, lines of standard error, and output."""

    def run(settings="", **tables):
        folder = tmp_path / "tables"
        folder.mkdir(exist_ok=True)
        for name, text in tables.items():
            (folder / name.replace("_", "-")).write_bytes(text.encode())
        path = tmp_path / "relaynode.toml"
        path.write_text(
            '[node]\nhostname = "gate.example.org"\nspool = "spool"\ntables = "tables"\n'
            f'[local]\nmailbox = "{tmp_path}/mail/{{user}}/"\nusers = ["joe"]\n{settings}'
        )
        code = main(["--config", str(path), "check"])
        out, err = capsys.readouterr()
        return code, err.replace(f"{folder}/", "").splitlines(), out

    return run


def test_a_site_without_a_mistake_is_said_to_be_ok(check):
    code, told, out = check(mailertable="a.example smtp:h\n", aliases="postmaster: joe\n")
    assert (code, told) == (EX_OK, [])
    assert "ok (spool" in out


def test_a_warning_is_printed_and_the_exit_code_is_good(check):
    code, told, out = check(mailertable="gate.example.org smtp:h\n")
    assert code == EX_OK
    assert told == [
        "warning: mailertable:1: gate.example.org never matches: mail for this domain is delivered"
        " here; take it out, or the domain from ours"
    ]
    assert "ok (spool" in out


def test_an_error_ends_in_ex_config_and_stands_among_the_warnings_in_the_order_of_lines(check):
    code, told, out = check(
        mailertable="a.example. smtp:h\nb.example esmtp:localhost\nc.example no:h\nd.example. x:y",
        virtusertable="a@b.example joe\n",
    )
    assert code == EX_CONFIG
    assert [line.removeprefix("warning: ").partition(": ")[0] for line in told] == [
        "mailertable:1",
        "mailertable:2",
        "mailertable:3",
        "mailertable:4",
        "mailertable:4",
        "virtusertable:1",
    ]
    assert [line.startswith("warning") for line in told] == [True, False, False, False, True, True]
    assert out == ""


def test_domains_of_the_other_tables_and_settings_count(check, tmp_path):
    (tmp_path / "virtual").write_text("three.example\n")
    code, told, _ = check(
        f'[routing]\nvirtual_domains = ["two.example", "{tmp_path}/virtual"]\n',
        local_host_names="one.example\n",
        virtusertable="".join(f"a@{n}.example joe\n" for n in ("one", "two", "three", "four")),
    )
    assert code == EX_OK
    assert len(told) == 1
    assert told[0].startswith("warning: virtusertable:4: a@four.example never matches")


def test_a_file_that_the_settings_name_must_be_there(check, tmp_path):
    code, told, _ = check(f'[masquerade]\ndomains = ["{tmp_path}/none"]\n')
    assert code == EX_CONFIG
    assert told == [f"{tmp_path}/none: the settings name it and it is not there"]


def test_a_table_that_cannot_be_read_is_an_error_and_the_others_are_still_read(check, tmp_path):
    (tmp_path / "tables" / "access").mkdir(parents=True)
    code, told, _ = check(mailertable="a.example nosuch:h\n")
    assert code == EX_CONFIG
    assert [line.partition(":")[0] for line in told] == ["access", "mailertable"]


def test_an_alias_given_twice_is_a_warning_as_with_newaliases(check):
    code, told, _ = check(aliases="a: joe\na: joe\n")
    assert code == EX_OK
    assert told[0].startswith("warning: aliases:2: ")


def test_carriage_returns_and_loose_permissions_are_warnings(check, tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "access").write_text("")
    (tmp_path / "tables" / "access").chmod(0o666)
    code, told, _ = check(mailertable="a.example smtp:h\r\n")
    assert code == EX_OK
    assert told[0].startswith("warning: access: others than its owner may change it")
    assert told[1].startswith("warning: mailertable:1: the line ends in CR LF")


def test_aliases_may_be_elsewhere(check, tmp_path):
    (tmp_path / "names").write_text("a: nobody2\n")
    code, told, _ = check('aliases = "names"\n', aliases="b: nobody3\n")
    assert code == EX_OK
    assert told == [
        f"warning: {tmp_path}/names:1: a: nobody here is called nobody2;"
        " add an alias, or name a user"
    ]


# ---- UUCP


def test_a_mailertable_that_names_no_neighbour_is_a_warning_where_neighbours_are_known(check):
    tables = {"mailertable": "a.example uucp-dom:horus\nb.example suucp:osiris\nc.example smtp:h\n"}
    _, told, _ = check("[neighbour.Horus]\n", **tables)
    assert told == [
        "warning: mailertable:2: b.example: there is no neighbour osiris;"
        " add [neighbour.osiris], or name another"
    ]
    _, told, _ = check("", **tables)  # uux may know them
    assert told == []


def test_taylors_files_are_checked_with_the_rest(check, tmp_path):
    folder = tmp_path / "uucp"
    folder.mkdir()
    (folder / "sys").write_text("system horus\nbogus\nport NONE\n")
    (folder / "passwd").write_text("Uhorus sesame\n")
    (folder / "passwd").chmod(0o644)
    code, told, _ = check('[uucp]\ntaylor = "uucp"\n', mailertable="a.example uucp-dom:horus\n")
    assert code == EX_CONFIG
    assert [line.removeprefix(f"{folder}/") for line in told] == [
        f"passwd: holds passwords and everybody may read it (mode 0644); chmod o-r {folder}/passwd",
        "sys:1: horus: there is no port NONE; see the port file",
        "sys:2: unknown keyword bogus of a system",
    ]


def test_a_fingerprint_that_cannot_be_looked_at_when_called_is_a_warning(check, tmp_path):
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o600)
    listens = (
        '[uucp]\ncertificate = "c.pem"\nkey = "k.pem"\n[listen.l]\nuucp_tls = ["127.0.0.1:5400"]\n'
    )
    neighbour = f'[neighbour.a]\nfingerprints = ["{"ab" * 32}"]\n'
    code, told, _ = check(listens + neighbour)
    assert code == EX_OK
    assert told == [
        f"warning: {tmp_path}/relaynode.toml: a: a fingerprint is enough to call it, not to be"
        " called by it; add ca_file, a copy of its certificate will do"
    ]
    assert check(listens + neighbour + 'ca_file = "c.pem"\n')[1] == []
    assert check(neighbour)[1] == []


def test_a_batch_that_cannot_be_packed_here_is_a_mistake(check, tmp_path, monkeypatch):
    neighbour = '[neighbour.a]\nbatch = "rzsmtp"\n'
    monkeypatch.setattr("relaynode.mail.packing.has_zstd", lambda: True)
    assert check(neighbour)[1] == []
    monkeypatch.setattr("relaynode.mail.packing.has_zstd", lambda: False)
    code, told, _ = check(neighbour)
    assert code == EX_CONFIG
    assert told[0].startswith(
        f'{tmp_path}/relaynode.toml: a: batch = "rzsmtp" needs zstd, which is not installed'
    )


ETRN = '[etrn.mx2]\nhost = "mx2.example"\ndomains = ["gate.example.org"]\n'


@pytest.mark.parametrize(
    ("listen", "is_told"),
    [
        ("", True),
        ('[listen.here]\nsmtp = ["127.0.0.1:25"]\n', True),
        ('[listen.all]\nsmtp = ["0.0.0.0:25"]\nnetworks = ["192.168.1.0/24"]\n', False),
    ],
)
def test_mail_that_a_server_is_asked_to_send_wants_somebody_who_listens(check, listen, is_told):
    code, told, _ = check(ETRN + listen)
    assert code == EX_OK
    assert [line for line in told if "[etrn.mx2]: its mail comes by SMTP" in line] == (
        told if is_told else []
    )
    assert bool(told) == is_told


ODMR = '[odmr.village]\nuser = "village"\ndomains = ["village.example", "school.example"]\n'


@pytest.mark.parametrize(
    ("relayed", "refused"),
    [
        ("", ["village.example", "school.example"]),
        ("village.example\n", ["school.example"]),
        ("example\n", []),
    ],
)
def test_mail_that_a_site_could_come_for_must_be_taken_first(check, relayed, refused):
    code, told, _ = check(ODMR, relay_domains=relayed)
    assert code == EX_OK
    assert [line.partition("mail for ")[2].partition(" ")[0] for line in told] == refused
    assert all("[odmr.village]" in line and "would be refused: 550 5.7.1" in line for line in told)
