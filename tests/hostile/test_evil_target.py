"""Targets that break the rules: the user is told in one line, gets nothing else, and the bastion lives.

Each test gives the target a script. It runs on a real socket behind the bastion's real processes.
"""

import contextlib
import os
import re
import socket
import tempfile
import threading
import time
import pathlib

import pytest

from support import raw
from support.bastion import Bastion, target_entry
from support.fixtures import client_of, make_policy
from support.raw import paramiko, string, u32
from support.targets import LOGIN, Target

DESTINATION = f"{LOGIN}@evil1@bastion"


class EvilTarget:
    """Listens, and runs `script` with each connection in a thread."""

    def __init__(self, host_key: str):
        self.host_key = host_key
        self.script = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with contextlib.suppress(OSError, EOFError, AssertionError, paramiko.SSHException), connection:
            self.script(connection)


class Part:
    """One test's part of it. What its script notes is in `seen`, however long those of other tests go on."""

    def __init__(self, target: EvilTarget):
        self.target = target
        self.host_key = target.host_key
        self.seen: list = []

    def play(self, script) -> None:
        self.target.script = script

    script = property(fset=play)

    def ssh(self, connection) -> raw.Raw:
        return raw.Raw(connection, self.host_key)


@pytest.fixture(scope="module")
def world(lab):
    evil = EvilTarget(str(lab.host_keys["ed25519"].path))
    policy = make_policy(lab)
    target = Target("evil1", evil.port, [lab.host_keys["ed25519"].line], lab.logs / "evil1")
    policy["targets"]["evil1"] = target_entry(lab, target)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="evil-", dir=lab.folder))
    limits = {"connect": "3s", "handshake": "3s"}
    bastion = Bastion(lab, folder, policy, {"limits": limits}).start()
    yield evil, bastion
    evil.listener.close()
    bastion.stop()


@pytest.fixture
def evil(world):
    return Part(world[0])


@pytest.fixture
def user(world, lab, tmp_path):
    return client_of(world[1], tmp_path, lab.alice)


def told(user, command: str = "echo reached") -> str:
    """The one line that the user gets, in bounded time."""
    started = time.monotonic()
    done = user.ssh(DESTINATION, command, timeout=25)
    assert done.code == 255 and not done.out, done
    assert time.monotonic() - started < 15
    lines = [line.strip() for line in done.error.splitlines() if line.startswith("bastion: ")]
    assert len(lines) == 1 and "evil1" in lines[0], done
    assert not re.search(r"[^\x20-\x7e]", lines[0]), lines
    return lines[0]


# ---- before the key exchange


BYTES = {
    "an immediate end": b"",
    "an old protocol": b"SSH-1.5-old\r\n",
    "another protocol": b"220 mail.example.org ESMTP\r\n" * 2000,
    "a line without an end": b"SSH-2.0-" + b"x" * 100_000,
    "a NUL": b"SSH-2.0-\0\r\n",
    "garbage after the line": b"SSH-2.0-evil\r\n" + bytes(range(256)) * 200,
    "a length of 2^32-1": b"SSH-2.0-evil\r\n" + b"\xff" * 8000,
}


@pytest.mark.parametrize("what", BYTES)
def test_a_target_that_speaks_no_ssh(what, evil, user):
    def script(connection):
        connection.sendall(BYTES[what])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    evil.script = script
    told(user)


@pytest.mark.parametrize("words", [b"", b"Not allowed at this time\r\n"])
def test_a_target_that_turns_us_away_unheard(words, evil, user):
    """sshd's PerSourcePenalties: the bastion's address pays for what one of its users did."""

    def script(connection):
        connection.sendall(words)

    evil.script = script
    line = told(user)
    assert re.search(r"evil1 (closed|lost) the connection before it said that it speaks SSH", line), line
    assert "PerSourcePenalties" in line, line


def test_a_target_that_greets_for_ever(evil, user):
    """endlessh: a line now and then, and never an end. The waits here are its own."""

    def script(connection):
        connection.settimeout(0.2)
        while True:
            connection.sendall(b"x\r\n")
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    return

    evil.script = script
    told(user)


def test_a_target_that_hangs_in_its_key_exchange(evil, user):
    def script(connection):
        connection.sendall(b"SSH-2.0-evil\r\n")
        while connection.recv(65536):
            pass

    evil.script = script
    told(user)


def test_a_target_whose_signature_is_of_another_key(evil, user, lab):
    class Liar(paramiko.Ed25519Key):
        def sign_ssh_data(self, data, algorithm=None):
            other = paramiko.Ed25519Key.from_private_key_file(str(lab.other_host_key.path))
            return other.sign_ssh_data(data, algorithm)

    def script(connection):
        transport = paramiko.Transport(connection)
        transport.add_server_key(Liar.from_private_key_file(evil.host_key))
        done = threading.Event()
        transport.start_server(event=done, server=paramiko.ServerInterface())
        done.wait(10)
        evil.seen.append(transport.is_active() and transport.session_id)
        transport.join(10)

    evil.script = script
    line = told(user)
    assert "host key" in line, line


# ---- user authentication


def expect_service_request(server: raw.Raw) -> None:
    while (got := server.receive(8)) != raw.END:
        if got == (raw.SERVICE_REQUEST, string("ssh-userauth")):
            return
    raise AssertionError("no service request")


def body_of(number: int) -> bytes:
    return {
        6: string("ssh-connection"),
        51: string("publickey") + b"\0",
        52: b"",
        53: string("banner") + string(""),
        60: string("") + string("") + string("") + u32(1) + string("Password: ") + b"\0",
        90: string("session") + u32(0) + u32(1 << 20) + u32(1 << 15),
    }.get(number, string("ssh-userauth"))


# What belongs to the transport, and what is allowed where it is sent here.
TRANSPORT = {1, 2, 3, 4, 7, 20, 21, 30, 31, 192, 193}
ASKED = [n for n in range(0, 256) if n not in TRANSPORT]
FEW = [0, 5, 6, 8, 22, 32, 49, 50, 51, 52, 53, 60, 61, 63, 66, 79, 80, 81, 90, 91, 94, 97, 98, 99, 100, 101, 191, 194, 255]
NUMBERS = ASKED if os.environ.get("BASTION_LONG") == "1" else FEW


@pytest.mark.parametrize("number", [n for n in NUMBERS])
def test_messages_in_place_of_the_service(number, evil, user):
    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(number, body_of(number))
            evil.seen += server.rest(8)

    evil.script = script
    told(user)
    assert not [got for got in evil.seen if got[0] == raw.USERAUTH_REQUEST], "no credential leaves"


@pytest.mark.parametrize("number", [n for n in NUMBERS if n not in (51, 52, 53)])
def test_messages_in_place_of_an_answer_to_our_login(number, evil, user):
    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(raw.SERVICE_ACCEPT, string("ssh-userauth"))
            while (got := server.receive(8))[0] not in (raw.USERAUTH_REQUEST, None):
                pass
            server.send(number, body_of(number))
            evil.seen += server.rest(8)

    evil.script = script
    told(user)
    assert all(number in (raw.DISCONNECT, 3) for number, _ in evil.seen), evil.seen


def test_sec_022_a_success_that_nobody_signed_for(evil, user):
    """The target lets us in before it has seen our signature; what it would ask next, the user never sees."""

    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(raw.USERAUTH_SUCCESS)
            server.send(98, u32(0) + string("exec") + b"\1" + string("Password: "))
            evil.seen += server.rest(8)

    evil.script = script
    told(user)
    assert not [got for got in evil.seen if got[0] >= 80]


def refuse(server: raw.Raw) -> None:
    while (got := server.receive(8))[0] not in (raw.USERAUTH_REQUEST, None):
        pass
    server.send(raw.USERAUTH_FAILURE, string("publickey,\x1b[31mpassword") + b"\0")
    server.rest(8)


def test_a_refusal_with_control_bytes_in_it(evil, user):
    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(raw.SERVICE_ACCEPT, string("ssh-userauth"))
            refuse(server)

    evil.script = script
    told(user)


@pytest.mark.parametrize("banner", [b"\x1b]0;owned\x07\x1b[2J\x9b31m", "\u202e\u2066evil".encode(), b"\xff\xfe\0", b"a\r\rb\x7f"],
                         ids=["escapes", "bidi", "no UTF-8", "carriage returns"])  # fmt: skip
def test_sec_104_a_banner_reaches_the_user_filtered_or_not_at_all(banner, evil, user):
    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(raw.SERVICE_ACCEPT, string("ssh-userauth"))
            server.send(raw.USERAUTH_BANNER, string(b"hello " + banner) + string(""))
            refuse(server)

    evil.script = script
    done = user.ssh("-v", DESTINATION, "true", timeout=25)
    assert done.code == 255
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x9b]|\xe2\x80\xae|\xe2\x81\xa6", done.err), done.err


@pytest.mark.parametrize("size, count", [(20_000, 1), (10, 100_000)])
def test_a_flood_of_banners(size, count, evil, user):
    def script(connection):
        with evil.ssh(connection) as server:
            expect_service_request(server)
            server.send(raw.SERVICE_ACCEPT, string("ssh-userauth"))
            for _ in range(count):
                server.send(raw.USERAUTH_BANNER, string(b"x" * size) + string(""))
                if not server.transport.is_active():
                    break
            server.rest(8)

    evil.script = script
    told(user)


# ---- after login


def let_in(evil, connection) -> raw.Raw:
    server = evil.ssh(connection)
    expect_service_request(server)
    server.send(raw.SERVICE_ACCEPT, string("ssh-userauth"))
    while (got := server.receive(8))[0] != raw.USERAUTH_REQUEST:
        assert got != raw.END
    server.send(raw.USERAUTH_SUCCESS)
    return server


def take_session(server: raw.Raw, window: int = 1 << 20, packet: int = 1 << 15) -> int:
    """Accepts the first session channel; its number at the bastion."""
    while (got := server.receive(8))[0] != 90:
        assert got != raw.END
        if got[0] == 80:
            server.send(82)
    name = int.from_bytes(got[1][:4], "big")
    theirs = int.from_bytes(got[1][4 + name : 8 + name], "big")
    server.send(91, u32(theirs) + u32(7) + u32(window) + u32(packet))
    return theirs


ODD = {
    "packet size 0": lambda server: take_session(server, packet=0),
    "packet size 1": lambda server: take_session(server, packet=1),
    "window 0": lambda server: take_session(server, window=0),
    "window 2^32-1 and more": lambda server: server.send(93, u32(take_session(server, window=(1 << 32) - 1)) + u32(1 << 31)),
    "data on another channel": lambda server: server.send(94, u32(take_session(server) + 1000) + string("x")),
    "data after the end": lambda server: [
        server.send(number, body)
        for channel in [take_session(server)]
        for number, body in ((96, u32(channel)), (94, u32(channel) + string("late")), (97, u32(channel)), (94, u32(channel) + string("later")))
    ],
    "a second confirmation": lambda server: server.send(91, u32(take_session(server)) + u32(8) + u32(1) + u32(1)),
    "more than the window": lambda server: [
        server.send(94, u32(channel) + string(bytes(32_000))) for channel in [take_session(server)] for _ in range(300)
    ],
    "replies that nobody asked for": lambda server: [
        server.send(number, u32(take) if number > 90 else b"") for take in [take_session(server)] for number in (81, 82, 99, 100) * 500
    ],
    "a channel of a kind that nobody asked for": lambda server: [
        take_session(server), server.send(90, string("x11") + u32(1) + u32(1) + u32(1) + string("h") + u32(1)),
        server.send(90, string("forwarded-tcpip") + u32(2) + u32(1 << 20) + u32(1 << 15) + string("h") + u32(1) + string("h") + u32(1)),
        server.send(90, string("session") + u32(3) + u32(1 << 20) + u32(1 << 15)),
    ],
    "a short exit-status": lambda server: server.send(98, u32(take_session(server)) + string("exit-status") + b"\0" + b"\0\0"),
    "an exit-signal with a name of escapes": lambda server: server.send(
        98, u32(take_session(server)) + string("exit-signal") + b"\0" + string("\x1b[2J") + b"\0" + string("\x1b[31m") + string("")
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_channels_against_the_rules(what, evil, user, world):
    """The user's command ends in bounded time, whatever comes; the next one is as good as ever."""

    def script(connection):
        with let_in(evil, connection) as server:
            ODD[what](server)
            server.rest(5)

    evil.script = script
    with contextlib.suppress(AssertionError):
        user.ssh(DESTINATION, "id", timeout=12)
    done = user.ssh(f"{LOGIN}@web1@bastion", "echo well")
    assert done.text == "well\n", done
    world[1].check_log(world[1].process.text())
