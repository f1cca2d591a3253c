"""What a routed session carries: each thing that SSH's connection protocol has, through real programs."""

import asyncio
import os
import pathlib
import random
import re
import signal
import socket
import socketserver
import subprocess
import threading

import pytest

from support import process, x11
from support.bastion import target_entry
from support.fixtures import client_of, make_policy
from support.process import Service, run
from support.targets import LOGIN
from support.wire import connect

DESTINATION = f"{LOGIN}@web1@bastion"
USER = f"{LOGIN}@web1"
MIB = 1 << 20


# ---- commands, streams and their ends


def test_exit_codes_from_0_to_255(alice):
    async def all_codes():
        async with connect(alice, USER) as connection:
            # sshd frees a session's place a moment after its end, and has ten.
            for first in range(0, 256, 4):
                codes = range(first, first + 4)
                results = await asyncio.gather(*(connection.run(f"exit {code}") for code in codes))
                assert [result.exit_status for result in results] == list(codes)

    asyncio.run(asyncio.wait_for(all_codes(), 90))


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "HUP", "USR1"])
def test_death_by_signal_is_told_with_its_name(name, alice):
    async def die():
        async with connect(alice, USER) as connection:
            return await connection.run(f"kill -{name} $$")

    result = asyncio.run(asyncio.wait_for(die(), 20))
    assert result.exit_status in (None, -1), result.exit_status
    assert result.exit_signal and result.exit_signal[0] == name


def test_standard_error_is_a_stream_of_its_own(alice):
    done = alice.ssh(DESTINATION, "for i in $(seq 200); do echo o$i; echo e$i >&2; done")
    assert done.code == 0
    assert done.text.split() == [f"o{i}" for i in range(1, 201)]
    assert done.error.split() == [f"e{i}" for i in range(1, 201)]


def test_output_after_the_end_of_input_arrives_in_full(alice):
    done = alice.ssh(DESTINATION, "cat >/dev/null; head -c 300000 /dev/zero | tr '\\0' x; echo end", input=b"a" * 1000)
    assert done.code == 0
    assert done.text == "x" * 300_000 + "end\n"


def test_input_from_a_pipe_that_ends_early(alice):
    command = f"head -c 100000 /dev/zero | {' '.join(map(str, alice.ssh_command(DESTINATION)))} 'wc -c; echo done'"
    done = run(["bash", "-c", command], env=alice.env)
    assert done.text.split() == ["100000", "done"], done


def test_a_command_that_reads_nothing_ends_at_once(alice):
    done = alice.ssh(DESTINATION, "exit 5", input=b"x" * (8 * MIB))
    assert done.code == 5, done


def test_a_target_that_closes_its_output_still_takes_input(alice, tmp_path):
    kept = tmp_path / "kept"
    done = alice.ssh(DESTINATION, f"exec 1>&- 2>&-; cat >{kept}", input=b"y" * 500_000)
    assert done.code == 0, done
    assert kept.read_bytes() == b"y" * 500_000


def test_a_user_who_vanishes_ends_the_command(alice, tmp_path):
    """SSH has no better sign for it than the end of the connection."""
    note = tmp_path / "pid"
    client = Service(alice.ssh_command("-tt", DESTINATION, f"echo $$ >{note}; exec sleep 600"), tmp_path / "log", env=alice.env)
    process.wait_until(lambda: note.exists() and note.read_text().strip(), what="the command's start")
    pid = int(note.read_text())
    client.kill()
    process.wait_until(lambda: process.identity(pid) is None, what="the command's end")


def test_a_hundred_mib_each_way_at_once(alice, tmp_path):
    data = random.Random(1).randbytes(MIB) * 100
    done = alice.ssh(DESTINATION, "cat", input=data, timeout=120)
    assert done.code == 0, done
    assert len(done.out) == len(data)
    assert done.out == data


# ---- terminals


def test_a_terminal_with_its_modes_and_size(alice):
    async def ask():
        async with connect(alice, USER) as connection:
            options = {"term_type": "xterm-256color", "term_size": (123, 45), "term_modes": {53: 0}}
            session = await connection.create_process("stty -a; echo TERM=$TERM; read x; stty size", **options)
            first = await session.stdout.readuntil("TERM=xterm-256color")
            session.change_terminal_size(99, 33)
            session.stdin.write("go\n")
            rest = await session.stdout.read()
            return first, rest

    first, rest = asyncio.run(asyncio.wait_for(ask(), 20))
    assert "45" in first and "123" in first
    assert "-echo " in first, "mode 53 (ECHO) was switched off"
    assert "33 99" in rest


def test_a_shell_on_a_terminal(alice):
    done = alice.ssh("-tt", DESTINATION, input=b"echo a-$((40+2))-z\nexit 9\n")
    assert done.code == 9, done
    assert "a-42-z" in done.text


def test_a_shell_without_a_terminal(alice):
    done = alice.ssh("-T", DESTINATION, input=b"echo a-$((40+2))-z; test -t 0 || echo none\nexit 9\n")
    assert done.code == 9, done
    assert "a-42-z\nnone\n" in done.text


def test_environment_by_the_allow_list(alice):
    done = alice.ssh(
        DESTINATION, "echo [$LC_TEST][$BASTION_TEST_SECRET][$LANG]",
        options=["SendEnv LC_TEST BASTION_TEST_SECRET"],
        env={"LC_TEST": "passed on", "BASTION_TEST_SECRET": "kept back", "LANG": "C"},
    )  # fmt: skip
    assert "[passed on][]" in done.text, done


@pytest.mark.parametrize("what, told, code", [("USR1", "caught USR1\n", 3), ("INT", "caught INT\n", 3), (500, "break 500\n", 4)])
def test_signals_and_breaks_reach_the_command(what, told, code, alice):
    async def send():
        async with connect(alice, f"{LOGIN}@async1") as connection:
            session = await connection.create_process("wait-for-signal")
            assert await session.stdout.readline() == "ready\n"
            session.send_signal(what) if isinstance(what, str) else session.send_break(what)
            rest = await session.stdout.read()
            await session.wait()
            return rest, session.exit_status

    assert asyncio.run(asyncio.wait_for(send(), 20)) == (told, code)


def test_a_subsystem(alice):
    done = alice.sftp(DESTINATION, "pwd\n").ok()
    assert "Remote working directory" in done.text


def test_a_subsystem_that_the_target_lacks_is_refused(alice):
    done = alice.ssh("-s", DESTINATION, "no-such-subsystem")
    assert done.code != 0
    assert "subsystem request failed" in done.error, done


def test_an_unknown_request_is_refused_and_the_session_lives(alice):
    async def ask():
        async with connect(alice, USER) as connection:
            channel, session = await connection.create_session(ReadAll, "cat", encoding=None)
            answer = await channel._make_request(b"no-such-request@example.org")
            channel.write(b"alive")
            channel.write_eof()
            await asyncio.wait_for(session.closed, 10)
            return answer, bytes(session.data)

    import asyncssh

    class ReadAll(asyncssh.SSHClientSession):
        def __init__(self):
            self.data = bytearray()
            self.closed = asyncio.get_running_loop().create_future()

        def data_received(self, data, datatype):
            self.data += data

        def connection_lost(self, exc):
            self.closed.set_result(None)

    assert asyncio.run(asyncio.wait_for(ask(), 20)) == (False, b"alive")


# ---- many channels on one connection


def test_ten_channels_at_once_on_one_connection(alice, tmp_path):
    control = tmp_path / "ctl"
    if len(str(control)) > 90:
        control = alice.folder.parent / "c"
    master = Service(alice.ssh_command("-v", "-M", "-N", "-S", control, DESTINATION), tmp_path / "log", env=alice.env)
    process.wait_until(lambda: control.exists(), what="the master's socket")
    data = os.urandom(2 * MIB)
    done = [None] * 10

    def one(i):
        done[i] = alice.ssh("-S", control, DESTINATION, f"cat; exit {i}", input=data)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for i, each in enumerate(done):
        assert each.code == i and each.out == data, each.error
    master.stop()


# ---- forwarding


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data.upper())


@pytest.fixture
def echo():
    """A server that answers in upper case; its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def sockets():
    """A folder whose paths are short enough for sockets."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bs") as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def echo_socket(sockets):
    path = sockets / "echo"

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def ask(address, text=b"hello", prefix=b"") -> bytes:
    """Sends text to an address (host and port, or a path) and reads the answer to its end."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(15)
        connection.connect(address if isinstance(address, tuple) else str(address))
        if prefix:
            connection.sendall(prefix[:3])
            assert connection.recv(2) == b"\x05\x00"
            connection.sendall(prefix[3:])
            assert connection.recv(10)[:2] == b"\x05\x00"
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Forwarding:
    """ssh with forwarding options, up as long as the block lasts. Its -v output tells when it is ready."""

    def __init__(self, client, folder, *words, ready=r"Entering interactive session|pledge: "):
        command = client.ssh_command("-v", "-N", "-o", "ExitOnForwardFailure=yes", *words, DESTINATION)
        self.service = Service(command, folder / "forwarding.log", env=client.env)
        self.service.wait_for(ready)

    def __enter__(self):
        return self.service

    def __exit__(self, *_):
        self.service.kill()


def test_dash_l(alice, echo, tmp_path):
    port = free_port()
    with Forwarding(alice, tmp_path, "-L", f"{port}:127.0.0.1:{echo}"):
        assert ask(("127.0.0.1", port)) == b"HELLO"
        big = os.urandom(3 * MIB).replace(b"\0", b"a")
        assert ask(("127.0.0.1", port), big) == big.upper()


def test_dash_d(alice, echo, tmp_path):
    port = free_port()
    socks = b"\x05\x01\x00" + b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + echo.to_bytes(2, "big")
    with Forwarding(alice, tmp_path, "-D", str(port)):
        assert ask(("127.0.0.1", port), prefix=socks) == b"HELLO"


def test_dash_l_to_a_port_that_is_closed_leaves_the_session_alone(alice, echo, tmp_path):
    port, closed = free_port(), free_port()
    with Forwarding(alice, tmp_path, "-L", f"{port}:127.0.0.1:{closed}") as service:
        try:
            assert ask(("127.0.0.1", port)) == b""
        except ConnectionResetError:
            pass
        service.wait_for(r"open failed: connect failed")
        assert service.process.poll() is None


def test_dash_r_with_a_port_of_the_targets_choice(alice, echo, tmp_path):
    with Forwarding(alice, tmp_path, "-R", f"0:127.0.0.1:{echo}", ready="Allocated port") as service:
        port = int(service.wait_for(r"Allocated port (\d+) for remote forward")[1])
        assert ask(("127.0.0.1", port)) == b"HELLO"
        assert [ask(("127.0.0.1", port), bytes([97 + i])) for i in range(5)] == [b"A", b"B", b"C", b"D", b"E"]


def test_dash_r_ends_with_the_session(alice, echo, tmp_path):
    with Forwarding(alice, tmp_path, "-R", f"0:127.0.0.1:{echo}", ready="Allocated port") as service:
        port = int(service.wait_for(r"Allocated port (\d+) for remote forward")[1])
    def refused():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0
    try:
        process.wait_until(refused, what="the end of the forwarding")
    except AssertionError as error:
        raise AssertionError(f"{error}: {process.run(['ss', '-tanp', f'( sport = :{port} or dport = :{port} )']).text}")


def test_unix_sockets_both_ways(alice, echo_socket, sockets, tmp_path):
    near, far = sockets / "near", sockets / "far"
    with Forwarding(alice, tmp_path, "-L", f"{near}:{echo_socket}"):
        assert ask(near) == b"HELLO"
    with Forwarding(alice, tmp_path, "-R", f"{far}:{echo_socket}", ready="remote forward success"):
        assert ask(far) == b"HELLO"


def test_dash_w_through_the_target(alice, echo):
    done = alice.ssh("-W", f"127.0.0.1:{echo}", DESTINATION, input=b"through")
    assert done.out == b"THROUGH", done


def test_agent_forwarding(alice, lab, sockets):
    path = sockets / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        process.wait_until(path.exists, what="the agent's socket")
        env = {"SSH_AUTH_SOCK": str(path)}
        run(["ssh-add", "-q", lab.bob.path], env=alice.env | env).ok()
        done = alice.ssh("-A", DESTINATION, "ssh-add -l", env=env)
        assert lab.bob.fingerprint in done.text, done
        assert lab.bob.fingerprint not in alice.ssh("-a", DESTINATION, "ssh-add -l", env=env).text
    finally:
        agent.terminate()
        agent.wait(10)


def test_x11_forwarding(lab, make_bastion, tmp_path):
    """A display of the user's, a program on the target: ssh -Y puts the real cookie in the place of its own."""
    programs = x11.Programs(lab, tmp_path)
    policy = make_policy(lab)
    policy["targets"]["x1"] = target_entry(lab, programs.target)
    policy["rules"][-1]["targets"] = ["x1"]
    bastion = make_bastion(policy)
    with x11.Screen() as screen:
        alice = client_of(bastion, tmp_path / "alice", lab.alice)
        done = alice.ssh("-Y", f"{LOGIN}@x1@bastion", programs.command, env=screen.env)
        assert done.text == "b'seen'\n", done
        seen = screen.first()
        assert seen.startswith(b"l\0\x0b\0") and seen.endswith(b"hello"), seen

        bob = client_of(bastion, tmp_path / "bob", lab.bob)
        done = bob.ssh("-Y", f"{LOGIN}@x1@bastion", "echo display=$DISPLAY", env=screen.env)
        assert done.text == "display=\n", done


# ---- keepalives and rekeying


def test_keepalives_of_the_user_are_answered(alice):
    done = alice.ssh("-v", DESTINATION, "sleep 3.5", options=["ServerAliveInterval=1", "ServerAliveCountMax=1"])
    assert done.code == 0, done


REKEY_DATA = random.Random(2).randbytes(MIB) * 8


@pytest.mark.parametrize("target", ["web1", "rekey1"], ids=["by the user", "by both"])
def test_rekeying_every_64_kib_under_load_in_both_directions(target, alice):
    done = alice.ssh("-v", f"{LOGIN}@{target}@bastion", "cat", input=REKEY_DATA, options=["RekeyLimit=64K"], timeout=120)
    assert done.code == 0, done
    assert done.out == REKEY_DATA
    assert len(re.findall("SSH2_MSG_NEWKEYS received", done.error)) >= 10


def test_rekeying_by_the_target_alone(alice, lab):
    mark = lab.targets["rekey1"].mark()
    done = alice.ssh(f"{LOGIN}@rekey1@bastion", "cat", input=REKEY_DATA, timeout=120)
    assert done.out == REKEY_DATA, done
    assert len(re.findall("rekey|SSH2_MSG_KEXINIT received", lab.targets["rekey1"].log_since(mark))) > 20


def test_rekeying_by_the_bastion_on_both_legs(lab, make_bastion, tmp_path):
    client = client_of(make_bastion(service={"rekey": {"bytes": "64KiB"}}), tmp_path, lab.alice)
    done = client.ssh("-v", DESTINATION, "cat", input=REKEY_DATA, timeout=120)
    assert done.out == REKEY_DATA, done
    assert len(re.findall("SSH2_MSG_NEWKEYS received", done.error)) >= 10


def test_rekeying_by_time(lab, make_bastion, tmp_path):
    client = client_of(make_bastion(service={"rekey": {"time": "1s"}}), tmp_path, lab.alice)
    mark = lab.targets["rekey1"].mark()
    command = client.ssh_command("-v", f"{LOGIN}@rekey1@bastion", "cat")
    session = Service(command, tmp_path / "log", env=client.env)

    def rekeyed():
        by_target = lab.targets["rekey1"].log_since(mark).count("SSH2_MSG_NEWKEYS received")
        return session.text().count("SSH2_MSG_NEWKEYS received") >= 3 and by_target >= 3

    process.wait_until(rekeyed, timeout=30, what="a third key exchange of an idle session on both legs")
    session.process.stdin.close()
    assert session.process.wait(10) == 0


@pytest.mark.parametrize("who", ["user", "target"])
def test_a_peer_that_does_not_answer_any_more_ends_the_session(who, lab, make_bastion, tmp_path):
    bastion = make_bastion(service={"limits": {"keepalive": "1s", "keepalive_missed": 2}})
    client = client_of(bastion, tmp_path, lab.alice)
    session = Service(client.ssh_command(DESTINATION, "echo ready $PPID; cat"), tmp_path / "log", env=client.env)
    sshd = int(session.wait_for(r"^ready (\d+)$")[1])
    stopped = session.process.pid if who == "user" else sshd
    os.kill(stopped, signal.SIGSTOP)
    try:
        bastion.wait_for_log(r"does not answer any more", timeout=20)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert session.process.wait(10) == 255
