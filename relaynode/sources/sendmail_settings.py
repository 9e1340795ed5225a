"""The options that `sendmail -O` and `-o` set: their names, and which of them mean something here.

Real sendmail reads some hundred options from its sendmail.cf. Ours stand in relaynode.toml, so of
those on the command line only what changes this one submission is obeyed: how it is delivered, what
is done about errors, and how its input is read. All others are known by name and have no effect; a
name that sendmail does not know is an error with us as well (op.me, "Options").
"""

from __future__ import annotations

import re

from relaynode.errors import EX_SOFTWARE, UsageError

_NAMES = """
    AliasFile AliasWait AllowBogusHELO AuthMaxBits AuthMechanisms AuthOptions AuthRealm
    BadRcptThrottle BlankSub BounceQueueFormat CACertFile CACertPath CRLFile
    CertFingerprintAlgorithm CheckAliases CheckpointInterval CipherList CipherSuites ClassFactor
    ClientCertFile ClientKeyFile ClientPortOptions ClientSSLOptions ColonOkInAddr ConnectOnlyTo
    ConnectionCacheSize ConnectionCacheTimeout ConnectionRateThrottle ConnectionRateWindowSize
    ControlSocketName DHParameters DaemonPortOptions DataFileBufferSize DeadLetterDrop
    DefaultAuthInfo DefaultCharSet DefaultUser DelayLA DeliverByMin DeliveryMode DialDelay
    DirectSubmissionModifiers DontBlameSendmail DontExpandCnames DontInitGroups DontProbeInterfaces
    DontPruneRoutes DoubleBounceAddress EightBitMode ErrorHeader ErrorMode FallbackMXhost
    FallbackSmartHost FastSplit ForkEachJob ForwardPath HeloName HelpFile HoldExpensive
    HostStatusDirectory HostsFile IgnoreDots InputMailFilters KeepCNAME LDAPDefaultSpec
    LDAPDefaultURI LogLevel MailboxDatabase MatchGECOS MaxAliasRecursion MaxDaemonChildren
    MaxHeadersLength MaxHopCount MaxMessageSize MaxMimeHeaderLength MaxNOOPCommands MaxQueueAge
    MaxQueueChildren MaxQueueRunSize MaxRecipientsPerMessage MaxRunnersPerQueue MeToo Milter
    MinFreeBlocks MinQueueAge MustQuoteChars NiceQueueRun NoRecipientAction OldStyleHeaders
    OperatorChars PidFile PostmasterCopy PrivacyOptions ProcessTitlePrefix QueueDirectory
    QueueFactor QueueFileMode QueueLA QueueSortOrder QueueTimeout RandFile RecipientFactor RefuseLA
    RefuseLowMem RejectLogInterval RequiresDirfsync ResolverOptions RetryFactor RrtImpliesDsn
    RunAsUser SMTPUTF8 SafeFileEnvironment SaveFromLine SendMimeErrors ServerCertFile ServerKeyFile
    ServerSSLOptions ServiceSwitchFile SevenBitInput SharedMemoryKey SharedMemoryKeyFile
    SingleLineFromHeader SingleThreadDelivery SmtpGreetingMessage SoftBounce StatusFile SuperSafe
    TLSFallbacktoClear TLSSrvOptions TempFileMode Timeout TimeZoneSpec TrustedUser TryNullMXList
    UnixFromLine UnsafeGroupWrites UseCompressedIPv6Addresses UseErrorsTo UseMSP UserDatabaseSpec
    UserSubmission Verbose XscriptFileBufferSize
"""
NAMES = tuple(_NAMES.split())
"""The long names. Case does not count; the start of a name will do if no other begins with it."""

_TIMEOUTS = """
    aconnect auth command connect control datablock datafinal datainit fileopen helo hoststatus
    iconnect ident initial lhlo mail misc queuereturn queuewarn quit rcpt resolver rset starttls
"""
TIMEOUTS = frozenset(_TIMEOUTS.split())
"""The words that may follow `Timeout.`; some have further ones behind a second dot."""

LETTERS = {
    "deliverymode": "d",
    "errormode": "e",
    "ignoredots": "i",
    "verbose": "v",
    "metoo": "m",
}
"""The one-letter forms of the options that mean something here."""

_TIME = re.compile(r"(\d*)(\D?)", re.DOTALL)


class UnknownSetting(UsageError):
    """An option that sendmail does not know either: it says so, exits 70, and takes the mail."""

    exit_code = EX_SOFTWARE


def long_setting(text: str) -> tuple[str, str, str]:
    """Understand the `NAME=VALUE` of -O: the full name, the value, and what to say about it or "".

    Raises: UnknownSetting; UsageError for a time that is none.
    """
    given, _, value = text.partition("=")
    given = given.strip()
    if not given:
        raise UnknownSetting("readcf: null option name")
    given, dot, part = given.partition(".")
    name, remark = _full_name(given)
    if name == "Timeout" and dot:
        if part.lower().partition(".")[0] not in TIMEOUTS:
            raise UnknownSetting(f"settimeout: invalid timeout {part}")
        check_time(value)
    return name, value.strip(), remark


def _full_name(given: str) -> tuple[str, str]:
    lower = given.lower()
    found = [name for name in NAMES if name.lower().startswith(lower)]
    exact = [name for name in found if name.lower() == lower]
    if exact:
        return exact[0], ""
    if not found:
        raise UnknownSetting(f"readcf: unknown option name {given}")
    if len(found) > 1:
        raise UnknownSetting(
            f"readcf: ambiguous option name {given} (matches {found[0]} and {found[1]})"
        )
    return found[0], f"Option {given} used as abbreviation for {found[0]}"


def check_time(text: str) -> None:
    """A time as sendmail writes it: 30m, 1h30m, 5. Raises: UsageError."""
    for match in _TIME.finditer(text):
        unit = match[2].lower()
        if unit and (unit not in "smhdw" or not match[1]):
            raise UsageError(f"Invalid time unit `{match[2]}'")


def is_on(value: str) -> bool:
    """Does a switch with this value stand on? Words that begin like "false" and "no" are off."""
    return value[:1] not in ("f", "F", "n", "N")
