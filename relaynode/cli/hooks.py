"""`relaynode install-hooks NAME`: puts the files of contrib/ in place that tell of a line.

What a script of ours reads from /etc/default/relaynode goes before what is set here. A file that
stands there already and is not ours is left alone: what it does matters to somebody.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import relaynode
from relaynode.config.replacing import replace_file
from relaynode.errors import EX_OK, UsageError

if TYPE_CHECKING:
    import argparse

_OURS = "# relaynode and "
"""So the first comment of each file begins."""

_SETTINGS = '[ -r "$settings" ] && . "$settings"\n'
_EXAMPLES = "/usr/local/bin/relaynode"


@dataclass(frozen=True, slots=True)
class Hook:
    """A file in contrib/, the places that it belongs to, and its mode."""

    source: str
    places: tuple[str, ...]
    mode: int = 0o755


_NETWORKD = "/etc/networkd-dispatcher"
_UNITS = "/etc/systemd/system"

HOOKS: dict[str, tuple[Hook, ...]] = {
    "pppd": (
        Hook("pppd/ip-up.d/relaynode", ("/etc/ppp/ip-up.d/relaynode",)),
        Hook("pppd/ip-down.d/relaynode", ("/etc/ppp/ip-down.d/relaynode",)),
    ),
    "freebsd-ppp": (
        Hook("freebsd/ppp.linkup", ("/etc/ppp/ppp.linkup",), 0o644),
        Hook("freebsd/ppp.linkdown", ("/etc/ppp/ppp.linkdown",), 0o644),
    ),
    "networkmanager": (
        Hook("NetworkManager/50-relaynode", ("/etc/NetworkManager/dispatcher.d/50-relaynode",)),
    ),
    "networkd-dispatcher": (
        Hook(
            "networkd-dispatcher/50-relaynode",
            tuple(
                f"{_NETWORKD}/{state}.d/50-relaynode" for state in ("routable", "no-carrier", "off")
            ),
        ),
    ),
    "dhcpcd": (Hook("dhcpcd/dhcpcd.exit-hook", ("/etc/dhcpcd.exit-hook",)),),
    "ifupdown": (
        Hook(
            "ifupdown/relaynode",
            ("/etc/network/if-up.d/relaynode", "/etc/network/if-down.d/relaynode"),
        ),
    ),
    "openwrt": (Hook("openwrt/90-relaynode", ("/etc/hotplug.d/iface/90-relaynode",)),),
    "cron": (Hook("cron/relaynode", ("/etc/cron.d/relaynode",), 0o644),),
    "systemd-timer": (
        Hook("systemd/relaynode-linkup.service", (f"{_UNITS}/relaynode-linkup.service",), 0o644),
        Hook("systemd/relaynode-linkup.timer", (f"{_UNITS}/relaynode-linkup.timer",), 0o644),
    ),
}

_AFTERWARDS = {
    "systemd-timer": "systemctl daemon-reload && systemctl enable --now relaynode-linkup.timer",
}


def run(arguments: argparse.Namespace) -> int:
    """Raises: UsageError."""
    hooks = HOOKS[arguments.name]
    made = [(hook, text_of(hook, arguments.link, arguments.user)) for hook in hooks]
    if arguments.print:
        print("\n".join(f"# {' '.join(hook.places)}\n\n{text}" for hook, text in made), end="")
        return EX_OK
    files = [
        (_under(arguments.root, place), hook.mode, text)
        for hook, text in made
        for place in hook.places
    ]
    for path, _, _ in files:
        _check(path)
    for path, mode, text in files:
        _write(path, mode, text)
        print(path)
    if arguments.name in _AFTERWARDS:
        print(f"Now: {_AFTERWARDS[arguments.name]}")
    return EX_OK


def contrib() -> Path:
    """The folder contrib/: in a wheel it is part of the package."""
    package = Path(relaynode.__file__).parent
    inside = package / "contrib"
    return inside if inside.is_dir() else package.parent / "contrib"


def text_of(hook: Hook, link: str | None, user: str | None) -> str:
    """A file as it is to be, for a link, run as a user. Raises: UsageError."""
    if link is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", link):
        raise UsageError(f'"{link}" is no link name')
    if user is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", user):
        raise UsageError(f'"{user}" is no user name')
    text = (contrib() / hook.source).read_text()
    if _SETTINGS in text:
        return text.replace(_SETTINGS, _SETTINGS + _defaults(link, user))
    return _example(text, link, user)


def _defaults(link: str | None, user: str | None) -> str:
    """Lines of a shell script that set what the settings' file has not."""
    values = {"LINK": link, "USER": user, "": _program()}
    names = {f"RELAYNODE_{name}".rstrip("_"): value for name, value in values.items() if value}
    return "".join(f': "${{{name}:={value}}}"\n' for name, value in names.items())


def _example(text: str, link: str | None, user: str | None) -> str:
    """An example whose commands name a user and a link."""
    program = _program()
    if program:
        text = text.replace(_EXAMPLES, program)
        text = text.replace("\nPATH=", f"\nPATH={Path(program).parent}:")
    text = re.sub(r"(link(?:up|down)) isp\b", rf"\1 {link}" if link else r"\1", text)
    if user is not None:
        text = text.replace("# A user's own node: User=user", f"User={user}")
    who = user or "root"
    return re.sub(r"^(#?[\d*][^a-z]*|.*\bsu )user\b", rf"\g<1>{who}", text, flags=re.MULTILINE)


def _program() -> str:
    """Where the program is, if that is worth saying."""
    found = shutil.which(sys.argv[0])
    path = str(Path(found).absolute()) if found else ""
    is_it = Path(path).name == "relaynode" and re.fullmatch(r"[A-Za-z0-9_./+-]+", path)
    return path if is_it else ""


def _under(root: Path, place: str) -> Path:
    return root / place.lstrip("/")


def _check(path: Path) -> None:
    """Raises: UsageError."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if _OURS not in text:
        text = "is there already, and none of ours: put into it what --print shows"
        raise UsageError(f"{path}: {text}")


def _write(path: Path, mode: int, text: str) -> None:
    """All of it or nothing: it may be run at any time. Raises: UsageError."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, text.encode(), mode=mode)
        path.chmod(mode)  # whatever the umask is
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
