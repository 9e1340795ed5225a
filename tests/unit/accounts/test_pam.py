"""PAM, played by a double of its library: who is let in, and what trouble of its own means."""

import asyncio
import sys
import types

import pytest

from relaynode.accounts.accounts import Accounts
from relaynode.accounts.answers import Denied, Later, Nonsense, Passed, Visitor
from relaynode.accounts.pam import PamChecker
from relaynode.config.loader import load
from relaynode.errors import ConfigError

VISITOR = Visitor("smtp", "192.0.2.1", True)


class Library(types.ModuleType):
    """pamela's promise: no error for the right password. `error`: the number that all others get.
    `asked`: who was asked about, and by which service."""

    class PAMError(Exception):
        def __init__(self, errno):
            self.errno, self.message = errno, "told by PAM"

    def __init__(self, error=7):
        super().__init__("pamela")
        self.error, self.asked = error, []

    def authenticate(self, user, password, service, resetcred):
        self.asked.append((user, service))
        if (user, password) != ("ann", "sesame"):
            raise self.PAMError(self.error)


def check(monkeypatch, library, user="ann", password="sesame"):
    monkeypatch.setitem(sys.modules, "pamela", library)
    waited = []

    async def note(seconds):
        waited.append(seconds)

    checker = PamChecker("relaynode", hostname="bsd.home", domains={"bsd.home"})
    accounts = Accounts(checker, wait=note)
    answer = asyncio.run(accounts.check(user, password, VISITOR))
    assert bool(waited) == isinstance(answer, Denied)
    return answer


@pytest.mark.parametrize("user", ["ann", "Ann", "ann@bsd.home", "ANN@BSD.home"])
def test_the_right_password_lets_the_user_in_under_the_systems_name(monkeypatch, user):
    library = Library()
    assert check(monkeypatch, library, user) == Passed("ann")
    assert library.asked == [("ann", "relaynode")]


@pytest.mark.parametrize("error", [4, 6, 7, 10, 11, 13])
def test_who_pam_says_no_to_is_denied(monkeypatch, error):
    assert check(monkeypatch, Library(error), password="wrong") == Denied()
    assert check(monkeypatch, Library(error), user="ann@else.example") == Denied()


@pytest.mark.parametrize("error", [1, 2, 3, 5])
def test_trouble_of_pams_own_is_no_failed_login(monkeypatch, caplog, error):
    assert isinstance(check(monkeypatch, Library(error), password="wrong"), Later)
    assert "PAM service relaynode: told by PAM" in caplog.text


def test_a_missing_library_names_its_extra(monkeypatch, caplog):
    assert isinstance(check(monkeypatch, None), Later)
    assert "pip install 'relaynode[pam]'" in caplog.text


def test_only_what_shows_pam_the_password_is_offered():
    checker = PamChecker("relaynode", hostname="bsd.home")
    assert asyncio.run(checker.mechanisms()) == ("PLAIN", "LOGIN")


def test_the_configuration_names_a_missing_extra(monkeypatch, tmp_path):
    monkeypatch.setattr("relaynode.config.listen_checks.find_spec", lambda name: None)
    path = tmp_path / "relaynode.toml"
    path.write_text('[accounts]\npam_service = "relaynode"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    told = "toml:2: pam_service needs the package pamela; pip install 'relaynode[pam]'"
    assert told in str(caught.value)


def test_nonsense_is_none_of_pams_affair(monkeypatch):
    library = Library()
    monkeypatch.setitem(sys.modules, "pamela", library)

    async def run():
        talk = PamChecker("relaynode", hostname="bsd.home").open("PLAIN", VISITOR)
        return await talk.step(b"\0an\nn\0sesame")

    assert isinstance(asyncio.run(run()), Nonsense)
    assert library.asked == []
