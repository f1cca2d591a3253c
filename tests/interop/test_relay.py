"""What the relay of packets costs: bytes copied, packets in a turn of a worker's loop. Real ssh at both ends."""

import asyncio
import contextlib
import ctypes
import json
import os
import shlex
import signal
import sys
import time

import pytest

from support import process, raw
from support.fixtures import client_of
from support.targets import LOGIN
from support.wire import connect

USER = f"{LOGIN}@web1"
MIB = 1 << 20
SOON = 30
IGNORE, GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 2, 80, 81, 82


def relay(bastion) -> dict:
    return json.loads(bastion.control("status", "--json").ok().text)["relay"]


def relayed_since(bastion, before: dict, least: int) -> dict:
    """The counters' growth, once they include so many bytes: a worker tells them once a second."""
    deadline = time.monotonic() + SOON
    while True:
        now = relay(bastion)
        growth = {name: now[name] - before[name] for name in now}
        if growth["bytes_relayed"] >= least:
            return growth
        assert time.monotonic() < deadline, growth
        time.sleep(0.1)


@contextlib.contextmanager
def stopped(bastion, role: str):
    """The bastion's processes of one role do not run inside."""
    reply = json.loads(bastion.control("status", "--json").ok().text)
    pids = [each["pid"] for each in reply["processes"] if each["role"] == role]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def to(lab, alice):
    """What comes before the command, for both ways to web1."""
    target = lab.targets["web1"]
    with open(alice.known_hosts, "a") as known:
        known.writelines(f"target {line}\n" for line in target.host_keys)
    alice.write_config(f"Host web1\n  Port {target.port}\n  IdentityFile {lab.credential.path}\n  HostKeyAlias target\n")
    return {"routed": [f"{USER}@bastion"], "jump": ["-J", "bastion", f"{LOGIN}@web1"]}


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("mode", ["routed", "jump"])
def test_bulk_is_copied_at_most_by_a_twentieth(bastion, alice, to, mode, direction):
    size = 96 * MIB
    before = relay(bastion)
    source = ["head", "-c", str(size), "/dev/zero"]
    far, near = (source, ["wc", "-c"]) if direction == "down" else (["wc", "-c"], source)
    ssh = shlex.join(map(str, alice.ssh_command(*to[mode], *far)))
    script = f"{ssh} </dev/null | wc -c" if direction == "down" else f"{shlex.join(near)} | {ssh}"
    assert int(process.run(["sh", "-c", script], env=alice.env, timeout=120).ok().text) == size
    growth = relayed_since(bastion, before, size)
    assert growth["bytes_copied"] <= 0.05 * growth["bytes_relayed"], growth


def test_a_flood_of_small_packets_gets_a_share_of_each_turn(lab, bastion, tmp_path):
    """What a user sends while the worker stands still comes in one receive; others are served in between."""
    client = client_of(bastion, tmp_path, lab.alice)
    num_packets = 3000

    async def conversation():
        async with connect(client, USER) as connection:
            counter = await connection.create_process("wc -c")
            await asyncio.sleep(0)
            with stopped(bastion, "worker"):
                for _ in range(num_packets):
                    counter.stdin.write("x")
                # Nothing may stay on this side: the kernel's buffers take all of it.
                assert connection._transport.get_write_buffer_size() == 0
            counter.stdin.write_eof()
            assert int(await counter.stdout.read()) == num_packets

    before = relay(bastion)
    asyncio.run(asyncio.wait_for(conversation(), 60))
    growth = relayed_since(bastion, before, num_packets * 10)
    assert growth["packets"] >= num_packets
    assert growth["turns_put_off"] >= num_packets // 256 - 1, growth
    # A share, and what the transport takes by itself before the message that completes it.
    assert relay(bastion)["packets_per_turn_max"] <= 256 + 32


@pytest.mark.parametrize("number", [IGNORE, GLOBAL_REQUEST])
@pytest.mark.parametrize("num_packets", [255, 256, 257, 300, 1024])
def test_a_share_that_is_used_up_does_not_end_the_reading(lab, bastion, number, num_packets):
    """Packets that nothing is sent for, so that no write wakes the session: as many as a share, fewer, more."""
    body = {IGNORE: raw.string(""), GLOBAL_REQUEST: raw.string("unknown@example.com") + b"\0"}[number]
    question = raw.string("keepalive@openssh.com") + b"\1"

    def answered(user: raw.Raw) -> None:
        user.send(GLOBAL_REQUEST, question)
        while (got := user.receive(SOON)) != raw.END and got[0] not in (REQUEST_SUCCESS, REQUEST_FAILURE):
            pass
        assert got != raw.END

    with raw.login(bastion.port, USER, lab.alice.path) as user:
        answered(user)  # by now it is bridged
        with stopped(bastion, "worker"):
            for _ in range(num_packets):
                user.send(number, body)
        answered(user)


def test_bulk_data_is_put_off_while_somebody_types(lab, bastion, tmp_path):
    """Full packets never use up a leg's share of a turn: it is for the keystroke that a turn ends early here."""
    client = client_of(bastion, tmp_path, lab.alice)

    async def conversation(before: dict):
        async with contextlib.AsyncExitStack() as stack:
            bulk = []
            for _ in range(6):
                connection = await stack.enter_async_context(connect(client, USER))
                bulk.append(await connection.create_process("cat >/dev/null", encoding=None))
            connection = await stack.enter_async_context(connect(client, USER))
            shell = await connection.create_process("cat")
            deadline = time.monotonic() + SOON
            while relay(bastion)["turns_put_off"] == before["turns_put_off"]:
                assert time.monotonic() < deadline
                with stopped(bastion, "worker"):
                    for process_ in bulk:
                        process_.stdin.write(bytes(MIB))
                    shell.stdin.write("k\n")
                    await asyncio.sleep(0)
                assert await shell.stdout.readline() == "k\n"
                for process_ in bulk:
                    await process_.stdin.drain()

    asyncio.run(asyncio.wait_for(conversation(relay(bastion)), 60))


def slice_ns(pid: int) -> int:
    """A process's slice, or 0 where the kernel knows of none (before Linux 6.12)."""
    attributes = ctypes.create_string_buffer(48)
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
    assert libc.syscall(number, pid, attributes, len(attributes), 0) == 0, os.strerror(ctypes.get_errno())
    return int.from_bytes(attributes[24:32], sys.byteorder)


def test_who_relays_and_logs_in_asks_for_short_slices(bastion):
    """The scheduler runs them sooner where others are busy; processes that nobody waits for are as all are."""
    usual = slice_ns(0)
    roles = json.loads(bastion.control("status", "--json").ok().text)["processes"]
    found = {each["role"]: slice_ns(each["pid"]) for each in roles}
    short = {role for role, ns in found.items() if ns != usual}
    assert short == ({"gate", "worker", "warden"} if usual else set()), (usual, found)
    assert all(found[role] == 200_000 for role in short), found
