"""Strangers in numbers: the table of unauthenticated connections, as the real processes keep it."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from support import process, raw
from support.fixtures import client_of
from support.process import LONG
from support.targets import LOGIN


def status(bastion) -> dict:
    return json.loads(bastion.control("status", "--json").text)


def ended(connections: list[socket.socket]) -> int:
    """How many of them the bastion has closed."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            while connection.recv(4096):
                pass
            count += 1
        except BlockingIOError:
            pass
        except ConnectionResetError:
            count += 1
    return count


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def test_one_source_keeps_its_number_and_the_oldest_silent_ones_go(make_bastion):
    bastion = make_bastion(service={"limits": {"unauthenticated_per_source": 10}})
    connections = [bastion.connect() for _ in range(50)]
    process.wait_until(lambda: ended(connections) == 40, what="the end of the 40 oldest")
    assert ended(connections[:40]) == 40, "the newest stay"
    assert status(bastion)["unauthenticated"] == {"total": 10, "sources": 1, "limit": 1024}
    close_all(connections)
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 0, what="an empty table")


def test_a_connection_that_has_exchanged_keys_outlives_silent_ones(make_bastion):
    bastion = make_bastion(service={"limits": {"unauthenticated_per_source": 5}})
    spoken = raw.connect(bastion.port)
    spoken.send(raw.SERVICE_REQUEST, raw.string("ssh-userauth"))
    while spoken.receive()[0] != raw.SERVICE_ACCEPT:
        pass
    silent = [bastion.connect() for _ in range(20)]
    process.wait_until(lambda: ended(silent) == 16, what="room for the one that spoke")
    spoken.send(2, raw.string("still here"))
    assert status(bastion)["unauthenticated"]["total"] == 5
    close_all(silent)


def test_a_full_table_lets_new_ones_in_and_users_log_in(lab, make_bastion, tmp_path):
    bastion = make_bastion(service={"limits": {"unauthenticated": 20, "unauthenticated_per_source": 20}})
    client = client_of(bastion, tmp_path, lab.alice)
    flood = [bastion.connect() for _ in range(200)]
    for _ in range(3):
        assert client.ssh(f"{LOGIN}@web1@bastion", "echo in").text == "in\n"
        flood += [bastion.connect() for _ in range(30)]
    assert status(bastion)["unauthenticated"]["total"] <= 20
    close_all(flood)
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 0, what="an empty table")


def processor_seconds(pid: int) -> float:
    """What a process and its threads have used of the processor."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Echo:
    """A session that is there before the flood: what is typed comes back from the target."""

    def __init__(self, client):
        command = client.ssh_command("-T", f"{LOGIN}@web1@bastion", "exec cat")
        self.ssh = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=client.env)
        self.typed()

    def typed(self) -> float:
        """How long a key takes to come back."""
        began = time.monotonic()
        self.ssh.stdin.write(b"k\n")
        self.ssh.stdin.flush()
        assert self.ssh.stdout.readline() == b"k\n", "the session ended"
        return time.monotonic() - began

    def close(self) -> None:
        self.ssh.stdin.close()
        assert self.ssh.wait(timeout=20) == 0
        self.ssh.stdout.close()


def test_sec_045_logins_and_keystrokes_go_on_under_a_flood_of_key_exchanges(lab, make_bastion, tmp_path):
    """Guarantee 3: `ssh-audit --dheat` makes the gates do the dearest key exchange that there is, group 16, as
    often as they can. Logins of others go on, and sessions that are there feel it little.

    The attack runs on the same processors as all the rest, so the limits are wide; the figures are printed.
    """
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    elsewhere = ["BindAddress=127.0.0.9"]  # the flood's source has its own limit
    before = [client.ssh(f"{LOGIN}@web1@bastion", "echo in", options=elsewhere).seconds for _ in range(5)]
    echo = Echo(client)
    gates = [each["pid"] for each in status(bastion)["processes"] if each["role"] == "gate"]
    used = sum(map(processor_seconds, gates))
    command = [bastion.lab.peers / "bin/ssh-audit", "--dheat=10:diffie-hellman-group16-sha512"]
    flood = process.Service([*command, "-p", bastion.port, "127.0.0.1"], tmp_path / "ssh-audit.log")
    try:
        process.wait_until(
            lambda: sum(map(processor_seconds, gates)) > used + 1, timeout=60, what="a second of the gates' work"
        )
        began, used = time.monotonic(), sum(map(processor_seconds, gates))
        keys, logins = [], []
        for _ in range(20):
            done = client.ssh(f"{LOGIN}@web1@bastion", "echo in", options=elsewhere)
            assert done.text == "in\n", done
            logins.append(done.seconds)
            keys += [echo.typed() for _ in range(10)]
        share = (sum(map(processor_seconds, gates)) - used) / (time.monotonic() - began)
        assert flood.process.poll() is None, flood.text()
    finally:
        flood.kill()
    echo.close()
    keys.sort(), logins.sort()
    print(
        f"the gates used {share:.2f} processors; logins {max(before):.2f} s before, then {logins[10]:.2f} s in the middle "
        f"and {logins[-1]:.2f} s at most; a key {keys[100] * 1000:.1f} ms in the middle, {keys[-2] * 1000:.1f} ms at p99"
    )
    assert share > 0.05, "there was no flood"
    assert logins[-1] < 15 and keys[-2] < 1.0, (logins, keys)
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 0, timeout=60, what="an empty table")


@pytest.mark.timeout(500)
def test_logins_and_keystrokes_go_on_beside_many_key_exchanges(lab, make_bastion, tmp_path):
    """Guarantee 3 with new connections, each of which has its keys exchanged and is gone: 500 in each of 300 s.

    The flood and the targets share the processors with the bastion, so the limits of the short form are wide.
    """
    rate, seconds = (500, 300) if LONG else (150, 8)
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    elsewhere = ["BindAddress=127.0.0.9"]
    before = [client.ssh(f"{LOGIN}@web1@bastion", "echo in", options=elsewhere).seconds for _ in range(5)]
    echo = Echo(client)
    command = ["/usr/bin/python3", process.ROOT / "tests/support/handshakes.py", bastion.port, rate]
    flood = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    keys, logins = [], []
    began = time.monotonic()
    try:
        while time.monotonic() < began + seconds:
            done = client.ssh(f"{LOGIN}@web1@bastion", "echo in", options=elsewhere)
            assert done.text == "in\n", done
            logins.append(done.seconds)
            keys += [echo.typed() for _ in range(10)]
        took = time.monotonic() - began
        begun, replied, ended_early = map(int, flood.communicate("", timeout=20)[0].split())
    finally:
        flood.kill()
        flood.communicate()
    echo.close()
    keys.sort(), logins.sort()
    p99 = [times[int(len(times) * 0.99)] for times in (keys, logins)]
    print(
        f"{begun / took:.0f} key exchanges begun each second, {replied / took:.0f} had their reply, {ended_early} ended "
        f"without; {len(logins)} of {len(logins)} logins: {max(before):.2f} s before, then {logins[len(logins) // 2]:.2f} s "
        f"in the middle, {p99[1]:.2f} s at p99; {len(keys)} keys: {keys[len(keys) // 2] * 1000:.1f} ms and {p99[0] * 1000:.1f} ms"
    )
    assert replied / took > rate / 3, "there was no flood"
    assert p99[1] < (2 if LONG else 10) and p99[0] < (0.05 if LONG else 1.0), p99
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 0, timeout=60, what="an empty table")


def test_a_dead_gates_connections_no_longer_count(make_bastion):
    bastion = make_bastion()
    connections = [bastion.connect() for _ in range(20)]
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 20, what="20 connections")
    for gate in [each for each in status(bastion)["processes"] if each["role"] == "gate"]:
        os.kill(gate["pid"], signal.SIGKILL)
    process.wait_until(lambda: status(bastion)["unauthenticated"]["total"] == 0, what="an empty table")
    process.wait_until(lambda: ended(connections) == 20, what="the end of their connections")
    close_all(connections)


def test_a_dead_warden_is_replaced_with_all_that_led_to_it(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    before = {each["pid"] for each in status(bastion)["processes"]}
    warden = next(each["pid"] for each in status(bastion)["processes"] if each["role"] == "warden")
    os.kill(warden, signal.SIGKILL)
    process.wait_until(
        lambda: all(each["pid"] not in before | {0} for each in status(bastion)["processes"]), what="new processes"
    )
    assert client.ssh(f"{LOGIN}@web1@bastion", "echo in").text == "in\n"


def test_no_process_outlives_the_supervisor(make_bastion):
    bastion = make_bastion()
    children = bastion.processes()
    assert len(children) >= 6
    bastion.process.process.send_signal(signal.SIGKILL)
    bastion.process.process.wait(timeout=10)
    process.wait_until(
        lambda: not [pid for pid in children if process.identity(pid[0]) == pid], what="the children's end"
    )
    bastion.process = None
