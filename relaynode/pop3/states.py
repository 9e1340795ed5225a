"""The states of a POP3 session and the one table of legal moves, for client and server alike.

RFC 1939 sections 3 to 6 name three states. Two of them have inner steps that matter to whoever
writes the next command, so they are states here:

    GREETING ──► AUTHORIZATION ──USER──► PASSWORD ──PASS──► TRANSACTION ──QUIT──► UPDATE
        │         │  ▲    │  └───AUTH──► SASL ───response──►  ▲   │                 │
        │       STLS │   QUIT                                 └───┘ all the others  │
        │         ▼  │    │                                                         │
        │          TLS    │                                                         │
        └─────────────────┴──────────────► CLOSED ◄─────────────────────────────────┘

A row of `MOVES` says which commands are legal in a state and where a `+OK` leads. A refusal leads
where `_AFTER_REFUSAL` says, and is otherwise no move. FAILED is where a client ends when the peer
broke the protocol; nothing is legal there.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where a session stands."""

    GREETING = "greeting"
    AUTHORIZATION = "authorization"
    PASSWORD = "password"  # AUTHORIZATION, a name was accepted
    SASL = "sasl"  # AUTHORIZATION, inside an AUTH exchange
    TLS = "tls"  # AUTHORIZATION, STLS was accepted and TLS is not up yet
    TRANSACTION = "transaction"
    UPDATE = "update"
    CLOSED = "closed"
    FAILED = "failed"


class Command(StrEnum):
    """What a client can say, as it is written; in lower case, the steps that are no command."""

    CAPA = "CAPA"
    STLS = "STLS"
    USER = "USER"
    PASS = "PASS"
    APOP = "APOP"
    AUTH = "AUTH"
    STAT = "STAT"
    LIST = "LIST"
    UIDL = "UIDL"
    RETR = "RETR"
    TOP = "TOP"
    DELE = "DELE"
    NOOP = "NOOP"
    RSET = "RSET"
    QUIT = "QUIT"

    GREETING = "greeting"  # the server speaks first
    RESPONSE = "response"  # the client's answer to a SASL challenge
    TLS_STARTED = "tls-started"  # the handshake is done
    COMMIT = "commit"  # the server removes what was marked


_IN_TRANSACTION = (
    Command.CAPA,
    Command.STAT,
    Command.LIST,
    Command.UIDL,
    Command.RETR,
    Command.TOP,
    Command.DELE,
    Command.NOOP,
    Command.RSET,
)

MOVES: Mapping[State, Mapping[Command, State]] = {
    State.GREETING: {Command.GREETING: State.AUTHORIZATION},
    State.AUTHORIZATION: {
        Command.CAPA: State.AUTHORIZATION,  # RFC 2449 5: valid in both states
        Command.STLS: State.TLS,  # RFC 2595 4: only here
        Command.USER: State.PASSWORD,
        Command.APOP: State.TRANSACTION,
        Command.AUTH: State.SASL,
        Command.QUIT: State.CLOSED,  # RFC 1939 6: no UPDATE without a TRANSACTION
    },
    # RFC 1939 7, USER: "the client may issue either the PASS command [...] or the QUIT command".
    State.PASSWORD: {Command.PASS: State.TRANSACTION, Command.QUIT: State.CLOSED},
    State.SASL: {Command.RESPONSE: State.TRANSACTION},
    State.TLS: {Command.TLS_STARTED: State.AUTHORIZATION},
    State.TRANSACTION: {
        **dict.fromkeys(_IN_TRANSACTION, State.TRANSACTION),
        Command.QUIT: State.UPDATE,
    },
    State.UPDATE: {Command.COMMIT: State.CLOSED},
    State.CLOSED: {},
    State.FAILED: {},
}

_AFTER_REFUSAL: Mapping[State, State] = {
    State.GREETING: State.CLOSED,
    # RFC 1939 7, PASS: only "immediately after a successful USER", so a refusal forgets the name.
    State.PASSWORD: State.AUTHORIZATION,
    State.SASL: State.AUTHORIZATION,
    State.UPDATE: State.CLOSED,  # RFC 1939 6: the server closes the line in any case
}


def may(state: State, command: Command) -> bool:
    """Is the command legal in this state?"""
    return command in MOVES[state]


def granted(state: State, command: Command) -> State:
    """The state that a positive answer leads to. A command that is not legal here moves nothing."""
    return MOVES[state].get(command, state)


def refused(state: State) -> State:
    """The state that a negative answer leads to."""
    return _AFTER_REFUSAL.get(state, state)
