"""What relaynode answers to each FEATURE and define of a sendmail .mc that needs no thought.

Tables only: those with arguments to look into are functions in sendmail_mc. A name that stands in
neither is not understood. The names are those of cf/feature and cf/README of sendmail 8.17, and
older ones that people still have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaynode.config.imported import Gathering


@dataclass(frozen=True, slots=True)
class Sets:
    """It is a setting of ours: the same thing under another name."""

    section: str
    key: str
    value: Any = True


@dataclass(frozen=True, slots=True)
class Harmless:
    """It needs no setting; `why` completes "NAME: ..."."""

    why: str


@dataclass(frozen=True, slots=True)
class Differs:
    """Not done here, or otherwise; `why` completes "NAME: ..."."""

    why: str
    remedy: str = ""


Answer = Sets | Harmless | Differs


def give(out: Gathering, answer: Answer, name: str, line: int) -> None:
    """Put an answer to `name`, which stands in `line`, where it belongs."""
    if isinstance(answer, Sets):
        out.set(answer.section, answer.key, answer.value, name)
    elif isinstance(answer, Harmless):
        out.harmless(line, f"{name}: {answer.why}")
    else:
        out.differs(line, f"{name}: {answer.why}", answer.remedy)


NOT_YET = "not read yet: "
NOT_DONE = "not done here: "

_OWN_FILTERS = Differs(
    f"{NOT_DONE}relaynode asks no such list and applies no such check to clients",
    "mail comes from the networks that are served and from mailboxes that are polled",
)
_NO_TABLE = Differs(f"{NOT_DONE}this table is not read", "say it in mailertable or virtusertable")
_DELIVERY = Differs(
    "local mail is put into the mailbox by relaynode itself, unless told otherwise",
    "[local] mailbox says where; [local] lmtp or command name who delivers instead",
)

FEATURES: dict[str, Answer] = {
    "accept_unqualified_senders": Sets("access", "accept_unqualified_senders"),
    "accept_unresolvable_domains": Sets("access", "accept_unresolvable_domains"),
    "allmasquerade": Sets("masquerade", "all"),
    "authinfo": Harmless("the file authinfo among the tables is read as it is"),
    "badmx": _OWN_FILTERS,
    "bcc": Differs(f"{NOT_DONE}no copy of everything", "use an alias"),
    "bestmx_is_local": Differs(
        f"{NOT_DONE}a domain is not local because its MX is this host",
        "name the domains in local-host-names",
    ),
    "bitdomain": _NO_TABLE,
    "blacklist_recipients": Sets("access", "blocklist_recipients"),
    "block_bad_helo": _OWN_FILTERS,
    "blocklist_recipients": Sets("access", "blocklist_recipients"),
    "check_cert_altnames": Harmless("the names in certificates are always checked"),
    "check_other": _OWN_FILTERS,
    "compat_check": Differs(f"{NOT_DONE}Compat: entries of the access table are not looked up"),
    "conncontrol": _OWN_FILTERS,
    "dnsbl": _OWN_FILTERS,
    "domainmap": _NO_TABLE,
    "domaintable": _NO_TABLE,
    "drac": _OWN_FILTERS,
    "enhdnsbl": _OWN_FILTERS,
    "generics_entire_domain": Sets("masquerade", "generics_entire_domain"),
    "greet_pause": _OWN_FILTERS,
    "ldap_routing": Differs(f"{NOT_DONE}no LDAP", "write the addresses into virtusertable"),
    "limited_masquerade": Sets("masquerade", "limited"),
    "local_lmtp": _DELIVERY,
    "local_no_masquerade": Sets("masquerade", "local", False),
    "local_procmail": _DELIVERY,
    "lookupdotdomain": Sets("access", "look_up_dot_domain"),
    "loose_relay_check": Sets("access", "loose_relay_check"),
    "masquerade_entire_domain": Sets("masquerade", "entire_domain"),
    "masquerade_envelope": Sets("masquerade", "envelope"),
    "msp": Differs(
        "this is the configuration of the submitting program, which relaynode does not need: its"
        " sendmail command hands mail to the queue itself",
        "import sendmail.mc instead",
    ),
    "mtamark": _OWN_FILTERS,
    "no_default_msa": Harmless("relaynode listens where [listen.NAME] says, nowhere else"),
    "nopercenthack": Differs(f"{NOT_DONE}user%host@here always goes on to user@host"),
    "notsticky": Harmless("it is the default"),
    "prefixmod": _OWN_FILTERS,
    "preserve_local_plus_detail": Sets("local", "preserve_plus_detail"),
    "preserve_luser_host": Differs(f"{NOT_DONE}LUSER_RELAY gets name@relay, not the old domain"),
    "promiscuous_relay": Sets("access", "promiscuous_relay"),
    "queuegroup": Differs(f"{NOT_DONE}there is one queue", "links say when mail goes"),
    "ratecontrol": _OWN_FILTERS,
    "redirect": Differs(
        f"{NOT_DONE}user@host.REDIRECT is no special domain",
        "refuse in virtusertable: user@here error:5.1.1:551 User has moved; please try ...",
    ),
    "relay_based_on_MX": Sets("access", "relay_based_on_mx"),
    "relay_entire_domain": Sets("access", "relay_entire_domain"),
    "relay_hosts_only": Sets("access", "relay_hosts_only"),
    "relay_local_from": Sets("access", "relay_local_from"),
    "require_rdns": _OWN_FILTERS,
    "rhsbl": _OWN_FILTERS,
    "smrsh": Differs(
        f"{NOT_DONE}programs of aliases and .forward are run by the system's shell, not by smrsh"
    ),
    "stickyhost": Sets("routing", "stickyhost"),
    "sts": Differs(f"{NOT_DONE}no MTA-STS", "ask for TLS in [smart_host.NAME]"),
    "tls_failures": Differs(f"{NOT_DONE}TLS that was asked for is never given up"),
    "tls_session_features": Differs(f"{NOT_DONE}TLS is set in [smart_host.NAME]"),
    "use_client_ptr": _OWN_FILTERS,
    "use_ct_file": Harmless("trusted-users is always read"),
    "use_cw_file": Harmless("local-host-names is always read"),
    "uucpdomain": _NO_TABLE,
    "virtuser_entire_domain": Sets("routing", "virtual_entire_domain"),
    "vnet": _NO_TABLE,
}
"""Features without arguments that matter."""

TABLE_OPTIONS: dict[str, Answer] = {
    "lookupdotdomain": Sets("access", "look_up_dot_domain"),
    "relaytofulladdress": Sets("access", "relay_to_full_address"),
    "skip": Harmless("SKIP is always known"),
}
"""Further arguments of FEATURE(access_db)."""

MAILERS: dict[str, Answer] = {
    "local": Harmless("it is always there"),
    "smtp": Harmless("it is always there"),
    "uucp": Sets("routing", "uucp_mailer"),
    "procmail": Differs(
        f"{NOT_DONE}there is no mailer procmail", 'write "|procmail ..." into aliases or .forward'
    ),
    **dict.fromkeys(
        ("cyrus", "cyrusv2", "fax", "mail11", "phquery", "pop", "qpage", "ssh", "usenet", "xagent"),
        Differs(f"{NOT_DONE}there is no such mailer", "see the mailers in the manual"),
    ),
}

_OWN_WAY = Harmless("relaynode has its own way of running its queue, nothing is set")
_SAME = Harmless("it is done here in any case")
_TIMES = Harmless("waiting times of a session are set by link and smart host")
_TLS = Differs(
    f"{NOT_DONE}keys and certificates of TLS are not set for all hosts at once",
    "ca_file, certificate, key ... of a [smart_host.NAME] say it for that host",
)
_AUTH = Differs(
    f"{NOT_DONE}AUTH is not set for all hosts at once",
    "a [smart_host.NAME] says it for that host: user, password_file, auth; authinfo and"
    " default-auth-info are read among the tables",
)
_RIGHTS = Differs("relaynode has its own rules on unsafe files and users")
_FILTERS = Differs(
    "filters are asked in the order in which they stand in the file",
    "INPUT_MAIL_FILTER becomes a [milter.NAME], which says the rest (docs/milters.md)",
)
_LOOKS = Differs(f"{NOT_DONE}the form of this text is fixed")
_OLD_NETWORKS = Differs(
    f"{NOT_DONE}this network is an ordinary domain here", "write its name into the mailertable"
)
_MAILER_NAMES = Differs(f"{NOT_DONE}which mailer is meant by default is fixed")
_WARNINGS = Differs(f"{NOT_DONE}one time for all mail tells when senders are warned that it waits")


def _all(answer: Answer, names: str) -> dict[str, Answer]:
    return dict.fromkeys(names.split(), answer)


OPTIONS: dict[str, Answer] = {
    **_all(
        _OWN_WAY,
        "confALIAS_WAIT confAUTO_REBUILD confCHECK_ALIASES confCHECKPOINT_INTERVAL confCF_VERSION"
        " confCONTROL_SOCKET_NAME confDELAY_LA confDF_BUFFER_SIZE confDIAL_DELAY confFAST_SPLIT"
        " confHOST_STATUS_DIRECTORY confLOG_LEVEL confMAX_DAEMON_CHILDREN confMAX_QUEUE_AGE"
        " confMAX_QUEUE_CHILDREN confMAX_QUEUE_RUN_SIZE confMAX_RUNNERS_PER_QUEUE"
        " confMCI_CACHE_SIZE confMCI_CACHE_TIMEOUT confMIN_FREE_BLOCKS confMIN_QUEUE_AGE"
        " confNICE_QUEUE_RUN confPID_FILE confPROCESS_TITLE_PREFIX confQUEUE_FACTOR"
        " confQUEUE_FILE_MODE confQUEUE_LA confQUEUE_SORT_ORDER confRAND_FILE confREFUSE_LA"
        " confREJECT_LOG_INTERVAL confREQUIRES_DIR_FSYNC confSAFE_QUEUE confSEPARATE_PROC"
        " confSHARED_MEMORY_KEY confSHARED_MEMORY_KEY_FILE confSINGLE_THREAD_DELIVERY"
        " confTEMP_FILE_MODE confTIME_ZONE confUSE_MSP confWORK_CLASS_FACTOR"
        " confWORK_RECIPIENT_FACTOR confWORK_TIME_FACTOR confXF_BUFFER_SIZE HELP_FILE"
        " STATUS_FILE QUEUE_DIR MSP_QUEUE_DIR MSP_STATUS_FILE confEBINDIR DATABASE_MAP_TYPE"
        " confMILTER_LOG_LEVEL confDIRECT_SUBMISSION_MODIFIERS confCONNECTION_RATE_THROTTLE"
        " confCONNECTION_RATE_WINDOW_SIZE confMAX_NOOP_COMMANDS confBAD_RCPT_THROTTLE"
        " confMAX_ALIAS_RECURSION confOPERATORS confSUBMIT confUSE_COMPRESSED_IPV6_ADDRESSES"
        " confDELIVER_BY_MIN confBLANK_SUB confDEQUOTE_OPTS",
    ),
    **_all(
        _SAME,
        "confMIME_FORMAT_ERRORS confOLD_STYLE_HEADERS confSEVEN_BIT_INPUT confEIGHT_BIT_HANDLING"
        " confDONT_PROBE_INTERFACES confDONT_EXPAND_CNAMES confDONT_INIT_GROUPS confUSE_ERRORS_TO"
        " confCOLON_OK_IN_ADDR confMUST_QUOTE_CHARS confSINGLE_LINE_FROM_HEADER confIGNORE_DOTS"
        " confALLOW_BOGUS_HELO confREJECT_NUL confDONT_PRUNE_ROUTES confRRT_IMPLIES_DSN"
        " confSAVE_FROM_LINES confMAX_HEADERS_LENGTH confMAX_MIME_HEADER_LENGTH confDEF_CHAR_SET"
        " confDEAD_LETTER_DROP confMAX_RCPTS_PER_MESSAGE confME_TOO confNO_RCPT_ACTION",
    ),
    **_all(
        _TIMES,
        "confTO_INITIAL confTO_CONNECT confTO_ACONNECT confTO_ICONNECT confTO_HELO confTO_MAIL"
        " confTO_RCPT confTO_DATAINIT confTO_DATABLOCK confTO_DATAFINAL confTO_RSET confTO_QUIT"
        " confTO_MISC confTO_COMMAND confTO_IDENT confTO_FILEOPEN confTO_CONTROL confTO_LHLO"
        " confTO_AUTH confTO_STARTTLS confTO_HOSTSTATUS confREAD_TIMEOUT"
        " confTO_RESOLVER_RETRANS confTO_RESOLVER_RETRANS_FIRST confTO_RESOLVER_RETRANS_NORMAL"
        " confTO_RESOLVER_RETRY confTO_RESOLVER_RETRY_FIRST confTO_RESOLVER_RETRY_NORMAL"
        " confTO_QUEUERETURN_URGENT confTO_QUEUERETURN_NONURGENT confTO_QUEUERETURN_DSN",
    ),
    **_all(
        _WARNINGS,
        "confTO_QUEUEWARN_URGENT confTO_QUEUEWARN_NONURGENT confTO_QUEUEWARN_DSN",
    ),
    **_all(
        _TLS,
        "confCACERT confCACERT_PATH confCERT_FINGERPRINT_ALGORITHM confCIPHER_LIST"
        " confCLIENT_CERT confCLIENT_KEY confCLIENT_SSL_OPTIONS confCRL confCRL_PATH confDANE"
        " confDH_PARAMETERS confSERVER_CERT confSERVER_KEY confSERVER_SSL_OPTIONS confSSL_ENGINE"
        " confSSL_ENGINE_PATH confTLS_FALLBACK_TO_CLEAR confTLS_SRV_OPTIONS",
    ),
    **_all(
        _AUTH,
        "confAUTH_MAX_BITS confAUTH_MECHANISMS confAUTH_OPTIONS confAUTH_REALM confDEF_AUTH_INFO",
    ),
    **_all(
        _RIGHTS,
        "confDEF_GROUP_ID confDEF_USER_ID confDONT_BLAME_SENDMAIL confPRIVACY_FLAGS"
        " confRUN_AS_USER confSAFE_FILE_ENV confTRUSTED_USER"
        " confUNSAFE_GROUP_WRITES confMAILBOX_DATABASE confMATCH_GECOS confUSERDB_SPEC",
    ),
    **_all(
        Differs(
            "who may name any sender with -f is read from the table trusted-users; root may always",
            "write the names there, one a line",
        ),
        "confTRUSTED_USERS confCT_FILE",
    ),
    **_all(
        _FILTERS,
        "confINPUT_MAIL_FILTERS confMILTER_MACROS_CONNECT confMILTER_MACROS_DATA"
        " confMILTER_MACROS_ENVFROM confMILTER_MACROS_ENVRCPT confMILTER_MACROS_EOH"
        " confMILTER_MACROS_EOM confMILTER_MACROS_HELO",
    ),
    **_all(
        _LOOKS,
        "confERROR_MESSAGE confERROR_MODE confFROM_HEADER confFROM_LINE confMESSAGEID_HEADER"
        " confRCPTREJ_MSG confRECEIVED_HEADER confREJECT_MSG confRELAY_MSG confSMTP_LOGIN_MSG"
        " confMAILER_NAME confHELO_NAME confCOPY_ERRORS_TO confDOUBLE_BOUNCE_ADDRESS"
        " confSOFT_BOUNCE",
    ),
    **_all(_OLD_NETWORKS, "BITNET_RELAY DECNET_RELAY FAX_RELAY"),
    **_all(_MAILER_NAMES, "confLOCAL_MAILER confRELAY_MAILER confSMTP_MAILER confUUCP_MAILER"),
    **_all(
        Differs(f"{NOT_DONE}there is no second way when the first fails"),
        "confFALLBACK_MX confFALLBACK_SMARTHOST confCONNECT_ONLY_TO confTRY_NULL_MX_LIST",
    ),
    **_all(
        Differs("names are looked up as the system does it", "see resolv.conf, nsswitch.conf"),
        "confBIND_OPTS confHOSTS_FILE confSERVICE_SWITCH_FILE",
    ),
    **_all(Differs(f"{NOT_DONE}no LDAP"), "confLDAP_CLUSTER confLDAP_DEFAULT_SPEC"),
}
"""Defines whose value does not matter here. Those that matter are functions in sendmail_mc."""

MACROS: dict[str, Answer] = {
    "VERSIONID": Harmless("a remark"),
    "OSTYPE": Harmless("relaynode knows its system"),
    "CF_LEVEL": Harmless("a remark"),
    "errprint": Harmless("a remark"),
    "changecom": Harmless("nothing to set"),
    "divert": Harmless("nothing to set"),
    "TRUST_AUTH_MECH": Differs(
        f"{NOT_YET}SMTP AUTH of clients", "name their networks in [listen.NAME]"
    ),
    "CLIENT_OPTIONS": Differs(f"{NOT_DONE}the system chooses the address that calls go out from"),
    "MAIL_FILTER": _FILTERS,
    "QUEUE_GROUP": Differs(f"{NOT_DONE}there is one queue", "links say when mail goes"),
    "CANONIFY_DOMAIN": Differs(
        f"{NOT_DONE}the DNS is never asked where mail goes", "names are taken as written"
    ),
    "CANONIFY_DOMAIN_FILE": Differs(
        f"{NOT_DONE}the DNS is never asked where mail goes", "names are taken as written"
    ),
    **_all(
        Differs(f"{NOT_DONE}no LDAP", "write the addresses into virtusertable"),
        "LDAPROUTE_DOMAIN LDAPROUTE_DOMAIN_FILE LDAPROUTE_EQUIVALENT LDAPROUTE_EQUIVALENT_FILE",
    ),
}
"""Other macros that need no look at their arguments."""

MAILER_DEFINES = (
    "_MAILER_ARGS",
    "_MAILER_CHARSET",
    "_MAILER_FLAGS",
    "_MAILER_LL",
    "_MAILER_MAXMSGS",
    "_MAILER_MAXRCPTS",
    "_MAILER_MAX",
    "_MAILER_PATH",
    "_MAILER_EOL",
    "_MAILER_QGRP",
    "_MAILER_USER",
    "_MAILER_DSN_DIAGNOSTIC_CODE",
    "_SHELL_ARGS",
    "_SHELL_DIR",
    "_SHELL_FLAGS",
    "_SHELL_PATH",
)
"""Endings of defines that describe a mailer, as in SMTP_MAILER_FLAGS."""

MAILER_ARGUMENTS = Differs(
    f"{NOT_DONE}mailers have no arguments and flags",
    "ports and TLS are set in a [smart_host.NAME]",
)
"""The answer to them."""
