"""What the tests of the access checks share: rules, clients, and a DNS that is a dictionary."""

from relaynode.policy.access import Gate
from relaynode.policy.access_rules import AccessRules, AccessSettings, Existence
from relaynode.policy.client import Client, NameState
from relaynode.policy.names import Names
from relaynode.tables.access import parse_access
from relaynode.tables.relay_domains import parse_relay_domains

NAMES = Names(
    hostname="gate.ours.example",
    local=frozenset({"gate.ours.example", "ours.example", "localhost", "[192.0.2.1]"}),
)

STRICT = {"accept_unresolvable_domains": False, "accept_unqualified_senders": False}


class Zone:
    """Domains by name: what exists, or its MX hosts; None is a server that fails."""

    def __init__(self, **found):
        self.found = {name.replace("_", "."): hosts for name, hosts in found.items()}
        self.asked = []

    def existence(self, domain):
        self.asked.append(domain)
        if domain in self.found and self.found[domain] is None:
            return Existence.UNKNOWN
        return Existence.EXISTS if domain in self.found else Existence.MISSING

    def mail_exchangers(self, domain):
        self.asked.append(domain)
        return self.found.get(domain, ())


def named(name, address="203.0.113.9"):
    """A client with a name that leads back to it."""
    return Client(address=address, name=name, name_state=NameState.VERIFIED)


STRANGER = named("host.stranger.example")


def gate(table="", client=STRANGER, *, relay_domains="", domains=None, names=NAMES, **settings):
    """The checks for a client, with an access table and settings of their own."""
    access, _ = parse_access(table, "access")
    rules = AccessRules(
        names=names,
        table=access,
        relay_domains=parse_relay_domains(relay_domains, "relay-domains")[0],
        settings=AccessSettings(**settings),
        domains=domains,
    )
    return Gate(rules, client)


def said(verdict):
    """What the client is told, "" for yes."""
    return "" if verdict.status is None else str(verdict.status)


def mail(sender, table="", client=STRANGER, **more):
    """What is said to a sender."""
    return said(gate(table, client, **more).check_mail(sender))


def rcpt(recipient, table="", client=STRANGER, *, sender="a@far.example", **more):
    """What is said to a recipient."""
    return said(gate(table, client, **more).check_rcpt(sender, recipient))
