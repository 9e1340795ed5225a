"""Neighbours out of Taylor's files: what drivers and policies are told."""

from pathlib import Path

import pytest

from relaynode.config.loader import load
from relaynode.config.timestring import TimeString
from relaynode.config.uucp_values import DirectCall, ModemCall, PipeCall, SerialLine, TcpCall
from relaynode.neighbours import load_neighbours

SATURDAY, MONDAY = 5, 0

SYS = r"""
chat "" \d\d\r\c ogin: \d\L word: \P
chat-timeout 20
remote-send ~ !~/private
system horus
alias horus.example.org
call-login *
call-password *
time Wk1800-0800,Sa,Su
timegrade C Any 7
phone 030-5551234
port ACU
called-login Uhorus
sequence yes
alternate evening
phone muc=123
alternate tcp
address uucp.horus.example.org
port TCP
protocol ti
alternate nothing-new
"""
PORT = """
port ACU
device cuaa0
speed 57600
dialer hayes
protocol-parameter i window 8
protocol-parameter g window 6
port ACU
device /dev/cuaa1
dialer hayes
port TCP
type tcp
service 600
version 4
"""
DIAL = r"""
dialer hayes
chat "" ATZ OK ATDT\T CONNECT
reliable false
protocol-parameter g window 3
"""


@pytest.fixture
def site(tmp_path):
    """The neighbours of Taylor files in etc/, and of a relaynode.toml beside that."""

    def read(toml="", **files):
        folder = tmp_path / "etc"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        path = tmp_path / "relaynode.toml"
        node = '[node]\nhostname = "bsd.example.org"\nspool = "spool"\n'
        path.write_text(f'{node}[uucp]\ntaylor = "etc"\nlocks = "/locks"\n{toml}')
        return load_neighbours(load(path))

    return read


@pytest.fixture
def horus(site):
    found = site(sys=SYS, port=PORT, dial=DIAL, dialcode="muc 089\n", call="horus Ubsd sesame\n")
    assert found.problems == ()
    return found.find("horus")


def test_each_port_of_a_name_is_a_way_and_an_alternate_without_news_is_none(horus):
    assert [(way.name, str(way.call)) for way in horus.ways] == [
        ("", "modem:ACU,030-5551234"),
        ("", "modem:ACU,030-5551234"),
        ("evening", "modem:ACU,muc=123"),
        ("evening", "modem:ACU,muc=123"),
        ("tcp", "tcp:uucp.horus.example.org:600"),
    ]
    assert horus.ways[-1].call == TcpCall("uucp.horus.example.org", 600, 4)


def test_a_modem_comes_with_its_line_dialer_and_dial_codes(horus):
    first, second, *_ = (way.call.modem for way in horus.ways[:4])
    assert first.line == SerialLine(device="/dev/cuaa0", speed=57600, has_carrier=True)
    assert second.line == SerialLine(device="/dev/cuaa1", has_carrier=True)
    ((dialer, token),) = first.dialers
    assert (dialer.name, token, dialer.has_carrier) == ("hayes", r"\D", True)
    assert first.dialcodes == {"muc": "089"}


def test_login_and_password_come_from_the_call_file_and_are_not_shown(horus):
    way = horus.ways[0]
    assert (way.login, way.password.reveal()) == ("Ubsd", "sesame")
    assert "sesame" not in repr(horus)
    assert way.chat.timeout_seconds == 20
    assert way.chat.words[-1] == r"\P"


def test_a_line_tells_which_protocols_suit_it(horus):
    modem, tcp = horus.ways[0], horus.ways[-1]
    assert not modem.is_reliable
    assert not modem.is_end_to_end
    assert set("te") & set(modem.protocols) == set()
    assert modem.protocols[0] == "i"
    assert tcp.protocols == "ti"
    assert tcp.is_end_to_end


def test_parameters_of_dialers_come_before_those_of_ports_and_of_systems(site):
    found = site(
        sys="protocol-parameter g retries 9\nprotocol-parameter g window 1\nsystem a\n"
        "port ACU\nphone 1\nchat x y\n",
        port=PORT,
        dial=DIAL,
    )
    (way, _) = found.find("a").ways
    assert way.parameters == {"g": {"window": "3", "retries": "9"}, "i": {"window": "8"}}


def test_hours_decide_which_grades_may_go_and_how_long_to_wait(horus):
    way = horus.ways[0]
    assert way.grade_at(SATURDAY, 600) == "z"
    assert way.grade_at(MONDAY, 600) == "C"
    assert way.retry_minutes_at(MONDAY, 600) == 7
    assert way.retry_minutes_at(SATURDAY, 600) is None
    assert way.request_grade_at(MONDAY, 600) is None


def test_a_system_without_times_is_never_called_by_itself(site):
    found = site(sys="system a\nport TCP\nchat x\n", port=PORT)
    (way,) = found.find("a").ways
    assert way.grade_at(MONDAY, 0) is None


def test_names_and_aliases_find_a_neighbour_and_mail_does_not_mind_case(site):
    found = site(sys="system horus\nalias b\nsystem b\n")
    assert found.find("horus").names == ("horus", "b")
    assert found.find("b").name == "b"
    assert found.find("Horus") is None
    assert found.find_like("HORUS").name == "horus"
    assert [neighbour.name for neighbour in found] == ["horus", "b"]


def test_the_place_is_named_where_it_was_configured(site, tmp_path):
    assert site(sys="\nsystem horus\n").find("horus").place == f"{tmp_path}/etc/sys:2"


# ---- other lines


def test_a_pipe_gets_its_address_and_system(site):
    found = site(
        sys="system a\naddress a.example\nport type pipe\n"
        "port command /usr/bin/ssh \\H \\Z a\\\\b\nchat x\n"
    )
    (way,) = found.find("a").ways
    assert way.call == PipeCall(("/usr/bin/ssh", "a.example", "a", "a\\b"))
    assert not way.is_end_to_end


def test_a_direct_line_has_no_carrier_unless_it_says_so(site):
    found = site(
        sys="system a\nport D\nspeed 9600\nchat x\n",
        port="port D\ntype direct\ndevice ttyS0\nhardflow n\nlockname LCK..x\n",
    )
    (way,) = found.find("a").ways
    assert way.call == DirectCall(
        SerialLine(device="/dev/ttyS0", speed=9600, has_hardflow=False, lock_name="LCK..x")
    )


def test_a_speed_alone_chooses_among_ports(site):
    found = site(
        sys="system a\nspeed 1200\nphone 5\nchat x\nsystem b\nspeed 300\nphone 5\nchat x\n",
        port="port x\nspeed 300\ndialer h\nport y\nspeed-range 600 2400\ndialer h\n",
        dial="dialer h\nchat x\n",
    )
    assert [way.call.modem.line.device for way in found.find("a").ways] == ["/dev/y"]
    assert [way.call.modem.line.device for way in found.find("b").ways] == ["/dev/x", "/dev/y"]


def test_dialers_may_stand_in_a_row_each_with_a_token(site):
    found = site(
        sys="system a\nport x\nphone 5\nchat x\n",
        port="port x\ndialer-sequence net 77 hayes\n",
        dial="dialer net\nchat x\ndialer hayes\nchat y\n",
    )
    call = found.find("a").ways[0].call
    assert isinstance(call, ModemCall)
    assert [(dialer.name, token) for dialer, token in call.modem.dialers] == [
        ("net", "77"),
        ("hayes", r"\D"),
    ]


def test_a_port_may_describe_its_dialer(site):
    found = site(
        sys="system a\nport x\nphone 5\nchat x\n",
        port="port x\ndialer chat x y z\ndialer pause W\n",
    )
    ((dialer, _),) = found.find("a").ways[0].call.modem.dialers
    assert (dialer.chat.words, dialer.pause) == (("x", "y", "z"), "W")


# ---- when it calls


def test_a_login_is_demanded_where_one_is_named(horus, site):
    assert horus.answer("Uhorus").terms.has_sequence
    assert horus.answer("Uother") is None
    anybody = site(sys="system a\n").find("a")
    assert anybody.answer("whoever").terms.commands == ("rnews", "rmail")


def test_alternates_give_a_login_terms_of_its_own_only_if_the_first_names_one(site):
    text = "system a\n{}commands rmail\nalternate\ncalled-login Utwo\ncommands rmail rnews uucp\n"
    named = site(sys=text.format("called-login Uone\n")).find("a")
    assert named.answer("Uone").terms.commands == ("rmail",)
    assert named.answer("Utwo").terms.commands == ("rmail", "rnews", "uucp")
    assert named.answer("Uthree") is None
    unnamed = site(sys=text.format("")).find("a")
    assert unnamed.answer("Utwo").terms.commands == ("rmail",)


def test_any_login_leaves_room_for_one_of_its_own_behind_it(site):
    found = site(
        sys="system a\ncalled-login ANY\ncommands x\nalternate\ncalled-login Ub\ncommands y\n"
    ).find("a")
    assert found.answer("Uwho").terms.commands == ("x",)
    assert found.answer("Ub").terms.commands == ("y",)


def test_a_login_with_a_list_of_systems_is_theirs_alone(site):
    """Unless a system names the login itself."""
    found = site(
        sys="system a\ncalled-login Ux a b\nsystem b\nsystem c\nsystem d\ncalled-login Ux\n"
    )
    allowed = {n.name: found.answer(n, "Ux") is not None for n in found}
    assert allowed == {"a": True, "b": True, "c": False, "d": True}
    assert found.answer(found.find("c"), "Uother") is not None


def test_we_have_another_name_for_those_who_log_in_so(site):
    found = site(config="nodename bsd\n", sys="system a\nmyname inside\ncalled-login Ua\n")
    assert found.our_name_for("Ua") == "inside"
    assert found.our_name_for("Ub") == "bsd"


def test_strangers_are_refused_unless_config_says_what_holds_for_them(site):
    assert site(sys="system a\n").find_caller("x") is None
    found = site(config="unknown commands rmail\nunknown receive-request n\n", sys="system a\n")
    stranger = found.find_caller("x")
    assert (stranger.name, stranger.is_known, stranger.ways) == ("x", False, ())
    terms = stranger.answer("nobody").terms
    assert (terms.commands, terms.may_send, terms.may_fetch) == (("rmail",), False, True)
    assert found.find("x") is None
    assert found.find_caller("a").is_known


def test_a_password_is_right_or_wrong_and_unknown_logins_are_wrong(site):
    found = site(passwd="Ua sesame\n")
    assert found.is_login("Ua", b"sesame")
    assert not found.is_login("Ua", b"sesam")
    assert not found.is_login("Ub", b"sesame")
    assert not found.is_login("Ub", b"no login has this password")


def test_limits_hold_for_their_times_their_direction_and_who_asked(site):
    terms = (
        site(sys="system a\ncalled-remote-size 100 Wk\ncalled-remote-size 1000 Any\n")
        .find("a")
        .answer("x")
        .terms
    )

    def limit(day, *, when_calling=False, by_us=False):
        return terms.max_bytes(when_calling=when_calling, by_us=by_us, weekday=day, minute=0)

    assert (limit(MONDAY), limit(SATURDAY)) == (100, 1000)
    assert limit(MONDAY, by_us=True) is None
    assert limit(MONDAY, when_calling=True) is None


def test_folders_and_their_exceptions_are_kept_in_order(horus):
    assert horus.answer("Uhorus").terms.remote_send == ("~", "!~/private")
    assert horus.answer("Uhorus").terms.local_send == ("/",)


# ---- the whole


def test_names_and_folders_come_from_the_toml_then_from_taylor_then_from_the_node(site, tmp_path):
    alone = site()
    assert (alone.our_name, alone.public) == ("bsd", tmp_path / "spool" / "uucppublic")
    taylors = site(config="nodename tay\npubdir /pub\nlockdir /tl\n")
    assert (taylors.our_name, taylors.public) == ("tay", Path("/pub"))
    assert taylors.locks == Path("/locks")
    ours = site('nodename = "toml"\npublic = "p"\n')
    assert (ours.our_name, ours.public) == ("toml", tmp_path / "p")
    assert ours.spool == tmp_path / "spool" / "uucp"


def test_the_toml_counts_where_both_name_a_system(site):
    found = site('[neighbour.a]\ncall = ["tcp:toml"]\n', sys="system a\nsystem b\n")
    assert [neighbour.name for neighbour in found] == ["a", "b"]
    assert str(found.find("a").ways[0].call) == "tcp:toml:540"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"sys": "\nsystem a\nport NONE\n"}, "sys:2: a: there is no port NONE; see the port file"),
        (
            {"sys": "system a\nport x\nphone 5\n", "port": "port x\n"},
            "sys:1: a: port x has no dial",
        ),
        (
            {"sys": "system a\nport x\nphone 5\n", "port": "port x\ndialer no\n"},
            "sys:1: a: port x: there is no dialer no",
        ),
        (
            {
                "sys": "system a\nport x\n",
                "port": "port x\ndialer d\n",
                "dial": "dialer d\nchat x\n",
            },
            "sys:1: a: no phone to call over port x; add phone",
        ),
        ({"sys": "system a\nport type pipe\n"}, "sys:1: a: port a has no command; add command"),
        (
            {"sys": "system a\nport type tcp\ncall-login *\nchat x\n"},
            "sys:1: a: call-login *: the call file has no line for it",
        ),
        (
            {"sys": "system a\nport type tcp\ntime Any\n"},
            r"sys:1: a: its chat sends \L, and there is no call-login",
        ),
        (
            {"sys": "system a\ncommands ALL\n"},
            "sys:1: a: commands ALL is not done here: rnews rmail are meant; name the commands",
        ),
        (
            {"sys": "system a\nport type tcp\nport service nosuch\nchat x\n"},
            "sys:1: a: port a: there is no service nosuch; write its number",
        ),
        (
            {"sys": "system a\nport type tcp\nchat x \\q\n"},
            "sys:1: a: chat: \\q means nothing here: '\\\\q'",
        ),
        (
            {"sys": "system a\nport type tcp\nchat-program /bin/x\nchat x\n"},
            "sys:1: a: a chat-program is not run here; write it as a chat script",
        ),
        (
            {"sys": "system a\nport type tcp\ncall-login x\ncall-password ses\\qame\n"},
            "sys:1: a: call-password has an escape that means nothing",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_with_file_and_line(site, tmp_path, files, problem):
    (found,) = site(**files).problems
    assert str(found).replace(f"{tmp_path}/etc/", "").startswith(problem)


def test_commands_all_gives_no_more_than_the_usual(site):
    assert site(sys="system a\ncommands ALL\n").find("a").answer("x").terms.commands == (
        "rnews",
        "rmail",
    )


def test_times_of_the_sites_own_timetable_are_understood(site):
    found = site(
        config="timetable Weekend Sa,Su\n",
        sys="system a\ntime weekend\nport TCP\nchat x\n",
        port=PORT,
    )
    assert found.find("a").ways[0].times[0].times == TimeString.parse("Sa,Su")
