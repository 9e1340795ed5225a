"""`relaynode install-hooks`: what it puts in place, run as its callers run it."""

import shlex
import shutil
import subprocess

import pytest

from hook_callers import ME, fake_relaynode
from relaynode.cli.hooks import HOOKS
from relaynode.cli.main import HOOK_NAMES, main
from relaynode.errors import EX_USAGE

UP, DOWN = f"{ME}: linkup isp --quiet", f"{ME}: linkdown isp"
SETTINGS = "/etc/default/relaynode"


@pytest.fixture
def fake():
    with fake_relaynode() as one:
        yield one


@pytest.fixture
def install(tmp_path, capsys):
    """Put hooks under a root, and say which files that makes."""

    def install(name, *options):
        assert main(["install-hooks", name, "--root", str(tmp_path), *options]) == 0
        capsys.readouterr()
        return {place: tmp_path / place[1:] for hook in HOOKS[name] for place in hook.places}

    return install


def run(fake, file, environment):
    return fake.calls(file, **environment, RELAYNODE=str(fake.program), PATH="/usr/bin:/bin")


@pytest.mark.parametrize(
    ("state", "place", "calls"),
    [
        ("routable", "routable", [UP]),
        ("no-carrier", "no-carrier", [DOWN]),
        ("off", "off", [DOWN]),
        ("degraded", "off", []),
    ],
)
def test_networkd_dispatcher_tells_by_its_state(install, fake, state, place, calls):
    environment = {
        "ADDR": "192.0.2.7",
        "ESSID": "",
        "IP_ADDRS": "192.0.2.7",
        "IP6_ADDRS": "",
        "IFACE": "wwan0",
        "STATE": state,
        "AdministrativeState": "configured",
        "OperationalState": state,
        "json": "{}",
    }
    files = install("networkd-dispatcher", "--link", "isp")
    file = files[f"/etc/networkd-dispatcher/{place}.d/50-relaynode"]
    assert file.stat().st_mode & 0o7777 == 0o755  # else it is not run
    assert run(fake, file, environment) == calls
    assert run(fake, file, {**environment, "IFACE": "lo"}) == calls


@pytest.mark.parametrize(
    ("place", "interface", "mode", "calls"),
    [
        ("if-up.d", "ppp0", "start", [UP]),
        ("if-down.d", "ppp0", "stop", [DOWN]),
        ("if-up.d", "lo", "start", []),
        ("if-up.d", "--all", "start", []),
        ("if-down.d", "--all", "stop", []),
    ],
)
def test_ifupdown_tells_by_its_mode(install, fake, place, interface, mode, calls):
    environment = {
        "IFACE": interface,
        "LOGICAL": interface,
        "ADDRFAM": "inet",
        "METHOD": "ppp",
        "MODE": mode,
        "PHASE": "post-up" if mode == "start" else "pre-down",
        "VERBOSITY": "0",
    }
    file = install("ifupdown", "--link", "isp")[f"/etc/network/{place}/relaynode"]
    assert run(fake, file, environment) == calls


@pytest.mark.skipif(shutil.which("run-parts") is None, reason="run-parts is not installed")
@pytest.mark.parametrize("name", ["ifupdown", "pppd"])
def test_run_parts_takes_what_is_installed(install, name):
    for file in install(name).values():
        command = ["run-parts", "--test", file.parent]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        assert ended.stdout.splitlines() == [str(file)]


DHCPCD = '. "$1"; echo "the next hook: $interface" >>"$2"'


@pytest.mark.parametrize(
    ("interface", "reason", "calls"),
    [
        ("eth0", "BOUND", [UP]),
        ("eth0", "REBOOT", [UP]),
        ("eth0", "BOUND6", [UP]),
        ("eth0", "RENEW", []),
        ("eth0", "ROUTERADVERT", []),
        ("eth0", "CARRIER", []),
        ("", "PREINIT", []),
        ("eth0", "NOCARRIER", [DOWN]),
        ("eth0", "EXPIRE", [DOWN]),
        ("eth0", "STOPPED", [DOWN]),
        ("lo", "BOUND", []),
    ],
)
def test_dhcpcd_reads_it_and_goes_on_to_its_next_hook(install, fake, interface, reason, calls):
    (file,) = install("dhcpcd", "--link", "isp").values()
    after = fake.folder / "after"
    shell = ("/bin/sh", "-c", DHCPCD, "dhcpcd-run-hooks", str(file), str(after))
    environment = {"interface": interface, "reason": reason, "RELAYNODE": str(fake.program)}
    assert fake.calls(*shell, **environment, PATH="/usr/sbin:/usr/bin:/sbin:/bin") == calls
    assert after.read_text() == f"the next hook: {interface}\n"


HOTPLUG_CALL = '( [ -f "$1" ] && . "$1" )'


@pytest.mark.parametrize(
    ("interface", "action", "calls"),
    [
        ("wan", "ifup", [UP]),
        ("wan", "ifdown", [DOWN]),
        ("wan", "ifupdate", []),
        ("loopback", "ifup", []),
    ],
)
def test_openwrts_hotplug_call_reads_it(install, fake, interface, action, calls):
    (file,) = install("openwrt", "--link", "isp").values()
    shell = ("/bin/sh", "-c", HOTPLUG_CALL, "hotplug-call", str(file))
    environment = {
        "ACTION": action,
        "INTERFACE": interface,
        "DEVICE": "pppoe-wan",
        "HOTPLUG_TYPE": "iface",
        "LOGNAME": "root",
        "RELAYNODE": str(fake.program),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    assert fake.calls(*shell, **environment) == calls


@pytest.mark.parametrize("name", ["pppd", "networkmanager"])
def test_what_is_installed_takes_the_settings_file_first(install, fake, name):
    file = next(iter(install(name, "--link", "isp").values()))
    (fake.folder / "settings").write_text("RELAYNODE_LINK=other\n")
    environment = {"RELAYNODE": str(fake.program)}
    assert fake.calls(file, "ppp0", "up", **environment) == [f"{ME}: linkup other --quiet"]


def test_one_interface_is_the_link_where_it_is_set(install, fake):
    environment = {"IFACE": "eth0", "MODE": "start", "RELAYNODE_INTERFACE": "ppp0"}
    file = install("ifupdown")["/etc/network/if-up.d/relaynode"]
    assert run(fake, file, environment) == []


# ---- FreeBSD's ppp

SU = '#!/bin/sh\necho "su $1 $2" >>{folder}/calls\nshift; shift; exec sh -c "$1"\n'


def ppp(file, places, words):
    """The commands that ppp(8) runs: those of the first label in `places` that is there, with its
    words expanded. Each with whether it is waited for."""
    labels = {}
    for line in file.read_text().replace("\\\n", " ").splitlines():
        if line.strip() and line[0] not in " \t#":
            commands = labels.setdefault(line.strip().removesuffix(":"), [])
        elif line.strip() and line[0] in " \t":
            commands.append(shlex.split(line, comments=True))
    found = next((labels[one] for one in places if one in labels), [])
    return [([words.get(word, word) for word in one[1:]], one[0] != "!bg") for one in found]


@pytest.mark.parametrize(("file", "call"), [("linkup", UP), ("linkdown", DOWN)])
@pytest.mark.parametrize(
    ("more", "runs"), [("", True), ("isp:\n !bg true\n", False), ("192.0.2.7:\n !bg true\n", False)]
)
def test_ppp_runs_the_command_of_the_first_label_that_it_finds(
    install, fake, file, call, more, runs
):
    """By our address, by the profile's name, then by MYADDR; other labels are not run."""
    files = install("freebsd-ppp", "--link", "isp", "--user", "joe")
    path = files[f"/etc/ppp/ppp.{file}"]
    text = path.read_text().replace("/usr/local/bin/relaynode", str(fake.program))
    path.write_text(text + more)
    su = fake.folder / "su"
    su.write_text(SU.format(folder=fake.folder))
    su.chmod(0o755)
    words = {"INTERFACE": "tun0", "HISADDR": "192.0.2.1", "MYADDR": "192.0.2.7", "LABEL": "isp"}
    ((command, is_waited_for),) = ppp(path, ["192.0.2.7", "isp", "MYADDR"], words)
    assert not is_waited_for
    # ppp starts it without a shell, in the background: the test's shell stands for the latter.
    background = ("/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "ppp", *command)
    calls = fake.calls(*background, PATH=f"{fake.folder}:/usr/bin:/bin")
    assert calls == (["su joe -c", call] if runs else [])


# ---- cron and systemd


def test_cron_runs_what_is_in_the_table_with_its_own_path(install, fake, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(fake.program)])
    (file,) = install("cron", "--link", "isp", "--user", "joe").values()
    lines = file.read_text().splitlines()
    (path,) = [line for line in lines if line.startswith("PATH=")]
    first = next(line for line in lines if line[:1].isdigit())
    *_, user, command = first.split(None, 6)
    assert user == "joe"
    # cron gives it to sh, with HOME, LOGNAME and SHELL, and what the table sets.
    background = ("/bin/sh", "-c", f"{command} </dev/null >/dev/null 2>&1 &")
    environment = {"HOME": "/", "LOGNAME": ME, "SHELL": "/bin/sh", "PATH": path[5:]}
    assert fake.calls(*background, **environment) == [UP]


def test_a_systemd_timer_starts_its_service(install, fake, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(fake.program)])
    service, timer = install("systemd-timer", "--link", "isp", "--user", "joe").values()
    assert service.stem == timer.stem
    lines = service.read_text().splitlines()
    (command,) = [line[10:] for line in lines if line.startswith("ExecStart=")]
    assert "User=joe" in lines
    background = ("/bin/sh", "-c", f"{command} </dev/null >/dev/null 2>&1 &")
    assert fake.calls(*background) == [UP]


# ---- the command


def test_every_name_is_known(capsys):
    assert set(HOOKS) == set(HOOK_NAMES)
    for name in HOOK_NAMES:
        assert main(["install-hooks", name, "--print"]) == 0
        shown = capsys.readouterr().out
        assert all(place in shown for hook in HOOKS[name] for place in hook.places)
        assert "relaynode linkup" in shown or '"$program" linkup' in shown


def test_a_second_time_it_writes_them_anew(install):
    install("systemd-timer", "--link", "isp")
    files = install("systemd-timer", "--link", "hf")
    assert any("linkup hf " in file.read_text() for file in files.values())
    assert {file.stat().st_mode & 0o7777 for file in files.values()} == {0o644}


def test_a_file_of_somebody_elses_stays(tmp_path, capsys):
    path = tmp_path / "etc/ppp/ppp.linkdown"
    path.parent.mkdir(parents=True)
    path.write_text("MYADDR:\n !bg true\n")
    assert main(["install-hooks", "freebsd-ppp", "--root", str(tmp_path)]) == EX_USAGE
    assert "none of ours" in capsys.readouterr().err
    assert [one.name for one in path.parent.iterdir()] == ["ppp.linkdown"]


@pytest.mark.parametrize("option", ["--link", "--user"])
def test_what_could_be_shell_is_no_name(option, capsys):
    assert main(["install-hooks", "pppd", "--print", option, "a$(b)"]) == EX_USAGE
    assert '"a$(b)" is no ' in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "etc").touch()
    assert main(["install-hooks", "pppd", "--root", str(tmp_path)]) == EX_USAGE
    assert f"{tmp_path}/etc/ppp/ip-up.d/relaynode: Not a directory" in capsys.readouterr().err
