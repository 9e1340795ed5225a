"""Where filters listen, in sendmail's and Postfix's way to write it."""

import pytest

from relaynode.config.loader import load
from relaynode.config.milter_values import MilterSocket
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
