"""relaynode.toml: what it may say, and how each mistake is told."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relaynode.config import schema
from relaynode.config.link_checks import DEFAULT_LINK
from relaynode.config.loader import default_spool, find, load, search_path
from relaynode.config.values import HostPort, HostPorts, ListenAddress, Mailbox, Network
from relaynode.errors import EX_CONFIG, ConfigError

FULL = """\
[node]
hostname = "Bsd.Home."
spool = "spool"
tables = "/etc/mail2"
local_domains = ["BSD.home", "hosted.example."]
smart_host = "backup"
postmaster = "root"

[masquerade]
as = "example.net"
all = true
envelope = true
exposed_users = ["root"]
domains = ["lan.example"]
entire_domain = true
exceptions = ["mail.lan.example"]

[link.isp]
kind = "event"
[link.lan]
kind = "always"

[smart_host.isp]
host = "relay.example.net:587"
tls = "starttls"
user = "user"
password_file = "isp.password"
link = "isp"
timeout_seconds = 60
max_in_flight = 8

[smart_host.backup]
host = "[2001:db8::1]"
tls = "none"
verify = false

[account.isp]
protocol = "pop3"
host = "pop.example.net:995"
tls = "tls"
user = "user"
password_file = "isp.password"
ca_file = "ca.pem"
deliver_to = "user"
keep = true
link = "isp"

[listen.lan]
smtp = ["192.168.1.1:25", "localhost:25"]
pop3 = ["192.168.1.1:110"]
networks = ["192.168.1.0/24"]

[local]
mailbox = "~/Maildir/"
users = ["visitor"]

[user.visitor]
password_file = "isp.password"

[queue]
give_up_after_days = 9
give_up_min_attempts = 3
keep_finished_days = 1
message_size_bytes = 1000
max_hops = 30
"""


@pytest.fixture
def write(tmp_path):
    """Writes the file, with a password file and a CA file beside it."""
    (tmp_path / "isp.password").write_text("sesame\n")
    (tmp_path / "isp.password").chmod(0o600)
    (tmp_path / "ca.pem").write_text("")

    def writer(text):
        path = tmp_path / "relaynode.toml"
        path.write_text(text)
        return path

    return writer


@pytest.fixture
def complaints(write):
    """Loads a text that is wrong; what is said of it, without the file's name."""

    def loader(text):
        path = write(text)
        with pytest.raises(ConfigError) as raised:
            load(path)
        assert raised.value.exit_code == EX_CONFIG
        assert str(raised.value).split("\n") == [str(one) for one in raised.value.problems]
        assert all(one.file == str(path) for one in raised.value.problems)
        return [str(one).removeprefix(str(path)) for one in raised.value.problems]

    return loader


# ---- what is right


def test_every_section_is_read(write, tmp_path):
    config = load(write(FULL))
    assert config.path == tmp_path / "relaynode.toml"
    assert config.hostname == "Bsd.Home"
    assert config.spool == tmp_path / "spool"
    assert config.control_socket == tmp_path / "spool" / "control"
    assert config.tables == Path("/etc/mail2")
    assert config.local_domains == {"bsd.home", "bsd", "localhost", "hosted.example"}
    assert config.default_smart_host == "backup"
    assert config.mailbox == Mailbox("~/Maildir/")
    file = config.file
    assert file.node.postmaster == "root"
    assert file.masquerade == schema.MasqueradeSection(
        as_domain="example.net",
        all=True,
        envelope=True,
        exposed_users=["root"],
        domains=["lan.example"],
        entire_domain=True,
        exceptions=["mail.lan.example"],
    )
    assert config.links == {
        DEFAULT_LINK: schema.LinkSection(kind="always"),
        "isp": schema.LinkSection(kind="event"),
        "lan": schema.LinkSection(kind="always"),
    }
    assert file.smart_host["isp"] == schema.SmartHostSection(
        host=HostPorts("relay.example.net", 587),
        tls="starttls",
        user="user",
        password_file=Path("isp.password"),
        link="isp",
        timeout_seconds=60,
        max_in_flight=8,
    )
    assert file.smart_host["backup"].host == HostPorts("2001:db8::1")
    assert not file.smart_host["backup"].verify
    assert file.account["isp"] == schema.AccountSection(
        host=HostPort("pop.example.net", 995),
        user="user",
        password_file=Path("isp.password"),
        ca_file=Path("ca.pem"),
        deliver_to="user",
        keep=True,
        link="isp",
    )
    assert file.listen["lan"] == schema.ListenSection(
        smtp=[ListenAddress.parse("192.168.1.1:25"), ListenAddress.parse("127.0.0.1:25")],
        pop3=[ListenAddress.parse("192.168.1.1:110")],
        networks=[Network.parse("192.168.1.0/24")],
    )
    assert file.local.users == ["visitor"]
    assert file.queue == schema.QueueSection(
        give_up_after_days=9,
        give_up_min_attempts=3,
        keep_finished_days=1,
        message_size_bytes=1000,
        max_hops=30,
    )
    assert {key: one.reveal() for key, one in config.passwords.items()} == {
        ("smart_host", "isp"): "sesame",
        ("account", "isp"): "sesame",
        ("user", "visitor"): "sesame",
    }
    assert config.link_of(file.smart_host["isp"]) == "isp"
    assert config.link_of(file.smart_host["backup"]) == DEFAULT_LINK


def test_an_empty_file_and_no_file_give_the_defaults(write):
    for config in (load(write("")), load(None)):
        assert config.file == schema.File()
        assert config.tables == Path("/etc/mail")
        assert config.links == {DEFAULT_LINK: schema.LinkSection(kind="always")}
        assert config.default_smart_host is None
        assert config.passwords == {}
        assert {"localhost", config.hostname.lower()} == config.local_domains
        assert config.spool.name == "relaynode"


def test_a_configuration_shows_no_password(write):
    assert "sesame" not in repr(load(write(FULL)))


def test_smart_hosts_may_be_several_or_none(write):
    text = '[smart_host.one]\nhost = ["a:1", "b"]\n[smart_host.two]\nhost = "c"\n'
    config = load(write(f'{text}[node]\nsmart_host = ["two", "one"]\n'))
    assert config.default_smart_hosts == ["two", "one"]
    assert config.file.smart_host["one"].host.all == (HostPort("a", 1), HostPort("b"))
    assert load(write(f"{text}[node]\nsmart_host = []\n")).default_smart_host is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[node]\nsmart_host = 1\n", "2: node.smart_host: wants the name of a smart host"),
        ('[node]\nsmart_host = ["x"]\n', '2: there is no smart host "x" (smart hosts: isp)'),
        ('[sender."a@b"]\nsmart_host = "x"\n', '2: there is no smart host "x"'),
        ('[sender.user]\nsmart_host = "isp"\n', '1: "user" is no sender; write [sender."user@'),
        ('[sender."@a..b"]\nsmart_host = "isp"\n', '1: "x@a..b" is no address'),
        ('[link.x]\nsource_address = ["here"]\n', '2: link.x.source_address: "here" is no IP'),
        ('[dns]\nservers = ["a b"]\n', '2: dns.servers: "a b" is no host name or address'),
        ('[dns]\nservers = ["ns.example"]\n', '2: dns.servers: "ns.example" is no IP address'),
        ("[smart_host.y]\nhost = []\n", "2: smart_host.y.host: wants a host, or a list of hosts"),
    ],
)
def test_a_mistake_about_where_mail_goes_is_named(write, text, problem):
    with pytest.raises(ConfigError) as caught:
        load(write(f'{text}[smart_host.isp]\nhost = "a"\n'))
    (found,) = caught.value.problems
    assert f":{problem}" in str(found)


def test_the_first_smart_host_is_the_default(write):
    text = '[smart_host.one]\nhost = "a"\n[smart_host.two]\nhost = "b"\n'
    assert load(write(text)).default_smart_host == "one"
    assert load(write(f'{text}[node]\nsmart_host = "two"\n')).default_smart_host == "two"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("budget_minutes_per_day = 0", "budget_minutes_per_day: wants a number > 0"),
        ('budget_megabytes_per_month = "5"', "budget_megabytes_per_month: "),
        ("cost_per_call = -1", "cost_per_call: wants a number >= 0"),
        ("billing_seconds = 0", "billing_seconds: wants a whole number >= 1"),
        ('interface = "../ppp0"', "interface: "),
        (
            "budget_money_per_day = 2",
            "budget_money_per_day: nothing costs any; add cost_per_m",
        ),
    ],
)
def test_a_mistake_about_a_budget_is_named(write, key, problem):
    with pytest.raises(ConfigError) as caught:
        load(write(f"[link.isp]\n{key}\n"))
    (found,) = caught.value.problems
    assert str(found).partition(":2: ")[2].removeprefix("link.isp.").startswith(problem)


def test_the_default_link_may_be_described(write):
    config = load(write('[link.default]\nkind = "event"\n'))
    assert config.links == {DEFAULT_LINK: schema.LinkSection(kind="event")}


def test_a_link_has_its_times(write):
    text = '[link.isp]\nwindow = "Wk2305-0855,Sa,Su"\n'
    link = load(write(text + 'timetable = ["every 30 min", "at 06:10 and 22:00"]\n')).links["isp"]
    assert link.timetable.texts == ("every 30 min", "at 06:10 and 22:00")
    assert link.window.is_open(5, 0)
    assert not link.window.is_open(0, 9 * 60)
    assert load(write(text + 'timetable = "hourly"\n')).links["isp"].timetable.texts == ("hourly",)


@pytest.mark.parametrize(
    ("key", "line", "complaint"),
    [
        ('timetable = "at 6"', 2, 'link.isp.timetable: "at 6" is no timetable: "6" is no time'),
        ("timetable = 30", 2, 'wants a text in quotes, or a list of such: "every 30 min"'),
        ('window = "9-17"', 2, 'link.isp.window: "9-17" is no time string'),
        (
            'window = "Wk0900-1700"\ntimetable = "at 22:00"',
            3,
            'no turn of "at 22:00" lies in the window Wk0900-1700',
        ),
        ('window = "Never"\ntimetable = "every 30 min"', 3, "lies in the window Never"),
    ],
)
def test_times_of_a_link_that_cannot_be_are_told(write, key, line, complaint):
    with pytest.raises(ConfigError) as caught:
        load(write(f"[link.isp]\n{key}\n"))
    assert f"relaynode.toml:{line}: " in str(caught.value)
    assert complaint in str(caught.value)


def test_relative_paths_are_relative_to_the_file_wherever_we_are(write, tmp_path, monkeypatch):
    write('[node]\nspool = "s"\ntables = "t"\n')
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    config = load(Path("../relaynode.toml"))
    assert (config.spool / ".." / "t").resolve() == tmp_path / "t"
    assert config.spool.resolve() == tmp_path / "s"


def test_a_tilde_is_the_home(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert load(write('[node]\nspool = "~/spool"\n')).spool == Path("/home/me/spool")


def test_a_home_that_does_not_exist_is_no_disaster(write, tmp_path):
    config = load(write('[node]\nspool = "~nosuchuser/spool"\n'))
    assert config.spool == tmp_path / "~nosuchuser" / "spool"


def test_the_spool_is_the_systems_for_root_and_for_the_systems_file(monkeypatch):
    system = Path("/var/spool/relaynode")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_spool(Path("/home/me/relaynode.toml")) == system
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_spool(Path("/etc/relaynode/relaynode.toml")) == system
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_spool(None) == Path("/home/me/.local/state/relaynode")
    assert default_spool(Path("/home/me/x.toml")) == Path("/home/me/.local/state/relaynode")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_spool(None) == Path("/state/relaynode")


def test_mail_goes_to_the_spool_for_root_and_home_for_a_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load(None).mailbox == Mailbox("/var/mail/{user}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load(None).mailbox == Mailbox("~/Maildir/")


# ---- where it is looked for


def test_the_named_file_comes_first_then_the_variable_then_the_user_then_the_system(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("RELAYNODE_CONFIG", raising=False)
    users = tmp_path / ".config" / "relaynode" / "relaynode.toml"
    system = Path("/etc/relaynode/relaynode.toml")
    assert search_path() == [users, system]
    assert find() == (system if system.exists() else None)
    users.parent.mkdir(parents=True)
    users.touch()
    assert find() == users
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert search_path()[0] == tmp_path / "xdg" / "relaynode" / "relaynode.toml"
    monkeypatch.setenv("RELAYNODE_CONFIG", "/else/where.toml")
    assert search_path()[0] == find() == Path("/else/where.toml")
    assert find(Path("named.toml")) == Path("named.toml")


def test_a_file_that_may_not_be_looked_at_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("RELAYNODE_CONFIG", raising=False)
    place = tmp_path / "relaynode" / "relaynode.toml"
    place.parent.mkdir()
    place.symlink_to(place)  # in a circle: like one in a closed folder, for root too
    assert find() == place
    with pytest.raises(ConfigError, match="Too many levels of symbolic links"):
        load(place)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "none.toml")
    assert str(raised.value) == f"{tmp_path}/none.toml: No such file or directory"
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


# ---- what is wrong


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[node]\nhostname = \n", ":2: not TOML: Invalid value"),
        ("[node\n", ":1: not TOML: Expected ']' at the end of a table declaration"),
        ('[node]\n\nspool = "a\nb"\n', ":3: not TOML: Illegal character '\\n'"),
        ("[node]\n[node]\n", ":2: not TOML: Cannot declare ('node',) twice"),
        ("[node]\nhostname = 'x'\nhostname = 'y'\n", ":3: not TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_in_the_grammar_is_named_with_its_line(complaints, text, place):
    assert complaints(text) == [place]


def test_a_grammar_mistake_at_the_end_of_the_file_is_told(complaints):
    (complaint,) = complaints('[node]\nspool = """')
    assert "not TOML: " in complaint


def test_a_file_that_is_not_utf8_is_told(tmp_path):
    path = tmp_path / "relaynode.toml"
    path.write_bytes(b'[node]\nhostname = "\xe9"\n')
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value) == f"{path}: not UTF-8; save it as UTF-8"


def test_all_problems_are_told_at_once_in_the_order_of_the_file(complaints, tmp_path):
    assert complaints(
        """\
[node]
hostnam = "x"
spool = 5
[smart_host.isp]
host = "relay.example.net:99999"
tls = "TLS"
link = "nowhere"
[account.isp]
host = "pop.example.net"
user = "user"
password_file = "missing"
[listen.lan]
smtp = ["203.0.113.1:25"]
[qeueu]
"""
    ) == [
        ":2: unknown key hostnam in [node]; did you mean hostname?",
        ":3: node.spool: wants a text in quotes, got a whole number",
        ':5: smart_host.isp.host: "99999" is no port number (1 to 65535); '
        'write for example "mail.example.net:587"',
        ':6: smart_host.isp.tls: \'TLS\' is not accepted; accepted: "none", "starttls", "tls"',
        ":8: [account.isp] lacks deliver_to; or names, where the mailbox is of many",
        f":11: {tmp_path}/missing: No such file or directory",
        ":13: 203.0.113.1:25 is neither loopback nor in one of the networks of [listen.lan]; "
        'name the LAN it serves: networks = ["192.168.1.0/24"]',
        ":14: unknown table [qeueu]; did you mean queue?",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[zzz]\n", ":1: unknown table [zzz]; known here: node, masquerade, routing, access, "),
        ("zzz = 1\n", ":1: unknown table [zzz]; known here: node, "),
        ("[queue]\nzzz = 1\n", ":2: unknown key zzz in [queue]; known here: give_up_after_days, "),
        ("[link.x]\nkinds = 1\n", ":2: unknown key kinds in [link.x]; did you mean kind?"),
        ("[masquerade]\nas_domain = 'x'\n", ":2: unknown key as_domain in [masquerade]; "),
    ],
)
def test_an_unknown_name_is_told_with_a_suggestion_or_with_what_is_known(
    complaints, text, complaint
):
    (told,) = complaints(text)
    assert told.startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[node]\nhostname = true", ":2: node.hostname: wants a text in quotes, got true or false"),
        ("[node]\nhostname = 'a b'", ":2: node.hostname: wants a name without blanks or any of "),
        ("[node]\nhostname = ''", ":2: node.hostname: "),
        ("[node]\ntables = ''", ":2: node.tables: wants the name of a file or folder"),
        ('[node]\ntables = "a\\u0000b"', ":2: node.tables: wants the name of a file or folder"),
        ("[node]\nlocal_domains = 'x'", ":2: node.local_domains: wants a list in [ ], got a text"),
        ("[node]\nlocal_domains = [1]", ":2: node.local_domains: wants a text in quotes, got a "),
        ("[masquerade]\nall = 1", ":2: masquerade.all: wants true or false, got a whole number"),
        ("[masquerade]\nall = 'yes'", ":2: masquerade.all: wants true or false, got a text"),
        ("[link.x]\nkind = 'modem'", ":2: link.x.kind: 'modem' is not accepted; accepted: "),
        ("[link]\nisp = 1", ":2: link.isp must be a table; write [link.isp]"),
        ("link = 'isp'", ":1: [link] must have named tables; [link.isp]"),
        ("[[link]]\n", ":1: [link] must have named tables; [link.isp]"),
        ("node = 5", ":1: node must be a table; write [node]"),
        ("[queue]\nmax_hops = 0", ":2: queue.max_hops: wants a whole number >= 1"),
        ("[queue]\nmax_hops = 1.5", ":2: queue.max_hops: wants a whole number, got a number"),
        ("[queue]\nmax_hops = true", ":2: queue.max_hops: wants a whole number, got true or"),
        ("[queue]\nmax_hops = 1979-05-27", ":2: queue.max_hops: wants a whole number"),
        ("[local]\nmailbox = 'x'", ':2: local.mailbox: "x" must begin with / or ~/'),
        ("[local]\nmailbox = 5", ":2: local.mailbox: wants a text in quotes, got a whole number"),
        ("[listen.l]\nsmtp = '127.0.0.1:25'", ":2: listen.l.smtp: wants a list in [ ], got a text"),
        ("[listen.l]\nsmtp = ['127.0.0.1']", ':2: listen.l.smtp: "127.0.0.1" lacks a port: write'),
        ("[listen.l]\nsmtp = ['127.0.0.1:0']", ':2: listen.l.smtp: "0" is no port number (1 to'),
        ("[listen.l]\nsmtp = ['lan:25']", ':2: listen.l.smtp: "lan" is no IP address'),
        ("[listen.l]\nnetworks = ['192.168.1.1/24']", ":2: listen.l.networks: 192.168.1.1/24 has "),
        ("[smart_host.s]\n", ":1: [smart_host.s] lacks host; write for example "),
        ("[smart_host.s]\nhost = 'a b'", ':2: smart_host.s.host: "a b" is no host name or address'),
        ("[user.u]\n", ":1: [user.u] lacks password_file"),
        (
            "[smart_host.s]\nhost = 'x'\nauth = ['NTLM']\n",
            ':3: smart_host.s.auth: "NTLM" is no mechanism; known here: EXTERNAL, OAUTHBEARER,',
        ),
        (
            "[smart_host.s]\nhost = 'x'\nfingerprints = ['ab:cd']\n",
            ':3: smart_host.s.fingerprints: "ab:cd" is no SHA-256 fingerprint',
        ),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\npassword_command = 'a \"b'\n",
            ":4: smart_host.s.password_command: no command: no closing quotation",
        ),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\npassword_command = []\n",
            ":4: smart_host.s.password_command: wants a program and its arguments",
        ),
        ("[link.x]\nkind = 'dial'\n", ":1: link.x: nothing dials it; add up_command"),
        (
            "[link.x]\nup_command = 'pon'\n",
            ":2: link.x.up_command: a link of kind event is not dialled; set kind",
        ),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\npassword_credential = '../x'\n",
            ":4: smart_host.s.password_credential: wants a name of letters, digits",
        ),
        (
            "[oauth.o]\ntoken_url = 'http://x.example/'\nclient_id = 'c'\n"
            "refresh_token_file = 'isp.password'\n",
            ':2: oauth.o.token_url: "http://x.example/" would show the tokens to everybody; write',
        ),
        (
            "[oauth.o]\ntoken_url = 'ftp://x'\nclient_id = 'c'\n"
            "refresh_token_file = 'isp.password'\n",
            ':2: oauth.o.token_url: "ftp://x" is no https://host/path',
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(complaints, text, complaint):
    (told,) = complaints(text)
    assert told.startswith(complaint), told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[smart_host.s]\nhost = 'x'\nlink = 'isp'\n[link.lan]\n",
            ':3: there is no link "isp" (links: lan); add [link.isp]',
        ),
        (
            "[account.a]\nhost = 'x'\nuser = 'u'\npassword_file = 'isp.password'\n"
            "deliver_to = 'joe'\nlink = 'isp'\n",
            ':6: there is no link "isp" (links: none is defined); add [link.isp]',
        ),
        (
            "[node]\nsmart_host = 'isp'\n[smart_host.other]\nhost = 'x'\n",
            ':2: there is no smart host "isp" (smart hosts: other)',
        ),
        ('[link."a b"]\n', ':1: "a b" is no link name; letters, digits, - _'),
        ('[link."../x"]\n', ':1: "../x" is no link name; letters, digits, - _'),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\n",
            ":1: [smart_host.s] has no password_file; add password_file",
        ),
        (
            "[smart_host.s]\nhost = 'x'\npassword_file = 'isp.password'\n",
            ":1: [smart_host.s] has no user; add user",
        ),
        (
            "[account.a]\nhost = 'x'\ndeliver_to = 'joe'\n",
            ":1: [account.a] has no user; add user",
        ),
        ("[smart_host.s]\nhost = 'x'\nca_file = 'none.pem'\n", ":3: none.pem cannot be read"),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\npassword_command = 'pw'\n"
            "password_keyring = 'isp'\n",
            ":5: [smart_host.s] has password_command and password_keyring; one of them says where",
        ),
        (
            "[smart_host.s]\nhost = 'x'\npassword_credential = 'isp'\n",
            ":1: [smart_host.s] has no user; add user",
        ),
        (
            "[smart_host.s]\nhost = 'x'\nuser = 'u'\noauth = 'isp'\n",
            ':4: there is no oauth "isp" (none is defined); add [oauth.isp]',
        ),
        (
            "[smart_host.s]\nhost = 'x'\ntls = 'none'\nuser = 'u'\noauth = 'o'\n"
            "[oauth.o]\ntoken_command = 'x'\n",
            ":3: [smart_host.s] would show its token to everybody; write tls = ",
        ),
        (
            "[smart_host.s]\nhost = 'x'\ncertificate = 'ca.pem'\n",
            ":1: [smart_host.s] has no key; add key",
        ),
        ("[oauth.o]\n", ":1: [oauth.o] needs token_command or token_url, one of them; see "),
        (
            "[oauth.o]\ntoken_url = 'https://x/'\nclient_id = 'c'\n",
            ":1: [oauth.o] has no refresh_token_file; add refresh_token_file",
        ),
        (
            "[oauth.o]\ntoken_url = 'https://x/'\nrefresh_token_file = 'isp.password'\n",
            ":1: [oauth.o] has no client_id; add client_id",
        ),
        ("[node]\nlocal_domains = ['a..b']\n", ':2: "a..b" is no domain: '),
        ("[node]\nhostname = 'a_b!'\n", ':2: "a_b!" is no domain: '),
        ("[masquerade]\nas = '-[x'\n", ':2: "-[x" is no domain: '),
    ],
)
def test_what_does_not_fit_together_is_told(complaints, text, complaint):
    (told,) = complaints(text)
    assert told.startswith(complaint), told


@pytest.mark.parametrize("address", ["", "<>", "a b", "joe@", "@x", "joe@a..b"])
def test_an_account_must_deliver_to_an_address(complaints, address):
    (told,) = complaints(
        "[account.a]\nhost = 'x'\nuser = 'u'\npassword_file = 'isp.password'\n"
        f"deliver_to = '{address}'\n"
    )
    assert told.startswith(f':5: "{address}" is no address: ')


def test_a_mistake_in_a_table_does_not_make_those_wrong_that_name_it(complaints):
    assert complaints(
        "[node]\nsmart_host = 'isp'\n[smart_host.isp]\nlink = 'lan'\n[link.lan]\nkind = 'x'\n"
    ) == [
        ':3: [smart_host.isp] lacks host; write for example "mail.example.net:587"',
        ':6: link.lan.kind: \'x\' is not accepted; accepted: "always", "event", "dial"',
    ]


# ---- logins


def test_a_command_is_a_list_or_a_text_that_no_shell_reads(write):
    for written in ("['a b', '$c']", "'\"a b\" $c'"):
        config = load(
            write(f"[smart_host.s]\nhost = 'x'\nuser = 'u'\npassword_command = {written}\n")
        )
        command = config.file.smart_host["s"].password_command
        assert command.words == ("a b", "$c")
        assert "$c" not in repr(config), "an argument may be a secret"


def test_a_certificate_or_a_ticket_needs_no_password(write):
    for keys in ("certificate = 'ca.pem'\nkey = 'ca.pem'", "user = 'u'\nauth = ['gssapi']"):
        section = load(write(f"[smart_host.s]\nhost = 'x'\n{keys}\n")).file.smart_host["s"]
        assert section.auth in ([], ["GSSAPI"])


def test_secrets_of_oauth_are_checked_like_passwords(complaints, tmp_path):
    (tmp_path / "open").write_text("x\n")
    (tmp_path / "open").chmod(0o644)
    text = "[oauth.o]\ntoken_url = 'https://x/'\nclient_id = 'c'\n"
    (told,) = complaints(text + "refresh_token_file = 'open'\n")
    assert told.startswith(":4: ") and "can be read by others" in told
    (told,) = complaints(
        text + "client_secret_file = 'none'\nrefresh_token_file = 'isp.password'\n"
    )
    assert told.startswith(":4: ") and "No such file" in told


# ---- password files


@pytest.mark.parametrize("table", ["smart_host.s", "account.s", "user.s"])
@pytest.mark.parametrize(
    ("mode", "content", "complaint"),
    [
        (0o640, "x", "can be read by others (mode 0640); say: chmod 600 "),
        (0o604, "x", "can be read by others (mode 0604); say: chmod 600 "),
        (0o600, "", "holds no password in its first line"),
        (None, "", "No such file or directory"),
    ],
)
def test_a_password_file_that_cannot_serve_is_refused(
    complaints, tmp_path, table, mode, content, complaint
):
    if mode is not None:
        (tmp_path / "pw").write_text(content)
        (tmp_path / "pw").chmod(mode)
    more = "" if table.startswith("user") else "host = 'x'\nuser = 'u'\n"
    more += "deliver_to = 'joe'\n" if table.startswith("account") else ""
    (told,) = complaints(f"[{table}]\npassword_file = 'pw'\n{more}")
    assert told.startswith(f":2: {tmp_path}/pw")
    assert complaint in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_password_file_of_another_user_is_refused(complaints, tmp_path):
    os.chown(tmp_path / "isp.password", 65534, -1)
    (told,) = complaints("[user.u]\npassword_file = 'isp.password'\n")
    assert "belongs to another user" in told


# ---- listening


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("127.0.0.1:25", []),
        ("127.8.8.8:25", []),
        ("[::1]:25", []),
        ("192.168.1.1:25", ["10.0.0.0/8", "192.168.1.0/24"]),
        ("[2001:db8::1]:25", ["2001:db8::/32"]),
        ("0.0.0.0:25", ["192.168.1.0/24"]),
        ("[::]:25", ["192.168.1.0/24"]),
    ],
)
def test_we_listen_where_somebody_is_served(write, address, networks):
    assert load(write(f"[listen.l]\nsmtp = ['{address}']\nnetworks = {networks}\n"))


@pytest.mark.parametrize("key", ["smtp", "pop3"])
@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("192.168.1.1:25", []),
        ("192.168.1.1:25", ["192.168.2.0/24"]),
        ("0.0.0.0:25", []),
        ("[::]:25", []),
        ("[2001:db8::1]:25", ["192.168.1.0/24"]),
        ("203.0.113.1:25", ["192.168.1.0/24"]),
    ],
)
def test_we_do_not_listen_where_nobody_is_served(complaints, key, address, networks):
    (told,) = complaints(
        "[local]\nmailbox = '~/Maildir/'\n"
        f"[listen.l]\n{key} = ['{address}']\nnetworks = {networks}\n"
    )
    assert told.startswith(f":4: {address} is neither loopback nor in one of the networks of ")


def test_pop3_wants_maildirs(complaints, write):
    text = "[local]\nmailbox = '~/mbox'\n[listen.l]\npop3 = ['127.0.0.1:110']\n"
    assert complaints(text) == [
        ":4: POP3 serves Maildirs, and mail is delivered into mbox files; "
        'end [local] mailbox with a slash: mailbox = "~/Maildir/"'
    ]
    assert load(write(text.replace("mbox'", "Maildir/'")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[listen.l]\npop3s = ['127.0.0.1:995']\n[local]\nmailbox = '~/Maildir/'",
            ":2: [listen.l] has no certificate for pop3s; add certificate and key; ",
        ),
        ("[listen.l]\ncertificate = 'ca.pem'", ":1: [listen.l] has no key; add key"),
        ("[listen.l]\nkey = 'ca.pem'", ":1: [listen.l] has no certificate; add certificate"),
        (
            "[listen.l]\ncertificate = 'no.pem'\nkey = 'ca.pem'",
            ":2: no.pem cannot be read; `relaynode cert` makes one",
        ),
        (
            "[listen.l]\nsubmission = ['127.0.0.1:587']",
            ":2: nobody can log in at submission of [listen.l]: there are no accounts; ",
        ),
        (
            "[listen.l]\nsubmission = ['0.0.0.0:587']\n[accounts]\npassword_file = 'a'",
            ":2: [listen.l] has no certificate: nobody could log in at submission; ",
        ),
        (
            "[listen.l]\nodmr = ['127.0.0.1:366']\n[accounts]\npassword_file = 'a'",
            ":2: nobody has mail to fetch at odmr of [listen.l]; add an [odmr.NAME] with user and ",
        ),
        (
            "[node]\nlocal_domains = ['x.example']\n[odmr.a]\nuser = 'a'\n"
            "domains = ['X.example', 'y.example']",
            ':5: "X.example" is one of [node] local_domains: its mail is delivered here',
        ),
        ("[odmr.a]\nuser = 'a'\ndomains = []", ":3: odmr.a.domains: "),
        ("[quota]\nlinks = ['isp 5']", ':2: there is no link "isp" (links: none is defined); add '),
        ("[quota]\nlinks = ['isp']", ':2: quota.links: "isp" is no name and number: write '),
        ("[quota]\nsenders = ['@ 5']", ':2: "x@" is no address: '),
        (
            "[accounts]\npassword_file = 'a'\ndovecot_socket = 'b'",
            ":3: [accounts] has password_file and dovecot_socket; one of them says who may log in",
        ),
        (
            "[accounts]\ndovecot_socket = 'b'\npam_service = 'x'",
            ":3: [accounts] has dovecot_socket and pam_service; one of them says who may log in",
        ),
        ("[accounts]\nsenders = 'all'", ":2: accounts.senders: 'all' is not accepted; accepted: "),
        (
            "[accounts]\nsender_refusal = 'go away'",
            ':2: accounts.sender_refusal: "go away" is no refusal; write for example "553 5.7.1 ',
        ),
        ("[accounts]\nsender_refusal = '250 ok'", ":2: accounts.sender_refusal: "),
        ("[accounts]\nsender_refusal = '553 4.7.1 x'", ":2: accounts.sender_refusal: "),
    ],
)
def test_what_is_wrong_with_doors_and_accounts_is_named(complaints, text, told):
    (found,) = complaints(text)
    assert found.startswith(told)


def test_people_may_come_in_from_anywhere_where_they_log_in_under_tls(write):
    config = load(
        write(
            "[listen.l]\nsubmission = ['0.0.0.0:587']\nsubmissions = ['[::]:465']\n"
            "certificate = 'ca.pem'\nkey = 'ca.pem'\n[accounts]\npassword_file = 'a'\n"
            "sender_refusal = '552 sorry (#5.7.1)'\n"
        )
    )
    refusal = config.file.accounts.sender_refusal
    assert (refusal.code, refusal.enhanced, refusal.text) == (552, "", "sorry (#5.7.1)")


# ---- anything at all

VALUES = [
    *("5", "0", "-1", "1.5", "true", '"x"', '""', '"a b"', "[]", '["x"]', "[5]", '[""]', "{}"),
    *('{host = "x"}', '"\\u0000"', '"~nosuch/x"', "1979-05-27", '"x:y"', '["127.0.0.1:25"]'),
    *('["10.0.0.0/8"]', '"/x/{user}"', '"none"', '"isp"', '"é"', '[["x"]]', "9" * 20, "inf", "nan"),
]
TABLES = {
    "node": schema.NodeSection,
    "masquerade": schema.MasqueradeSection,
    "link.isp": schema.LinkSection,
    "smart_host.isp": schema.SmartHostSection,
    "account.isp": schema.AccountSection,
    "listen.lan": schema.ListenSection,
    "accounts": schema.AccountsSection,
    "local": schema.LocalSection,
    "user.joe": schema.UserSection,
    "queue": schema.QueueSection,
}
KEYS = {key: [*kind.__struct_encode_fields__, "zzz"] for key, kind in TABLES.items()}


@st.composite
def texts(draw):
    lines = []
    for table in draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True, max_size=4)):
        lines.append(f"[{table}]")
        for key in draw(st.lists(st.sampled_from(KEYS[table]), unique=True, max_size=4)):
            lines.append(f"{key} = {draw(st.sampled_from(VALUES))}")
    return "\n".join(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts())
def test_any_values_give_a_configuration_or_complaints(write, text):
    try:
        load(write(text))
    except ConfigError as error:
        assert error.problems
        assert all(problem.line for problem in error.problems)


# ---- [routing]


@pytest.mark.parametrize(
    "key", ["smart_host", "uucp_relay", "mail_hub", "local_relay", "luser_relay"]
)
def test_a_relay_with_an_unknown_mailer_is_named(complaints, key):
    (told,) = complaints(f'[routing]\n{key} = "smpt:relay.example.net"\n')
    assert told == f":2: routing.{key}: unknown mailer smpt; did you mean smtp?"


def test_a_relay_without_a_host_is_named(complaints):
    (told,) = complaints('[routing]\nsmart_host = "uucp-dom:"\n')
    assert told.startswith(":2: routing.smart_host: uucp-dom: names no host; ")


@pytest.mark.parametrize("value", ["relay.example.net", "[h]", "uucp-dom:isp", "error:5.1.1:550 x"])
def test_relays_that_sendmail_takes_are_taken(write, value):
    path = write(f'[routing]\nsmart_host = "{value}"\n')
    assert load(path).file.routing.smart_host == value


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("masquerade", "domains"),
        ("masquerade", "exceptions"),
        ("masquerade", "generics_domains"),
        ("routing", "virtual_domains"),
        ("routing", "uucp_old"),
    ],
)
def test_a_list_of_domains_takes_domains_and_files_of_them(write, complaints, table, key):
    assert load(write(f'[{table}]\n{key} = ["lan.example", "/etc/mail/more"]\n'))
    (told,) = complaints(f'[{table}]\n{key} = ["lan.example", ".example"]\n')
    assert told == ':2: ".example" is no domain: the domain has an empty label'


# ---- mail that waits elsewhere

ODMR = """\
[account.isp]
protocol = "odmr"
host = "odmr.example.net"
user = "user"
password_file = "isp.password"
"""


def test_odmr_asks_for_domains_and_delivers_to_whom_the_mail_is_for(write):
    account = load(write(ODMR + 'domains = ["example.net", "x-1.lan"]\n')).file.account["isp"]
    assert (account.protocol, account.domains) == ("odmr", ["example.net", "x-1.lan"])
    assert load(write(ODMR)).file.account["isp"].domains == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ODMR + 'deliver_to = "user"\n', ':6: deliver_to means nothing for protocol = "odmr"'),
        (ODMR + "keep = true\n", ':6: keep means nothing for protocol = "odmr"'),
        (ODMR + 'domains = ["a b"]\n', ":6: account.isp.domains: wants a domain"),
        (ODMR + 'domains = ["a.example,b"]\n', ":6: account.isp.domains: wants a domain"),
        (ODMR.replace('user = "user"\npassword_file = "isp.password"\n', ""), "has no user"),
        (
            ODMR.replace('"odmr"', '"imap9"') + 'deliver_to = "user"\n',
            'not accepted; accepted: "pop3", "imap", "odmr"',
        ),
        (
            ODMR.replace('"odmr"', '"pop3"') + 'deliver_to = "user"\ndomains = ["x"]\n',
            ':7: domains means nothing for protocol = "pop3"',
        ),
        ('[etrn.mx]\nhost = "h"\n', ":1: [etrn.mx] lacks domains"),
        ('[etrn.mx]\nhost = "h"\ndomains = []\n', ":3: etrn.mx.domains: "),
        ('[etrn.mx]\nhost = "h"\ndomains = ["@"]\n', "wants a domain, @domain (with all below"),
        ('[etrn.mx]\nhost = "h"\ndomains = ["x"]\nlink = "y"\n', ':4: there is no link "y"'),
        ('[etrn.mx]\nhost = "h"\ndomains = ["x"]\nuser = "u"\n', "[etrn.mx] has no password_file"),
        (
            '[etrn.mx]\nhost = "h"\ndomains = ["x"]\nuser = "u"\noauth = "isp"\n',
            ':5: there is no oauth "isp"',
        ),
        (
            '[etrn.mx]\nhost = "h"\ndomains = ["x"]\nuser = "u"\npassword_file = "none"\n',
            "none: No such file",
        ),
        ('[etrn.mx]\nhost = "h"\ndomains = ["x"]\nca_file = "none.pem"\n', ":4: none.pem cannot"),
        (
            ODMR.replace("password_file", 'password_command = "pw"\npassword_file'),
            "has password_file and password_command",
        ),
        ("[queue]\nremember_days = -1\n", ":2: queue.remember_days: "),
    ],
)
def test_what_cannot_be_fetched_so_is_told(complaints, text, complaint):
    (told,) = complaints(text)
    assert complaint in told
