"""Servers that fetched mail is handed to, and what an account may say of its recipients."""

from pathlib import Path

import pytest

from relaynode.config.drop_off import DropOff
from relaynode.config.loader import load
from relaynode.config.values import HostPort
from relaynode.errors import ConfigError

ACCOUNT = """\
[account.isp]
host = "pop.example.net"
user = "ann"
password_command = "/bin/echo x"
"""


@pytest.mark.parametrize(
    ("text", "drop_off"),
    [
        ("smtp:localhost", DropOff("smtp", where=HostPort("localhost"))),
        ("smtp:mx.example:2525", DropOff("smtp", where=HostPort("mx.example", 2525))),
        ("smtp:mx.example/2525", DropOff("smtp", where=HostPort("mx.example", 2525))),
        ("smtp:[::1]:25", DropOff("smtp", where=HostPort("::1", 25))),
        ("smtp:::1/25", DropOff("smtp", where=HostPort("::1", 25))),
        ("smtp:[::1]/25", DropOff("smtp", where=HostPort("::1", 25))),
        ("lmtp:localhost:24", DropOff("lmtp", where=HostPort("localhost", 24))),
        ("lmtp:/run/dovecot/lmtp", DropOff("lmtp", path=Path("/run/dovecot/lmtp"))),
    ],
)
def test_a_drop_off_is_a_server_or_a_socket(text, drop_off):
    assert DropOff.parse(text) == drop_off
    assert DropOff.parse(str(drop_off)) == drop_off


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost", "write smtp:host:port"),
        ("smtps:localhost:465", "write smtp:host:port"),
        ("smtp:", "write smtp:host:port"),
        ("smtp:/run/x", "write lmtp:/run/x"),
        ("lmtp:localhost", "lacks a port"),
        ("smtp:mx/x/25", "no host name"),
        ("smtp:mx/0", "no port number"),
    ],
)
def test_what_is_no_drop_off_is_told(text, why):
    with pytest.raises(ValueError, match=why):
        DropOff.parse(text)


def problems(tmp_path, keys):
    path = tmp_path / "relaynode.toml"
    path.write_text(ACCOUNT + keys)
    try:
        load(path)
    except ConfigError as error:
        return "\n".join(map(str, error.problems))
    return ""


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", "[account.isp] lacks deliver_to; or names"),
        ('deliver_to = "a"\nothers_as_they_are = true\n', "has deliver_to and others_as_they_are"),
        ('names = {x = "a b"}\n', '"a b" is no address'),
        ('names = {x = ""}\n', '"" is no address'),
        ("names = {x = 5}\n", "account.isp.names: wants a text in quotes"),
        ('names = "x"\n', "account.isp.names: wants a table"),
        ('deliver_to = "a"\nsmtp_name = "a@"\n', '"a@" is no address'),
        ('deliver_to = "a"\nsmtp_address = "@x"\n', "smtp_address: wants a domain"),
        ('deliver_to = "a"\nenvelope_header = "X To"\n', "wants the name of a header field"),
        ('deliver_to = "a"\ndrop_off = ["x"]\n', 'account.isp.drop_off: "x" is no drop-off'),
        (
            'deliver_to = "a"\ndrop_off = ["smtp:x"]\nmda = "/bin/cat"\n',
            "[account.isp] has drop_off and mda; one of them gets the mail",
        ),
        ('protocol = "odmr"\nmda = "/bin/cat"\n', 'mda means nothing for protocol = "odmr"'),
        ('protocol = "odmr"\nnames = {}\n', 'names means nothing for protocol = "odmr"'),
    ],
)
def test_what_does_not_fit_together_is_told(tmp_path, keys, told):
    assert told in problems(tmp_path, keys)


@pytest.mark.parametrize(
    "keys",
    [
        'deliver_to = "a"\n',
        'names = {"a.b" = "ann", c = "carl@office.example"}\n',
        'local_domains = ["example.org"]\nenvelope_header = ""\n',
        'others_as_they_are = true\nmda = "/usr/bin/procmail -d %T"\n',
        'deliver_to = "a"\ndrop_off = ["smtp:x", "lmtp:/y"]\nsmtp_name = "all@x.example"\n',
    ],
)
def test_what_fits_is_taken(tmp_path, keys):
    assert problems(tmp_path, keys) == ""
