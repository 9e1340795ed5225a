"""What of [link.NAME] must belong together, and that what is named by others is there: links, smart
hosts, listeners."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.config.login_checks import remotes
from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from relaynode.config.schema import File, LinkSection, NeighbourSection, RemoteSection
    from relaynode.config.values import SmartHostNames

    Written = Callable[[tuple[str, ...]], Collection[str]]
    """The keys below a table of the file: what has a mistake in it exists all the same."""

DEFAULT_LINK = "default"
"""The link of everything that names none: always up."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRICES = ("cost_per_minute", "cost_per_megabyte", "cost_per_call")


def check_links(file: File, written: Written) -> Iterator[Wrong]:
    """All that does not fit."""
    for name, section in file.link.items():
        if not _NAME.fullmatch(name):
            yield Wrong(("link", name), f'"{name}" is no link name', "letters, digits, - _")
        yield from _turns(name, section)
        yield from _dial(name, section)
        yield from _budget(name, section)
    yield from _links_named(file, written)
    yield from _smart_hosts_named(file, written)
    yield from _listeners_named(file, written)


def _turns(name: str, link: LinkSection) -> Iterator[Wrong]:
    if link.timetable is not None and not link.timetable.has_turn_in(link.window):
        text = f'no turn of "{link.timetable}" lies in the window {link.window}'
        yield Wrong(("link", name, "timetable"), f"link.{name}.timetable: {text}")


def _dial(name: str, link: LinkSection) -> Iterator[Wrong]:
    path = ("link", name, "up_command")
    if link.kind == "dial" and link.up_command is None:
        yield Wrong(path, f"link.{name}: nothing dials it", "add up_command")
    if link.kind != "dial" and link.up_command is not None:
        text = f"link.{name}.up_command: a link of kind {link.kind} is not dialled"
        yield Wrong(path, text, 'set kind = "dial"')


def _budget(name: str, link: LinkSection) -> Iterator[Wrong]:
    if any(getattr(link, price) for price in _PRICES):
        return
    for period in ("session", "day", "month"):
        key = f"budget_money_per_{period}"
        if getattr(link, key) is not None:
            remedy = f"add {', '.join(_PRICES[:-1])} or {_PRICES[-1]}"
            yield Wrong(("link", name, key), f"{key}: nothing costs any", remedy)


def _links_named(file: File, written: Written) -> Iterator[Wrong]:
    using: tuple[tuple[str, Mapping[str, RemoteSection | NeighbourSection]], ...]
    using = (*remotes(file), ("neighbour", file.neighbour))
    named: list[tuple[tuple[str, ...], str]] = [
        ((table, name, "link"), section.link)
        for table, sections in using
        for name, section in sections.items()
        if section.link is not None
    ]
    named += [(("quota", "links"), one.whose) for one in file.quota.links]
    links = {*written(("link",)), DEFAULT_LINK}
    known = ", ".join(file.link) or "none is defined"
    for path, link in named:
        if link not in links:
            yield Wrong(path, f'there is no link "{link}" (links: {known})', f"add [link.{link}]")


def _smart_hosts_named(file: File, written: Written) -> Iterator[Wrong]:
    named: list[tuple[tuple[str, ...], SmartHostNames]] = [
        (("sender", sender, "smart_host"), its.smart_host) for sender, its in file.sender.items()
    ]
    if file.node.smart_host is not None:
        named.append((("node", "smart_host"), file.node.smart_host))
    known = ", ".join(file.smart_host) or "none is defined"
    for path, names in named:
        for name in names.names:
            if name not in written(("smart_host",)):
                yield Wrong(path, f'there is no smart host "{name}" (smart hosts: {known})')


def _listeners_named(file: File, written: Written) -> Iterator[Wrong]:
    known = ", ".join(file.listen) or "none is defined"
    for name, milter in file.milter.items():
        for listener in milter.listeners:
            if listener not in written(("listen",)):
                text = f'there is no listener "{listener}" (listeners: {known})'
                yield Wrong(("milter", name, "listeners"), text, f"add [listen.{listener}]")
