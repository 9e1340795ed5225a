"""Neighbours out of relaynode.toml, and what is said of mistakes there."""

import pytest

from relaynode.config.loader import load
from relaynode.config.uucp_values import DirectCall, PipeCall, SerialLine, TcpCall, TlsCall
from relaynode.errors import ConfigError
from relaynode.neighbours import load_neighbours
from relaynode.neighbours.neighbour import fingerprint

SUM = "ab" * 32


@pytest.fixture
def write(tmp_path):
    for name, mode in (("a.password", 0o600), ("b.password", 0o600), ("k.pem", 0o600)):
        (tmp_path / name).write_text("sesame\n")
        (tmp_path / name).chmod(mode)
    (tmp_path / "c.pem").write_text("")
    (tmp_path / "open.pem").write_text("")
    (tmp_path / "open.pem").chmod(0o644)

    def writer(text):
        path = tmp_path / "relaynode.toml"
        path.write_text(f'[node]\nhostname = "bsd.example.org"\nspool = "spool"\n{text}')
        return load(path)

    return writer


@pytest.fixture
def only(write):
    """The one neighbour of a text."""

    def reader(text):
        found = load_neighbours(write(f"[neighbour.horus]\n{text}"))
        assert found.problems == ()
        return found.find("horus")

    return reader


@pytest.fixture
def complaints(write, tmp_path):
    def reader(text):
        with pytest.raises(ConfigError) as raised:
            write(text)
        return [
            str(one).removeprefix(f"{tmp_path}/relaynode.toml:").replace(f"{tmp_path}/", "")
            for one in raised.value.problems
        ]

    return reader


def test_every_way_to_call_is_a_value_of_its_kind(only):
    horus = only(
        'call = ["tcp:h.example", "tcp:[2001:db8::1]:600", "tls:h.example:5400",'
        ' "pipe:ssh -o \'A B\' horus", "direct:/dev/ttyS0,9600", "modem:usb0, 030-55"]\n'
        '[modem.usb0]\ndevice = "/dev/ttyUSB0"\nspeed = 300\nattempts = 2\n'
    )
    *others, modem = (way.call for way in horus.ways)
    assert others == [
        TcpCall("h.example"),
        TcpCall("2001:db8::1", 600),
        TlsCall("h.example", 5400),
        PipeCall(("ssh", "-o", "A B", "horus")),
        DirectCall(SerialLine(device="/dev/ttyS0", speed=9600)),
    ]
    assert (modem.number, modem.modem.attempts) == ("030-55", 2)
    assert modem.modem.line == SerialLine(device="/dev/ttyUSB0", speed=300, has_carrier=True)
    assert [way.is_end_to_end for way in horus.ways] == [True, True, True, False, False, False]


def test_without_a_login_nothing_is_said_before_the_handshake(only):
    assert not only('call = ["pipe:ssh horus"]\n').ways[0].chat


def test_a_login_has_a_chat_that_suits_the_line(only):
    tcp, pipe = only(
        'call = ["tcp:h", "pipe:x"]\nlogin = "Ubsd"\npassword_file = "a.password"\n'
        'chat_timeout_seconds = 30\nchat_fail = ["bad"]\n'
    ).ways
    assert tcp.chat.words == ("ogin:", r"\L\r\P")
    assert pipe.chat.words[:2] == ('""', r"\r\c")
    assert (tcp.chat.timeout_seconds, tcp.chat.fails) == (30, ("bad",))
    assert (tcp.login, tcp.password.reveal()) == ("Ubsd", "sesame")


def test_no_password_is_shown(only):
    assert "sesame" not in repr(
        only('call = ["tcp:h"]\nlogin = "U"\npassword_file = "a.password"\n')
    )


def test_a_password_written_into_a_chat_script_is_not_shown_either(only, write):
    text = "call = ['tcp:h']\nchat = 'ogin: U word: sesame'\n"
    assert "sesame" not in repr(only(text))
    assert "sesame" not in repr(write(f"[neighbour.horus]\n{text}"))


def test_who_shows_neither_a_login_nor_a_certificate_may_not_call(only):
    assert only("").answer("whoever") is None
    assert only('called_login = "Uh"\n').answer("whoever") is None
    assert only('called_login = "Uh"\n').answer("Uh") is not None
    assert only('called_login = "ANY"\n').answer("whoever") is not None
    assert only(f'fingerprints = ["{SUM}"]\n').answer("whoever") is not None


def test_where_only_a_certificate_proves_who_calls_a_login_alone_does_not_do(write):
    found = load_neighbours(
        write(f'[neighbour.a]\nfingerprints = ["{SUM}"]\n[neighbour.b]\ncalled_login = "Ub"\n')
    )
    a, b = found
    assert found.answer(a, "Ub") is None
    assert found.answer(a, "Ub", is_proven=True) is not None
    assert found.answer(b, "Ub") is not None


def test_callers_passwords_are_known(write):
    found = load_neighbours(
        write('[neighbour.a]\ncalled_login = "Ua"\ncalled_password_file = "a.password"\n')
    )
    assert found.is_login("Ua", b"sesame")
    assert not found.is_login("a", b"sesame")


def test_terms_times_and_parameters_are_taken_as_they_are(only):
    horus = only(
        'call = ["tcp:h"]\naliases = ["h2"]\nour_name = "inside"\nsequence = true\n'
        'called_login = "Uh"\ncallback = true\ncalled_grades = ["C Any"]\nprotocols = "gt"\n'
        'times = ["C Mo 9", "Sa"]\nrequest_grades = ["D Any"]\ncommands = ["rmail"]\n'
        'command_path = ["/opt"]\nremote_send = ["~", "!~/x"]\nmax_remote_request_bytes = 7\n'
        'parameters = ["g window 5", "g packet-size 128"]\n'
    )
    (way,) = horus.ways
    assert horus.names == ("horus", "h2")
    assert (way.protocols, way.parameters) == ("gt", {"g": {"window": "5", "packet-size": "128"}})
    assert (way.grade_at(0, 0), way.grade_at(5, 0), way.grade_at(1, 0)) == ("C", "z", None)
    assert way.request_grade_at(0, 0) == "D"
    answer = horus.answer("Uh")
    assert (answer.is_called_back, answer.grade_at(0, 0), answer.protocols) == (True, "C", "gt")
    terms = answer.terms
    assert (terms.our_name, terms.has_sequence, terms.commands) == ("inside", True, ("rmail",))
    assert (terms.command_path, terms.remote_send) == (("/opt",), ("~", "!~/x"))
    for when_calling in (True, False):
        assert terms.max_bytes(when_calling=when_calling, by_us=False, weekday=0, minute=0) == 7
        assert terms.max_bytes(when_calling=when_calling, by_us=True, weekday=0, minute=0) is None


def test_the_link_is_named_or_always_up(write):
    found = load_neighbours(
        write('[link.isp]\n[neighbour.a]\nlink = "isp"\n[neighbour.b]\n[modem.x]\ndevice = "/x"\n')
    )
    assert [neighbour.link for neighbour in found] == ["isp", "default"]


def test_dial_codes_are_read_from_a_file(only, tmp_path):
    (tmp_path / "codes").write_text("muc 089\n")
    horus = only('call = ["modem:m,muc5"]\n[modem.m]\ndevice = "/x"\ndialcodes = "codes"\n')
    assert horus.ways[0].call.modem.dialcodes == {"muc": "089"}


# ---- certificates


def test_a_fingerprint_is_that_of_the_very_certificate(only):
    horus = only(f'fingerprints = ["{fingerprint(b"cert").upper()}"]\n')
    assert horus.accepts_certificate([b"cert"], (), ())
    assert not horus.accepts_certificate([b"other"], (), ())
    assert not horus.accepts_certificate([], (), ())


def test_an_authority_must_have_issued_one_for_the_neighbours_name(only):
    horus = only('ca_file = "c.pem"\ncall = ["tls:h.example:1"]\naliases = ["h2"]\n')
    for name in ("horus", "HORUS", "h2", "h.example"):
        assert horus.accepts_certificate([b"cert", b"ca"], {name}, {b"ca"})
    assert not horus.accepts_certificate([b"cert", b"ca"], {"osiris"}, {b"ca"})
    assert not horus.accepts_certificate([b"cert", b"another ca"], {"horus"}, {b"ca"})
    assert not horus.accepts_certificate([], {"horus"}, {b"ca"})


def test_a_copy_of_its_own_certificate_needs_no_name(only):
    assert only('ca_file = "c.pem"\n').accepts_certificate([b"cert"], (), {b"cert"})


def test_both_are_demanded_where_both_are_named(only):
    horus = only(f'ca_file = "c.pem"\nfingerprints = ["{fingerprint(b"cert")}"]\n')
    assert horus.accepts_certificate([b"cert", b"ca"], {"horus"}, {b"ca"})
    assert not horus.accepts_certificate([b"x", b"ca"], {"horus"}, {b"ca"})


def test_without_either_a_login_must_do(only):
    horus = only('called_login = "Uh"\n')
    assert not horus.tls.is_demanded
    assert horus.accepts_certificate([], (), ())


def test_our_certificate_is_the_neighbours_own_or_that_of_all(write, tmp_path):
    found = load_neighbours(
        write(
            '[uucp]\ncertificate = "c.pem"\nkey = "k.pem"\n[neighbour.a]\n[neighbour.b]\n'
            'certificate = "b.password"\nkey = "k.pem"\n'
        )
    )
    assert found.find("a").tls.certificate == tmp_path / "c.pem"
    assert found.find("b").tls.certificate == tmp_path / "b.password"


# ---- mistakes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[neighbour.a]\ncall = ["x:y"]\n', '5: neighbour.a.call: "x:y" is no way to call'),
        ('[neighbour.a]\ncall = ["modem:"]\n', '5: neighbour.a.call: "modem:" is no way to call'),
        ('[neighbour.a]\ncall = ["tls:h"]\n', '5: neighbour.a.call: "tls:h" lacks a port'),
        ('[neighbour.a]\ncall = ["modem:m"]\n', '5: neighbour.a.call: "modem:m" lacks a number'),
        (
            '[neighbour.a]\ncall = ["modem:m,1"]\n',
            '5: there is no modem "m" (modems: none is defined); add [modem.m]',
        ),
        ('[neighbour.a]\ncall = ["pipe:\'x"]\n', '5: neighbour.a.call: "pipe:\'x": No closing'),
        ('[neighbour.a]\ncall = ["direct:/x,y"]\n', '5: neighbour.a.call: "direct:/x,y": "y" is'),
        ('[neighbour.a]\nprotocols = "tz"\n', "5: neighbour.a.protocols: wants letters of proto"),
        ('[neighbour.a]\ntimes = ["Xy"]\n', '5: neighbour.a.times: "Xy" is no time string'),
        ('[neighbour.a]\nparameters = ["g"]\n', '5: neighbour.a.parameters: "g" is not LETTER'),
        ('[neighbour.a]\nparameters = ["g nosuch 1"]\n', "5: g nosuch 1: "),
        ('[neighbour.a]\nlink = "isp"\n', '5: there is no link "isp"'),
        ('[neighbour."a b"]\n', '4: "a b" is no name of a UUCP system'),
        ('[neighbour.a]\naliases = ["-b"]\n', "5: neighbour.a.aliases: wants a name of letters"),
        ('[neighbour.a]\n[neighbour.b]\naliases = ["a"]\n', "5: a is called so already: [neigh"),
        ('[neighbour.a]\npassword_file = "a.password"\n', "4: [neighbour.a] has a password and no"),
        ('[neighbour.a]\npassword_file = "none"\nlogin = "x"\n', "5: none: No such file"),
        (
            '[neighbour.a]\ncalled_password_file = "open.pem"\ncalled_login = "x"\n',
            "5: open.pem can be read by others (mode 0644)",
        ),
        ('[neighbour.a]\ncalled_password_file = "a.password"\n', "4: [neighbour.a] has a called_p"),
        (
            '[neighbour.a]\ncalled_login = "U"\ncalled_password_file = "a.password"\n'
            '[neighbour.b]\ncalled_login = "U"\ncalled_password_file = "b.password"\n',
            "9: [neighbour.a] has another password for U; use another login",
        ),
        (
            "[neighbour.a]\nchat = 'ogin: \\L'\n",
            r"5: the chat script sends \L, and there is no login; add login",
        ),
        ("[neighbour.a]\nchat = 'x \\q'\n", "5: chat script: \\q means nothing here"),
        ('[neighbour.a]\nchat = ""\n', "5: neighbour.a.chat: no chat script"),
        ('[neighbour.a]\nremote_send = ["x"]\n', '5: remote_send: "x" begins neither with / nor'),
        ('[neighbour.a]\ncommands = ["ALL"]\n', "5: commands: each command is named by itself"),
        ('[neighbour.a]\nfingerprints = ["12"]\n', '5: neighbour.a.fingerprints: "12" is no SHA'),
        ('[neighbour.a]\nca_file = "none"\n', "5: none cannot be read"),
        ('[neighbour.a]\nkey = "k.pem"\n', "4: [neighbour.a] has no certificate; add certificate"),
        (
            '[uucp]\ncertificate = "c.pem"\nkey = "open.pem"\n',
            "6: open.pem can be read by others (mode 0644); say: chmod 600 open.pem",
        ),
        (
            '[listen.l]\nuucp_tls = ["127.0.0.1:5400"]\n',
            "5: TLS needs a certificate of our own; add certificate and key to [uucp]",
        ),
        ('[modem."a b"]\ndevice = "/x"\n', '4: "a b" is no name of a modem'),
        ("[modem.a]\n", "4: [modem.a] lacks device"),
        ('[modem.a]\ndevice = "/x"\ndialcodes = "none"\n', "6: none cannot be read"),
        ("[modem.a]\ndevice = '/x'\nabort = 'x \\T'\n", "6: chat script: \\T means nothing here"),
        ('[uucp]\nnodename = "a b"\n', "5: uucp.nodename: wants a name of letters, digits"),
        ('[uucp]\ntailor = "/x"\n', "5: unknown key tailor in [uucp]; did you mean taylor?"),
    ],
)
def test_each_mistake_is_told_with_its_line(complaints, text, complaint):
    (found,) = complaints(text)
    assert found.startswith(complaint)


def test_a_modem_with_a_mistake_exists_all_the_same(complaints):
    found = complaints('[neighbour.a]\ncall = ["modem:m,1"]\n[modem.m]\nspeed = 0\ndevice = "/x"\n')
    assert len(found) == 1
    assert found[0].startswith("7: modem.m.speed")


def test_a_uucp_listener_serves_neighbours_from_everywhere(write):
    assert write('[listen.l]\nuucp = ["0.0.0.0:540"]\n').file.listen["l"].uucp
