"""Values of the configuration with a grammar of their own."""

import ipaddress
from pathlib import Path

import pytest

from relaynode.config.values import (
    HostPort,
    ListenAddress,
    Mailbox,
    Network,
    Password,
    ServerPlace,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mail.example.net", "mail.example.net", None),
        ("mail.example.net:587", "mail.example.net", 587),
        (" mail.example.net:1 ", "mail.example.net", 1),
        ("192.0.2.1:65535", "192.0.2.1", 65535),
        ("[::1]:25", "::1", 25),
        ("[::1]", "::1", None),
        ("2001:db8::1", "2001:db8::1", None),
    ],
)
def test_a_host_may_have_a_port_and_an_ipv6_address_brackets(text, host, port):
    assert HostPort.parse(text) == HostPort(host, port)


@pytest.mark.parametrize(
    "text",
    ["", " ", ":25", "[::1", "[::1]25", "[]:25", "a b:25", "a@b", "a/b", "<a>"],
)
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match="is no host"):
        HostPort.parse(text)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "smtp", "25x", "２５", "99999999999"])
def test_a_wrong_port_is_refused(port):
    with pytest.raises(ValueError, match=f'"{port}" is no port number'):
        HostPort.parse(f"host.example:{port}")


@pytest.mark.parametrize("text", ["mail.example.net", "mail.example.net:587", "[::1]:25", "[::1]"])
def test_a_host_is_written_as_it_was_read(text):
    assert str(HostPort.parse(text)) == text


def test_the_usual_port_is_taken_where_none_is_written():
    assert HostPort.parse("a").with_default(25) == ("a", 25)
    assert HostPort.parse("a:587").with_default(25) == ("a", 587)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:25", "127.0.0.1"),
        ("localhost:25", "127.0.0.1"),
        ("0.0.0.0:25", "0.0.0.0"),
        ("[::1]:25", "::1"),
        ("[::]:25", "::"),
    ],
)
def test_an_address_to_listen_on_has_a_port(text, address):
    assert ListenAddress.parse(text) == ListenAddress(ipaddress.ip_address(address), 25)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("127.0.0.1", "lacks a port: write 127.0.0.1:25"),
        ("lan.example:25", '"lan.example" is no IP address'),
        ("10.1:25", '"10.1" is no IP address'),
        ("*:25", "is no IP address"),
    ],
)
def test_what_cannot_be_listened_on_is_refused(text, complaint):
    with pytest.raises(ValueError) as raised:
        ListenAddress.parse(text)
    assert complaint in str(raised.value)


def test_a_network_holds_its_addresses():
    network = Network.parse("192.168.1.0/24")
    assert ipaddress.ip_address("192.168.1.255") in network
    assert ipaddress.ip_address("192.168.2.0") not in network
    assert ipaddress.ip_address("::1") not in network
    assert ipaddress.ip_address("192.0.2.1") in Network.parse(" 192.0.2.1 ")


@pytest.mark.parametrize("text", ["192.168.1.7/24", "192.168.1", "lan", "", "10.0.0.0/33"])
def test_what_is_no_network_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"a network is written 192\.168\.1\.0/24"):
        Network.parse(text)


@pytest.mark.parametrize(
    ("text", "path", "is_maildir", "needs_home"),
    [
        ("~/Maildir/", "/home/joe/Maildir", True, True),
        ("~/mbox", "/home/joe/mbox", False, True),
        ("~/mail/{user}", "/home/joe/mail/joe", False, True),
        ("/var/mail/{user}", "/var/mail/joe", False, False),
        ("/srv/{user}/{user}/", "/srv/joe/joe", True, False),
    ],
)
def test_a_mailbox_is_a_pattern_whose_last_slash_means_maildir(text, path, is_maildir, needs_home):
    mailbox = Mailbox.parse(text)
    assert mailbox.path("joe", Path("/home/joe")) == Path(path)
    assert (mailbox.is_maildir, mailbox.needs_home) == (is_maildir, needs_home)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Maildir/", "must begin with / or ~/"),
        ("", "must begin with / or ~/"),
        ("~joe/Maildir/", "must begin with / or ~/"),
        ("/var/mail/all", "must hold {user}, or all users would share it"),
        ("/var/mail/{name}{user}", "may hold {user} only"),
        ("~/{", "may hold {user} only"),
        ("~/}{user}", "may hold {user} only"),
    ],
)
def test_what_cannot_be_a_mailbox_is_refused(text, complaint):
    with pytest.raises(ValueError) as raised:
        Mailbox.parse(text)
    assert complaint in str(raised.value)


def test_a_password_is_shown_to_nobody_who_does_not_ask():
    password = Password("sesame")
    assert password.reveal() == "sesame"
    for shown in (repr(password), str(password), f"{password}", repr({"x": password})):
        assert "sesame" not in shown


def test_a_server_is_a_socket_or_a_host():
    assert ServerPlace.parse("unix:/run/dovecot/lmtp").path == Path("/run/dovecot/lmtp")
    assert ServerPlace.parse("[::1]:24").where == HostPort("::1", 24)
    for text in ("unix:/run/dovecot/lmtp", "imap.home:24"):
        assert str(ServerPlace.parse(text)) == text


@pytest.mark.parametrize("text", ["unix:", "unix:run/lmtp", "/run/dovecot/lmtp", "a host"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError, match=r"no socket|no host name"):
        ServerPlace.parse(text)
