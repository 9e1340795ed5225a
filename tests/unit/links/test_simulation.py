"""A configuration as a plan for the simulator: links, accounts, and where mail goes."""

import pytest

from nodes import TestNode
from relaynode.links.simulation import plan_of
from relaynode.simulate.events import MailOut

SECTIONS = """
[link.isp]
kind = "event"
bits_per_second = 9600
timetable = "every 2 hours"
[link.sat]
kind = "always"
window = "Any2200-0600"
[smart_host.isp]
host = "mail.isp.example"
tls = "starttls"
user = "node"
password_file = "password"
link = "isp"
[smart_host.sat]
host = "mail.sat.example"
tls = "none"
link = "sat"
[account.isp]
protocol = "imap"
host = "imap.isp.example"
tls = "tls"
user = "node"
password_file = "password"
deliver_to = "user"
link = "isp"
[order]
ageing_hours = 6
"""


@pytest.fixture
def plan(tmp_path):
    keys = 'smart_host = ["isp", "sat"]\nlocal_domains = ["bsd.home"]'
    node = TestNode(
        tmp_path,
        SECTIONS,
        node_keys=keys,
        tables={"mailertable": "sat.example\tsmtp:[mail.sat.example]\n"},
    )
    node.password("password")
    return plan_of(node.config())


def test_links_are_as_they_are_configured(plan):
    isp, sat = plan.links["isp"], plan.links["sat"]
    assert (isp.kind, isp.line.bits_per_second, isp.timetable.texts) == (
        "event",
        9600,
        ("every 2 hours",),
    )
    assert (sat.kind, str(sat.window)) == ("always", "Any0000-0600,Any2200-0000")
    assert not isp.budget.is_set


def test_an_imap_account_goes_on_where_it_was_cut(plan):
    account = plan.accounts["isp"]
    assert (account.link, account.security, account.goes_on) == ("isp", "tls", True)


def test_the_order_is_the_configured_one(plan):
    assert plan.order.ageing_seconds == 6 * 3600


def test_mail_goes_over_the_first_smart_host_whose_link_is_up(plan):
    mail = MailOut(0, 1000)
    assert plan.hop(mail, frozenset(("isp", "sat"))).link == "isp"
    assert plan.hop(mail, frozenset(("sat",))).link == "sat"
    assert plan.hop(mail, frozenset()).link == "isp"


def test_tables_say_where_mail_goes(plan):
    mail = MailOut(0, 1000, "user@bsd.home", "friend@sat.example")
    assert plan.hop(mail, frozenset(("isp", "sat"))).link == "sat"


def test_mail_for_us_stays_here(plan):
    assert plan.hop(MailOut(0, 1000, "", "user@bsd.home"), frozenset()).link is None


def test_a_server_with_a_login_and_starttls_is_spoken_to_so(plan):
    server = plan.hop(MailOut(0, 1000), frozenset(("isp",))).server
    assert (server.security, server.login_round_trips) == ("starttls", 1)
