"""What happens to sessions when a process dies, and what is left behind when they end."""

import asyncio
import os
import pathlib
import signal

from support import process
from support.fixtures import client_of
from support.targets import LOGIN
from support.wire import asyncssh, connect

USER = f"{LOGIN}@web1"


def role_of(pid: int) -> str:
    """A process's role, as its title or command line says it."""
    try:
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return command + " " + pathlib.Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pids(bastion, role: str) -> set[int]:
    return {pid for pid, _ in bastion.processes() if role in role_of(pid)}


def open_files(bastion) -> int:
    total = 0
    for pid, _ in bastion.processes():
        total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def test_a_killed_worker_takes_only_its_own_sessions_along(lab, make_bastion, tmp_path):
    bastion = make_bastion(service={"workers": 2})
    client = client_of(bastion, tmp_path, lab.alice)
    workers = pids(bastion, "worker")
    assert len(workers) == 2, [role_of(pid) for pid, _ in bastion.processes()]

    async def kill_one():
        connections = [await connect(client, USER) for _ in range(8)]
        shells = [await connection.create_process("cat") for connection in connections]
        for shell in shells:
            shell.stdin.write("before\n")
            assert await shell.stdout.readline() == "before\n"
        os.kill(min(workers), signal.SIGKILL)
        alive = 0
        for shell in shells:
            shell.stdin.write("after\n")
            try:
                alive += await asyncio.wait_for(shell.stdout.readline(), 10) == "after\n"
            except (OSError, asyncssh.Error):
                pass
        # New ones work at once.
        async with connect(client, USER) as fresh:
            assert (await fresh.run("echo new")).stdout == "new\n"
        for connection in connections:
            connection.abort()
        return alive

    alive = asyncio.run(asyncio.wait_for(kill_one(), 60))
    assert 0 < alive < 8, "some sessions were on the other worker"
    process.wait_until(lambda: len(pids(bastion, "worker")) == 2, what="a new worker")


def test_a_killed_gate_takes_no_session_along(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)

    async def kill_gates():
        async with connect(client, USER) as connection:
            shell = await connection.create_process("cat")
            for pid in pids(bastion, "gate"):
                os.kill(pid, signal.SIGKILL)
            shell.stdin.write("still here\n")
            assert await asyncio.wait_for(shell.stdout.readline(), 10) == "still here\n"
            # Who was in a gate's hands is lost with it; who comes when a new one is there is not.
            for _ in range(50):
                try:
                    async with connect(client, USER) as fresh:
                        assert (await fresh.run("echo new")).stdout == "new\n"
                        return
                except (OSError, asyncssh.Error):
                    await asyncio.sleep(0.1)
            raise AssertionError("no new gate")

    asyncio.run(asyncio.wait_for(kill_gates(), 60))


def test_nothing_is_left_of_ended_sessions(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)

    async def many(ends):
        async def one(i):
            connection = await connect(client, USER)
            shell = await connection.create_process("cat")
            shell.stdin.write("x\n")
            assert await shell.stdout.readline() == "x\n"
            if ends(i):
                connection.abort()
            else:
                connection.close()
                await connection.wait_closed()

        for first in range(0, 60, 10):
            await asyncio.gather(*(one(i) for i in range(first, first + 10)))

    asyncio.run(asyncio.wait_for(many(lambda i: False), 60))
    settled = []

    def quiet():
        settled.append(open_files(bastion))
        return len(settled) > 10 and len(set(settled[-10:])) == 1

    process.wait_until(quiet, what="a settled number of descriptors")
    before = settled[-1]
    asyncio.run(asyncio.wait_for(many(lambda i: i % 2 == 0), 60))
    process.wait_until(lambda: open_files(bastion) <= before, what="the descriptors' return")


def test_a_user_who_ends_at_any_point_leaves_the_bastion_well(lab, make_bastion, tmp_path):
    """The connection is cut after each count of bytes that the other side sent, over a whole login."""
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    for size in list(range(1, 60, 7)) + list(range(100, 4000, 260)):
        with bastion.connect() as raw:
            raw.sendall(b"SSH-2.0-cut\r\n" + os.urandom(size))
    for seconds in (0.02, 0.05, 0.1, 0.2, 0.3):
        try:
            client.ssh(f"{USER}@bastion", "cat /dev/zero", timeout=seconds)
        except AssertionError:
            pass  # it was killed, as it should be
    assert client.ssh(f"{USER}@bastion", "echo well").text == "well\n"
