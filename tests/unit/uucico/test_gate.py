"""Who may talk to us, asked from the thread in which the handshake is fed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.neighbours import Answer, Neighbour, Neighbours, Terms
from relaynode.queue.memory import MemoryStore
from relaynode.queue.uucp.model import JobKind
from relaynode.uucico.from_thread import FromThread
from relaynode.uucico.gate import StoreGate
from relaynode.uucp.features import OURS
from relaynode.uucp.handshake import CalledHandshake, CalledSettings, Refusal, Verdict, frame

NOW = 1_800_000_000.0
TERMS = Terms(our_name="alpha", public=Path("/srv/public"))


def neighbour(name="beta", login="Ubeta", *, sequence=False, called_back=False, **more):
    terms = replace(TERMS, has_sequence=sequence)
    answer = Answer(terms=terms, login=login, is_called_back=called_back)
    return Neighbour(name=name, place="test:1", link="l", answers=(answer,), **more)


def known(*all_of_them, **more):
    return Neighbours(
        our_name="alpha",
        locks=Path("/var/lock"),
        public=Path("/srv/public"),
        all=all_of_them or (neighbour(),),
        **{"spool": Path("/tmp"), **more},
    )


@pytest.fixture
def play(tmp_path):
    """Runs a scenario that gets a store and `call`: what comes of an introduction."""

    def run(scenario):
        async def act():
            store = MemoryStore(tmp_path, clock=lambda: NOW)
            from_thread = FromThread(asyncio.get_running_loop())

            async def call(neighbours, introduction="Sbeta -R -N047", login="Ubeta", **more):
                gate = StoreGate(
                    neighbours,
                    login,
                    store.uucp,
                    clock=lambda: NOW,
                    from_thread=from_thread,
                    **more,
                )
                handshake = CalledHandshake(CalledSettings("alpha", "it", OURS), gate, 0.0)
                for message in (introduction, "Ui"):
                    if handshake.result is None:
                        await asyncio.to_thread(handshake.receive, frame(message), 0.0)
                return gate, handshake.result

            try:
                return await scenario(store, call)
            finally:
                await store.close()

        return asyncio.run(act())

    return run


def test_a_neighbour_under_its_login_is_let_in_and_holds_the_session(play):
    async def scenario(store, call):
        gate, result = await call(known())
        assert not isinstance(result, Refusal)
        assert (gate.neighbour.name, gate.answer.login, gate.is_locked) == ("beta", "Ubeta", True)
        assert (await store.uucp.neighbours.statuses())["beta"].is_in_session

    play(scenario)


@pytest.mark.parametrize(
    ("introduction", "login", "verdict"),
    [
        ("Sgamma", "Ubeta", Verdict.UNKNOWN),
        ("Sbet", "Ubeta", Verdict.UNKNOWN),
        ("Sbeta", "Ugamma", Verdict.WRONG_LOGIN),
        ("Sbeta", "", Verdict.WRONG_LOGIN),
    ],
)
def test_strangers_and_wrong_logins_are_refused_and_lock_nothing(
    play, introduction, login, verdict
):
    async def scenario(store, call):
        gate, result = await call(known(), introduction, login)
        assert (result.verdict, gate.is_locked) == (verdict, False)

    play(scenario)


def test_a_name_that_an_old_system_had_to_cut_is_known_if_only_one_can_be_meant(play):
    async def scenario(store, call):
        one = neighbour("neighbour-one")
        gate, result = await call(known(one), "Sneighbo")
        assert (gate.neighbour.name, isinstance(result, Refusal)) == ("neighbour-one", False)
        _, result = await call(known(one, neighbour("neighbour-two")), "Sneighbo")
        assert result.verdict is Verdict.UNKNOWN

    play(scenario)


def test_an_alias_leads_to_the_neighbours_own_name(play):
    async def scenario(store, call):
        gate, _ = await call(known(neighbour(aliases=("bee",))), "Sbee")
        assert gate.neighbour.name == "beta"
        assert (await store.uucp.neighbours.statuses())["beta"].is_in_session

    play(scenario)


def test_a_stranger_may_come_in_only_if_that_was_configured(play):
    async def scenario(store, call):
        stranger = replace(neighbour("", None), is_known=False)
        gate, result = await call(known(stranger=stranger), "Sgamma", "anon")
        assert (gate.neighbour.name, isinstance(result, Refusal)) == ("gamma", False)

    play(scenario)


def test_a_certificate_of_another_neighbour_is_a_wrong_login(play):
    async def scenario(store, call):
        _, result = await call(known(), shows=lambda one: one.name == "gamma")
        assert result.verdict is Verdict.WRONG_LOGIN
        _, result = await call(known(), shows=lambda one: one.name == "beta")
        assert not isinstance(result, Refusal)

    play(scenario)


def test_a_second_call_finds_the_session_taken(play):
    async def scenario(store, call):
        await call(known())
        gate, result = await call(known())
        assert (result.verdict, gate.is_locked) == (Verdict.LOCKED, False)
        await store.uucp.neighbours.end_session("beta")
        _, result = await call(known())
        assert not isinstance(result, Refusal)

    play(scenario)


def test_who_is_called_back_gets_one_call_queued_however_often_it_calls(play):
    async def scenario(store, call):
        for _ in range(2):
            gate, result = await call(known(neighbour(called_back=True)))
            assert (result.verdict, gate.is_locked) == (Verdict.CALL_BACK, False)
        (job,) = await store.uucp.jobs.find("beta")
        assert (job.kind, job.grade) == (JobKind.CALL, "0")

    play(scenario)


def test_the_sequence_must_be_the_next_one_and_is_counted(play):
    async def scenario(store, call):
        async def verdict(introduction):
            gate, result = await call(known(neighbour(sequence=True)), introduction)
            if gate.is_locked:
                await store.uucp.neighbours.end_session("beta")
            return result.verdict if isinstance(result, Refusal) else None

        assert await verdict("Sbeta") is Verdict.BAD_SEQUENCE
        assert await verdict("Sbeta -Q2") is Verdict.BAD_SEQUENCE
        assert await verdict("Sbeta -Q1") is None
        assert await verdict("Sbeta -Q1") is Verdict.BAD_SEQUENCE
        assert await verdict("Sbeta -Q2") is None
        assert await verdict("Sbeta -Q" + "9" * 15) is Verdict.BAD_SEQUENCE

    play(scenario)


def test_asking_on_the_loop_itself_is_a_fault_and_no_standstill(play):
    async def scenario(store, call):
        from_thread = FromThread(asyncio.get_running_loop())
        with pytest.raises(LocalProtocolError):
            from_thread.wait(store.uucp.neighbours.begin_session("beta"))

    play(scenario)
