"""`relaynode COMMAND ...`: the parser. A command's code is imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from relaynode import __version__
from relaynode.errors import EX_IOERR, EX_TEMPFAIL, EX_USAGE, RelaynodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

HOOK_NAMES = (
    *("pppd", "freebsd-ppp", "networkmanager", "networkd-dispatcher", "dhcpcd", "ifupdown"),
    *("openwrt", "cron", "systemd-timer"),
)
"""Who tells of lines (`hooks.py`, which is read only if it is asked for)."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """sysexits(3) has its own code for a wrong command line."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="relaynode",
        description="A dial-up and UUCP store-and-forward mail node.",
    )
    parser.add_argument("--version", action="version", version=f"relaynode {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the relaynode.toml to use")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, module: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(module=f"relaynode.cli.{module}", command=name)
        return sub

    def json_option(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="print plain JSON")

    def loudness(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--quiet", action="store_true", help="print nothing but trouble")
        sub.add_argument(
            "--verbose", action="store_true", help="print the summary, also without a terminal"
        )

    def link_option(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("link", nargs="?", help="the link's name; needed if there are several")

    sub = command("check", "check", "Say all that is wrong with configuration and tables.")
    sub.add_argument(
        "--running", action="store_true", help="say what ought to run and does not, instead"
    )
    sub.add_argument("--start", action="store_true", help="... and start it")
    sub.add_argument("--verbose", action="store_true", help="... and say what runs")

    sub = command("explain", "explain", "Say where mail for an address goes, and why.")
    sub.add_argument("addresses", nargs="+", metavar="ADDRESS")
    sub.add_argument(
        "--from", dest="sender", default="", help="whose mail it is", metavar="ADDRESS"
    )
    json_option(sub)

    command("serve", "serve", "Run the daemon in the foreground.")

    sub = command("linkup", "link", "A link came up: flush and poll, and return when done.")
    link_option(sub)
    sub.add_argument(
        "--over-budget", action="store_true", help="whatever it costs: let the budget be exceeded"
    )
    loudness(sub)
    json_option(sub)
    sub.add_argument("--background", action="store_true", help="... and return at once instead")

    sub = command("linkdown", "link", "A link went down: stop what is under way over it.")
    link_option(sub)

    sub = command("links", "links", "Show the links, and what the last runs over them cost.")
    sub.add_argument("link", nargs="?", metavar="LINK", help="only this one")
    sub.add_argument("--last", type=int, default=10, help="how many runs of each (10)", metavar="N")
    sub.add_argument(
        "--plot",
        nargs="?",
        const="-",
        metavar="FILE",
        help="draw the use by the day instead: as SVG into FILE, or here",
    )
    sub.add_argument("--days", type=int, default=31, help="... of so many days (31)", metavar="N")
    json_option(sub)

    sub = command("timetable", "timetable", "Say when links have their turns, and may be used.")
    sub.add_argument("link", nargs="?", metavar="LINK", help="only this one")
    sub.add_argument("--count", type=int, default=5, help="how many turns of each", metavar="N")
    json_option(sub)

    sub = command("plan", "plan", "Say what a link-up now would move, and how long it would take.")
    link_option(sub)
    json_option(sub)

    sub = command("simulate", "simulate", "Say what would become of a trace's mail.")
    sub.add_argument("trace", type=Path, metavar="TRACE", help="see docs/simulate.md")
    sub.add_argument("-v", "--verbose", action="store_true", help="show each run, too")
    json_option(sub)

    sub = command("flush", "link", "Send what waits, over one link, or over all that it waits for.")
    sub.add_argument(
        "--to", action="append", default=[], metavar="TEXT", help="recipients with TEXT"
    )
    sub.add_argument("--from", action="append", default=[], dest="sender", metavar="TEXT")
    sub.add_argument("--id", action="append", default=[], metavar="TEXT")
    sub.add_argument("--link", help="only over this link")
    loudness(sub)
    json_option(sub)

    sub = command("fetch", "link", "Poll mailboxes.")
    sub.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="all if none is named")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="count what waits, and fetch nothing")
    what.add_argument("--list", action="store_true", help="large messages that wait to be decided")
    what.add_argument("--get", metavar="ID", help="fetch a large message at the next visit")
    what.add_argument("--delete", metavar="ID", help="delete a large message at the next visit")
    loudness(sub)
    json_option(sub)

    sub = command("call", "uucico", "Call UUCP neighbours now, and exchange what there is.")
    sub.add_argument("neighbours", nargs="*", metavar="NEIGHBOUR", help="all if none is named")
    sub.add_argument("--grade", metavar="LETTER", help="only jobs of this grade or better")
    sub.add_argument("--verbose", action="store_true", help="say what happens")

    sub = command("answer", "uucico", "Answer a UUCP call on standard input and output.")
    sub.add_argument(
        "--login-prompt", action="store_true", help="ask for login and password ourselves"
    )

    sub = command("queue", "queue", "Show the queue, or the history of one message.")
    sub.add_argument("id", nargs="?", metavar="ID")
    sub.add_argument("--all", action="store_true", help="with what has ended lately")
    json_option(sub)

    sub = command("why", "why", "Say what became of messages so far, and what happens next.")
    sub.add_argument("what", nargs="+", metavar="ID|ADDRESS", help="whose mail, or which message")
    json_option(sub)

    for verb, text in (
        ("hold", "Keep messages in the queue until they are released."),
        ("release", "Let held messages go on."),
        ("remove", "Delete messages from the queue; nobody is told."),
    ):
        sub = command(verb, "queue", text)
        sub.add_argument("ids", nargs="+", metavar="ID")

    sub = command("account", "account", "Say who may log in: the password file of [accounts].")
    verbs = sub.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb_parser = verbs.add_parser("add", help="add somebody, or change a password")
    verb_parser.add_argument("user", metavar="USER")
    verb_parser.add_argument(
        "--scram", action="store_true", help="keep keys for SCRAM-SHA-256 instead of a hash"
    )
    verbs.add_parser("remove", help="take somebody out").add_argument("user", metavar="USER")
    verbs.add_parser("list", help="show who is in it, and how he can log in")

    sub = command("auth", "auth", "Log in with a browser, for an account that uses OAuth.")
    sub.add_argument("name", metavar="ACCOUNT", help="an account, a smart host, or [oauth.NAME]")

    sub = command("cert", "cert", "Make a key and a self-signed certificate for this node.")
    sub.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    sub.add_argument("key", type=Path, metavar="KEY")
    sub.add_argument(
        "--name", action="append", default=[], help="a further name or IP address", metavar="NAME"
    )
    sub.add_argument("--only", action="store_true", help="leave the node's own name out")
    sub.add_argument("--days", type=int, default=3650, help="how long it is valid (3650)")
    sub.add_argument("--request", action="store_true", help="make a request (CSR) instead")
    sub.add_argument("--force", action="store_true", help="overwrite what is there")

    sub = command("import", "import_", "Turn another program's configuration into a TOML.")
    formats = sub.add_subparsers(dest="format", metavar="FORMAT", required=True)
    sub = formats.add_parser("sendmail", help="sendmail's .mc")
    sub.add_argument("file", type=Path, metavar="FILE.mc", help="- for standard input")
    sub.add_argument(
        "--in-order",
        action="store_true",
        help="leave out what stands too late in the file to have an effect in sendmail",
    )
    sub = formats.add_parser("fetchmailrc", help="fetchmail's .fetchmailrc")
    sub.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="- for standard input; ~/.fetchmailrc"
    )
    sub.add_argument(
        "--passwords", type=Path, metavar="DIR", help="write the passwords into files there"
    )

    sub = command("demo", "demo", "Show two nodes and a thin line at work.")
    sub.add_argument("--uucp", action="store_true", help="by UUCP instead of SMTP and POP3")
    json_option(sub)

    sub = command("install-names", "names", "Put the classic program names into a folder.")
    sub.add_argument("folder", type=Path, metavar="DIR")

    sub = command("install-hooks", "hooks", "Have relaynode told when a line is up or down.")
    sub.add_argument(
        "name", choices=HOOK_NAMES, metavar="NAME", help=f"one of {', '.join(HOOK_NAMES)}"
    )
    sub.add_argument("--print", action="store_true", help="show the files, and change nothing")
    sub.add_argument("--link", metavar="LINK", help="the link's name; needed if there are several")
    sub.add_argument("--user", metavar="USER", help="whose configuration is used (root)")
    sub.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="instead of /")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (sysexits)."""
    arguments = _parser().parse_args(argv)
    module = importlib.import_module(arguments.module)
    try:
        code: int = module.run(arguments)
    except RelaynodeError as error:
        print(f"relaynode: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EX_TEMPFAIL
    except BrokenPipeError:
        # The reader of our output went away: not ours to complain about, nor the interpreter's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR
    return code


if __name__ == "__main__":
    sys.exit(main())
