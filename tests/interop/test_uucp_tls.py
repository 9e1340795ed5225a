"""Two nodes under TLS: who shows which certificate is let in, and who is sent away."""

from __future__ import annotations

import ssl
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import trustme

from peers.processes import free_port, wait_until
from uucp_node import UucpNode
from uucp_site import content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = content(100_000, 1)
LOGIN = 'login = "Ualpha"\npassword_file = "pw"\n'
CALLED = 'called_login = "Ualpha"\ncalled_password_file = "pw"\n'


class Party:
    """Who has a certificate: `folder` gets own.pem, own.key and ca.pem."""

    def __init__(self, folder: Path, name: str, authority: trustme.CA) -> None:
        folder.mkdir()
        self.certificate, self.key = folder / "own.pem", folder / "own.key"
        self.authority = folder / "ca.pem"
        issued = authority.issue_cert(f"{name}.example", common_name=name)
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        self.key.chmod(0o600)
        authority.cert_pem.write_to_path(self.authority)

    @property
    def keys(self) -> str:
        """For [uucp]."""
        return f'certificate = "{self.certificate}"\nkey = "{self.key}"\n'

    @property
    def by_authority(self) -> str:
        """For the neighbour: who has issued it."""
        return f'ca_file = "{self.authority}"\n'

    @property
    def by_copy(self) -> str:
        """For the neighbour: the certificate itself."""
        return f'ca_file = "{self.certificate}"\n'

    @property
    def by_fingerprint(self) -> str:
        """For the neighbour that calls."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return f'fingerprints = ["{sha256(der).hexdigest()}"]\n'


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Party]:
    """alpha and beta of one authority; other, another alpha, of another."""
    folder = tmp_path_factory.mktemp("parties")
    ours = trustme.CA()
    return {
        "alpha": Party(folder / "alpha", "alpha", ours),
        "beta": Party(folder / "beta", "beta", ours),
        "other": Party(folder / "other", "alpha", trustme.CA()),
    }


class Pair:
    """alpha, which calls, and beta, which answers; `knows`: how each knows the other."""

    def __init__(
        self, folder: Path, *, shows: tuple[Party | None, Party], knows: tuple[str, str]
    ) -> None:
        self.port = free_port()
        ours, theirs = shows
        self.alpha = UucpNode(
            folder / "alpha",
            f'[neighbour.beta]\ncall = ["tls:127.0.0.1:{self.port}"]\n{knows[0]}',
            uucp_keys="" if ours is None else ours.keys,
        )
        self.beta = UucpNode(
            folder / "beta",
            f'[neighbour.alpha]\n{knows[1]}[listen.x]\nuucp_tls = ["127.0.0.1:{self.port}"]\n',
            uucp_keys=theirs.keys,
        )
        self.alpha.queue(self.alpha.sends("beta", FILE, "got"))

    @property
    def has_arrived(self) -> bool:
        return (self.beta.public / "got").exists()


@pytest.mark.parametrize(
    ("of_beta", "of_alpha"),
    [
        (lambda beta: beta.by_authority, lambda alpha: alpha.by_authority),
        (lambda beta: beta.by_copy, lambda alpha: alpha.by_copy),
        (lambda beta: beta.by_fingerprint, lambda alpha: alpha.by_authority),
        (
            lambda beta: beta.by_authority + beta.by_fingerprint,
            lambda alpha: alpha.by_authority + alpha.by_fingerprint,
        ),
    ],
    ids=["authority", "copy", "fingerprint", "both"],
)
def test_who_shows_its_certificate_needs_no_login(
    tmp_path,
    parties: dict[str, Party],
    of_beta: Callable[[Party], str],
    of_alpha: Callable[[Party], str],
):
    alpha, beta = parties["alpha"], parties["beta"]
    pair = Pair(tmp_path, shows=(alpha, beta), knows=(of_beta(beta), of_alpha(alpha)))
    with pair.beta.daemon():
        log = pair.alpha.call("beta")
    assert (pair.beta.public / "got").read_bytes() == FILE
    assert "Login" not in log
    (record,) = pair.beta.sessions()
    assert (record.neighbour, record.files_received, record.ended) == ("alpha", 1, "")


def test_certificate_and_login_may_both_be_demanded(tmp_path, parties):
    alpha, beta = parties["alpha"], parties["beta"]
    pair = Pair(
        tmp_path,
        shows=(alpha, beta),
        knows=(LOGIN + beta.by_authority, CALLED + alpha.by_authority),
    )
    with pair.beta.daemon():
        log = pair.alpha.call("beta")
        assert "Login successful" in log
        assert pair.has_arrived
        pair.alpha.password("pw", "wrong")
        assert "ERROR: " in pair.alpha.call("beta", code=75)


def test_without_certificates_of_neighbours_the_login_counts(tmp_path, parties):
    beta = parties["beta"]
    pair = Pair(tmp_path, shows=(None, beta), knows=(LOGIN + beta.by_authority, CALLED))
    with pair.beta.daemon():
        assert "Login successful" in pair.alpha.call("beta")
    assert pair.has_arrived


@pytest.mark.parametrize(
    ("shows", "reason"),
    [
        ("other", "ERROR: [127.0.0.1]: its certificate is not accepted"),
        (None, "peer did not return a certificate"),
        ("beta", "ERROR: System alpha used wrong login name"),
    ],
    ids=["another-authority", "none", "another-neighbour"],
)
def test_a_caller_without_the_right_certificate_is_sent_away(tmp_path, parties, shows, reason):
    """Though it has the login: a neighbour that shows a certificate must show it."""
    beta = parties["beta"]
    pair = Pair(
        tmp_path,
        shows=(parties.get(shows), beta),
        knows=(LOGIN + beta.by_authority, CALLED + parties["alpha"].by_authority),
    )
    with pair.beta.daemon() as daemon:
        said = pair.alpha.call("beta", code=75)
        assert wait_until(lambda: reason in daemon.log(), 10), daemon.log()
        assert "Traceback" not in daemon.log()
    assert "beta - ERROR: " in said
    assert not pair.has_arrived
    assert pair.beta.sessions() == []
    assert len(pair.alpha.jobs()) == 1


@pytest.mark.parametrize("known", ["by_authority", "by_fingerprint"])
def test_a_caller_does_not_talk_to_a_stranger(tmp_path, parties, known):
    alpha, beta, other = parties["alpha"], parties["beta"], parties["other"]
    pair = Pair(
        tmp_path,
        shows=(alpha, other),
        knows=(LOGIN + getattr(beta, known), CALLED + alpha.by_authority),
    )
    with pair.beta.daemon() as daemon:
        said = pair.alpha.call("beta", code=75)
        assert wait_until(lambda: "ERROR: " in daemon.log(), 10), daemon.log()
        assert "Traceback" not in daemon.log()
    assert "its certificate is not" in said
    assert not pair.has_arrived
    assert pair.beta.sessions() == []


def test_in_the_clear_a_neighbour_that_shows_a_certificate_is_not_let_in_without(tmp_path, parties):
    """Its login is ANY: nothing but the certificate says who it is."""
    alpha, beta = parties["alpha"], parties["beta"]
    pair = Pair(
        tmp_path,
        shows=(alpha, beta),
        knows=(LOGIN + beta.by_authority, alpha.by_authority),
    )
    clear = free_port()
    pair.alpha.replace(f"tls:127.0.0.1:{pair.port}", f"tcp:127.0.0.1:{clear}")
    pair.beta.replace("uucp_tls =", f'uucp = ["127.0.0.1:{clear}"]\nuucp_tls =')
    pair.beta.replace(
        "[listen.x]",
        '[neighbour.gamma]\ncalled_login = "Ualpha"\ncalled_password_file = "pw"\n[listen.x]',
    )
    with pair.beta.daemon() as daemon:
        said = pair.alpha.call("beta", code=75)
        assert wait_until(
            lambda: "System alpha used wrong login name Ualpha" in daemon.log(), 10
        ), daemon.log()
    assert "ERROR: Handshake failed (LOGIN)" in said
    assert not pair.has_arrived
