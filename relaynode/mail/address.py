"""Addresses: reading a path of the SMTP envelope, and finding addresses in a header field.

Two grammars live here, because both end in the same thing, a local part and a domain.

A *path* (RFC 5321 section 4.1.2) comes from a peer that can still be told what is wrong, so
`parse_path` is strict and its error says why. A *header field* (RFC 5322 section 3.4) comes with
mail that must not be refused for it, so `scan` never fails: it finds what it is sure of and leaves
the rest alone. It reports places in the raw bytes, so that rewriting can replace an address and
nothing else.

Not here: whether an address exists, where it goes (policy/route), what it is rewritten to
(policy/rewrite).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from relaynode.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator

# RFC 5321 4.5.3.1.1 to 4.5.3.1.3, in octets. A path is counted with its brackets and its source
# route, so an address without a route has room for 254.
MAX_LOCAL_OCTETS = 64
MAX_DOMAIN_OCTETS = 255
MAX_PATH_OCTETS = 256

_QUOTED_OR_AT = re.compile(r'\\.|"(?:[^"\\]++|\\.)*"|@', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNDECODED = re.compile(r"[\ud800-\udfff]")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\]++|\\.)*"', re.DOTALL)
_NOT_IN_DOT_STRING = re.compile(r"[^A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.\u0080-\U0010ffff]")
_NOT_IN_DOMAIN = re.compile(r"[^A-Za-z0-9._\-\u0080-\U0010ffff]")
_ROUTE_DOMAIN = r"@(?:\[[^\[\]]*+\]|[^\[\]@:,\s]++)"
_SOURCE_ROUTE = re.compile(rf"{_ROUTE_DOMAIN}(?:,{_ROUTE_DOMAIN})*:")


def split(address: str) -> tuple[str, str]:
    """Local part and domain, parted at the last "@" that is not quoted; ("...", "") if none is."""
    at = -1
    for match in _QUOTED_OR_AT.finditer(address):
        if match.group() == "@":
            at = match.start()
    return (address, "") if at < 0 else (address[:at], address[at + 1 :])


def join(local: str, domain: str) -> str:
    """The address of a local part and a domain, "local" alone where the domain is empty."""
    return f"{local}@{domain}" if domain else local


def normalise_domain(domain: str) -> str:
    """The form in which domains are compared: lower case, without a trailing dot."""
    return domain.removesuffix(".").lower()


# ---- paths -------------------------------------------------------------------------------------


def parse_path(text: str, *, allow_utf8: bool = False) -> str:
    """Read the path of a MAIL or RCPT command, with or without its angle brackets.

    Returns "local@domain", "local" where no domain is given, "" for the null path `<>`. Local
    part and domain stay as written; a source route and the domain's trailing dot are dropped.
    A local part may have dots anywhere (RFC 5321 does not allow `a..b`, but such mailboxes exist).

    `allow_utf8`: the transaction declared SMTPUTF8 (RFC 6531), so letters may be other than ASCII.
    Undecodable bytes (surrogates) are refused in any case.

    Raises: AddressError with a text that says what is wrong, in ASCII, fit for an SMTP reply.
    """
    path = _without_brackets(text.strip(" \t"))
    if not path:
        return ""
    _check_characters(path, allow_utf8)
    address = _without_route(path)
    local, domain = split(address)
    _check_local(local)
    if local != address:
        domain = domain.removesuffix(".")
        _check_domain(domain)
    if _octets(path) + 2 > MAX_PATH_OCTETS:
        raise AddressError(f"the path is longer than {MAX_PATH_OCTETS} octets")
    return join(local, domain)


def _without_brackets(text: str) -> str:
    if text.startswith("<"):
        if not text.endswith(">"):
            raise AddressError("the closing bracket '>' is missing")
        return text[1:-1]
    if text.endswith(">"):
        raise AddressError("the opening bracket '<' is missing")
    if not text:
        raise AddressError("no address is given")
    return text


def _check_characters(path: str, allow_utf8: bool) -> None:
    control = _CONTROL.search(path)
    if control:
        raise AddressError(f"control character 0x{ord(control.group()):02x} in the address")
    if _UNDECODED.search(path):
        raise AddressError("the address is not valid UTF-8")
    if not allow_utf8 and not path.isascii():
        raise AddressError("the address has characters outside ASCII, which need SMTPUTF8")


def _without_route(path: str) -> str:
    # RFC 5321 appendix C: a source route is accepted and ignored.
    if not path.startswith("@"):
        return path
    route = _SOURCE_ROUTE.match(path)
    if not route:
        raise AddressError("the address begins with '@' and is no source route")
    return path[route.end() :]


def _check_local(local: str) -> None:
    if not local:
        raise AddressError("the local part is empty")
    if _octets(local) > MAX_LOCAL_OCTETS:
        raise AddressError(f"the local part is longer than {MAX_LOCAL_OCTETS} octets")
    if local.startswith('"'):
        if not _QUOTED_LOCAL.fullmatch(local):
            raise AddressError("the quotes of the local part do not match")
        return
    wrong = _NOT_IN_DOT_STRING.search(local)
    if wrong:
        raise AddressError(f"{_shown(wrong.group())} in the local part must be quoted")


def _check_domain(domain: str) -> None:
    if not domain:
        raise AddressError("the domain is empty")
    if _octets(domain) > MAX_DOMAIN_OCTETS:
        raise AddressError(f"the domain is longer than {MAX_DOMAIN_OCTETS} octets")
    if domain.startswith("["):
        _check_literal(domain)
        return
    wrong = _NOT_IN_DOMAIN.search(domain)
    if wrong:
        raise AddressError(f"{_shown(wrong.group())} cannot be in a domain")
    if "" in domain.split("."):
        raise AddressError("the domain has an empty label")


def _check_literal(domain: str) -> None:
    # Imported here: address literals are rare, and the sendmail command wants to start fast.
    import ipaddress

    # RFC 5321 4.1.3
    inside = domain[1:-1]
    try:
        if not domain.endswith("]"):
            raise ValueError
        if inside[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(inside[5:])
        else:
            ipaddress.IPv4Address(inside)
    except ValueError:
        raise AddressError("the address literal is neither [1.2.3.4] nor [IPv6:...]") from None


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _shown(character: str) -> str:
    return "a blank" if character == " " else f"'{character}'"


# ---- header fields -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address in the raw value of a header field.

    `value[start:end]` is the addr-spec: not the phrase, the brackets, the source route or a
    comment beside it. `local` and `domain` are its parts, without white space and comments that
    stand between their words; `domain` is empty where none is given.
    """

    start: int
    end: int
    local: bytes
    domain: bytes

    @property
    def address(self) -> str:
        """The address as a text, undecodable bytes as surrogates."""
        return join(_text(self.local), _text(self.domain))


def scan(value: bytes) -> list[Mailbox]:
    """Find all addresses in the raw value of an address field, in order.

    `value` is what stands behind the colon, folding included. Understands comments (nested),
    quoted strings, angle-addrs with a source route, groups, bare names (`alice`), bang paths,
    encoded words, 8-bit bytes and empty list elements.

    Never raises, takes time in proportion to the length, and where brackets or quotes do not match
    returns only what it is sure of: behind a quote without end that is what stands in brackets.
    """
    return _search(value).found


def addresses(value: bytes) -> list[str]:
    """The addresses in the raw value of To, Cc or Bcc, as forward-paths for `sendmail -t`.

    Case is left as written. They are not checked: whoever queues them calls `parse_path`.
    """
    return [mailbox.address for mailbox in scan(value)]


def unread(value: bytes) -> list[str]:
    """The list elements in which `scan` finds no address (`alice bob`), to be complained about."""
    return [_text(value[start:end]) for start, end in _search(value).unread]


def _search(value: bytes) -> _Finder:
    finder = _Finder(value)
    for token in _tokens(value):
        finder.take(token)
    finder.finish()
    return finder


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class _Kind(Enum):
    WORD = "word"  # atom with dots, quoted string, encoded word, quoted pair
    LITERAL = "["
    AT = "@"
    COLON = ":"
    COMMA = ","
    SEMICOLON = ";"
    OPEN = "<"
    CLOSE = ">"
    LONE_QUOTE = '"'
    OTHER = "?"


class _Token(NamedTuple):
    kind: _Kind
    start: int
    end: int


_SEPARATORS = (_Kind.COMMA, _Kind.SEMICOLON)
_KIND_OF_MARK = {
    kind.value.encode(): kind
    for kind in (
        _Kind.AT,
        _Kind.COLON,
        _Kind.COMMA,
        _Kind.SEMICOLON,
        _Kind.OPEN,
        _Kind.CLOSE,
        _Kind.LONE_QUOTE,
    )
}

# All repetitions are possessive: nothing is tried twice, so no input can make this slow.
_TOKEN = re.compile(
    rb"""
      (?P<space> \s++ )
    | (?P<comment> \( )
    | (?P<word>
          =\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=  # RFC 2047; some senders leave commas inside
        | "(?:[^"\\]++|\\.)*"
        | [^\s()<>@,;:\\"\[\]]++
        | \\.
      )
    | (?P<literal> \[[^\[\]\\]*+\] )
    | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(rb"\\.|[()]", re.DOTALL)


def _tokens(value: bytes) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.match(value, position):
        position = match.end()
        if match.lastgroup == "word":
            yield _Token(_Kind.WORD, *match.span())
        elif match.lastgroup == "literal":
            yield _Token(_Kind.LITERAL, *match.span())
        elif match.lastgroup == "comment":
            position = _comment_end(value, match.start())
        elif match.lastgroup == "mark":
            yield _Token(_KIND_OF_MARK.get(match.group(), _Kind.OTHER), *match.span())


def _comment_end(value: bytes, start: int) -> int:
    """Where the comment that opens at `start` ends; one without end takes all that is left."""
    depth = 0
    for match in _COMMENT_MARK.finditer(value, start):
        mark = match.group()
        if mark == b"(":
            depth += 1
        elif mark == b")":
            depth -= 1
            if depth == 0:
                return match.end()
    return len(value)


class _Finder:
    """Takes tokens, puts list elements together, and keeps the mailboxes found in them."""

    def __init__(self, value: bytes) -> None:
        self.found: list[Mailbox] = []
        self.unread: list[tuple[int, int]] = []
        self._value = value
        self._plain: list[_Token] = []  # an address without brackets, or a phrase
        self._angle: list[_Token] | None = None  # what stands behind an open bracket
        self._had_angle = False  # the element has its address; the rest of it is none
        self._trusts_plain = True
        # The element so far: where it begins and ends, and how much was found before it.
        self._span: tuple[int, int] | None = None
        self._found_before = 0

    def take(self, token: _Token) -> None:
        """Look at the next token."""
        if self._span or token.kind not in _SEPARATORS:
            self._span = (self._span[0] if self._span else token.start, token.end)
        if self._angle is None:
            self._take_outside(token)
        else:
            self._take_inside(self._angle, token)

    def finish(self) -> None:
        """The value has ended."""
        if self._angle is not None:
            self._keep(self._angle)
        self._end_element()

    def _take_outside(self, token: _Token) -> None:
        match token.kind:
            case _Kind.OPEN:
                self._angle = []
                self._had_angle = True
            case _Kind.COMMA | _Kind.SEMICOLON:
                self._end_element(token)
            case _Kind.COLON:  # the words before it name a group
                self._begin_element()
            case _Kind.LONE_QUOTE:
                # From here on a comma may have been meant as text, so that no longer tells
                # where an address begins.
                self._trusts_plain = False
            case _Kind.WORD | _Kind.AT | _Kind.LITERAL:
                self._plain.append(token)
            case _:
                pass

    def _take_inside(self, angle: list[_Token], token: _Token) -> None:
        match token.kind:
            case _Kind.OPEN | _Kind.COLON:  # the colon ends a source route
                self._angle = []
            case _Kind.CLOSE:
                self._keep(angle)
                self._angle = None
            case _Kind.COMMA if angle and angle[0].kind is _Kind.AT:  # inside a source route
                self._angle = []
            case _Kind.COMMA | _Kind.SEMICOLON:  # the closing bracket is missing
                self._keep(angle)
                self._angle = None
                self._end_element(token)
            case _Kind.LONE_QUOTE:
                self._trusts_plain = False
            case _Kind.WORD | _Kind.AT | _Kind.LITERAL:
                angle.append(token)
            case _:
                pass

    def _begin_element(self) -> None:
        self._plain = []
        self._had_angle = False
        self._span = None
        self._found_before = len(self.found)

    def _end_element(self, separator: _Token | None = None) -> None:
        if self._trusts_plain and not self._had_angle:
            self._keep(self._plain)
        if self._span and len(self.found) == self._found_before:
            start, end = self._span
            self.unread.append((start, separator.start if separator else end))
        self._begin_element()

    def _keep(self, tokens: list[_Token]) -> None:
        mailbox = _addr_spec(self._value, tokens)
        if mailbox:
            self.found.append(mailbox)


def _addr_spec(value: bytes, tokens: list[_Token]) -> Mailbox | None:
    """The addr-spec in the tokens of one element, or None where there is none for sure."""
    at = next((i for i in reversed(range(len(tokens))) if tokens[i].kind is _Kind.AT), None)
    if at is None:
        return _bare_name(value, tokens)
    first = at - 1
    while first > 0 and _belong_together(value, tokens[first - 1], tokens[first]):
        first -= 1
    if first < 0 or tokens[first].kind is not _Kind.WORD:
        return None
    last = at + 1
    while last + 1 < len(tokens) and _belong_together(value, tokens[last], tokens[last + 1]):
        last += 1
    domain = tokens[at + 1 : last + 1]
    end = domain[-1].end if domain else tokens[at].end
    return Mailbox(
        tokens[first].start, end, _joined(value, tokens[first:at]), _joined(value, domain)
    )


def _bare_name(value: bytes, tokens: list[_Token]) -> Mailbox | None:
    """A local part alone. Several words apart are a phrase that has lost its address."""
    if not tokens or any(token.kind is not _Kind.WORD for token in tokens):
        return None
    if any(left.end != right.start for left, right in pairwise(tokens)):
        return None
    local = _joined(value, tokens)
    if local.startswith(b"=?") and local.endswith(b"?="):  # an encoded phrase, never a name
        return None
    return Mailbox(tokens[0].start, tokens[-1].end, local, b"")


def _belong_together(value: bytes, left: _Token, right: _Token) -> bool:
    # RFC 5322 4.4 (obs-local-part, obs-domain): white space and comments may surround a dot.
    return (
        left.end == right.start
        or value[left.end - 1 : left.end] == b"."
        or value[right.start : right.start + 1] == b"."
    )


def _joined(value: bytes, tokens: list[_Token]) -> bytes:
    return b"".join(value[token.start : token.end] for token in tokens)
