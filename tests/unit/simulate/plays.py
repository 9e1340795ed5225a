"""Simulations for tests: traces against plans in which one hop leads over each link."""

from relaynode.policy.order import Order
from relaynode.queue.retry import RetryPolicy
from relaynode.simulate.plan import AccountPlan, Hop, LinkPlan, Plan
from relaynode.simulate.simulator import Simulator
from relaynode.simulate.trace import Reader

START = "2026-11-01 06:00 "


def utc(_):
    return 0


def read(text, links=("isp",), accounts=("box",)):
    """The trace and the reader, which has the problems."""
    reader = Reader("t.trace", utc, links, accounts)
    return reader.read(text), reader


def play(text, *links, accounts=(), order=None, hop=None):
    """The outcome of a trace. Mail to host.LINK goes over that link; an account is on `isp`."""
    links = {one.name: one for one in links or (LinkPlan("isp"),)}
    accounts = {name: AccountPlan(name, "isp", goes_on=goes_on) for name, goes_on in accounts}
    trace, reader = read(text, links, accounts)
    assert not reader.problems, reader.problems
    plan = Plan(
        links,
        accounts,
        hop or (lambda mail, up: Hop("host", mail.recipient.partition("@")[2] or "isp")),
        order or Order(),
        RetryPolicy().next_attempt_at,
        utc,
    )
    return Simulator(plan, trace).run(has_end=reader.has_end)


def order_sent(outcome):
    """The sizes of the mails that went out, in the order in which they did."""
    sent = [one for one in outcome.outgoing if one.delivered_at is not None]
    return [one.event.size_bytes for one in sorted(sent, key=lambda one: one.delivered_at)]
