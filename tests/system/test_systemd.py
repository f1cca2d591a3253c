"""bastiond as systemd's service on a booted machine: start, log in, reload, stop.

The machine is systemd-nspawn's, with a network that has only loopback; the target stands beside it in that network.
The tests build on one another in the order of this file, as an administrator's day does.
"""

import json
import pathlib
import re
import subprocess
import tempfile

import pytest
import yaml

from support import keys, process
from support.bastion import PlainDumper, target_entry
from support.clients import Client
from support.machine import Machine, private_network, tree
from support.process import wait_until
from support.targets import LOGIN, Lab

# Booting, and the first time making the machine's files, are counted with the first test.
pytestmark = pytest.mark.timeout(600)

KINDS = {"gate", "worker", "warden", "resolver", "recorder"}
SHUTDOWN_SECONDS = 3


class Service:
    """The bastion on the machine, as its administrator has it."""

    def __init__(self, machine: Machine, lab: Lab):
        self.machine = machine
        self.lab = lab
        folder = machine.configuration
        self.host_key = keys.make_key(folder, "ssh_host_ed25519_key")
        for name in ("user_ca", "user_ca.pub"):
            (folder / name).write_bytes((lab.keys / name).read_bytes())
            (folder / name).chmod(0o600)
        keys.make_key(folder, "audit_key")
        self.alice = keys.make_key(lab.keys, "alice")
        self.policy = {
            "users": {"alice": {"keys": [self.alice.line]}},
            "targets": {"web1": target_entry(lab, lab.targets["web1"])},
            "rules": [{"name": "all", "who": "all", "targets": "all", "logins": [LOGIN], "allow": ["shell", "exec"]}],
        }
        self.settings = {
            "host_keys": ["ssh_host_ed25519_key"],
            "user_ca": "user_ca",
            "workers": 2,
            "limits": {"shutdown": f"{SHUTDOWN_SECONDS}s"},
            "state_dir": "/var/lib/bastiond",
            "recording": {"reserve": "16MiB"},
            "audit_key": "audit_key",
            "audit": {"file": "/var/log/bastiond/audit.log", "journald": True},
        }
        self.write()
        self.client = Client(lab.folder / "alice", 22, [self.host_key.line], self.alice)

    def write(self, policy: dict | None = None) -> None:
        for name, content in (("bastiond.yaml", self.settings), ("policy.yaml", policy or self.policy)):
            (self.machine.configuration / name).write_text(yaml.dump(content, Dumper=PlainDumper, sort_keys=False))

    def systemctl(self, *words, timeout: float = 60) -> process.Done:
        return self.machine.run("systemctl", *words, timeout=timeout)

    def show(self, *properties: str) -> dict[str, str]:
        out = self.systemctl("show", "bastiond", *[f"--property={name}" for name in properties]).ok().text
        return dict(line.split("=", 1) for line in out.splitlines())

    def state(self) -> str:
        return self.show("ActiveState")["ActiveState"]

    def journal(self) -> list[dict]:
        out = self.machine.run("journalctl", "--sync").ok()
        out = self.machine.run("journalctl", "--unit=bastiond", "--output=json", "--all", "--no-pager").ok().text
        return [json.loads(line) for line in out.splitlines()]

    def said(self, since: int = 0) -> str:
        return "\n".join(f"<{entry.get('PRIORITY')}> {entry['MESSAGE']}" for entry in self.journal()[since:])

    def processes(self) -> dict[str, list[pathlib.Path]]:
        """The /proc folders of its processes, by kind."""
        found: dict[str, list[pathlib.Path]] = {}
        main = int(self.show("MainPID")["MainPID"])
        folder = self.machine.path("/proc")
        for each in [main, *self.children(main)]:
            words = (folder / str(each) / "cmdline").read_bytes().split(b"\0")
            kind = words[words.index(b"--role") + 1].decode() if b"--role" in words else "supervisor"
            found.setdefault(kind, []).append(folder / str(each))
        return found

    def children(self, pid: int) -> list[int]:
        out = self.machine.path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in out.split()]

    def log_in(self, *words, **more) -> process.Done:
        return self.client.ssh(f"{LOGIN}@web1@bastion", *words, **more)

    def succeed(self, *words) -> None:
        done = self.log_in(*words)
        assert done.code == 0, f"{done}\n{self.said()}"


def status_of(folder: pathlib.Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)


@pytest.fixture(scope="module")
def service():
    tree()  # debootstrap asks the mirror, which the machine's own network does not reach
    with private_network(), tempfile.TemporaryDirectory(prefix="bastion-") as name:
        folder = pathlib.Path(name)
        lab = Lab(folder)
        machine = None
        try:
            lab.add_openssh("web1", "openssh-system")
            lab.start()
            machine = Machine(folder / "machine")
            for command in ("systemd-sysusers", "systemd-tmpfiles --create"):
                done = machine.run(*command.split()).ok()
                assert "bastiond" not in done.error, str(done)
            machine.run("systemctl", "daemon-reload").ok()
            # Of use to sanitized programs only: their leak check traces, which the unit forbids.
            machine.run("systemctl", "set-environment", "ASAN_OPTIONS=detect_leaks=0").ok()
            yield Service(machine, lab)
        finally:
            if machine is not None:
                machine.close()
            lab.close()


def test_it_starts(service):
    started = service.systemctl("enable", "--now", "bastiond")
    assert started.code == 0, f"{started}\n{service.said()}"
    # Type=notify: the command came back when bastiond said that it is ready, so no waiting here.
    shown = service.show("ActiveState", "SubState", "StatusText", "NRestarts")
    assert shown["ActiveState"] == "active" and shown["SubState"] == "running", service.said()
    assert shown["StatusText"].startswith("ready") and shown["NRestarts"] == "0", shown
    for address in ("0.0.0.0", "::"):
        assert f"listening on {address} port 22" in service.said()


def test_a_user_logs_in_through_it(service):
    done = service.log_in("echo", "reached", "$SSH_CONNECTION")
    assert done.code == 0 and done.text.startswith("reached 127.0.0.1 "), f"{done}\n{service.said()}"


def test_each_kind_of_process_has_a_uid_of_its_own(service):
    found = service.processes()
    assert found.keys() == KINDS | {"supervisor"}, found
    passwd = service.machine.path("/etc/passwd").read_text()
    for kind, folders in found.items():
        name = "root" if kind == "supervisor" else f"bastiond-{kind}"
        wanted = re.search(rf"^{name}:[^:]*:(\d+):(\d+):", passwd, re.M)
        for folder in folders:
            status = status_of(folder)
            assert set(status["Uid"].split()) == {wanted[1]}, (kind, status)
            assert set(status["Gid"].split()) == {wanted[2]}, (kind, status)
            assert status["Groups"].strip() == "", (kind, status)


def test_the_processes_live_under_the_units_rules_and_their_own(service):
    for kind, folders in service.processes().items():
        for folder in folders:
            status = status_of(folder)
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", (kind, status)
            held = int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapAmb"], 16)
            # NET_BIND_SERVICE (10), SETUID (7), SETGID (6) and KILL (5) are all that even the supervisor has.
            allowed = 1 << 10 | 1 << 7 | 1 << 6 | 1 << 5 if kind == "supervisor" else 0
            assert held & ~allowed == 0, (kind, hex(held))
    filters = {
        kind: min(int(status_of(folder)["Seccomp_filters"]) for folder in folders)
        for kind, folders in service.processes().items()
    }
    assert all(filters[kind] > filters["supervisor"] > 0 for kind in KINDS), filters


def test_the_sandboxes_hold_under_the_units_rules(service):
    unit = service.machine.path("/usr/local/lib/systemd/system/bastiond.service").read_text()
    unit = re.sub(r"(?m)^(Exec(StartPre|Reload)|Restart)=.*\n", "", unit)
    unit = re.sub(r"(?m)^Type=.*", "Type=oneshot", unit)
    unit, number = re.subn(r"(?m)^(ExecStart=\S+) .*", r"\1 --sandbox-self-test", unit)
    assert number == 1
    copy = service.machine.path("/run/systemd/system/self-test.service")
    copy.write_text(unit.replace("Directory=bastiond", "Directory=self-test"))
    service.systemctl("daemon-reload").ok()
    done = service.systemctl("start", "self-test")
    said = service.machine.run("journalctl", "--unit=self-test", "--output=cat", "--no-pager").text
    assert done.code == 0, said


def test_the_file_system_is_read_only_but_for_its_own_folders(service):
    own = {"/run/bastiond", "/var/lib/bastiond", "/var/log/bastiond", "/etc/bastiond"}
    for folders in service.processes().values():
        mounts = [line.split() for line in (folders[0] / "mountinfo").read_text().splitlines()]
        options = {fields[4]: fields[5].split(",") for fields in mounts}  # of several at one place the last is on top
        # /tmp and /var/tmp are its own; /run/host is systemd-nspawn's, and hidden.
        assert "ro" in options["/"] and "ro" in options["/home"], options
        writable = {place for place, words in options.items() if "rw" in words}
        strays = {place for place in writable - own if not re.match(r"/(dev|proc|tmp|var/tmp|run/host)\b", place)}
        assert not strays, strays


def test_the_control_socket_belongs_to_the_administrators(service):
    group = re.search(r"^bastion-admin:[^:]*:(\d+):", service.machine.path("/etc/group").read_text(), re.M)
    socket = service.machine.path("/run/bastiond/control.sock").stat()
    assert socket.st_uid == 0 and socket.st_gid == int(group[1]), socket
    # Whoever connects is checked by credentials; without the viewer group it would be 0660.
    assert socket.st_mode & 0o777 == 0o666, oct(socket.st_mode)
    asked = service.machine.run("bastionctl", "--json", "status").ok()
    assert json.loads(asked.text)["same_uid"] is False, asked.text
    asked = service.machine.run("setpriv", "--reuid=65534", "--clear-groups", "--regid=65534", "bastionctl", "status")
    assert asked.code != 0, str(asked)
    words = ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={group[1]}", "bastionctl", "status"]
    service.machine.run(*words).ok()


def test_sessions_are_recorded_and_found(service):
    service.succeed("echo needle-in-a-recording")
    service.systemctl("enable", "--now", "bastiond-indexer").ok()

    def found() -> list[dict]:
        done = service.machine.run("bastionctl", "--json", "recordings", "search", "needle")
        return json.loads(done.text) if done.code == 0 and done.text.strip() else []

    wait_until(found, timeout=30, what="the recording in the index")
    proved = service.machine.run("bastionctl", "recordings", "verify", "--all", "--allow-open", "--key", "/etc/bastiond/audit_key.pub").ok()
    assert "proven" in proved.text, str(proved)
    assert service.systemctl("show", "bastiond-indexer", "--property=NRestarts", "--value").text.strip() == "0"


def test_the_audit_log_is_the_recorders_and_proves_itself(service):
    log = service.machine.path("/var/log/bastiond/audit.log")
    passwd = service.machine.path("/etc/passwd").read_text()
    assert log.stat().st_uid == int(re.search(r"^bastiond-recorder:[^:]*:(\d+):", passwd, re.M)[1])
    names = {json.loads(line)["event"] for line in log.read_text().splitlines()}
    assert {"login", "decision", "target.connected", "session.end"} <= names, names
    proved = service.machine.run("bastionctl", "audit", "verify", "--key", "/etc/bastiond/audit_key.pub")
    assert proved.code == 0, str(proved)


def test_a_changed_policy_is_loaded(service):
    changed = service.policy | {"rules": [service.policy["rules"][0] | {"allow": ["shell"]}]}
    service.write(changed)
    service.systemctl("reload", "bastiond").ok()
    assert service.state() == "active"
    refused = service.log_in("true")
    assert refused.code == 255 and "bastion:" in refused.error, str(refused)
    service.write()
    service.systemctl("reload", "bastiond").ok()
    service.succeed("true")


def test_a_broken_policy_fails_the_reload_and_the_old_one_decides(service):
    since = len(service.journal())
    service.write(service.policy | {"rules": [service.policy["rules"][0] | {"who": ["group:nobody"]}]})
    reloaded = service.systemctl("reload", "bastiond")
    assert reloaded.code != 0, str(reloaded)
    said = service.said(since)
    assert re.search(r"^<3> .*policy\.yaml:\d+.*nobody", said, re.M), said
    assert service.state() == "active"
    assert "refused" in service.show("StatusText")["StatusText"]
    service.succeed("true")
    service.write()
    service.systemctl("reload", "bastiond").ok()
    assert service.show("StatusText")["StatusText"].startswith("ready: ")


def test_hangup_reloads_too(service):
    service.write(service.policy | {"rules": [service.policy["rules"][0] | {"allow": ["shell"]}]})
    service.systemctl("kill", "--kill-whom=main", "--signal=HUP", "bastiond").ok()
    wait_until(lambda: service.log_in("true").code == 255, what="the reload")
    service.write()
    service.systemctl("reload", "bastiond").ok()


def test_a_killed_process_is_replaced(service):
    before = service.processes()
    for kind in ("gate", "worker", "resolver"):
        service.machine.run("sh", "-c", f"kill -KILL {before[kind][0].name}").ok()

    def replaced() -> bool:
        now = service.processes()
        return {kind: len(each) for kind, each in now.items()} == {kind: len(each) for kind, each in before.items()} and (
            all(before[kind][0] not in now[kind] for kind in ("gate", "worker", "resolver"))
        )

    wait_until(replaced, what="the replacement")
    service.succeed("true")
    assert service.show("NRestarts")["NRestarts"] == "0"


def test_a_killed_supervisor_is_started_again(service):
    before = service.processes()
    main = service.show("MainPID")["MainPID"]
    service.systemctl("kill", "--kill-whom=main", "--signal=KILL", "bastiond").ok()

    def again() -> bool:
        shown = service.show("MainPID", "SubState")
        return shown["MainPID"] != main and shown["SubState"] == "running"

    wait_until(again, what="the new start")
    assert not [folder for folders in before.values() for folder in folders if folder.exists()]
    assert service.show("NRestarts")["NRestarts"] == "1"
    service.succeed("true")


def test_journal_lines_have_priorities(service):
    entries = [entry for entry in service.journal() if entry.get("_COMM") in KINDS | {"bastiond"}]
    # systemd's default is 6 for what a service prints; the prefix itself must not be left in the text.
    assert not [entry["MESSAGE"] for entry in entries if re.match(r"<\d>", entry["MESSAGE"])]
    priorities = {entry["PRIORITY"] for entry in entries}
    assert {"3", "6"} <= priorities, priorities
    wardens = [entry for entry in entries if entry["MESSAGE"].startswith("warden:")]
    assert wardens and all(entry["_SYSTEMD_UNIT"] == "bastiond.service" for entry in wardens)
    # journald itself has the time.
    assert not [entry["MESSAGE"] for entry in entries if re.match(r"\d{4}-\d\d-\d\dT", entry["MESSAGE"])]


def test_stopping_ends_sessions_with_a_message_in_time(service, tmp_path):
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        session = subprocess.Popen(
            [str(word) for word in service.client.ssh_command(f"{LOGIN}@web1@bastion", "echo up; exec sleep 100")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=service.client.env,
        )
    try:
        wait_until(lambda: (tmp_path / "out").read_bytes() == b"up\n", timeout=20, what="the session")
        since = len(service.journal())
        stopped = service.systemctl("stop", "bastiond", timeout=SHUTDOWN_SECONDS + 10).ok()
        assert stopped.seconds < SHUTDOWN_SECONDS + 3
        assert session.wait(5) == 255
    finally:
        session.kill()
        session.wait()
    assert "the bastion is being stopped" in (tmp_path / "err").read_text()
    shown = service.show("ActiveState", "Result", "ExecMainStatus")
    assert shown == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, service.said(since)
    assert not service.machine.path("/run/bastiond/control.sock").exists()


def test_stopping_takes_no_longer_where_a_process_hangs(service):
    service.systemctl("start", "bastiond").ok()
    for kind in ("warden", "worker"):
        service.machine.run("sh", "-c", f"kill -STOP {service.processes()[kind][0].name}").ok()
    stopped = service.systemctl("stop", "bastiond", timeout=SHUTDOWN_SECONDS + 10).ok()
    # Three seconds more for recordings to be sealed, and one for processes to end: a hanging warden uses up all.
    assert stopped.seconds < SHUTDOWN_SECONDS + 3 + 1 + 2
    assert service.show("Result")["Result"] == "success"


def test_a_taken_port_makes_the_start_fail_and_says_why(service):
    service.settings["listen"] = [f"127.0.0.1:{service.lab.targets['web1'].port}"]
    service.write()
    since = len(service.journal())
    assert service.systemctl("start", "bastiond").code != 0
    service.systemctl("stop", "bastiond")
    assert re.search(r"^<3> .*another program has that port", service.said(since), re.M), service.said(since)
