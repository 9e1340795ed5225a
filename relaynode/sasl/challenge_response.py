"""The old digests: the password does not cross the line, but MD5 guards it weakly.

CRAM-MD5 is RFC 2195, DIGEST-MD5 is RFC 2831 (historic since RFC 6331; servers of its time offer
nothing better). A challenge of DIGEST-MD5 is a list of `name=value` and `name="value"`:

    realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import md5

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl.mechanism import Mechanism

MAX_CHALLENGE_BYTES = 2048
"""RFC 2831 2.1.1: a longer challenge is none."""

_DIRECTIVE = re.compile(
    r'[ \t,]*([A-Za-z0-9-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,"]+))[ \t]*(?=,|$)'
)
_ONCE = frozenset({"nonce", "algorithm", "charset", "rspauth", "maxbuf", "stale"})


class CramMd5(Mechanism):
    """A keyed digest of the server's challenge."""

    name = "CRAM-MD5"

    def __init__(self, user: str, password: str) -> None:
        self._user = user.encode()
        self._password = password.encode()

    def respond(self, challenge: bytes) -> bytes:
        """RFC 2195 section 2: name, blank, HMAC-MD5 of the challenge in lower-case hex."""
        if not challenge or self.has_said_all:
            what = "a second" if self.has_said_all else "an empty"
            raise RemoteProtocolError(f"CRAM-MD5: {what} challenge")
        self.has_said_all = True
        digest = hmac.new(self._password, challenge, "md5").hexdigest()
        return self._user + b" " + digest.encode()


class DigestMd5(Mechanism):
    """A digest over the server's nonce and ours; the server proves that it knows the password, too.

    `host` and `service`: whom we think we talk to. `realm`: "" for the first that is offered.
    `cnonce`: for tests; a fresh one otherwise.
    """

    name = "DIGEST-MD5"

    def __init__(
        self,
        user: str,
        password: str,
        host: str,
        *,
        service: str = "smtp",
        realm: str = "",
        acting_as: str = "",
        cnonce: str = "",
    ) -> None:
        self._user = user
        self._password = password
        self._uri = f"{service}/{host}"
        self._realm = realm
        self._acting_as = acting_as
        self._cnonce = cnonce or secrets.token_urlsafe(24)
        self._expected = ""
        self._is_proven = False

    def respond(self, challenge: bytes) -> bytes:
        """The response, then nothing but the proof looked at."""
        directives = _directives(challenge)
        if self._expected:
            self._check_proof(directives)
            return b""
        return self._response(directives)

    def succeeded(self) -> None:
        """RFC 2831 2.1.3: without the right rspauth the server is an impostor."""
        if not self._is_proven:
            raise ServerNotProven("DIGEST-MD5: the server did not prove that it knows the password")

    def _check_proof(self, directives: dict[str, list[str]]) -> None:
        given = directives.get("rspauth", [""])[0]
        if not hmac.compare_digest(given.encode(), self._expected.encode()):
            raise ServerNotProven("DIGEST-MD5: the server's proof is wrong: it is an impostor")
        self._is_proven = True

    def _response(self, directives: dict[str, list[str]]) -> bytes:
        nonce = directives.get("nonce", [""])[0]
        methods = re.split(r"[ \t]*,[ \t]*", directives.get("qop", ["auth"])[0].strip())
        if not nonce or directives.get("algorithm", [""])[0].lower() != "md5-sess":
            raise RemoteProtocolError("DIGEST-MD5: the challenge lacks nonce or md5-sess")
        if "auth" not in methods:
            raise RemoteProtocolError("DIGEST-MD5: the server insists on a layer of its own")
        charset = "utf-8" if "charset" in directives else "latin-1"
        realms = directives.get("realm", [])
        realm = self._realm or (realms[0] if realms else "")
        try:
            self._expected = self._digest(nonce, realm, charset, "")
            fields = [
                *([] if charset != "utf-8" else ["charset=utf-8"]),
                f"username={_quoted(self._user)}",
                *([f"realm={_quoted(realm)}"] if realm or realms else []),
                f"nonce={_quoted(nonce)}",
                "nc=00000001",
                f"cnonce={_quoted(self._cnonce)}",
                f"digest-uri={_quoted(self._uri)}",
                f"response={self._digest(nonce, realm, charset, 'AUTHENTICATE')}",
                "qop=auth",
                *([f"authzid={_quoted(self._acting_as)}"] if self._acting_as else []),
            ]
            return ",".join(fields).encode(charset)
        except UnicodeEncodeError:
            text = "DIGEST-MD5: name or password have letters that this server does not know"
            raise RemoteProtocolError(text) from None

    def _digest(self, nonce: str, realm: str, charset: str, verb: str) -> str:
        """RFC 2831 2.1.2.1; with no verb the server's, 2.1.3."""
        secret = b":".join(
            # 2.1.2.1: what can be written in ISO 8859-1 is hashed so, whatever the charset.
            _narrow(text, charset)
            for text in (self._user, realm, self._password)
        )
        a1 = md5(secret).digest() + f":{nonce}:{self._cnonce}".encode(charset)
        if self._acting_as:
            a1 += f":{self._acting_as}".encode(charset)
        a2 = f"{verb}:{self._uri}".encode(charset)
        middle = f"{nonce}:00000001:{self._cnonce}:auth"
        whole = f"{md5(a1).hexdigest()}:{middle}:{md5(a2).hexdigest()}"
        return md5(whole.encode(charset)).hexdigest()


def _narrow(text: str, charset: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode(charset)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _directives(challenge: bytes) -> dict[str, list[str]]:
    """The directives by name in lower case. Raises: RemoteProtocolError."""
    if len(challenge) > MAX_CHALLENGE_BYTES:
        raise RemoteProtocolError("DIGEST-MD5: the challenge is too long")
    try:
        text = challenge.decode("utf-8")
    except UnicodeDecodeError:
        text = challenge.decode("latin-1")
    found: dict[str, list[str]] = {}
    place = 0
    while place < len(text.rstrip(", \t")):
        part = _DIRECTIVE.match(text, place)
        if part is None:
            raise RemoteProtocolError("DIGEST-MD5: the challenge makes no sense")
        name, quoted, plain = part[1].lower(), part[2], part[3]
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        found.setdefault(name, []).append(value)
        place = part.end()
    if any(len(values) > 1 for name, values in found.items() if name in _ONCE):
        raise RemoteProtocolError("DIGEST-MD5: the challenge says something twice")
    return found
