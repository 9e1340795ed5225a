"""The states of an IMAP session and the one table of legal moves (RFC 3501 section 3).

GREETING ──► PLAIN ──LOGIN, AUTHENTICATE──► AUTHENTICATED ──SELECT──► SELECTED
    │        │  ▲                             ▲   │                    │  ▲ │
    │  STARTTLS │                             │   │◄──SELECT refused───┘  └─┘ SELECT
    │        ▼  │                             │   │
    │        TLS                 (PREAUTH) ───┘   └──LOGOUT──► LOGOUT ──► CLOSED
    └──────────────────────────────────────────────────────────────────────►
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where a session stands. FAILED: the server broke the protocol."""

    GREETING = "greeting"
    PLAIN = "not authenticated"
    TLS = "tls"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"
    CLOSED = "closed"
    FAILED = "failed"


class Command(StrEnum):
    """What a client can say, as it is written."""

    CAPABILITY = "CAPABILITY"
    NOOP = "NOOP"
    LOGOUT = "LOGOUT"
    STARTTLS = "STARTTLS"
    LOGIN = "LOGIN"
    AUTHENTICATE = "AUTHENTICATE"
    COMPRESS = "COMPRESS"
    SELECT = "SELECT"
    EXAMINE = "EXAMINE"
    IDLE = "IDLE"
    SEARCH = "UID SEARCH"
    FETCH = "UID FETCH"
    STORE = "UID STORE"
    COPY = "UID COPY"
    MOVE = "UID MOVE"
    UID_EXPUNGE = "UID EXPUNGE"
    EXPUNGE = "EXPUNGE"

    GREETING = "greeting"  # the server speaks first


_ANYWHERE = (Command.CAPABILITY, Command.NOOP)
_LOGGED_IN = (Command.COMPRESS, Command.IDLE)
_IN_MAILBOX = (
    Command.SEARCH,
    Command.FETCH,
    Command.STORE,
    Command.COPY,
    Command.MOVE,
    Command.UID_EXPUNGE,
    Command.EXPUNGE,
)
_OPENING = (Command.SELECT, Command.EXAMINE)

MOVES: Mapping[State, Mapping[Command, State]] = {
    State.GREETING: {Command.GREETING: State.PLAIN},
    State.PLAIN: {
        **dict.fromkeys(_ANYWHERE, State.PLAIN),
        Command.STARTTLS: State.TLS,
        Command.LOGIN: State.AUTHENTICATED,
        Command.AUTHENTICATE: State.AUTHENTICATED,
        Command.LOGOUT: State.LOGOUT,
    },
    State.TLS: {},
    State.AUTHENTICATED: {
        **dict.fromkeys((*_ANYWHERE, *_LOGGED_IN), State.AUTHENTICATED),
        **dict.fromkeys(_OPENING, State.SELECTED),
        Command.LOGOUT: State.LOGOUT,
    },
    State.SELECTED: {
        **dict.fromkeys((*_ANYWHERE, *_LOGGED_IN, *_IN_MAILBOX, *_OPENING), State.SELECTED),
        Command.LOGOUT: State.LOGOUT,
    },
    State.LOGOUT: {},
    State.CLOSED: {},
    State.FAILED: {},
}


def may(state: State, command: Command) -> bool:
    """Is the command legal in this state?"""
    return command in MOVES[state]


def granted(state: State, command: Command) -> State:
    """The state that a positive answer leads to."""
    return MOVES[state].get(command, state)


def refused(state: State, command: Command) -> State:
    """The state that a negative answer leads to."""
    if command in _OPENING and state is State.SELECTED:
        return State.AUTHENTICATED  # RFC 3501 6.3.1: a SELECT that fails leaves none selected
    return state
