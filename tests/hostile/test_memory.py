"""Users who are logged in and try to make us hold ever more: what we keep for one session is bounded."""

import contextlib
import json
import os
import queue
import socket

import pytest

from support import process, raw
from support.fixtures import make_policy
from support.raw import paramiko, string, u32
from support.targets import LOGIN


class Sink:
    """A target that accepts and never reads; its receive buffer is the smallest that there is."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)  # the kernel completes the connections; nobody takes them
        self.port = self.listener.getsockname()[1]


@pytest.fixture
def sink(lab, make_bastion):
    made = Sink()
    policy = make_policy(lab)
    host_key = lab.host_keys["ed25519"].line
    policy["targets"]["sink"] = {"address": "127.0.0.1", "port": made.port, "host_keys": [host_key]}
    policy["rules"].append({"name": "sink", "who": "all", "targets": ["sink"], "allow": ["jump"]})
    made.bastion = make_bastion(policy=policy, service={"workers": 1})
    yield made
    made.listener.close()


def worker_of(bastion) -> int:
    status = json.loads(bastion.control("status", "--json").text)
    return next(each["pid"] for each in status["processes"] if each["role"] == "worker")


def open_tunnel(connection, number: int, port: int) -> tuple[int, int]:
    """The other side's channel number and the window that it gives."""
    connection.send(
        90, string("direct-tcpip") + u32(number) + u32(1 << 20) + u32(1 << 15) + string("sink") + u32(port) + string("") + u32(1)
    )
    while (got := connection.receive())[0] not in (91, 92):
        assert got != raw.END
    assert got[0] == 91, got
    return int.from_bytes(got[1][4:8], "big"), int.from_bytes(got[1][8:12], "big")


def fill(connection, channel: int, window: int) -> None:
    """Sends all that the window takes until it does not open any more."""
    with contextlib.suppress(queue.Empty):
        while True:
            while window > 0:
                piece = min(window, 32_000)
                connection.send(94, u32(channel) + string(bytes(piece)))
                window -= piece
            number, body = connection.messages.get(timeout=2)
            if number == 93:
                window += int.from_bytes(body[4:8], "big")


def test_tunnels_that_were_closed_do_not_stay_behind_a_target_that_does_not_read(sink, lab):
    bastion = sink.bastion
    worker = worker_of(bastion)
    before = process.descriptors(worker)
    with raw.login(bastion.port, "nobody", str(lab.alice.path)) as user:
        for number in range(10):
            channel, window = open_tunnel(user, number, sink.port)
            fill(user, channel, window)
            user.send(97, u32(channel))
            while user.receive()[0] != 97:
                pass
        # 4 MiB wait for their targets: two full windows, or four that are half empty, since no more is granted before
        # half of one has gone (how much the kernel takes is its own affair). The other tunnels were given up.
        process.wait_until(lambda: process.descriptors(worker) <= before + 1 + 4, what="the end of the older tunnels")
    process.wait_until(lambda: process.descriptors(worker) == before, what="the end of all")


def test_many_tunnels_have_smaller_windows(sink, lab):
    with raw.login(sink.bastion.port, "nobody", str(lab.alice.path)) as user:
        windows = [open_tunnel(user, number, sink.port)[1] for number in range(60)]
    assert windows[:4] == [2 << 20] * 4
    assert sum(windows) <= 24 << 20 and min(windows) == 256 << 10, windows


def kexinit() -> bytes:
    message = paramiko.Message()
    message.add_bytes(os.urandom(16))
    one_of_each = ("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr")
    macs = ("hmac-sha2-256-etm@openssh.com",) * 2
    for name in (*one_of_each, *macs, "none", "none", "", ""):
        message.add_string(name)
    message.add_boolean(False)
    message.add_int(0)
    return message.asbytes()


NO_HOST = string("direct-tcpip") + u32(0) + u32(0) + u32(1 << 15) + string("no host " * 30) + u32(1) + string("") + u32(1)
# Each is refused by a line that is longer than the request, or nearly as long.
REFUSED = {
    f"{LOGIN}@web1": NO_HOST,
    "nobody": string("direct-streamlocal@openssh.com") + u32(0) + u32(0) + u32(1 << 15) + string("/x") + string("") + u32(0),
}


@pytest.mark.parametrize("where", REFUSED)
def test_a_key_exchange_that_is_never_finished_while_more_is_asked_for(where, bastion, lab, alice):
    """The answers wait for the new keys, so their number has to have an end."""
    with raw.login(bastion.port, where, str(lab.alice.path)) as user:
        user.KEY_EXCHANGE = ()
        user.send(90, string("session") + u32(0) + u32(1 << 20) + u32(1 << 15))
        while (got := user.receive()[0]) != 91:
            assert got is not None
        user.send(20, kexinit())
        for sent in range(100_000):
            if sent % 1000 == 0 and not user.transport.is_active():
                break
            user.send(90, REFUSED[where])
        # It may have been told before all was sent, and heard of it after.
        assert [got for got in user.rest() if got[0] == raw.DISCONNECT and b"key exchange" in got[1]]
    assert alice.ssh(f"{LOGIN}@web1@bastion", "echo well").text == "well\n"
