"""Dialling, with a scripted modem at the other end of a pty."""

import asyncio
import os

import pytest

from peers.modem import ScriptedModem
from relaynode.config.uucp_values import ChatScript, Dialer, Modem, ModemCall, SerialLine
from relaynode.errors import BusyError, ConnectFailed
from relaynode.wire.chatting import run_chat
from relaynode.wire.memory import pair
from relaynode.wire.modem import dial, dialled, translate

FAILS = ("BUSY", r"NO\sCARRIER")
DIALER = Dialer(
    name="hayes",
    chat=ChatScript(('""', "ATZ", "OK", r"ATDT\T", "CONNECT"), 5, FAILS),
    dialtone="W",
    has_carrier=False,
    complete=ChatScript(('""', r"+++\c", "OK", "ATH0", "OK"), 5),
    abort=ChatScript(('""', r"+++\c", r"OK\W1", "ATH1", "OK"), 5),
)


def call_of(modem, number="555", *, dialer=DIALER, token=r"\D", attempts=1, codes=None):
    line = SerialLine(device=modem.device, speed=57600, has_hardflow=False)
    return ModemCall(
        Modem(
            name="usb0",
            line=line,
            dialers=((dialer, token),),
            dialcodes=codes or {},
            attempts=attempts,
            redial_seconds=0,
        ),
        number,
    )


def test_a_call_goes_through_and_what_was_said_behind_connect_is_not_lost(tmp_path):
    with ScriptedModem({"555": ["CONNECT 2400"]}, online_prefix=b"login: ") as modem:

        async def scenario():
            stream = await dial(call_of(modem), locks=tmp_path)
            heard = b""
            while b"login: " not in heard:
                heard += await stream.read(10)
            await stream.write(b"Uhorus\r")
            while b"Uhorus\r" not in heard:
                heard += await stream.read(10)
            await stream.close()
            return heard

        heard = asyncio.run(scenario())
    assert heard.startswith(b" 2400\r\n")
    assert modem.heard == ["ATZ", "ATDT555", "+++", "ATH0"]
    assert modem.data == b"Uhorus\r"
    assert list(tmp_path.iterdir()) == []


def test_an_engaged_number_is_dialled_again(tmp_path):
    with ScriptedModem({"555": ["BUSY", "NO CARRIER", "CONNECT"]}) as modem:

        async def scenario():
            stream = await dial(call_of(modem, attempts=3), locks=tmp_path)
            await stream.close()

        asyncio.run(scenario())
    assert [command for command in modem.heard if command.startswith("ATD")] == ["ATDT555"] * 3


def test_when_all_attempts_have_failed_the_modems_own_word_is_told(tmp_path):
    with (
        ScriptedModem({"555": ["BUSY", "NO CARRIER"]}) as modem,
        pytest.raises(ConnectFailed, match=r"usb0, 555: .*NO CARRIER"),
    ):
        asyncio.run(dial(call_of(modem, attempts=2), locks=tmp_path))
    assert modem.heard.count("ATDT555") == 2
    assert "ATH1" not in modem.heard  # it did not take +++ for a command, and was only hung up
    assert list(tmp_path.iterdir()) == []


def test_a_modem_that_says_nothing_is_given_up_after_the_chats_time(tmp_path):
    silent = Dialer(name="x", chat=ChatScript((r"NEVER\W1", "x"), 5), has_carrier=False)
    with (
        ScriptedModem({}) as modem,
        pytest.raises(ConnectFailed, match="timed out waiting for b'NEVER'"),
    ):
        asyncio.run(dial(call_of(modem, dialer=silent), locks=tmp_path))


def test_a_line_of_another_program_is_not_dialled_on(tmp_path):
    with ScriptedModem({}) as modem:
        name = modem.device.rpartition("/")[2]
        (tmp_path / f"LCK..{name}").write_text(f"{os.getppid():10}\n")
        with pytest.raises(BusyError):
            asyncio.run(dial(call_of(modem, attempts=5), locks=tmp_path))
    assert modem.heard == []


@pytest.mark.parametrize(
    ("number", "token", "sent"),
    [
        ("0=30-555", r"\D", "0W30,555"),
        ("muc=555", r"\D", "089W555"),
        ("555", "77", "77"),
        ("muc5", r"\T", "0895"),
    ],
)
def test_numbers_are_translated_as_the_modem_wants_them(tmp_path, number, token, sent):
    with ScriptedModem({sent: ["CONNECT"]}) as modem:
        call = call_of(modem, number, token=token, codes={"muc": "089"})

        async def scenario():
            await (await dial(call, locks=tmp_path)).close()

        asyncio.run(scenario())
    assert modem.heard[1] == f"ATDT{sent}"


def test_a_raw_number_keeps_its_letters(tmp_path):
    chat = ChatScript(('""', r"ATDT\D", "CONNECT"), 5, FAILS)
    dialer = Dialer(name="x", chat=chat, has_carrier=False)
    with ScriptedModem({"muc5": ["CONNECT"]}) as modem:

        async def scenario():
            await (await dial(call_of(modem, "muc5", dialer=dialer), locks=tmp_path)).close()

        asyncio.run(scenario())
    assert modem.heard == ["ATDTmuc5"]


def test_an_unknown_dial_code_is_told():
    assert translate("muc555", {"muc": "089-"}) == "089-555"
    assert translate("030", {}) == "030"
    with pytest.raises(ConnectFailed, match='the dial code "ham" is not known'):
        translate("ham1", {"muc": "089"})


def test_waiting_and_pausing_are_the_modems_own_signs():
    dialer = Dialer(name="x", dialtone="W-", pause="=,")
    assert dialled("0=1-2", dialer) == "0W-1=,2"


def test_a_call_that_is_aborted_is_hung_up_in_the_background(tmp_path):
    with ScriptedModem({"555": ["CONNECT"]}) as modem:

        async def scenario():
            stream = await dial(call_of(modem), locks=tmp_path)
            stream.abort()
            stream.abort()
            await stream._breaking_off

        asyncio.run(scenario())
    assert modem.heard[-2:] == ["+++", "ATH1"]
    assert list(tmp_path.iterdir()) == []


def test_dialers_in_a_row_are_run_one_after_the_other(tmp_path):
    first = Dialer(name="net", chat=ChatScript(('""', r"AT\D", "OK"), 5), has_carrier=False)
    with ScriptedModem({"555": ["CONNECT"]}) as modem:
        call = call_of(modem)
        both = ((first, "77"), (DIALER, r"\D"))
        line = call.modem.line
        call = ModemCall(Modem(name="usb0", line=line, dialers=both), "555")

        async def scenario():
            (await dial(call, locks=tmp_path)).abort()

        asyncio.run(scenario())
    assert modem.heard[:3] == ["AT77", "ATZ", "ATDT555"]


# ---- a chat on any stream


def test_a_login_chat_runs_on_any_stream_and_hands_back_what_came_behind():
    async def scenario():
        ours, theirs = pair()

        async def system():
            await theirs.write(b"Welcome\r\nlogin: ")
            assert await theirs.read(10) == b"Ubsd\r"
            await theirs.write(b"Password:")
            assert await theirs.read(10) == b"sesame\r"
            await theirs.write(b"\r\nok\x10Shere\0")

        answering = asyncio.ensure_future(system())
        script = ChatScript(("ogin:", r"\L", "word:", r"\P", "ok", r"\c"), 10)
        rest = await run_chat(ours, script, {"L": b"Ubsd", "P": b"sesame"})
        await answering
        return rest

    assert asyncio.run(scenario()) == b"\x10Shere\0"


def test_a_chat_that_fails_tells_why_without_the_password():
    async def scenario():
        ours, theirs = pair("horus")
        await theirs.write(b"word: incorrect")
        script = ChatScript(("word:", r"\P", "ogin:", "x"), 5, ("incorrect",))
        with pytest.raises(ConnectFailed, match=r"horus: .*incorrect") as raised:
            await run_chat(ours, script, {"P": b"sesame"})
        assert "sesame" not in str(raised.value)

    asyncio.run(scenario())
