"""Logins as the listeners see them: checked against files, slowed down by a brake."""

import asyncio
import base64
import threading

import pytest

from relaynode.accounts import hashes, local
from relaynode.accounts.accounts import Accounts
from relaynode.accounts.answers import Denied, Later, More, Nonsense, Passed, Visitor
from relaynode.accounts.brake import MAX_FAILURES
from relaynode.accounts.hashes import Hashed, Plain, parse_secret, scram_text
from relaynode.accounts.local import LocalChecker, NamedUsers
from relaynode.accounts.password_file import PasswordFile, parse_passwords, put_entry
from relaynode.config.values import Password
from relaynode.errors import TableError
from relaynode.sasl import CramMd5, Scram

VISITOR = Visitor("smtp", "203.0.113.9", True)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(hashes, "LOG_N", 4)


class Book:
    """Some accounts; `failure` is raised if there is one."""

    def __init__(self, **secrets):
        self.secrets = secrets
        self.failure = None

    def entries(self):
        if self.failure is not None:
            raise self.failure
        return self.secrets


class Stage:
    """Accounts of some books; time goes by when somebody waits."""

    def __init__(self, *books, domains=("bsd.home",)):
        self.waited = []
        checker = LocalChecker(books, hostname="bsd.home", domains=domains)
        self.accounts = Accounts(checker, now=lambda: 0.0, wait=self._wait)

    async def _wait(self, seconds):
        self.waited.append(seconds)

    def mechanisms(self):
        return asyncio.run(self.accounts.mechanisms())

    def check(self, user, password, visitor=VISITOR):
        return asyncio.run(self.accounts.check(user, password, visitor))

    def play(self, client):
        async def steps():
            login = self.accounts.begin(client.name, VISITOR)
            answer = await login.step(client.initial())
            while isinstance(answer, More):
                answer = await login.step(client.respond(answer.challenge))
            return answer

        return asyncio.run(steps())


def test_name_and_password_let_in_and_nothing_else_does():
    stage = Stage(Book(alice=parse_secret(hashes.hash_password("sesame"))))
    assert stage.check("alice", "sesame") == Passed("alice")
    assert stage.check("Alice", "sesame") == Passed("alice")
    assert stage.waited == []
    assert stage.check("alice", "wrong") == Denied()
    assert stage.check("mallory", "sesame") == Denied()
    assert stage.check("", "sesame") == Denied()
    assert stage.check("alice", "") == Denied()
    assert len(stage.waited) == 4


def test_an_address_in_a_domain_of_ours_is_the_name_in_it():
    stage = Stage(Book(**{"alice": Plain("sesame"), "carol@far.example": Plain("sesame")}))
    assert stage.check("alice@BSD.home", "sesame") == Passed("alice")
    assert stage.check("alice@far.example", "sesame") == Denied()
    assert stage.check("carol@far.example", "sesame") == Passed("carol@far.example")


def test_the_first_book_that_has_a_name_counts():
    named = NamedUsers({"Alice": Password("first")})
    stage = Stage(named, Book(alice=Plain("second"), bob=Plain("second")))
    assert stage.check("alice", "first") == Passed("alice")
    assert stage.check("alice", "second") == Denied()
    assert stage.check("bob", "second") == Passed("bob")


def test_offered_is_what_every_account_can_do():
    assert Stage().mechanisms() == ()
    plain, scram = Plain("x"), parse_secret(scram_text("x"))
    everything = ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")
    assert Stage(Book(a=plain)).mechanisms() == everything
    assert Stage(Book(a=plain), Book(b=scram)).mechanisms() == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    assert Stage(Book(a=plain, b=Hashed(bool))).mechanisms() == ("PLAIN", "LOGIN")
    broken = Book()
    broken.failure = TableError("x")
    assert Stage(broken).mechanisms() == ("PLAIN", "LOGIN")


@pytest.mark.parametrize("client", [CramMd5, lambda *who: Scram("SHA-256", *who)])
def test_mechanisms_with_challenges_are_played_to_the_end(client):
    stage = Stage(Book(alice=Plain("sesame")))
    assert stage.play(client("alice", "sesame")) == Passed("alice")
    assert stage.play(client("alice", "wrong")) == Denied()
    assert stage.play(client("mallory", "sesame")) == Denied()
    assert stage.waited == [1, 2]


def test_a_file_that_cannot_be_read_is_no_wrong_password():
    book = Book()
    book.failure = TableError("passwords: gone")
    stage = Stage(book)
    assert isinstance(stage.check("alice", "sesame"), Later)
    assert stage.waited == []


def test_nonsense_is_told_and_costs_as_much_as_a_wrong_password():
    stage = Stage(Book(alice=Plain("sesame")))

    async def say(data):
        return await stage.accounts.begin("PLAIN", VISITOR).step(data)

    assert isinstance(asyncio.run(say(b"nonsense")), Nonsense)
    assert stage.waited == [1]


def test_who_has_guessed_too_often_is_not_even_asked():
    stage = Stage(Book(alice=Plain("sesame")))
    for _ in range(MAX_FAILURES):
        stage.check("alice", "wrong")
    assert isinstance(stage.check("alice", "sesame"), Later)
    assert stage.check("alice", "sesame", Visitor("smtp", "203.0.113.10", True)) == Passed("alice")


def test_a_hash_is_not_computed_on_the_loop_and_too_many_are_told_to_wait(monkeypatch):
    monkeypatch.setattr(local, "MAX_WAITING", 1)
    go_on, threads = threading.Event(), []

    def slow(password):
        threads.append(threading.current_thread())
        return go_on.wait(10)

    stage = Stage(Book(alice=Hashed(slow)))

    async def both():
        first = asyncio.ensure_future(stage.accounts.check("alice", "x", VISITOR))
        while not threads:
            await asyncio.sleep(0)
        second = await stage.accounts.check("alice", "x", VISITOR)
        go_on.set()
        return await first, second

    first, second = asyncio.run(both())
    assert first == Passed("alice")
    assert isinstance(second, Later)
    assert threads[0] is not threading.main_thread()


def test_without_accounts_nobody_comes_in():
    accounts = Accounts(None)
    assert asyncio.run(accounts.mechanisms()) == ()
    assert asyncio.run(accounts.check("alice", "sesame", VISITOR)) == Denied()


def test_the_log_has_no_password(caplog):
    stage = Stage(Book(alice=Plain("sesame")))
    with caplog.at_level("DEBUG"):
        stage.check("alice", "sesame")
        stage.check("alice", "sesamE")
    assert "login: smtp [203.0.113.9] PLAIN: alice" in caplog.text
    assert "sesam" not in caplog.text
    assert base64.b64encode(b"\0alice\0sesame").decode() not in caplog.text


# --- the file


def test_a_wrong_line_costs_only_its_user_the_login():
    text = (
        "# people\n\nAlice:{PLAIN}sesame:1000:x\nbob\nbob:nonsense\nalice:{PLAIN}x\ncarl:{PLAIN}y\n"
    )
    found, problems = parse_passwords(text, "accounts")
    assert set(found) == {"alice", "carl"}
    assert found["alice"].plain() == "sesame"
    assert [problem.line for problem in problems] == [4, 5, 6]
    assert "nonsense" not in str(problems)


def test_a_changed_file_counts_at_once_and_one_that_others_can_read_does_not(tmp_path, caplog):
    path = tmp_path / "accounts"
    book = PasswordFile(path)
    with pytest.raises(TableError):
        book.entries()
    put_entry(path, "Alice", "{PLAIN}sesame")
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(book.entries()) == {"alice"}
    put_entry(path, "bob", "nonsense")
    assert set(book.entries()) == {"alice"}
    assert "accounts:2: bob: " in caplog.text
    path.chmod(0o640)
    with pytest.raises(TableError, match="chmod 600"):
        book.entries()


def test_an_entry_is_changed_or_taken_out_and_the_others_stay(tmp_path):
    path = tmp_path / "accounts"
    path.write_text("# people\nalice:{PLAIN}a\nbob:{PLAIN}b")
    assert put_entry(path, "ALICE", "{PLAIN}new")
    assert path.read_text() == "# people\nbob:{PLAIN}b\nalice:{PLAIN}new\n"
    assert put_entry(path, "alice", None)
    assert not put_entry(path, "alice", None)
    assert path.read_text() == "# people\nbob:{PLAIN}b\n"
    assert [each.name for each in tmp_path.iterdir()] == ["accounts"]
