"""The words of a .fetchmailrc: each option's name, the field it sets, and what may follow.

Words count in the case they are written in here only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """What follows an option's name."""

    FLAG = "nothing"
    TEXT = "a string"
    NUMBER = "a number"
    STRINGS = "strings"
    NUMBERS = "numbers"
    SERVICE = "a string or a number"
    PORT = "a number, kept as a string"
    ENVELOPE = "a number or none, and a string"
    INTERFACE = "a string, checked"
    PROTOCOL = "a protocol"
    AUTH = "a way to log in"
    BAD_HEADER = "accept or reject"


@dataclass(frozen=True, slots=True)
class Option:
    """`can_negate`: `no` may stand before it. `no_means`: what it then is; fetchmail has two for
    which it changes nothing."""

    field: str
    form: Form
    can_negate: bool = False
    no_means: bool = False


def _named(form: Form, words: str) -> dict[str, Option]:
    return {word: Option(word, form) for word in words.split()}


def _flags(words: str) -> dict[str, Option]:
    return {word: Option(word, Form.FLAG, can_negate=True) for word in words.split()}


GLOBALS: dict[str, Option] = {
    "daemon": Option("poll_interval", Form.NUMBER),
    **_named(Form.TEXT, "postmaster logfile pidfile idfile properties"),
    **_flags("bouncemail spambounce softbounce syslog invisible"),
    "showdots": Option("showdots", Form.FLAG, can_negate=True, no_means=True),
}

SERVER: dict[str, Option] = {
    **_named(Form.TEXT, "via qvirtual monitor plugin plugout principal esmtpname esmtppassword"),
    "interface": Option("interface", Form.INTERFACE),
    **dict.fromkeys(("protocol", "proto"), Option("protocol", Form.PROTOCOL)),
    "service": Option("service", Form.SERVICE),
    "port": Option("service", Form.PORT),
    **dict.fromkeys(("auth", "authenticate", "preauth"), Option("auth", Form.AUTH)),
    **_named(Form.NUMBER, "timeout interval"),
    "envelope": Option("envelope", Form.ENVELOPE, can_negate=True),
    "aka": Option("aka", Form.STRINGS),
    **dict.fromkeys(("localdomains", "local"), Option("localdomains", Form.STRINGS)),
    **_flags("dns checkalias uidl"),
    "tracepolls": Option("tracepolls", Form.FLAG, can_negate=True, no_means=True),
    "bad-header": Option("badheader", Form.BAD_HEADER),
}

USER: dict[str, Option] = {
    **dict.fromkeys(("password", "pass"), Option("password", Form.TEXT)),
    **_flags("keep fetchall flush limitflush rewrite stripcr forcecr pass8bits dropstatus"),
    **_flags("dropdelivered mimedecode idle ssl sslcertck"),
    **_named(Form.NUMBER, "limit warnings batchlimit fetchlimit fetchsizelimit fastuidl expunge"),
    **dict.fromkeys(("smtphost", "smtp"), Option("smtphunt", Form.STRINGS)),
    "fetchdomains": Option("fetchdomains", Form.STRINGS),
    "folder": Option("mailboxes", Form.STRINGS),
    "antispam": Option("antispam", Form.NUMBERS),
    "lmtp": Option("lmtp", Form.FLAG),
    **_named(Form.TEXT, "smtpaddress smtpname mda bsmtp preconnect postconnect properties"),
    **_named(Form.TEXT, "sslproto sslcert sslkey sslcertfile sslcertpath sslcommonname"),
    "sslfingerprint": Option("sslfingerprint", Form.TEXT),
}

_LOWER_PROTOCOLS = "auto pop2 pop3 apop rpop kpop sdps imap etrn odmr".split()
PROTOCOLS = {word: name for name in _LOWER_PROTOCOLS for word in (name, name.upper())}

AUTHS = {
    "any": None,
    "password": "password",
    "kerberos": "kerberos_v4",
    "kerberos_v4": "kerberos_v4",
    "kerberos5": "kerberos_v5",
    "kerberos_v5": "kerberos_v5",
    "gssapi": "gssapi",
    "cram": "cram-md5",
    "cram-md5": "cram-md5",
    "otp": "otp",
    "ntlm": "ntlm",
    "msn": "msn",
    "ssh": "ssh",
    "external": "external",
}
"""None is what is so without the option."""

BAD_HEADERS = {"accept": True, "reject": None}

NOISE_WORDS = frozenset("and with has wants options".split())

GLUED = frozenset(
    f"no{word}"
    for word in (
        "envelope dns checkalias uidl keep fetchall flush limitflush rewrite stripcr forcecr"
        " pass8bits dropstatus dropdelivered mimedecode idle bouncemail spambounce"
    ).split()
)
"""What is `no` and a keyword without a blank between; other keywords need the blank."""

RESERVED = frozenset(
    {
        *"set defaults poll server skip user username is to here there no".split(),
        *GLOBALS,
        *SERVER,
        *USER,
        *PROTOCOLS,
        *AUTHS,
        *BAD_HEADERS,
    }
)
