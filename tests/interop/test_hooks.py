"""The hooks and units in contrib/, called as their callers call them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hook_callers import ME, fake_relaynode
from relaynode.cli.main import _parser

CONTRIB = Path(__file__).parents[2] / "contrib"
PPPD_UP = CONTRIB / "pppd" / "ip-up.d" / "relaynode"
PPPD_DOWN = CONTRIB / "pppd" / "ip-down.d" / "relaynode"
NETWORK_MANAGER = CONTRIB / "NetworkManager" / "50-relaynode"
RC_SCRIPT = CONTRIB / "freebsd" / "relaynode"
HOOKS = [PPPD_UP, PPPD_DOWN, NETWORK_MANAGER]

PPPD_ARGUMENTS = ["ppp0", "/dev/ttyS0", "115200", "192.0.2.7", "192.0.2.1", "provider"]
PPPD_ENVIRONMENT = {
    "DEVICE": "/dev/ttyS0",
    "IFNAME": "ppp0",
    "IPLOCAL": "192.0.2.7",
    "IPREMOTE": "192.0.2.1",
    "SPEED": "115200",
    "ORIG_UID": "0",
    "PPPLOGNAME": "root",
}


@pytest.fixture
def fake():
    with fake_relaynode() as one:
        yield one


# ---- pppd


@pytest.mark.parametrize(
    ("hook", "command"), [(PPPD_UP, "linkup --quiet"), (PPPD_DOWN, "linkdown")]
)
def test_pppd_tells_of_the_link_by_its_arguments(fake, hook, command):
    environment = {**PPPD_ENVIRONMENT, "RELAYNODE": str(fake.program)}
    assert fake.calls(hook, *PPPD_ARGUMENTS, **environment) == [f"{ME}: {command}"]


@pytest.mark.parametrize(
    ("hook", "command"), [(PPPD_UP, "linkup isp --quiet"), (PPPD_DOWN, "linkdown isp")]
)
def test_debians_run_parts_calls_it_with_its_own_variables(fake, hook, command):
    """With the arguments, or, from a script that does not pass them on, without."""
    environment = {
        "PPP_IFACE": "ppp0",
        "PPP_TTY": "/dev/ttyS0",
        "PPP_IPPARAM": "provider",
        "RELAYNODE": str(fake.program),
        "RELAYNODE_LINK": "isp",
        "RELAYNODE_INTERFACE": "ppp0",
    }
    assert fake.calls(hook, *PPPD_ARGUMENTS, **environment) == [f"{ME}: {command}"]
    assert fake.calls(hook, **environment) == [f"{ME}: {command}"] * 2


@pytest.mark.skipif(shutil.which("run-parts") is None, reason="run-parts is not installed")
@pytest.mark.parametrize("hook", [PPPD_UP, PPPD_DOWN])
def test_debians_run_parts_takes_the_file(hook):
    ended = subprocess.run(["run-parts", "--test", hook.parent], stdout=subprocess.PIPE, text=True)
    assert ended.stdout.splitlines() == [str(hook)]


# ---- NetworkManager


@pytest.mark.parametrize(
    ("action", "calls"),
    [
        ("up", [f"{ME}: linkup isp --quiet"]),
        ("down", [f"{ME}: linkdown isp"]),
        ("pre-up", []),
        ("pre-down", []),
        ("vpn-up", []),
        ("dhcp4-change", []),
        ("connectivity-change", []),
        ("reapply", []),
        ("", []),
    ],
)
def test_network_manager_tells_by_its_action(fake, action, calls):
    environment = {
        "PATH": "/usr/bin:/bin",
        "NM_DISPATCHER_ACTION": action,
        "CONNECTION_ID": "Wired",
        "DEVICE_IFACE": "eth0",
        "DEVICE_IP_IFACE": "eth0",
        "CONNECTIVITY_STATE": "FULL",
        "RELAYNODE": str(fake.program),
        "RELAYNODE_LINK": "isp",
    }
    assert fake.calls(NETWORK_MANAGER, "eth0", action, **environment) == calls


@pytest.mark.parametrize(
    "arguments", [["", "connectivity-change"], ["none", "hostname"], [], ["eth0"]]
)
def test_network_manager_may_leave_the_interface_out(fake, arguments):
    assert fake.calls(NETWORK_MANAGER, *arguments, RELAYNODE=str(fake.program)) == []


# ---- all of them


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
@pytest.mark.parametrize("action", ["up", "down"])
def test_the_loopback_interface_is_no_link(fake, hook, action):
    assert fake.calls(hook, "lo", action, RELAYNODE=str(fake.program)) == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_where_an_interface_is_named_no_other_is_the_link(fake, hook):
    environment = {"RELAYNODE": str(fake.program), "RELAYNODE_INTERFACE": "ppp0"}
    assert fake.calls(hook, "eth0", "up", **environment) == []
    assert len(fake.calls(hook, "ppp0", "up", **environment)) == 1


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_the_program_is_found_in_the_path(fake, hook):
    path = f"{fake.folder}:/usr/bin:/bin"
    assert len(fake.calls(hook, "ppp0", "up", PATH=path)) == 1


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_a_path_that_leads_nowhere_does_not_matter(fake, hook):
    environment = {"RELAYNODE": str(fake.program), "PATH": "/nonexistent"}
    if os.geteuid() == 0:
        environment["RELAYNODE_USER"] = "nobody"  # so that id, su and logger are needed
    assert len(fake.calls(hook, "ppp0", "up", **environment)) == 1


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_a_program_that_is_not_there_any_more_is_no_trouble(fake, hook):
    assert fake.calls(hook, "ppp0", "up", RELAYNODE="/nonexistent/relaynode") == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_settings_are_read_from_their_file(fake, hook):
    (fake.folder / "settings").write_text(f"RELAYNODE={fake.program}\nRELAYNODE_LINK=night-line\n")
    (call,) = fake.calls(hook, "ppp0", "up")
    assert "night-line" in call.split()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_a_link_that_comes_up_twice_is_told_twice_and_the_program_sorts_it_out(fake, hook):
    environment = {"RELAYNODE": str(fake.program)}
    fake.calls(hook, "ppp0", "up", **environment)
    assert len(fake.calls(hook, "ppp0", "up", **environment)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.parent.name)
def test_root_runs_it_as_the_user_that_is_set(fake, hook):
    environment = {"RELAYNODE": str(fake.program), "RELAYNODE_USER": "nobody"}
    (call,) = fake.calls(hook, "ppp0", "up", **environment)
    expected = "linkdown" if hook is PPPD_DOWN else "linkup --quiet"
    assert call == f"nobody: {expected}"


@pytest.mark.parametrize(
    "script", [*HOOKS, RC_SCRIPT], ids=lambda path: str(path.relative_to(CONTRIB))
)
def test_every_script_is_sound_shell_that_anybody_may_run_and_nobody_else_may_write(script):
    subprocess.run(["sh", "-n", script], check=True)
    assert script.read_text().startswith("#!/bin/sh\n")
    assert script.stat().st_mode & 0o7133 == 0o111


# ---- FreeBSD


def ppp_labels(text):
    """Label -> commands as words, by the grammar of ppp(8)'s command files."""
    labels = {}
    commands = None
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t":
            assert commands is not None, f"a command before the first label: {line}"
            commands.append(shlex.split(line, comments=True))
        else:
            assert re.fullmatch(r"[^\s:]+:", line), f"neither a label nor indented: {line}"
            commands = labels.setdefault(line[:-1], [])
    return labels


@pytest.mark.parametrize(
    ("file", "expected"),
    [("ppp.linkup", ["linkup", "isp", "--quiet"]), ("ppp.linkdown", ["linkdown", "isp"])],
)
def test_ppp_runs_the_command_in_the_background_as_the_user(file, expected):
    labels = ppp_labels((CONTRIB / "freebsd" / file).read_text())
    assert list(labels) == ["MYADDR"]
    ((bang, su, user, option, command),) = labels["MYADDR"]
    assert (bang, su, user, option) == ("!bg", "su", "user", "-c")
    program, *words = command.split()
    assert program == "/usr/local/bin/relaynode"
    assert words == expected


RC_SUBR = """\
load_rc_config() {{ {settings} }}
run_rc_command() {{ echo "$command $command_args"; echo "user ${{relaynode_user:-unset}}"; }}
"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (":;", "-u root -S -T relaynode -l mail /usr/local/bin/relaynode serve"),
        (
            "relaynode_user=joe; relaynode_program=/opt/r; relaynode_config=/x.toml;",
            "-u joe -S -T relaynode -l mail /opt/r --config /x.toml serve",
        ),
    ],
)
def test_the_rc_script_starts_the_daemon_under_daemon_8(tmp_path, settings, expected):
    (tmp_path / "rc.subr").write_text(RC_SUBR.format(settings=settings))
    script = tmp_path / "relaynode"
    script.write_text(RC_SCRIPT.read_text().replace("/etc/rc.subr", str(tmp_path / "rc.subr")))
    ended = subprocess.run(["sh", script, "start"], stdout=subprocess.PIPE, text=True, check=True)
    command, user = ended.stdout.splitlines()
    pidfiles = "-P /var/run/relaynode.pid -p /var/run/relaynode_child.pid"
    assert command.split() == f"/usr/sbin/daemon -f {pidfiles} {expected}".split()
    assert user == "user unset"


RUNS_COMMANDS = """\
load_rc_config() {{ relaynode_program={program}; {settings} }}
run_rc_command() {{ eval "set -- \\$${{1}}_cmd"; "$1"; }}
"""


def rc_command(tmp_path, word, program, settings=""):
    """Run a command of the script's own; how it ended."""
    (tmp_path / "rc.subr").write_text(RUNS_COMMANDS.format(program=program, settings=settings))
    script = tmp_path / "relaynode.rc"
    text = RC_SCRIPT.read_text().replace("/etc/rc.subr", str(tmp_path / "rc.subr"))
    script.write_text(text.replace("/var/run", str(tmp_path)))
    return subprocess.run(["sh", script, word], stdout=subprocess.PIPE, text=True, timeout=60)


@pytest.mark.skipif(os.geteuid() != 0, reason="su asks others for a password")
@pytest.mark.parametrize(("is_right", "ended"), [(True, 129), (False, 0)])
def test_reload_tells_the_daemon_if_the_configuration_is_right(tmp_path, is_right, ended):
    waits = "trap 'exit 129' HUP; echo ready; read -r _"
    with subprocess.Popen(
        ["sh", "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as told:
        assert told.stdout.readline() == b"ready\n"
        (tmp_path / "relaynode_child.pid").write_text(f"{told.pid}\n")
        reloaded = rc_command(tmp_path, "reload", "/bin/true" if is_right else "/bin/false")
        told.communicate(b"\n", 20)
        assert told.returncode == ended
    assert (reloaded.returncode == 0) == is_right


def test_running_asks_with_the_configuration_that_is_set(tmp_path):
    ended = rc_command(tmp_path, "running", "/bin/echo", "relaynode_config=/x.toml;")
    assert ended.stdout == "--config /x.toml check --running --verbose\n"


@pytest.mark.parametrize(
    ("settings", "file"),
    [(":;", "/etc/relaynode/relaynode.toml"), ("relaynode_config=/x.toml;", "/x.toml")],
)
def test_the_rc_script_wants_its_configuration(tmp_path, settings, file):
    text = RC_SCRIPT.read_text().replace("/etc/rc.subr", str(tmp_path / "rc.subr"))
    (tmp_path / "rc.subr").write_text(
        f"load_rc_config() {{ {settings} }}\n"
        'run_rc_command() { echo "$required_files $rcvar"; }\n'
    )
    ended = subprocess.run(["sh", "-c", text], stdout=subprocess.PIPE, text=True, check=True)
    assert ended.stdout == f"{file} relaynode_enable\n"


def test_the_rc_script_says_what_rcorder_needs():
    text = RC_SCRIPT.read_text()
    for keyword in ("PROVIDE: relaynode", "REQUIRE: LOGIN", "KEYWORD: shutdown"):
        assert f"\n# {keyword}" in text


# ---- whatever they run, relaynode understands


def commands():
    """(file, words behind the program's name) of every call of relaynode in contrib/."""
    for path in sorted(CONTRIB.rglob("*")):
        if path.is_file() and path.parent.name in ("cron", "systemd"):
            for line in path.read_text().splitlines():
                # Also what is commented out as a setting, not prose: "# " is prose.
                if re.match(r"# |#$", line) or "/ppp" in line:
                    continue
                for call in re.findall(
                    r"relaynode ((?:linkup|linkdown|flush|fetch|serve|check)[^\";]*)", line
                ):
                    yield path.name, tuple(call.split())


@pytest.mark.parametrize(("file", "words"), sorted(set(commands())))
def test_every_command_in_the_examples_is_one(file, words):
    assert _parser().parse_args(words).command == words[0]


def test_the_crontab_has_times_a_user_and_a_command():
    lines = [
        line.removeprefix("#")
        for line in (CONTRIB / "cron" / "relaynode").read_text().splitlines()
        if re.match(r"#?[\d*]", line)
    ]
    assert len(lines) >= 3
    for line in lines:
        *times, user, command = line.split(None, 6)
        assert len(times) == 5
        assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times), line
        assert re.fullmatch(r"[a-z]+", user)
        assert "relaynode" in command
        assert "%" not in command  # cron's own line end


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    units = []
    for unit in sorted((CONTRIB / "systemd").iterdir()):
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/usr/local/bin/relaynode", "/bin/true"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(
    ("name", "tenths"), [("relaynode.service", 35), ("relaynode-unprivileged.service", 18)]
)
def test_systemd_finds_the_daemons_little_exposed(tmp_path, name, tenths):
    unit = tmp_path / name
    text = (CONTRIB / "systemd" / name).read_text()
    unit.write_text(text.replace("/usr/local/bin/relaynode", "/bin/true"))
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={tenths}"]
    ended = subprocess.run([*command, unit], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout.decode()


def test_the_unit_without_root_has_no_rights_and_its_ports_from_systemd():
    text = (CONTRIB / "systemd" / "relaynode-unprivileged.service").read_text()
    for setting in ("User=relaynode", "CapabilityBoundingSet=", "ProtectSystem=strict"):
        assert f"\n{setting}\n" in text
    ports = (CONTRIB / "systemd" / "relaynode.socket").read_text()
    assert "\nService=relaynode-unprivileged.service\n" in ports
    assert "\nListenStream=127.0.0.1:25\n" in ports


def test_the_unit_may_do_what_the_daemon_has_to():
    text = (CONTRIB / "systemd" / "relaynode.service").read_text()
    (capabilities,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    assert {"CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"} <= set(capabilities.split())
    for setting in ("ProtectHome=no", "ProtectSystem=full", "UMask=0022", "NoNewPrivileges=yes"):
        assert f"\n{setting}\n" in text
