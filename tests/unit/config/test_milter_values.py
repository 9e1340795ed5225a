"""Where filters listen, in sendmail's and Postfix's way to write it."""

import pytest

from relaynode.config.loader import load
from relaynode.config.milter_values import MilterSocket
from relaynode.config.sendmail_mc import import_mc
from relaynode.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "socket"),
    [
        ("inet:11332@localhost", MilterSocket(host="localhost", port=11332)),
        ("inet:localhost:11332", MilterSocket(host="localhost", port=11332)),
        ("inet6:8891@::1", MilterSocket(host="::1", port=8891, version=6)),
        ("inet6:[::1]:8891", MilterSocket(host="::1", port=8891, version=6)),
        ("inet:8891@[::1]", MilterSocket(host="::1", port=8891)),
        ("unix:/run/x.sock", MilterSocket(path="/run/x.sock")),
        ("local:/run/x.sock", MilterSocket(path="/run/x.sock")),
        ("/run/x.sock", MilterSocket(path="/run/x.sock")),
    ],
)
def test_both_ways_to_write_a_socket_are_read(text, socket):
    assert MilterSocket.parse(text) == socket


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:1",
        "inet:",
        "inet:localhost",
        "inet:x@localhost",
        "unix:x",
        "inet:0@x",
        "tcp:1@x",
    ],
)
def test_what_is_no_socket_is_told_with_what_would_be(text):
    with pytest.raises(ValueError):
        MilterSocket.parse(text)


def test_a_milter_names_listeners_that_there_are(tmp_path):
    path = tmp_path / "relaynode.toml"
    path.write_text(
        '[listen.lan]\nsmtp = ["127.0.0.1:25"]\n'
        '[milter.x]\nsocket = "tcp:1"\ndefault_action = "pass"\nlisteners = ["wan"]\n'
        '[milter.y]\nsocket = "unix:/x"\nlisteners = ["lan", "wan"]\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(one.line, one.text.partition(" (")[0]) for one in caught.value.problems] == [
        (
            4,
            'milter.x.socket: "tcp:1" is no socket of a filter: write "inet:11332@localhost",'
            ' "inet:localhost:11332" or "unix:/run/filter.sock"',
        ),
        (5, "milter.x.default_action: 'pass' is not accepted"),
        (9, 'there is no listener "wan"'),
    ]


def test_sendmails_filters_are_imported_in_their_order(tmp_path):
    imported = import_mc(
        "INPUT_MAIL_FILTER(`spamd', `S=local:/run/spamd.sock, F=, T=C:15m;S:4m;R:4m;E:10m')dnl\n"
        "INPUT_MAIL_FILTER(`dkim', `S=inet:8891@localhost, F=T')dnl\n"
        "INPUT_MAIL_FILTER(`odd', `S=x')dnl\n",
        "x.mc",
    )
    path = tmp_path / "relaynode.toml"
    path.write_text(imported.toml)
    spamd, dkim = load(path).file.milter.items()
    assert spamd[0] == "spamd" and str(spamd[1].socket) == "unix:/run/spamd.sock"
    assert spamd[1].default_action == "accept"
    assert (spamd[1].connect_timeout_seconds, spamd[1].command_timeout_seconds) == (900, 240)
    assert spamd[1].content_timeout_seconds == 600
    assert dkim[0] == "dkim" and dkim[1].default_action == "tempfail"
    assert (dkim[1].connect_timeout_seconds, dkim[1].command_timeout_seconds) == (300, 10)
    assert [note.line for note in imported.not_understood] == [3]
