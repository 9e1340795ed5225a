"""Texts of .fetchmailrc files: made at random from fetchmail's grammar, most of them right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

TEXT = "via qvirtual monitor plugin plugout principal esmtpname esmtppassword".split()
USER_TEXT = (
    "password pass smtpaddress smtpname mda bsmtp preconnect postconnect properties sslproto"
    " sslcert sslkey sslcertfile sslcertpath sslcommonname sslfingerprint"
).split()
USER_NUMBERS = (
    "limit warnings batchlimit fetchlimit fetchsizelimit fastuidl expunge timeout".split()
)
USER_FLAGS = (
    "keep fetchall flush limitflush rewrite stripcr forcecr pass8bits dropstatus dropdelivered"
    " mimedecode ssl sslcertck idle"
).split()
WORDS = (
    'a b.example joe \'x y\' "p q" "" \'\' a#b 5x keep with 7 -3 * "a\\\\tb" "\\\\x41" 192.0.2.1'
    ' x=y #c a\\\\nb "a=b" \'a"b\' "it\'s" "open imap noenvelope nokeep pass any here'
    " \\\\065 \\\\65"
).split(" ")
PROTOCOLS = "auto pop3 POP3 imap IMAP apop etrn odmr kpop sdps rpop PoP3 pop9".split()
AUTHS = "any password cram-md5 ntlm msn ssh external gssapi otp bogus".split()
NOISE = (
    "",
    "",
    "",
    "",
    "",
    " and",
    ",",
    " with",
    ";",
    " :",
    "\n",
    " # note\n",
    "\r\n",
    "\n\n",
    "\t",
)


def rc_text(random: Random) -> str:
    """One file."""
    parts = [_set(random) for _ in range(random.choice((0, 0, 0, 1, 2)))]
    if random.random() < 0.25:
        parts.append(_entry(random, "defaults"))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        verb = random.choice(("poll", "poll", "server", "skip"))
        parts.append(
            _entry(random, f"{verb} {random.choice(('a', 'b', 'c.example', _word(random)))}")
        )
        if random.random() < 0.1:
            parts.append(_set(random))
    words = " ".join(parts).split(" ")
    if random.random() < 0.15:
        words.insert(random.randrange(len(words)), _word(random))
    if random.random() < 0.1:
        del words[random.randrange(len(words))]
    return "".join(f"{word}{random.choice(NOISE)} " for word in words)


def _word(random: Random) -> str:
    return random.choice(WORDS) if random.random() < 0.5 else random.choice(("h", "k.example", "u"))


def _number(random: Random) -> str:
    return random.choice(("0", "1", "25", "3600", "-5", "007", "99999999999", "x"))


def _set(random: Random) -> str:
    negation = random.choice(("", "", "no ", "no"))
    return "set " + random.choice(
        (
            f"daemon {_number(random)}",
            f"postmaster {_word(random)}",
            f"idfile {_word(random)}",
            f"pidfile {_word(random)}",
            f"logfile {_word(random)}",
            f"properties {_word(random)}",
            *(f"{negation}{flag}" for flag in "bouncemail spambounce softbounce".split()),
            *(f"{negation}{flag}" for flag in "syslog invisible showdots".split()),
        )
    )


def _server_option(random: Random) -> str:
    negation = random.choice(("", "", "no ", "no"))
    return random.choice(
        (
            f"{random.choice(TEXT)} {_word(random)}",
            f"{random.choice(('proto', 'protocol'))} {random.choice(PROTOCOLS)}",
            f"{random.choice(('auth', 'authenticate', 'preauth'))} {random.choice(AUTHS)}",
            f"service {random.choice(('995', '143', 'imaps', '1110', '0', 'pop3s'))}",
            f"port {_number(random)}",
            f"timeout {_number(random)}",
            f"interval {_number(random)}",
            f"envelope {_word(random)}",
            f"envelope {_number(random)} X-Env",
            f"{random.choice(('aka', 'local', 'localdomains'))} {_words(random)}",
            f"{negation}{random.choice(('dns', 'checkalias', 'uidl', 'tracepolls', 'envelope'))}",
            f"interface {random.choice(('eth0/192.0.2.1', 'x', 'e/1.2.3.4/255.0.0.0', 'e/y'))}",
            f"bad-header {random.choice(('accept', 'reject', 'x'))}",
        )
    )


def _words(random: Random) -> str:
    return " ".join(_word(random) for _ in range(random.choice((1, 1, 2, 3))))


def _names(random: Random) -> str:
    names = (_word(random), f"{_word(random)}={_word(random)}", "*", "joe")
    return " ".join(random.choice(names) for _ in range(random.choice((1, 1, 1, 2, 3))))


def _place(random: Random) -> str:
    return random.choice(("", " here", " there"))


def _user_option(random: Random) -> str:
    negation = random.choice(("", "", "no ", "no"))
    return random.choice(
        (
            f"{random.choice(USER_TEXT)} {_word(random)}",
            f"{random.choice(USER_TEXT)} {_word(random)}",
            f"{random.choice(USER_NUMBERS)} {_number(random)}",
            f"{negation}{random.choice(USER_FLAGS)}",
            f"{negation}{random.choice(USER_FLAGS)}",
            f"{random.choice(('is', 'to'))} {_names(random)}{_place(random)}",
            f"{random.choice(('smtp', 'smtphost', 'fetchdomains', 'folder'))} {_words(random)}",
            f"antispam {_number(random)} {_number(random)}",
            f"lmtp smtphost {random.choice(('h/24', 'h/25', '/run/l', 'h'))}",
        )
    )


def _user(random: Random) -> str:
    name = random.choice((_word(random), f"{_names(random)} here", f"{_word(random)} there"))
    options = [_user_option(random) for _ in range(random.choice((0, 1, 2, 4)))]
    return " ".join((random.choice(("user", "username")), name, *options))


def _entry(random: Random, head: str) -> str:
    options = [_server_option(random) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))]
    if random.random() < 0.25:
        options += [_user_option(random) for _ in range(random.choice((0, 1, 2)))]
    users = [_user(random) for _ in range(random.choice((0, 1, 1, 1, 2)))]
    if options and random.random() < 0.05:
        users.append(_server_option(random))
    return " ".join((head, *options, *users))
