"""What `fetchmail` prints of a poll, in its words, and the exit code that the poll comes to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from relaynode.cli.progress import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.config.from_fetchmail import FoundAccount

NAMES = {
    2: "SOCKET",
    3: "AUTHFAIL",
    4: "PROTOCOL",
    7: "ERROR",
    9: "LOCKBUSY",
    11: "DNS",
    13: "MAXFETCH",
    23: "UNDEFINED",
}

_SOCKET = (
    "connect-failed connect-refused connect-timeout line-lost no-network tls-not-offered"
    " tls-refused tls-certificate tls-failed"
).split()
_AUTH = (
    "auth-refused auth-no-mechanism auth-required server-not-proven secret-unavailable"
    " greeting-refused"
).split()
_CODES = {
    **dict.fromkeys(_SOCKET, 2),
    **dict.fromkeys(_AUTH, 3),
    **dict.fromkeys(("dns-no-such-host", "dns-temporary"), 11),
    "protocol-error": 4,
    "timed-out": 7,
    "refused": 7,
}
"""fetchmail's exit codes by our reasons (mail/reason.py)."""

_IN_USE = "[in-use]"


class FetchmailScreen(Screen):
    """Prints as it goes. `exit_code` is that of the visits so far: 0 if any brought mail, else the
    last one's. `only_counts`: nothing is fetched, and 0 means that there is new mail."""

    def __init__(
        self, accounts: Iterable[FoundAccount], *, is_silent: bool, only_counts: bool = False
    ) -> None:
        super().__init__(is_quiet=True)
        self._accounts = {account.name: account for account in accounts}
        self._is_silent = is_silent
        self._only_counts = only_counts
        self._shown: dict[str, tuple[int, int]] = {}
        self._codes: list[int] = []

    @property
    def exit_code(self) -> int:
        """fetchmail's, of all visits."""
        if not self._codes:
            return 23
        return 0 if 0 in self._codes else self._codes[-1]

    def progress(self, summary: dict[str, Any]) -> None:
        """The run has got this far."""
        for poll in summary["polls"]:
            self._news(poll)

    def end(self, summary: dict[str, Any]) -> None:
        """The run is over."""
        for poll in summary["polls"]:
            self._news(poll)
            if not _there(poll) and not poll["reason"]:
                self._say(f"fetchmail: No mail for {self._who(poll)}")
        for problem in summary["problems"]:
            print(f"fetchmail: {problem}", file=sys.stderr)
        for poll in summary["polls"]:
            code = self._code(poll, summary["problems"])
            self._codes.append(code)
            if code > 1:
                print(f"fetchmail: Query status={code} ({NAMES[code]})", file=sys.stderr)
        failed = any(problem.startswith("etrn ") for problem in summary["problems"])
        self._codes += [7 if failed else 0] * bool(summary["asked"] or failed)

    def _news(self, poll: dict[str, Any]) -> None:
        """What came since the last time."""
        if not _there(poll):
            return
        name = poll["account"]
        if name not in self._shown:
            self._shown[name] = (0, 0)
            self._say(self._count(poll))
        fetched, fetched_bytes = self._shown[name]
        if poll["fetched"] > fetched:
            size = poll["fetched_bytes"] - fetched_bytes
            place = f"{self._mailbox(poll)}:{poll['fetched']} of {poll['waiting']}"
            self._say(f"reading message {place} ({size} octets)")
            self._shown[name] = (poll["fetched"], poll["fetched_bytes"])

    def _count(self, poll: dict[str, Any]) -> str:
        there = _there(poll)
        seen = there - poll["new"]
        size_bytes = poll["mailbox_bytes"] or (0 if seen else poll["waiting_bytes"])
        return (
            f"{there} message{'s' if there > 1 else ''}"
            + (f" ({seen} seen)" if seen else "")
            + f" for {self._who(poll)}"
            + (f" ({size_bytes} octets)." if size_bytes else ".")
        )

    def _code(self, poll: dict[str, Any], problems: list[str]) -> int:
        if poll["reason"]:
            own = [text for text in problems if text.startswith(f"account {poll['account']}: ")]
            if any(_IN_USE in text.lower() for text in own):
                return 9
            return _CODES.get(poll["reason"], 23)
        if self._only_counts:
            return 0 if poll["new"] else 1
        limit = self._accounts[poll["account"]].keys.get("fetch_limit", 0)
        if limit and poll["fetched"] >= limit and poll["waiting"] > poll["fetched"]:
            return 13
        return 0 if poll["fetched"] else 1

    def _who(self, poll: dict[str, Any]) -> str:
        account = self._accounts[poll["account"]]
        return f"{account.user} at {account.pollname}"

    def _mailbox(self, poll: dict[str, Any]) -> str:
        account = self._accounts[poll["account"]]
        return f"{account.user}@{account.pollname}"

    def _say(self, text: str) -> None:
        if not self._is_silent:
            print(text, flush=True)


def _there(poll: dict[str, Any]) -> int:
    """How many messages the mailbox has; a server that is asked to send does not tell."""
    return max(int(poll["in_mailbox"]), int(poll["waiting"]))
