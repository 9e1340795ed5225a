"""Where sendmail would send an address is where we send it, and what it would show we show.

Recorded answers are in tests/oracle; here the real program is asked about addresses that nobody
chose: put together at random (always the same ones), for configurations that go through our .mc
importer on the way.
"""

from __future__ import annotations

import random

import pytest

from oracle.site import Site
from peers.sendmail import Sendmail
from relaynode.cli.address_test import passages_of, run
from relaynode.policy.rewrite import rewrite
from relaynode.policy.role import Role

HOSTNAME = "gate.example.org"
ADDRESSES = 200

COMMON = "FEATURE(use_cw_file)\nFEATURE(nocanonify)\n"
MAILERS = "MAILER(local)\nMAILER(smtp)\nMAILER(uucp)\n"

TABLES = {
    "local-host-names": "hosted.example\nvirt6.example\n",
    "mailertable": """\
exact.example     esmtp:exact-gw.example.net
.dom.example      smtp:dom-gw.example.net
deep.sub.dom.example relay:deep-gw.example.net
.pct.example      smtp8:%1
.two.example      esmtp:%2.internal
bare.example      gw.example.net
errd.example      error:5.7.1:550 Mail to this host is refused
tmp.example       error:4.4.1:450 Try again tomorrow
lcl.example       local:joe
own.example       local:
box.example       smtp:bob@other.example.net
list.example      esmtp:gw1.example.net:gw2.example.net
nbr.UUCP          uucp-dom:nbr
old.UUCP          uucp-old:old
.UUCP             uucp-new:uurelay
.net              esmtp:net-gw.example.net
""",
    "virtusertable": """\
root@virt.example      root
alice@virt.example     alice
info@virt.example      alice@example.com
gone@virt.example      error:nouser 550 No such user here
shut@virt.example      error:5.7.0:550 Address closed
plus+*@virt.example    pp-%2@example.com
chain@virt.example     chain@virt2.example
chain@virt2.example    carol
@virt.example          joe
one++@virt3.example    one-nonempty-%2
one@virt3.example      one-plain
+*@virt3.example       det-%1-%2
@virt3.example         %1%3@example.net
@virt6.example         keep-%1
""",
    "genericstable": """\
joe                   joe.user@example.org
alice                 alice.a
a.b                   ab@example.com
carol+*               carol-%1@example.org
u+d@lan.example.org   ud
bob@lan.example.org   bob.b@example.com
@old.example          %1@new.example
""",
}

VIRTUAL = (
    "FEATURE(virtusertable,`hash {folder}/virtusertable')\n"
    "VIRTUSER_DOMAIN(`virt.example virt2.example virt3.example')\n"
)
MAILERTABLE = "FEATURE(mailertable,`hash {folder}/mailertable')\n"
GENERICS = (
    "FEATURE(genericstable,`hash {folder}/genericstable')\n"
    "GENERICS_DOMAIN(`lan.example.org old.example')\n"
)

ROUTES = {
    "tables": MAILERTABLE + VIRTUAL,
    "virtual domains and all below": VIRTUAL + "FEATURE(virtuser_entire_domain)\n",
    "smart host": "define(`SMART_HOST',`relay.example.net')\n" + VIRTUAL,
    "smart hosts": "define(`SMART_HOST',`gw.example.net:[192.0.2.30]')\nLOCAL_USER(`root')\n",
    "smart host by UUCP": MAILERTABLE + "define(`SMART_HOST',`uucp-dom:isp')\n",
    "UUCP relay": VIRTUAL + "define(`UUCP_RELAY',`uucp-new:isp')\n",
    "UUCP and smart host": (
        "define(`UUCP_RELAY',`uu.example.net')\ndefine(`SMART_HOST',`esmtp:gw')\n"
    ),
    "hub for qualified names": (
        MAILERTABLE + "FEATURE(stickyhost)\ndefine(`MAIL_HUB',`hub.example.net')\n"
    ),
    "plain bangs": VIRTUAL + "FEATURE(nouucp,`nospecial')\n",
}

HIDES = "MASQUERADE_AS(`example.net')\n"
WRITES = {
    "plain": "",
    "masquerade": HIDES + "EXPOSED_USER(`root')\n",
    "all headers": HIDES + "FEATURE(allmasquerade)\n",
    "all headers and envelope": HIDES + "FEATURE(allmasquerade)\nFEATURE(masquerade_envelope)\n",
    "domains": (
        HIDES
        + "MASQUERADE_DOMAIN(`lan.example.org')\nFEATURE(masquerade_entire_domain)\n"
        + "FEATURE(masquerade_envelope)\nMASQUERADE_EXCEPTION(`x.lan.example.org')\n"
    ),
    "limited": HIDES + "MASQUERADE_DOMAIN(`lan.example.org')\nFEATURE(limited_masquerade)\n",
    "always a domain": HIDES + "FEATURE(always_add_domain)\nFEATURE(allmasquerade)\n",
    "not in mailboxes": HIDES + "FEATURE(local_no_masquerade)\nFEATURE(allmasquerade)\n",
    "generics": GENERICS,
    "generics and masquerade": HIDES + GENERICS + "FEATURE(masquerade_envelope)\n",
    "generics of all below": GENERICS + "FEATURE(generics_entire_domain)\n",
    "UUCP relay": HIDES + "define(`UUCP_RELAY',`uucp-dom:isp.example')\n",
    "plain bangs": HIDES + "FEATURE(nouucp,`reject')\n",
}

USERS = (
    'joe alice a.b u+d u+ +x plus+z one+q "quo_ted" "x@y.example" a!b h!u n.dom!u a%b a%b%c.example'
    " root J.Doe \\alice o'brien info chain x/y nbr!far!u a!b!c!d nbr.example!x!y =x ~x a^b"
    ' "joe" UPPER gone shut carol+work bob "a"b joe%gate.example.org joe%localhost%x a%nbr.uucp'
    ' nbr.example!h!u%localhost "|prog" /file x%y@z joe+ a..b .a a. a@b%c 1.2'
).split()
HOSTS = (
    "@gate.example.org @GATE.example.org @localhost @virt.example @virt2.example @virt3.example"
    " @virt6.example @hosted.example @sub.virt.example @exact.example @a.b.dom.example"
    " @deep.sub.dom.example @x.pct.example @a.b.pct.example @c.d.two.example @bare.example"
    " @errd.example @tmp.example @lcl.example @own.example @box.example @list.example @nbr.UUCP"
    " @old.UUCP @other.UUCP @a.b.UUCP @short @x.com @y.net @[10.1.2.3] @[IPv6:2001:db8::1]"
    " @foo.example. @x..y @.x @lan.example.org @pc.lan.example.org @x.lan.example.org @old.example"
    " @sub.old.example @a@b.example @x-y.example @a+b.dom.example @localhost.example.org"
    " %q.example !tail @NBR.uucp @a.b.Uucp @nbr @localhost.uucp @[192.0.2.1 @[] @a..b.dom.example"
    " @dom.example @two.example @x.two.example @.net @virt6.example. %gate.example.org"
    " %x%gate.example.org !gate.example.org @x!y @x%y @Hosted.Example."
).split()
FRAMES = ("{}", "{}", "{}", "{}", "<{}>", "Joe <{}>", "{} (note)", "<@a,@b:{}>", "list: {};")


def addresses(seed: str, *, with_frames: bool) -> list[str]:
    chosen = random.Random(seed)
    found = []
    for _ in range(ADDRESSES):
        address = chosen.choice(USERS).replace("_", " ") + chosen.choice(["", *HOSTS])
        found.append(chosen.choice(FRAMES).format(address) if with_frames else address)
    return found


@pytest.fixture
def both(tmp_path):
    """Real sendmail and our site, for the same .mc and the same tables."""

    def make(features: str) -> tuple[Sendmail, Site]:
        mailers = MAILERS.replace("MAILER(uucp)\n", "") if "nouucp" in features else MAILERS
        folder = tmp_path / "sendmail"
        folder.mkdir()
        real = Sendmail(folder, HOSTNAME, COMMON + features + mailers, TABLES)
        recorded = {"hostname": HOSTNAME, "mc": real.mc, "files": TABLES}
        return real, Site("site", recorded, tmp_path / "site")

    return make


@pytest.mark.parametrize("name", ROUTES)
def test_an_address_goes_where_sendmail_sends_it_by_the_same_rules(name, both):
    real, site = both(ROUTES[name])
    asked = addresses(name, with_frames=True)
    for address, lines in zip(asked, real.parse(asked), strict=True):
        decision = site.rules.routing.route(address)
        ours = [*passages_of(decision.passages), str(decision.route)]
        theirs = [line for line in lines if line in ours or _is_answer(line)]
        assert ours == theirs, address


def _is_answer(line: str) -> bool:
    """A passage through a ruleset, or the mailer at the end; not a message to the user."""
    return " input: " in line or " returns: " in line or line.startswith("mailer ")


@pytest.mark.parametrize("name", WRITES)
def test_an_address_is_written_as_sendmail_writes_it(name, both):
    real, site = both(WRITES[name])
    mailers = ["smtp", "esmtp", "smtp8", "relay", "local", "prog"]
    if "nouucp" not in WRITES[name]:
        mailers += ["uucp-old", "uucp-new", "uucp-dom", "uucp-uudom"]
    chosen = random.Random(name)
    asked = [(chosen.choice(mailers), one) for one in addresses(name, with_frames=False)]
    roles = dict(zip(("HS", "HR", "ES", "ER"), Role, strict=True))
    for (mailer, address), theirs in zip(asked, real.rewrite(asked), strict=True):
        ours = {
            flags: rewrite(site.rules.masquerade, address, role, mailer=mailer).result
            for flags, role in roles.items()
        }
        assert ours == theirs, (mailer, address)


NAMED = """\
3,4 foo@example.com
EnvToSMTP foo
3,EnvToSMTP foo@nbr.UUCP
3,MasqHdr joe
3,1,HdrFromSMTP,4 joe
3,HdrFromSMTP foo@far.example
3,EnvFromSMTP,4 alice@gate.example.org
canonify,parse joe@exact.example
97 info@virt.example
3,EnvToL,final joe+x@localhost
3,HdrFromL,HdrToL joe
3,FromU joe@gate.example.org
3,EnvToU,4 foo@example.com
3,HdrToU nbr!far!u
3,EnvFromUD,4 joe
3,EnvFromUUD,4 foo@nbr.UUCP
3,PseudoToReal a!b!c
3,MasqSMTP joe
11 a
3,Parse0 "a@b"@localhost
3,0 a@b, c@d
NoSuchSet x
/map mailertable exact.example
/map virtuser alice@virt.example
/map virtuser nobody@virt.example
/map nosuch x
/tryflags ES
/try relay joe
/tryflags HR
/try uucp-old foo@example.com
/try nosuch x
/parse joe D. <joe@x.example>
$j
${nothing}
$=O
"""


def test_named_rulesets_and_maps_answer_as_sendmails(both):
    real, site = both(MAILERTABLE + VIRTUAL + HIDES)
    theirs = real.address_test(NAMED.splitlines())
    ours = "".join(run(site.rules, NAMED.splitlines(), lambda domain: []))
    assert _lines(ours) == _lines(theirs)


def _lines(said):
    """The lines that answer, in order; those of a class come in any order."""
    lines = [line.removeprefix("> ").removeprefix("> ") for line in said.split("\n")]
    lines = [line for line in lines if not line.startswith(("Cracked", "WARNING"))]
    return lines[:-4] + sorted(lines[-4:])
