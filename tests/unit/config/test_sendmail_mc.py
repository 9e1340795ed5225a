"""A sendmail .mc becomes the relaynode.toml that does the same, and drops nothing silently."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from relaynode.config.imported import NoteKind
from relaynode.config.loader import load
from relaynode.config.sendmail_mc import import_mc

CASES = Path(__file__).parents[2] / "oracle" / "sendmail-cases.json"
CONFIGS = json.loads(CASES.read_text(encoding="utf-8"))["configs"]

FEATURES_OF_8_17 = """
    accept_unqualified_senders accept_unresolvable_domains access_db allmasquerade
    always_add_domain authinfo badmx bcc bestmx_is_local bitdomain blacklist_recipients
    block_bad_helo blocklist_recipients check_cert_altnames check_other compat_check conncontrol
    delay_checks dnsbl domainmap domaintable drac enhdnsbl generics_entire_domain genericstable
    greet_pause ldap_routing limited_masquerade local_lmtp local_no_masquerade local_procmail
    lookupdotdomain loose_relay_check mailertable masquerade_entire_domain masquerade_envelope msp
    mtamark no_default_msa nocanonify nopercenthack notsticky nouucp nullclient prefixmod
    preserve_local_plus_detail preserve_luser_host promiscuous_relay queuegroup ratecontrol
    redirect relay_based_on_MX relay_entire_domain relay_hosts_only relay_local_from
    relay_mail_from require_rdns rhsbl smrsh stickyhost sts tls_failures tls_session_features
    use_client_ptr use_ct_file use_cw_file uucpdomain virtuser_entire_domain virtusertable vnet
"""


@pytest.fixture
def loaded(tmp_path):
    def loader(toml):
        path = tmp_path / "relaynode.toml"
        path.write_text(toml)
        return load(path)

    return loader


def settings(mc):
    return import_mc(mc, "x.mc").settings


def setting(mc, path):
    value = settings(mc)
    for key in path.split("."):
        value = value[key]
    return value


def notes(mc, kind):
    return [str(note) for note in import_mc(mc, "x.mc").notes if note.kind is kind]


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_recorded_configuration_is_understood_and_loads(loaded, name):
    imported = import_mc(CONFIGS[name]["mc"], f"{name}.mc")
    assert imported.not_understood == []
    assert tomllib.loads(imported.toml) == imported.settings
    assert loaded(imported.toml)


@pytest.mark.parametrize(
    ("mc", "path", "value"),
    [
        ("MASQUERADE_AS(`example.net')dnl", "masquerade.as", "example.net"),
        ("define(`MASQUERADE_NAME', `example.net')", "masquerade.as", "example.net"),
        ("DMexample.net", "masquerade.as", "example.net"),
        ("FEATURE(allmasquerade)", "masquerade.all", True),
        ("FEATURE(`masquerade_envelope')dnl", "masquerade.envelope", True),
        ("FEATURE(masquerade_entire_domain)", "masquerade.entire_domain", True),
        ("FEATURE(limited_masquerade)", "masquerade.limited", True),
        ("FEATURE(local_no_masquerade)", "masquerade.local", False),
        ("MASQUERADE_DOMAIN(`a.example b.example')", "masquerade.domains", 2),
        ("CM a.example\nCMb.example", "masquerade.domains", 2),
        ("MASQUERADE_DOMAIN_FILE(`/etc/mail/d')", "masquerade.domains", ["/etc/mail/d"]),
        ("MASQUERADE_EXCEPTION(`x.example')", "masquerade.exceptions", ["x.example"]),
        ("MASQUERADE_EXCEPTION_FILE(`/m/x')", "masquerade.exceptions", ["/m/x"]),
        ("EXPOSED_USER(`root')\nEXPOSED_USER(`daemon root')", "masquerade.exposed_users", 2),
        ("CE root", "masquerade.exposed_users", ["root"]),
        ("C{E} root", "masquerade.exposed_users", ["root"]),
        ("EXPOSED_USER_FILE(`/etc/mail/exposed')", "masquerade.exposed_users", 1),
        ("DOMAIN(generic)", "masquerade.exposed_users", ["root"]),
        ("GENERICS_DOMAIN(`a.example b.example')", "masquerade.generics_domains", 2),
        ("GENERICS_DOMAIN_FILE(`/m/g')", "masquerade.generics_domains", ["/m/g"]),
        ("CGa.example", "masquerade.generics_domains", ["a.example"]),
        ("FEATURE(generics_entire_domain)", "masquerade.generics_entire_domain", True),
        ("define(`SMART_HOST', `relay.example.net')", "routing.smart_host", "relay.example.net"),
        ("define(`SMART_HOST', `smtp8:[10.0.0.1]')", "routing.smart_host", "smtp8:[10.0.0.1]"),
        ("DSuucp-dom:isp", "routing.smart_host", "uucp-dom:isp"),
        ("define(`UUCP_RELAY', your.uucp.relay)", "routing.uucp_relay", "your.uucp.relay"),
        ("define(`MAIL_HUB',`smtp:hub.example')", "routing.mail_hub", "smtp:hub.example"),
        ("define(`LOCAL_RELAY',`hub.example')", "routing.local_relay", "hub.example"),
        ("define(`LUSER_RELAY',`local:joe')", "routing.luser_relay", "local:joe"),
        ("define(`LUSER_RELAY',`error:5.1.1:550 x')", "routing.luser_relay", "error:5.1.1:550 x"),
        ("FEATURE(stickyhost)", "routing.stickyhost", True),
        ("LOCAL_USER(`root')", "routing.local_users", ["root"]),
        ("CLroot news", "routing.local_users", ["root", "news"]),
        ("MAILER(uucp)", "routing.uucp_mailer", True),
        ("CUnbr other", "routing.uucp_old", ["nbr", "other"]),
        ("CYnbr", "routing.uucp_new", ["nbr"]),
        ("CZnbr", "routing.uucp_uudom", ["nbr"]),
        ("SITE(`a b')", "routing.uucp_old", ["a", "b"]),
        ("SITE(`a', `S')", "routing.uucp_new", ["a"]),
        ("SITECONFIG(`uucp.x', `gate', U)", "node.local_domains", ["gate", "gate.UUCP"]),
        ("define(`UUCP_MAX_SIZE', 200000)", "routing.uucp_max_size_bytes", 200000),
        ("define(`UUCP_MAILER_PATH',`/opt/bin/uux')", "routing.uux", "/opt/bin/uux"),
        ("FEATURE(nouucp,`nospecial')", "routing.bang_paths", "plain"),
        ("FEATURE(`nouucp', `reject')", "routing.bang_paths", "reject"),
        ("FEATURE(nouucp)", "routing.bang_paths", "plain"),
        ("VIRTUSER_DOMAIN(`a.example b.example')", "routing.virtual_domains", 2),
        ("VIRTUSER_DOMAIN_FILE(`/m/v')", "routing.virtual_domains", ["/m/v"]),
        ("C{VirtHost}a.example", "routing.virtual_domains", ["a.example"]),
        ("F{VirtHost}-o /m/v %[^\\#]", "routing.virtual_domains", ["/m/v"]),
        ("FEATURE(virtuser_entire_domain)", "routing.virtual_entire_domain", True),
        ("Cw a.example\nCwb.example a.example", "node.local_domains", ["a.example", "b.example"]),
        ("LOCAL_DOMAIN(`x.UUCP')", "node.local_domains", ["x.UUCP"]),
        ("Fw/etc/sendmail.cw", "node.local_domains", ["/etc/sendmail.cw"]),
        ("define(`confCW_FILE', `-o /m/names')", "node.local_domains", ["/m/names"]),
        ("Dmbsd.home\nCw gate.$m", "node.local_domains", ["gate.bsd.home"]),
        ("define(`confDOMAIN_NAME',`bsd.home')", "node.hostname", "bsd.home"),
        ("Djbsd.home", "node.hostname", "bsd.home"),
        ("Dwgate\nDmbsd.home\nDj$w.$m", "node.hostname", "gate.bsd.home"),
        ("FEATURE(mailertable, `hash -o /m/mailertable')", "node.tables", "/m"),
        ("FEATURE(access_db, `hash -T<TMPF> /m/access.db')", "node.tables", "/m"),
        ("define(`MAIL_SETTINGS_DIR', `/usr/local/mail/')", "node.tables", "/usr/local/mail"),
        ("define(`ALIAS_FILE', `/etc/aliases')", "local.aliases", "/etc/aliases"),
        ("define(`ALIAS_FILE', `hash:/a,dbm:/b')", "local.aliases", "/a"),
        ("FEATURE(mailertable, `hash /m/mailertable')", "local.aliases", "/etc/mail/aliases"),
        ("define(`confFORWARD_PATH', `')", "local.forward", []),
        ("FEATURE(always_add_domain)", "local.always_add_domain", True),
        ("FEATURE(preserve_local_plus_detail)", "local.preserve_plus_detail", True),
        ("", "access.accept_unresolvable_domains", False),
        ("FEATURE(accept_unresolvable_domains)", "access.accept_unresolvable_domains", True),
        ("", "access.accept_unqualified_senders", False),
        ("FEATURE(accept_unqualified_senders)", "access.accept_unqualified_senders", True),
        ("", "access.blocklist_recipients", False),
        ("FEATURE(`blacklist_recipients')", "access.blocklist_recipients", True),
        ("FEATURE(`blocklist_recipients')", "access.blocklist_recipients", True),
        ("FEATURE(delay_checks)", "access.delay_checks", "yes"),
        ("FEATURE(delay_checks, `friend')", "access.delay_checks", "friend"),
        ("FEATURE(delay_checks, `Hater')", "access.delay_checks", "hater"),
        ("FEATURE(relay_mail_from)", "access.relay_mail_from", "address"),
        ("FEATURE(relay_mail_from, `domain')", "access.relay_mail_from", "domain"),
        ("FEATURE(relay_based_on_MX)", "access.relay_based_on_mx", True),
        ("FEATURE(relay_entire_domain)", "access.relay_entire_domain", True),
        ("FEATURE(relay_hosts_only)", "access.relay_hosts_only", True),
        ("FEATURE(relay_local_from)", "access.relay_local_from", True),
        ("FEATURE(promiscuous_relay)", "access.promiscuous_relay", True),
        ("FEATURE(loose_relay_check)", "access.loose_relay_check", True),
        ("RELAY_DOMAIN(`a.example 198.51.100')", "access.relay_domains", 2),
        ("RELAY_DOMAIN(`IPv6:2001:db8')", "access.relay_domains", ["IPv6:2001:db8"]),
        ("CRa.example", "access.relay_domains", ["a.example"]),
        ("RELAY_DOMAIN_FILE(`/m/r')", "access.relay_domains", ["/m/r"]),
        (
            "FEATURE(access_db, `hash /etc/mail/access', `skip', `lookupdotdomain')",
            "access.look_up_dot_domain",
            True,
        ),
        ("FEATURE(lookupdotdomain)", "access.look_up_dot_domain", True),
        ("FEATURE(access_db, , `relaytofulladdress')", "access.relay_to_full_address", True),
        ("", "access.look_up_clients", True),
        ("FEATURE(nodns)", "access.look_up_clients", False),
        ("define(`confMAX_HOP', `30')", "queue.max_hops", 30),
        ("O MaxHopCount=30", "queue.max_hops", 30),
        ("define(`confMAX_MESSAGE_SIZE', 5000000)", "queue.message_size_bytes", 5000000),
        ("define(`confTO_QUEUERETURN', `2w')", "queue.give_up_after_days", 14),
        ("define(`confTO_QUEUERETURN', `36h')", "queue.give_up_after_days", 2),
        ("define(`confTO_QUEUEWARN', `8h')", "queue.warn_after_hours", 8),
        ("define(`confTO_QUEUEWARN', `1d')", "queue.warn_after_hours", 24),
        ("define(`confTO_QUEUEWARN_NORMAL', `90m')", "queue.warn_after_hours", 2),
        ("define(`confTO_QUEUEWARN', `0')", "queue.warn_after_hours", 0),
        ("O Timeout.queuereturn=3d", "queue.give_up_after_days", 3),
        ("define(`confDELIVERY_MODE', `queueonly')", "link.isp.kind", "event"),
        ("define(`confDELIVERY_MODE', `d')", "access.look_up_clients", False),
        ("define(`confDELIVERY_MODE', `d')", "access.accept_unresolvable_domains", True),
        ("DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1')", "listen.mta.smtp", ["127.0.0.1:25"]),
        ("DAEMON_OPTIONS(`A=::1, Port=submission')", "listen.smtp.smtp", ["[::1]:587"]),
        ("FEATURE(nullclient, `hub.example')", "routing.mail_hub", "hub.example"),
        ("FEATURE(nullclient, `hub.example')", "masquerade.envelope", True),
    ],
)
def test_what_has_a_setting_becomes_it(loaded, mc, path, value):
    imported = import_mc(mc, "x.mc")
    found = setting(mc, path)
    assert (len(found) if isinstance(value, int) and isinstance(found, list) else found) == value
    assert tomllib.loads(imported.toml) == imported.settings
    assert loaded(imported.toml)


def test_the_forward_path_is_sendmails_own_unless_another_is_set(loaded):
    assert setting("", "local.forward") == ["~/.forward.{node}", "~/.forward"]
    mc = "define(`confFORWARD_PATH', `/var/forward/$u:$z/.forward.$w+$h')"
    assert setting(mc, "local.forward") == ["/var/forward/{user}", "~/.forward.{node}+{detail}"]
    assert loaded(import_mc(mc, "x").toml)


def test_expensive_mailers_wait_for_a_link_only_if_there_are_any():
    hold = "define(`confCON_EXPENSIVE', `True')\n"
    assert "link" not in settings(hold)
    for mc in ("define(`SMTP_MAILER_FLAGS', `e')", "MODIFY_MAILER_FLAGS(`RELAY', `+e')"):
        assert setting(hold + mc, "link.isp.kind") == "event"
        assert "link" not in settings(mc)


@pytest.mark.parametrize("line", ["DSa.b", "DYa.b", "DHa.b", "DRa.b", "DLa.b", "DMa.b"])
def test_a_macro_line_without_effect_in_sendmail_is_taken_as_meant_and_told(line):
    assert "a.b" in import_mc(line, "x.mc").toml
    assert "has no effect in sendmail, and has one here" in notes(line, NoteKind.DIFFERS)[-1]
    strict = import_mc(line, "x.mc", in_order=True)
    assert "a.b" not in strict.toml
    assert any("has no effect in sendmail; write define(`" in str(note) for note in strict.notes)


def test_a_smart_host_line_has_effect_behind_local_config():
    imported = import_mc("LOCAL_CONFIG\nDSa.b\n", "x.mc", in_order=True)
    assert imported.settings["routing"]["smart_host"] == "a.b"
    assert not any("no effect" in str(note) for note in imported.notes)


@pytest.mark.parametrize("feature", ["allmasquerade", "always_add_domain", "local_no_masquerade"])
def test_a_feature_behind_mailer_is_taken_as_meant_and_told(feature):
    mc = f"MAILER(local)\nMAILER(smtp)\nFEATURE({feature})\n"
    early = f"FEATURE({feature})\nMAILER(local)\nMAILER(smtp)\n"
    assert settings(mc) == settings(early)
    assert any(
        "has no effect in sendmail, and has one here" in n for n in notes(mc, NoteKind.DIFFERS)
    )
    strict = import_mc(mc, "x.mc", in_order=True)
    assert strict.settings != settings(mc)
    assert any("has no effect in sendmail; " in str(note) for note in strict.notes)


def test_the_order_of_feature_and_mailer_does_not_matter():
    lines = [
        "MASQUERADE_AS(`example.net')",
        "FEATURE(allmasquerade)",
        "MAILER(local)",
        "MAILER(smtp)",
    ]
    assert settings("\n".join(lines)) == settings("\n".join(reversed(lines)))


def test_a_relay_that_is_undefined_is_none():
    assert (
        "smart_host"
        not in settings("define(`SMART_HOST',`a.b')\nundefine(`SMART_HOST')")["routing"]
    )


@pytest.mark.parametrize("name", FEATURES_OF_8_17.split())
def test_every_feature_of_sendmail_has_an_answer(name):
    argument = {"delay_checks": "friend", "relay_mail_from": "domain"}.get(name, "reject")
    assert notes(f"FEATURE(`{name}', `{argument}')", NoteKind.NOT_UNDERSTOOD) == []


@pytest.mark.parametrize(
    "mc",
    [
        "VERSIONID(`x')",
        "OSTYPE(bsd4.4)dnl",
        "FEATURE(no_default_msa)",
        "FEATURE(use_cw_file)",
        "MAILER(local)",
        "MAILER(`smtp')",
        "define(`confDONT_PROBE_INTERFACES')",
        "define(`confTO_IDENT', `0')",
        "include(`../m4/cf.m4')",
        "Dmbsd.home",
        "define(`confCW_FILE', `/etc/mail/local-host-names')",
        "define(`confDELIVERY_MODE', `b')",
        "define(`confDOMAIN_NAME', `$w.$m')",
        "define(`SMART_HOST', `')",
        "define(`confTRUSTED_USERS', `root')",
        "FEATURE(use_ct_file)",
        "FEATURE(authinfo)",
        "define(`HERE', `x.example')\nCw HERE",
    ],
)
def test_what_needs_no_setting_is_told_as_harmless(mc):
    assert len(notes(mc, NoteKind.HARMLESS)) == 1
    assert notes(mc, NoteKind.NOT_UNDERSTOOD) == []


@pytest.mark.parametrize(
    ("mc", "part"),
    [
        ("TRUST_AUTH_MECH(`PLAIN')", "not read yet"),
        ("define(`confAUTH_MECHANISMS', `PLAIN')", "says it for that host"),
        ("define(`confDEF_AUTH_INFO', `/etc/mail/auth-info')", "default-auth-info are read"),
        ("define(`confDELIVERY_MODE', `deferred')", "relaynode linkup isp"),
        ("define(`confMAX_MESSAGE_SIZE', `0')", "always is a limit"),
        ("DAEMON_OPTIONS(`Port=smtp, Addr=192.168.1.1')", "listening on 192.168.1.1, port 25"),
        ("DOMAIN(`here')", "here.m4 is not read"),
        ("FEATURE(mailertable, `ldap -k x')", "the map ldap -k x is not read"),
        ("FEATURE(mailertable, `hash /etc/mail/mt')", "read from a file named mailertable"),
        ("# FEATURE(allmasquerade)", "hides nothing from m4"),
        ("define(`RELAY_MAILER_ARGS', `TCP $h 587')", "RELAY_MAILER_ARGS: not done here"),
        ("define(`confTO_QUEUERETURN', `36h')", "rounded up"),
        ("FEATURE(nouucp)", "nospecial is meant"),
        ("Cw good.example .bad.example", ".bad.example is no name"),
        ("define(`confTRUSTED_USERS', `root news')", "trusted-users; root may always"),
        ("Ctnews", "Ct: who may name any sender"),
        ("FEATURE(dnsbl, `x.example')", "FEATURE(dnsbl): not done here"),
        ("FEATURE(mailertable, `a /a/mailertable')\nFEATURE(access_db, `a /b/access')", "/b: all"),
    ],
)
def test_what_is_otherwise_here_is_told(mc, part):
    assert part in "\n".join(notes(mc, NoteKind.DIFFERS))
    assert notes(mc, NoteKind.NOT_UNDERSTOOD) == []


@pytest.mark.parametrize(
    ("mc", "note"),
    [
        (
            "\nFEATURE(mailertabel)",
            "x.mc:2: FEATURE(mailertabel): not understood; did you mean mail",
        ),
        (
            "define(`SMARTHOST', `a.b')",
            "x.mc:1: define(SMARTHOST): not understood; did you mean SMART_",
        ),
        ("FOO(`x')", "x.mc:1: FOO: not understood"),
        ("MAILER(`nosuch')", "x.mc:1: MAILER(nosuch): not understood"),
        ("ifdef(`X', `FEATURE(`allmasquerade')')", "x.mc:1: ifdef(...): not understood"),
        ("include(`/etc/mail/more.m4')", "include(/etc/mail/more.m4): not understood"),
        (
            "LOCAL_RULE_0\nR$*\t$#smtp\nR$*\t$@ z",
            "x.mc:2: LOCAL_RULE_0: not understood: lines 2 to 3",
        ),
        ("LOCAL_CONFIG\nKmine hash /m", "x.mc:2: LOCAL_CONFIG: not understood: this line"),
        ("HX-Mine: yes", "x.mc:1: not understood: this line, beginning with HX-Mine"),
        ("CX a.b", "x.mc:1: CX: not understood, nothing is known of class X"),
        ("DZ8", "x.mc:1: DZ8: not understood"),
        ("O NoSuch=x", "x.mc:1: O NoSuch=x: not understood"),
        ("O Privacy", "x.mc:1: O Privacy: not understood"),
        ("Fw|/bin/names", "x.mc:1: Fw: |/bin/names: not understood"),
        ("define(`confMAX_HOP', `many')", "x.mc:1: confMAX_HOP: many is no number above 0"),
        ("define(`confTO_QUEUERETURN', `soon')", "x.mc:1: confTO_QUEUERETURN: soon is no time"),
        (
            "define(`SMART_HOST', `smpt:a.b')",
            "smpt:a.b is no relay: unknown mailer smpt; did you mean smtp?",
        ),
        ("MASQUERADE_AS(`')", "x.mc:1: MASQUERADE_AS: nothing is no domain"),
        ("undefine(`confX')", "x.mc:1: undefine(confX): not understood"),
        ("FEATURE(nouucp, `maybe')", "x.mc:1: FEATURE(nouucp): maybe: not understood"),
        ("define(`confFORWARD_PATH', `$z/.f:$q/x')", "confFORWARD_PATH: $q/x: not understood"),
        ("HACK(`x')", "x.mc:1: HACK(...): not understood"),
        ("`Cw a", "x.mc:1: this quote or parenthesis is never closed"),
    ],
)
def test_what_is_not_understood_is_listed_with_its_line(loaded, mc, note):
    found = notes(mc, NoteKind.NOT_UNDERSTOOD)
    assert len(found) == 1
    assert note in found[0]
    assert loaded(import_mc(mc, "x.mc").toml)


def test_the_toml_says_where_a_setting_is_from_and_breaks_long_lists(loaded):
    domains = " ".join(f"domain{n}.example" for n in range(20))
    toml = import_mc(f"MASQUERADE_AS(`a.b')\nVIRTUSER_DOMAIN(`{domains}')", "x.mc").toml
    assert 'as = "a.b"                                # MASQUERADE_AS\n' in toml
    assert '# VIRTUSER_DOMAIN\nvirtual_domains = [\n    "domain0.example",\n' in toml
    assert max(map(len, toml.split("\n"))) <= 100
    assert len(loaded(toml).file.routing.virtual_domains) == 20


def test_nothing_is_dropped_silently():
    """Each macro and line of a long file is where a setting is from, or has a note."""
    mc = Path(__file__).with_name("everything.mc").read_text()
    imported = import_mc(mc, "everything.mc")
    told = {note.line for note in imported.notes}
    origins = " ".join(re.findall("# (.*)", imported.toml))
    for number, line in enumerate(mc.split("\n"), start=1):
        macro, argument = re.match(r"(\w+)\(?`?(\w*)", line + " ").groups() if line else ("", "")
        name = argument if macro in ("define", "FEATURE", "MAILER", "DOMAIN") else macro
        if macro not in ("", "dnl", "LOCAL_RULE_0"):
            assert number in told or name in origins, line
    assert [note.line for note in imported.not_understood] == [11, 18, 25, 32, 34]


@given(st.text(alphabet="`'(),\n #$wCDFw=.:definSMART_HOST0123", max_size=200))
def test_no_text_raises_and_the_outcome_is_toml(text):
    imported = import_mc(text, "x.mc")
    assert tomllib.loads(imported.toml) == imported.settings


@hypothesis_settings(max_examples=50)
@given(
    st.sampled_from(["SMART_HOST", "confDOMAIN_NAME", "ALIAS_FILE", "confFORWARD_PATH"]),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="`'")),
)
def test_no_value_makes_toml_that_does_not_load(tmp_path_factory, name, value):
    imported = import_mc(f"define(`{name}', `{value}')", "x.mc")
    path = tmp_path_factory.mktemp("x") / "relaynode.toml"
    path.write_text(imported.toml, encoding="utf-8")
    assert load(path)
