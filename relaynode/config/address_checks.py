"""That what is written as an address, a domain or a relay is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong
from relaynode.errors import AddressError
from relaynode.mail.address import parse_path
from relaynode.tables.relay_value import relay_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.config.schema import File

_DOMAIN_LISTS = (
    ("node", "local_domains"),
    ("masquerade", "domains"),
    ("masquerade", "exceptions"),
    ("masquerade", "generics_domains"),
    ("routing", "virtual_domains"),
    ("routing", "uucp_old"),
    ("routing", "uucp_new"),
    ("routing", "uucp_uudom"),
)
"""Lists of domains; one that begins with a slash is a file of them."""

_RELAYS = ("smart_host", "uucp_relay", "mail_hub", "local_relay", "luser_relay")


def check_addresses(file: File) -> Iterator[Wrong]:
    """All that is not what it should be."""
    yield from _senders(file)
    yield from _domains(file)
    yield from _relays(file)


def _senders(file: File) -> Iterator[Wrong]:
    for key in file.sender:
        path = ("sender", key)
        if "@" not in key:
            remedy = 'write [sender."user@example.net"] or [sender."@example.net"]'
            yield Wrong(path, f'"{key}" is no sender', remedy)
        else:
            yield from _address(key, path)
    for one in file.quota.senders:
        yield from _address(one.whose, ("quota", "senders"))


def _address(text: str, path: tuple[str, ...]) -> Iterator[Wrong]:
    """`text`: an address, or all of a domain (@example.net)."""
    whole = f"x{text}" if text.startswith("@") else text
    try:
        if not parse_path(whole):
            raise AddressError("the null path is nobody")
    except AddressError as error:
        yield Wrong(path, f'"{whole}" is no address: {error}')


def _domains(file: File) -> Iterator[Wrong]:
    for table, key in (("node", "hostname"), ("masquerade", "as_domain")):
        domain = getattr(getattr(file, table), key)
        if domain is not None:
            yield from _domain(domain, (table, key.removesuffix("_domain")))
    for table, key in _DOMAIN_LISTS:
        for domain in getattr(getattr(file, table), key):
            if not domain.startswith("/"):
                yield from _domain(domain, (table, key))


def _domain(domain: str, path: tuple[str, ...]) -> Iterator[Wrong]:
    try:
        parse_path(f"x@{domain}", allow_utf8=True)
    except AddressError as error:
        yield Wrong(path, f'"{domain}" is no domain: {error}')


def _relays(file: File) -> Iterator[Wrong]:
    for key in _RELAYS:
        value = getattr(file.routing, key)
        wrong = relay_problem(value) if value is not None else None
        if wrong is not None:
            what, remedy = wrong
            yield Wrong(("routing", key), f"routing.{key}: {what}", remedy)
