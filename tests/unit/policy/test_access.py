"""The checks of client, sender and recipient: what the table says, and sendmail's replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.status import Status
from relaynode.policy.access_rules import Delay
from relaynode.policy.client import Client, NameState
from relaynode.policy.verdict import addressed
from unit.policy.gates import STRANGER, STRICT, Zone, gate, mail, named, rcpt, said

DENIED = "550 5.7.1 Access denied"
DISABLED = "550 5.2.1 Mailbox disabled for this recipient"
NO_RELAY = "550 5.7.1 Relaying denied"


# --- the client


@pytest.mark.parametrize(
    ("table", "reply"),
    [
        ("", ""),
        ("Connect:stranger.example REJECT\n", DENIED),
        ("stranger.example REJECT\n", DENIED),
        ("From:stranger.example REJECT\n", ""),
        ("To:203.0.113 REJECT\n", ""),
        ("Connect:203.0.113 REJECT\n", DENIED),
        ("Connect:203.0.113 REJECT\nConnect:203.0.113.9 OK\n", ""),
        ("Connect:203.0.113 REJECT\nConnect:203.0.113.9 RELAY\n", ""),
        ("Connect:203.0.113 REJECT\nConnect:203.0.113.9 SKIP\n", ""),
        ('Connect:host.stranger.example ERROR:"450 4.7.1 come back"\n', "450 4.7.1 come back"),
        ("Connect:203.0.113.9 550 go away\n", "550 5.0.0 go away"),
        ("Connect:203.0.113.9 ERROR:go away\n", "553 5.3.0 go away"),
    ],
)
def test_a_client_is_refused_for_its_name_or_its_address(table, reply):
    assert connect(table) == reply


def connect(table, client=STRANGER, **settings):
    return said(gate(table, client, **settings).check_relay())


def test_a_name_decides_before_the_address_does():
    table = "Connect:stranger.example OK\nConnect:203.0.113.9 REJECT\n"
    assert connect(table) == ""
    table = "Connect:example REJECT\nConnect:203.0.113.9 RELAY\n"
    assert connect(table) == DENIED


@pytest.mark.parametrize("state", [s for s in NameState if s is not NameState.VERIFIED])
def test_a_name_that_does_not_lead_back_counts_for_nothing(state):
    client = Client(address="203.0.113.9", name="host.stranger.example", name_state=state)
    assert connect("Connect:stranger.example REJECT\n", client) == ""
    assert connect("Connect:[203.0.113] REJECT\n", client) == DENIED


def test_a_program_of_this_machine_is_no_client():
    client = Client(address="127.0.0.1", is_local_user=True)
    assert connect("Connect:127 REJECT\n", client) == ""


def test_discard_takes_everything_and_quarantine_holds_it():
    verdict = gate("Connect:203 DISCARD\n").check_relay()
    assert verdict.is_accepted and verdict.is_discarded
    verdict = gate("Connect:203 QUARANTINE:odd client\n").check_relay()
    assert verdict.is_accepted and verdict.quarantine == "odd client"


# --- the sender


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("bad@a.example", DENIED),
        ("BAD@A.example", DENIED),
        ("bad+x@a.example", DENIED),
        ("good@a.example", ""),
        ("good@sub.a.example", "550 5.7.1 not welcome"),
        ("spam@anywhere.example", "550 5.0.0 no spam"),
        ("spam+x@anywhere.example", "550 5.0.0 no spam"),
        ("xspam@anywhere.example", ""),
        ("spam", "550 5.0.0 no spam"),
        ("x%sub.a.example@ours.example", "550 5.7.1 not welcome"),
        ("", ""),
    ],
)
def test_a_sender_is_refused_for_the_mailbox_the_name_or_the_domain(sender, reply):
    table = (
        "From:bad@a.example REJECT\n"
        "From:sub.a.example ERROR:5.7.1:550 not welcome\n"
        "spam@ 550 no spam\n"
        "To:good@a.example REJECT\n"
    )
    assert mail(sender, table) == reply


def test_the_mailbox_comes_before_the_name_and_the_name_before_the_domain():
    table = "From:a.example REJECT\nFrom:u@ 450 later\nFrom:u@a.example OK\n"
    assert mail("u@a.example", table) == ""
    assert mail("u@b.example", table) == "450 4.0.0 later"
    assert mail("v@a.example", table) == DENIED


def test_a_senders_domain_must_exist_where_that_is_wanted():
    zone = Zone(a_example=(), failing_example=None)
    more = {**STRICT, "domains": zone}
    assert mail("u@a.example", **more) == ""
    gone = "553 5.1.8 Domain of sender address u@gone.example does not exist"
    assert mail("u@gone.example", **more) == gone
    failing = "451 4.1.8 Domain of sender address u@failing.example does not resolve"
    assert mail("u@failing.example", **more) == failing
    assert mail("u@gone.example", "From:gone.example OK\n", **more) == ""
    assert mail("u@gone.example", "From:gone.example REJECT\n", **more) == DENIED
    assert mail("u@gate.ours.example", **more) == "", "our own name needs no DNS"


def test_without_that_wish_nobody_asks_the_dns():
    zone = Zone()
    assert mail("u@gone.example", domains=zone) == ""
    assert zone.asked == []


@pytest.mark.parametrize(
    "domain",
    ["localhost", "LOCALHOST", "[127.0.0.1]", "[IPv6:::1]", "localhost.ours.example"],
)
def test_a_strangers_localhost_is_no_domain(domain):
    zone = Zone(gate_ours_example=())
    reply = "553 5.5.4 Real domain name required for sender address"
    assert mail(f"u@{domain}", domains=zone, **STRICT) == reply
    for client in (Client(address="127.0.0.1"), named("ours.example"), Client(address="192.0.2.1")):
        assert mail(f"u@{domain}", "", client, accept_unqualified_senders=False) == ""
    assert mail(f"u@{domain}") == "", "by default nobody minds"


def test_a_sender_needs_a_domain_where_that_is_wanted():
    reply = "553 5.5.4 Domain name required for sender address Joe"
    assert mail("Joe", **STRICT, domains=Zone()) == reply
    assert mail("Joe", "From:joe@ OK\n", **STRICT, domains=Zone()) == ""
    local = Client(address="127.0.0.1", is_local_user=True)
    assert mail("Joe", "", local, **STRICT, domains=Zone()) == ""


# --- the recipient


def test_a_recipient_is_refused_for_the_mailbox_the_name_here_or_the_domain():
    table = (
        "To:blocked@ours.example REJECT\n"
        "To:gone@ 550 gone for good\n"
        "To:full@ours.example ERROR:4.2.2:452 over quota\n"
        "black.example REJECT\n"
        "From:joe@ours.example REJECT\n"
    )
    assert rcpt("blocked@ours.example", table) == DISABLED
    assert rcpt("blocked+x@OURS.example", table) == DISABLED
    assert rcpt("gone@gate.ours.example", table) == "550 5.0.0 gone for good"
    assert rcpt("gone", table) == "550 5.0.0 gone for good"
    assert rcpt("full@ours.example", table) == "452 4.2.2 over quota"
    assert rcpt("joe@ours.example", table) == ""
    assert rcpt("x@sub.black.example", table) == DISABLED, "before relaying is asked about"
    assert rcpt("gone@far.example", table) == NO_RELAY, "a name alone is for our own users"


def test_with_blocklist_recipients_off_only_relay_counts():
    table = "To:blocked@ours.example REJECT\nTo:to.example RELAY\nTo:far.example DISCARD\n"
    assert rcpt("blocked@ours.example", table, blocklist_recipients=False) == ""
    assert rcpt("x@to.example", table, blocklist_recipients=False) == ""
    assert rcpt("x@far.example", table, blocklist_recipients=False) == NO_RELAY


def test_skip_and_ok_let_the_next_question_be_asked():
    table = "far.example REJECT\nTo:ok@far.example OK\nTo:skip@far.example SKIP\n"
    for user in ("ok", "skip"):
        assert rcpt(f"{user}@far.example", table) == NO_RELAY


def test_a_recipient_may_make_the_mail_vanish_or_be_held():
    verdict = gate("To:silent@ours.example DISCARD\n").check_rcpt("a@b.example", "silent")
    assert verdict.is_accepted and not verdict.is_discarded, "silent alone has no domain"
    table = "To:silent@ DISCARD\nTo:odd@ QUARANTINE:looks odd\n"
    assert gate(table).check_rcpt("a@b.example", "silent").is_discarded
    assert gate(table).check_rcpt("a@b.example", "odd@ours.example").quarantine == "looks odd"


def test_quarantine_is_no_leave_to_relay():
    table = "far.example QUARANTINE:odd\n"
    assert rcpt("x@far.example", table) == NO_RELAY
    permitted = Client(address="203.0.113.9", is_trusted=True)
    assert gate(table, permitted).check_rcpt("a@b.example", "x@far.example").quarantine == "odd"


def test_a_broken_address_is_refused_with_its_own_reply():
    assert rcpt("a@b@ours.example") == "553 5.1.3 Invalid route address"
    assert mail("a@b..example") == "553 5.1.2 Invalid host name"


# --- checks put off until the recipient is known

FRIENDS = (
    "203.0.113 REJECT\nSpam:friend@ours.example FRIEND\nSpam:hater@ HATER\nSpam:f.example FRIEND\n"
)


def delayed(delay, recipient, table=FRIENDS, sender="a@far.example", **more):
    return rcpt(recipient, table, sender=sender, delay_checks=delay, **more)


@pytest.mark.parametrize("delay", [Delay.YES, Delay.FRIEND, Delay.HATER])
def test_delayed_checks_let_client_and_sender_in_at_first(delay):
    found = gate("203.0.113 REJECT\nFrom:a@ REJECT\n", delay_checks=delay)
    assert said(found.check_relay()) == ""
    assert said(found.check_mail("a@far.example")) == ""


def test_with_delay_all_is_asked_at_the_recipient():
    assert delayed(Delay.YES, "joe@ours.example") == DENIED
    assert delayed(Delay.YES, "friend@ours.example") == DENIED
    table = "From:bad@far.example REJECT\n"
    assert delayed(Delay.YES, "joe@ours.example", table, "bad@far.example") == DENIED
    assert delayed(Delay.YES, "joe@ours.example", table) == ""


def test_relaying_is_asked_about_before_that():
    assert delayed(Delay.YES, "x@else.example") == NO_RELAY


def test_a_welcome_sender_spares_the_client_the_check():
    table = "Connect:203.0.113 REJECT\nFrom:good@far.example OK\n"
    assert delayed(Delay.YES, "joe@ours.example", table, "good@far.example") == ""
    assert delayed(Delay.YES, "joe@ours.example", table) == DENIED


def test_a_friend_takes_mail_from_anybody():
    assert delayed(Delay.FRIEND, "friend@ours.example") == ""
    assert delayed(Delay.FRIEND, "friend+x@ours.example") == ""
    assert delayed(Delay.FRIEND, "joe@ours.example") == DENIED
    assert delayed(Delay.FRIEND, "x@f.example", relay_domains="f.example") == ""


def test_only_a_hater_wants_mail_checked():
    assert delayed(Delay.HATER, "hater@ours.example") == DENIED
    assert delayed(Delay.HATER, "hater") == DENIED
    assert delayed(Delay.HATER, "joe@ours.example") == ""


def test_a_name_without_domain_is_one_at_our_own_host():
    table = "203.0.113 REJECT\nSpam:friend@gate.ours.example FRIEND\n"
    assert delayed(Delay.FRIEND, "friend", table) == ""


def test_a_delayed_discard_discards():
    verdict = gate("Connect:203 DISCARD\n", delay_checks=Delay.YES).check_rcpt("", "joe")
    assert verdict.is_discarded


# --- all of them


def test_the_trail_names_the_entry_that_decided():
    verdict = gate("# x\nFrom:far.example REJECT\n").check_mail("a@far.example")
    assert str(verdict.trail[-1]) == "access from:far.example: REJECT (access:2)"


@pytest.mark.parametrize(
    ("code", "reply"),
    [(550, "550 <a@b>... no"), (553, "553 <a@b>... no"), (450, "450 <a@b>... no")]
    + [(code, f"{code} no") for code in (421, 451, 452, 551, 552, 554)],
)
def test_some_replies_begin_with_the_address_as_it_was_typed(code, reply):
    assert str(addressed(Status(code, "", "no"), "<a@b>")) == reply


ADDRESSES = st.lists(
    st.sampled_from([*'ab.@%!+<>[]"\\:;,() ', "ours.example", "localhost", "node", "UUCP"]),
    max_size=12,
).map("".join)


@given(ADDRESSES, ADDRESSES)
def test_no_address_raises_anything(sender, recipient):
    for delay in Delay:
        found = gate("a@ REJECT\nSpam:b@ FRIEND\n", delay_checks=delay, domains=Zone(), **STRICT)
        found.check_mail(sender)
        found.check_rcpt(sender, recipient)
