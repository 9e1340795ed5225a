"""Asking the DNS: what is an answer, and what is none."""

import socket

import dns.name
import dns.resolver
import pytest

from relaynode.errors import ConnectFailed
from relaynode.wire.dns import Dns


def failing(error):
    def ask(*_, **__):
        raise error

    return ask


def test_this_machine_has_a_name_and_an_address():
    assert "127.0.0.1" in Dns().addresses("localhost")


def test_a_name_comes_without_its_final_dot(monkeypatch):
    monkeypatch.setattr(socket, "gethostbyaddr", lambda address: ("pc.example.", [], [address]))
    assert Dns().name_of("192.0.2.7") == "pc.example"


@pytest.mark.parametrize("error", [socket.herror(1, "Unknown host"), socket.herror(4, "No data")])
def test_an_address_without_a_name_has_none(monkeypatch, error):
    monkeypatch.setattr(socket, "gethostbyaddr", failing(error))
    assert Dns().name_of("192.0.2.7") is None


def test_a_server_that_fails_is_no_answer(monkeypatch):
    monkeypatch.setattr(socket, "gethostbyaddr", failing(socket.herror(2, "try again")))
    with pytest.raises(ConnectFailed, match=r"192\.0\.2\.7: try again"):
        Dns().name_of("192.0.2.7")
    again = socket.gaierror(socket.EAI_AGAIN, "temporary failure")
    monkeypatch.setattr(socket, "getaddrinfo", failing(again))
    with pytest.raises(ConnectFailed, match=r"a\.example: temporary"):
        Dns().addresses("a.example")


def test_a_name_that_is_not_known_has_no_addresses(monkeypatch):
    error = socket.gaierror(socket.EAI_NONAME, "unknown")
    monkeypatch.setattr(socket, "getaddrinfo", failing(error))
    assert Dns().addresses("a.example") == frozenset()


@pytest.mark.parametrize("name", ["a..example", "x" * 70 + ".example", "\udcff.example"])
def test_names_that_dns_cannot_hold_do_not_exist(name):
    assert Dns().addresses(name) == frozenset()
    assert Dns().mail_exchangers(name) == ()


class Record:
    def __init__(self, preference, exchange):
        self.preference = preference
        self.exchange = dns.name.from_text(exchange)


@pytest.fixture
def mx_of(monkeypatch):
    """What the resolver gives for MX: an answer, or an error to raise."""

    def use(outcome):
        def resolve(self, name, kind, **_):
            assert (str(name), kind) == ("a.example.", "MX")
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda self: None)
        monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
        return Dns().mail_exchangers("a.example")

    return use


def test_mail_exchangers_come_in_order_of_preference(mx_of):
    assert mx_of([Record(20, "B.example."), Record(10, "a.example.")]) == ("a.example", "b.example")
    assert mx_of([]) == ()


def test_a_domain_that_does_not_exist_has_no_mail_exchangers(mx_of):
    assert mx_of(dns.resolver.NXDOMAIN()) == ()


@pytest.mark.parametrize(
    "error",
    [
        dns.resolver.NoNameservers(),
        dns.resolver.LifetimeTimeout(timeout=1, errors=[]),
        OSError(101),
    ],
)
def test_mail_exchangers_that_nobody_tells_are_no_answer(mx_of, error):
    with pytest.raises(ConnectFailed, match=r"MX of a\.example"):
        mx_of(error)


def test_a_machine_without_a_resolver_gets_no_answer(monkeypatch):
    def no_configuration(self):
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "__init__", no_configuration)
    with pytest.raises(ConnectFailed):
        Dns().mail_exchangers("a.example")
