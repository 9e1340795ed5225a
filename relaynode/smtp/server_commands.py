"""The commands of an SMTP server session (RFC 5321 section 4.1), one function each, and the table
that says where each may come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.smtp import atrn, etrn, once, phases, security, xclient
from relaynode.smtp.events import (
    ContentStart,
    Event,
    Hello,
    Introduced,
    SendNow,
    StartTls,
    TransactionReset,
    TurnWanted,
    Verify,
)
from relaynode.smtp.parameters import ParameterError, parse_mail, parse_rcpt, unknown_parameter
from relaynode.smtp.phases import ANY, CALM, Phase
from relaynode.smtp.server_transaction import too_big

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.smtp.server_state import ServerState
    from relaynode.smtp.terms import Terms

# RFC 5321 4.5.3.1.2: a domain has 255 octets at most.
_HELO_NAME = re.compile(r"[!-~\u00a0-\U0010ffff]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class _Verb:
    """One row of the command table: where it may come, what it does, what is said elsewhere.

    Also whether it is offered at all, and whether nothing may be sent behind it before its answer.
    """

    phases: frozenset[Phase]
    run: Callable[[ServerState, str], Event | None]
    refusal: Callable[[Phase], Status]
    is_offered: Callable[[Terms], bool] = lambda terms: True
    is_last_of_group: bool = False


def run(state: ServerState, line: bytes) -> Event | None:
    """Do what a line without its end says; the event it leads to, if any."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        state.refuse(Status(500, "5.5.2", "Command is neither ASCII nor UTF-8"))
        return None
    word, _, rest = text.strip(" \t").partition(" ")
    name = word.upper() if word.isascii() else ""  # there are other letters that become ours
    verb = _VERBS.get(name)
    if state.denial is not None and name in _DENIED:
        return _deny(state, name, rest.strip(" \t"))
    if (demand := state.security.refusal_of(name)) is not None:
        state.refuse(demand)
        return None
    if verb is None or not _knows(state, name) or not verb.is_offered(state.terms):
        is_known = name in _NOT_IMPLEMENTED
        code, kind = (502, "not implemented") if is_known else (500, "unrecognized")
        state.refuse(Status(code, "5.5.1", f'Command {kind}: "{word[:40]}"'))
        return None
    if state.terms.is_strict and _is_ahead(state, verb):
        state.say_and_close(Status(554, "5.5.0", "SMTP protocol synchronization: you did not wait"))
        return None
    if state.phase not in verb.phases:
        state.refuse(verb.refusal(state.phase))
        return None
    return verb.run(state, rest.strip(" \t"))


def _is_ahead(state: ServerState, verb: _Verb) -> bool:
    """Has the client sent more than it may before it has this command's answer?"""
    if verb.run is _ehlo and state.knows_again:
        return False  # our own kind begins its mail behind EHLO where it knows the server
    may_not = verb.is_last_of_group or not state.is_extended
    return bool(state.buffer) and may_not and verb.run is not _quit


def _deny(state: ServerState, word: str, rest: str) -> Event | None:
    assert state.denial is not None
    if word == "BDAT":  # the bytes that it announces are read all the same
        state.transaction.refusal = state.denial
        return _start_chunk(state, rest)
    state.refuse(state.denial)
    return None


def _hello(state: ServerState, name: str, is_extended: bool) -> Event | None:
    word = "EHLO" if is_extended else "HELO"
    if not name:
        state.refuse(Status(501, "5.0.0", f"{word} requires domain address"))
        return None
    if not _HELO_NAME.match(name):
        state.refuse(Status(501, "5.0.0", "Invalid domain name"))
        return None
    state.hello_name, state.is_extended = name, is_extended
    state.end_transaction()
    greeting = Status(250, "", f"{state.hostname} Hello {name}, pleased to meet you")
    state.say(greeting, _extensions(state) if is_extended else ())
    state.count_idle()
    return Hello(name, is_extended)


def _extensions(state: ServerState) -> tuple[str, ...]:
    if state.denial is not None:
        return ("ENHANCEDSTATUSCODES",)
    return (
        "ENHANCEDSTATUSCODES",
        "PIPELINING",
        "CHUNKING",
        "8BITMIME",
        "SMTPUTF8",
        f"SIZE {state.max_size_bytes}",
        "DSN",
        state.terms.limits,
        *(("ETRN",) if state.terms.takes_etrn else ()),
        *(("ATRN",) if state.terms.takes_atrn else ()),
        *((xclient.KEYWORD,) if state.terms.takes_xclient else ()),
        *state.security.keywords,
        *((once.KEYWORD,) if state.knows_again else ()),
    )


def _helo(state: ServerState, rest: str) -> Event | None:
    return _hello(state, rest, is_extended=False)


def _ehlo(state: ServerState, rest: str) -> Event | None:
    return _hello(state, rest, is_extended=True)


def _mail(state: ServerState, rest: str) -> Event | None:
    try:
        mail = parse_mail(rest)
    except ParameterError as error:
        state.refuse(error.status)
        return None
    if mail.once_id and not state.knows_again:
        # A client that took it for granted must not believe that it will be known again.
        state.refuse(unknown_parameter(once.PARAMETER).status)
        return None
    if mail.auth and not state.security.mechanisms:
        state.refuse(unknown_parameter("AUTH").status)
        return None
    if (mail.size_bytes or 0) > state.max_size_bytes:
        state.refuse(too_big(state.max_size_bytes))
        return None
    if 0 < state.terms.max_messages <= state.messages:
        state.say(Status(452, "4.5.3", "Too many messages in this session"))
        return None
    return state.ask(mail)


def _rcpt(state: ServerState, rest: str) -> Event | None:
    try:
        rcpt = parse_rcpt(rest)
    except ParameterError as error:
        state.refuse(error.status)
        return None
    if state.transaction.recipients >= state.terms.max_recipients:
        # RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in a next transaction.
        # That is no error of the client's: it would lose the recipients it has if it were.
        state.say(Status(452, "4.5.3", "Too many recipients"))
        return None
    return state.ask(rcpt)


def _start_data(state: ServerState, rest: str) -> Event | None:
    if rest:
        state.refuse(Status(501, "5.5.4", "DATA takes no parameters"))
        return None
    state.say(Status(354, "", "End data with <CR><LF>.<CR><LF>"))
    state.phase = Phase.DATA
    state.transaction.is_started = True
    return ContentStart()


def _start_chunk(state: ServerState, rest: str) -> Event | None:
    transaction = state.transaction
    if not transaction.announce(rest):
        # The size of what follows is unknown: whatever comes next cannot be told apart.
        state.say(Status(501, "5.5.4", "BDAT wants a size and perhaps LAST"))
        state.shut_down("closing: the chunk's size is not clear")
        return None
    if state.phase not in (Phase.RCPT, Phase.BDAT) and transaction.refusal is None:
        transaction.refusal = phases.no_recipients(state.phase)
    state.phase = Phase.CHUNK
    if transaction.is_started or transaction.refusal is not None:
        return None
    transaction.is_started = True
    return ContentStart()


def _rset(state: ServerState, rest: str) -> Event | None:
    was_in_transaction = state.phase not in (Phase.START, Phase.READY)
    if was_in_transaction:
        state.end_transaction()
    state.say_idly(Status(250, "2.0.0", "Reset state"))
    return TransactionReset() if was_in_transaction else None


def _noop(state: ServerState, rest: str) -> Event | None:
    state.say_idly(Status(250, "2.0.0", "OK"))
    return None


def _vrfy(state: ServerState, rest: str) -> Event | None:
    if not rest:
        state.refuse(Status(501, "5.5.4", "VRFY wants a name"))
        return None
    if state.terms.verifies:
        return state.ask(Verify(rest, is_list=False))
    # RFC 5321 3.5.3: neither confirm nor deny.
    text = "Cannot VRFY user; try RCPT to attempt delivery"
    state.say_idly(Status(252, "2.5.2", text))
    return None


def _expn(state: ServerState, rest: str) -> Event | None:
    if not rest:
        state.refuse(Status(501, "5.5.4", "EXPN wants a name"))
        return None
    return state.ask(Verify(rest, is_list=True))


def _etrn(state: ServerState, rest: str) -> Event | None:
    node = etrn.parse_node(rest)
    if node is None:
        state.refuse(etrn.WRONG)
        return None
    return state.ask(SendNow(*node))


def _atrn(state: ServerState, rest: str) -> Event | None:
    if (demand := state.security.demand) is not None:
        state.refuse(demand)
        return None
    if state.buffer:
        # It would be taken for what the client says as a server.
        state.say_and_close(atrn.EARLY)
        return None
    domains = atrn.parse_domains(rest)
    if domains is None:
        state.refuse(atrn.WRONG)
        return None
    return state.ask(TurnWanted(domains))


def _xclient(state: ServerState, rest: str) -> Event | None:
    try:
        return state.ask(Introduced(xclient.parse_xclient(rest)))
    except ValueError as error:
        state.refuse(Status(501, "5.5.4", str(error)))
        return None


def _help(state: ServerState, rest: str) -> Event | None:
    offered = (
        word
        for word, verb in _VERBS.items()
        if _knows(state, word) and verb.is_offered(state.terms)
    )
    state.say_idly(Status(214, "2.0.0", " ".join(offered)))
    return None


def _quit(state: ServerState, rest: str) -> Event | None:
    state.has_quit = True
    state.say_and_close(Status(221, "2.0.0", f"{state.hostname} closing connection"))
    return None


def _knows(state: ServerState, verb: str) -> bool:
    """Is there a STARTTLS, an AUTH at all?"""
    if verb == "STARTTLS":
        return state.security.offers_tls or state.security.is_private
    return verb != "AUTH" or bool(state.security.mechanisms)


def _starttls(state: ServerState, rest: str) -> Event | None:
    wrong = state.security.starttls(rest)
    if wrong is None and state.buffer:
        # What comes behind it was said by anybody, and would be taken as said under TLS.
        state.say_and_close(security.INJECTED)
        return None
    if wrong is not None:
        state.refuse(wrong)
        return None
    state.say(Status(220, "2.0.0", "Ready to start TLS"))
    state.phase = Phase.TLS
    return StartTls()


def _auth(state: ServerState, rest: str) -> Event | None:
    start = state.security.auth(rest)
    if isinstance(start, Status):
        state.refuse(start)
        return None
    return state.ask(start)


def _takes_etrn(terms: Terms) -> bool:
    return terms.takes_etrn


def _takes_atrn(terms: Terms) -> bool:
    return terms.takes_atrn


def _takes_xclient(terms: Terms) -> bool:
    return terms.takes_xclient


_VERBS: dict[str, _Verb] = {
    "HELO": _Verb(ANY, _helo, phases.hello_first, is_last_of_group=True),
    "EHLO": _Verb(ANY, _ehlo, phases.hello_first, is_last_of_group=True),
    "MAIL": _Verb(frozenset({Phase.READY}), _mail, phases.hello_first),
    "RCPT": _Verb(frozenset({Phase.MAIL, Phase.RCPT}), _rcpt, phases.mail_first),
    "DATA": _Verb(frozenset({Phase.RCPT}), _start_data, phases.rcpt_first, is_last_of_group=True),
    # BDAT announces bytes that must be read whatever is wrong (RFC 3030 section 2).
    "BDAT": _Verb(ANY, _start_chunk, phases.rcpt_first),
    "RSET": _Verb(ANY, _rset, phases.rcpt_first),
    "NOOP": _Verb(ANY, _noop, phases.rcpt_first),
    "VRFY": _Verb(ANY, _vrfy, phases.rcpt_first),
    "EXPN": _Verb(ANY, _expn, phases.rcpt_first, lambda terms: terms.expands),
    "ETRN": _Verb(frozenset({Phase.READY}), _etrn, phases.hello_first, _takes_etrn),
    "ATRN": _Verb(frozenset({Phase.READY}), _atrn, phases.hello_first, _takes_atrn, True),
    "XCLIENT": _Verb(CALM, _xclient, phases.in_transaction, _takes_xclient, True),
    "HELP": _Verb(ANY, _help, phases.rcpt_first),
    "QUIT": _Verb(ANY, _quit, phases.rcpt_first),
    "STARTTLS": _Verb(CALM, _starttls, phases.no_transaction),
    "AUTH": _Verb(frozenset({Phase.READY}), _auth, phases.no_transaction, is_last_of_group=True),
}
_DENIED = frozenset(
    {"MAIL", "RCPT", "DATA", "BDAT", "VRFY", "EXPN", "ETRN", "ATRN", "HELP", "AUTH", "STARTTLS"}
)
"""What a client that is not welcome asks in vain; it may still say hello and goodbye."""
_NOT_IMPLEMENTED = frozenset(
    {"EXPN", "TURN", "SEND", "SOML", "SAML", "ETRN", "ATRN", "AUTH", "STARTTLS"}
)
