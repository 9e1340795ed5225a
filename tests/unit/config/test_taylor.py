"""Taylor's files as real sites have them, and every mistake with its file and line."""

import pytest

from relaynode.config.taylor import read_taylor
from relaynode.config.timestring import TimeString

CONFIG = """\
# The main file
nodename  bsd
spool     /var/spool/uucp
pubdir    /var/spool/uucppublic
lockdir   /var/spool/lock
sysfile   sys sys.leaves
callfile  call
timetable Cheap Wk1800-0800,Sa,Su
unknown   receive-request no
unknown   commands rmail
debug     abnormal chat
max-uuxqts 1
strip-login false
"""

SYS = """\
# Defaults for all of them
protocol gvG
protocol-parameter G packet-size 1024
protocol-parameter G short-packets
call-login *
call-password *
chat "" \\d\\d\\r\\c ogin: \\d\\L word: \\P
remote-send ~ !~/private

system horus
alias horus.example.org
time cheap
phone 030-5551234
port ACU
called-login Uhorus
sequence yes
# more than one line is bought
alternate horus-2
phone 030=5551235
alternate horus-tcp
time any 5
address uucp.horus.example.org
port TCP
protocol tie

system osiris
time Never
port type pipe
port command /usr/bin/ssh -a -x \\
 -q osiris@\\H /usr/sbin/uucico
port reliable true
address osiris.example.org
protocol ti
commands rmail rnews cbsmtp
call-timegrade Z Wk0800-1700
called-remote-size 100000 Wk0800-1700
called-remote-size 1000000 Any
"""

LEAVES = "system leaf\ncalled-login Uleaf\nforward-to ANY\n"

PORT = """\
port ACU
type modem
device /dev/cuaa0
speed 57600
dialer hayes
port ACU
device cuaa1
speed-range 1200 9600
dialer hayes
port TCP
type tcp
service 540
"""

DIAL = """\
dialer hayes
chat "" ATZ\\r\\d\\c OK\\r ATDT\\T CONNECT
chat-fail BUSY
chat-fail NO\\sCARRIER
dtr-toggle y y
carrier-wait 45
complete \\d\\d+++\\d\\dATH0\\r\\c
abort-chat "" +++ OK ATH0
"""


@pytest.fixture
def site(tmp_path):
    """Writes files, and reads all of them; what is wrong is shown without the folder."""

    def read(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text(text)
            path.chmod(0o600)
        return read_taylor(tmp_path)

    return read


@pytest.fixture
def told(site, tmp_path):
    def read(**files):
        return [str(one).replace(f"{tmp_path}/", "") for one in site(**files).problems]

    return read


def test_a_whole_site_is_read_without_a_problem(site, tmp_path):
    taylor = site(
        config=CONFIG,
        sys=SYS,
        sys_leaves=LEAVES,
        port=PORT,
        dial=DIAL,
        dialcode="muc 089\n",
        call="horus Ubsd sesa\\155e\nosiris Uosi x\n",
        passwd="Uhorus open\\ssesame\nUleaf:leafs:0:0:a leaf:/:/bin/sh\n",
    )
    assert taylor.problems == ()
    assert taylor.nodename == "bsd"
    assert str(taylor.locks) == "/var/spool/lock"
    assert not taylor.strips_login
    assert taylor.strips_handshake
    assert [system.name for system in taylor.systems] == ["horus", "osiris", "leaf"]
    assert [(port.name, port.kind) for port in taylor.ports] == [
        ("ACU", "modem"),
        ("ACU", "modem"),
        ("TCP", "tcp"),
    ]
    assert taylor.dialcodes == {"muc": "089"}
    assert (taylor.calls["horus"].name, taylor.calls["horus"].password.reveal()) == (
        "Ubsd",
        "sesame",
    )
    assert taylor.passwords["Uhorus"].reveal() == "open sesame"
    assert taylor.passwords["Uleaf"].reveal() == "leafs"
    assert taylor.unknown.sets[0].settings == {"receive-request": False, "commands": ("rmail",)}


def test_no_password_is_shown_by_accident(site):
    taylor = site(
        sys="system a\ncall-password sesame\n", call="a Ua sesame\n", passwd="Ua sesame\n"
    )
    assert "sesame" not in repr(taylor)


def test_an_alternate_has_the_rest_from_the_first_set(site):
    taylor = site(config=CONFIG, sys=SYS, sys_leaves=LEAVES)
    first, second, third = (one.settings for one in taylor.systems[0].sets)
    assert [one.name for one in taylor.systems[0].sets] == ["", "horus-2", "horus-tcp"]
    assert (first["phone"], second["phone"]) == ("030-5551234", "030=5551235")
    assert second["time"] == first["time"]
    assert second["port"] == "ACU"
    assert (third["port"], third["protocol"]) == ("TCP", "tie")
    assert first["protocol"] == "gvG"
    assert third["time"][0].retry_minutes == 5
    assert third["called-login"] == ("Uhorus",)


def test_the_third_set_does_not_have_the_second_ones_settings(site):
    """Seen with uuchk: what an alternate does not say comes from the first."""
    taylor = site(sys="system a\nphone 1\nalternate\nphone 2\ncommands x\nalternate\nspeed 300\n")
    assert taylor.systems[0].sets[2].settings == {"phone": "1", "speed": 300}


def test_times_and_sizes_add_up_within_a_set_and_replace_those_of_the_defaults(site):
    taylor = site(
        sys="time Sa\ncall-local-size 5 Any\nsystem a\ntime Mo\ntimegrade C We 9\n"
        "call-local-size 7 Sa\ncalled-remote-size 9 Su\nsystem b\n"
    )
    a, b = (system.sets[0].settings for system in taylor.systems)
    assert [(str(one.times), one.grade, one.retry_minutes) for one in a["time"]] == [
        ("Mo", "z", None),
        ("We", "C", 9),
    ]
    assert [one.max_bytes for one in a["size"]] == [7, 9]
    assert [str(one.times) for one in b["time"]] == ["Sa"]


def test_a_letters_parameters_replace_the_defaults_for_that_letter(site):
    """Seen with uuchk."""
    taylor = site(
        sys="protocol-parameter g window 5\nprotocol-parameter i window 9\nsystem a\n"
        "protocol-parameter g packet-size 128\nprotocol-parameter g timeout 12\n"
    )
    settings = taylor.systems[0].sets[0].settings
    assert settings["protocol-parameter g"] == {"packet-size": "128", "timeout": "12"}
    assert settings["protocol-parameter i"] == {"window": "9"}


def test_defaults_may_have_alternates_and_a_system_may_do_without(site):
    """Seen with uuchk: a system's own first set comes before an alternate of the defaults."""
    taylor = site(
        sys="commands rmail foo\nalternate\ncommands rmail bar\nphone 5\nalternate\nphone 6\n"
        "system two\nphone 1\nalternate\nspeed 300\nsystem three\ndefault-alternates no\n"
    )
    two, three = taylor.systems
    assert [one.settings["phone"] for one in two.sets] == ["1", "1", "1"]
    assert [one.settings["commands"][-1] for one in two.sets] == ["foo", "bar", "foo"]
    assert [one.is_written for one in two.sets] == [True, True, False]
    assert len(three.sets) == 1


def test_each_sys_file_has_its_own_defaults(site):
    taylor = site(
        config="sysfile sys\nsysfile sys.b\n", sys="sequence y\nsystem a", sys_b="system b"
    )
    assert [system.sets[0].settings for system in taylor.systems] == [{"sequence": True}, {}]


def test_a_port_may_be_described_in_the_system(site):
    taylor = site(sys="system a\nport type tcp\nport service 600\nalternate\nport TCP\n")
    first, second = (one.settings for one in taylor.systems[0].sets)
    assert [line.words for line in first["port-lines"]] == [("type", "tcp"), ("service", "600")]
    assert (second["port"], second["port-lines"]) == ("TCP", ())


def test_a_dialers_short_forms_are_chat_scripts(site):
    entry = site(dial=DIAL).dialers["hayes"]
    dialer = entry.dialer
    assert dialer.chat.words[-1] == "CONNECT"
    assert dialer.chat.fails == ("BUSY", r"NO\sCARRIER")
    assert dialer.chat.timeout_seconds == 60
    assert dialer.complete.words == ('""', r"\d\d+++\d\dATH0\r\c")
    assert dialer.abort.words == ('""', "+++", "OK", "ATH0")
    assert (dialer.carrier_wait_seconds, dialer.has_dtr_toggle, dialer.pause) == (45, True, ",")


def test_a_site_without_any_file_says_nothing(site):
    taylor = site()
    assert (taylor.systems, taylor.ports, taylor.problems) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("sys", "system a\nbogus x\n", "sys:2: unknown keyword bogus of a system"),
        (
            "sys",
            "system a\nprotocl t\n",
            "sys:2: unknown keyword protocl of a system; did you mean",
        ),
        ("sys", "\n\nsystem a b\n", "sys:3: system takes one name"),
        (
            "sys",
            "system a\nsystem a\n",
            "sys:2: a is there already, on line 1; the first one counts",
        ),
        ("sys", "system a\nsequence maybe\n", 'sys:2: sequence: "maybe" is neither yes nor no'),
        ("sys", "system a\ncallback\n", "sys:2: callback: takes one word, and none is written"),
        ("sys", "system a\ntime 9:00-x\n", 'sys:2: time: "9:00-x" is no time string'),
        ("sys", "system a\ntime Any 5 6\n", "sys:2: time: write time TIMES [RETRY-MINUTES]"),
        ("sys", "system a\ntimegrade CC Any\n", "sys:2: timegrade: write timegrade GRADE"),
        ("sys", "system a\nfree-space 10k\n", 'sys:2: free-space: "10k" is no number'),
        ("sys", "system a\nprotocol-parameter g\n", "sys:2: protocol-parameter: write protocol-p"),
        ("sys", "system a\nphone 1 2\n", "sys:2: phone: takes one word, and 2 are written"),
        ("sys", "system a\nport\n", "sys:2: port: write port NAME"),
        ("sys", "system a\nalias\n", "sys:2: alias takes one name"),
        ("port", "port a\ntype tli\n", "port:2: port a: no such type: tli; modem, direct, tcp"),
        ("port", "port a\ntype tcp\ndevice x\n", "port:3: unknown keyword device of a tcp port"),
        ("port", "port a\ntype tcp\nservice 99999\n", "port:3: service: 99999 is no port number"),
        (
            "dial",
            "dialer a\nchta x\n",
            "dial:2: unknown keyword chta of a dialer; did you mean chat?",
        ),
        ("dialcode", "muc\n", "dialcode:1: a dial code is two words"),
        ("call", "a Ua sesame more\n", "call:1: a line has three words"),
        ("call", "a Ua ses\\qame\n", "call:1: an escape that means nothing"),
        ("passwd", "Ua\n", "passwd:1: a line has two words"),
        ("config", "timetable x\n", "config:1: timetable: takes a name and a time string"),
        ("config", "unknown\n", "config: unknown takes a keyword"),
        ("config", "unknown bogus\n", "config:1: unknown keyword bogus of a system"),
        ("config", "sysfile none\n", "none: No such file or directory"),
        ("config", "spol /x\n", "config:1: unknown keyword spol of config; did you mean spool?"),
    ],
)
def test_each_mistake_is_told_with_file_and_line_and_the_rest_works(told, name, text, problem):
    (found,) = told(**{name: text})
    assert found.startswith(problem)
    assert "sesame" not in found


def test_what_stands_behind_a_mistake_is_still_read(site):
    taylor = site(sys="system a\nbogus\ntime Sa\nsystem b\n")
    assert [system.name for system in taylor.systems] == ["a", "b"]
    assert taylor.systems[0].sets[0].settings["time"][0].times == TimeString.parse("Sa")


@pytest.mark.parametrize(
    ("name", "text"),
    [("call", "a Ua x\n"), ("passwd", "Ua x\n"), ("sys", "system a\ncall-password x\n")],
)
def test_a_file_of_passwords_that_everybody_may_read_is_a_problem(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(0o644)
    (problem,) = read_taylor(tmp_path).problems
    assert str(problem) == (
        f"{tmp_path}/{name}: holds passwords and everybody may read it (mode 0644);"
        f" chmod o-r {tmp_path}/{name}"
    )
    (tmp_path / name).chmod(0o640)  # the group is uucp's own
    assert read_taylor(tmp_path).problems == ()


def test_a_sys_file_without_a_password_may_be_read_by_all(tmp_path):
    (tmp_path / "sys").write_text("system a\ncall-login *\ncall-password *\n")
    (tmp_path / "sys").chmod(0o644)
    assert read_taylor(tmp_path).problems == ()


def test_a_folder_that_is_not_there_is_a_problem_and_no_traceback(tmp_path):
    (problem,) = read_taylor(tmp_path / "none").problems
    assert str(problem) == f"{tmp_path}/none: there is no such folder"


def test_bytes_that_are_no_utf_8_and_endless_files_do_no_harm(tmp_path, monkeypatch):
    (tmp_path / "sys").write_bytes(b"system a\xff\nphone \xfe\0\n")
    assert read_taylor(tmp_path).systems[0].name == "a\udcff"
    monkeypatch.setattr("relaynode.config.taylor.MAX_FILE_BYTES", 10)
    (problem,) = read_taylor(tmp_path).problems
    assert problem.text == "is larger than 10 bytes and is not read"


def test_thousands_of_alternates_end_at_a_bound(site):
    taylor = site(sys="system a\n" + "alternate\n" * 200)
    assert len(taylor.systems[0].sets) == 64
