"""Much that is random, by many sessions at once: what is exported of each recording is what its client received.

A session is a command with two streams, or a terminal whose size changes while it prints.
"""

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from support import process, recordings
from support.bastion import bastionctl
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.traffic import service_of

MIB = 1 << 20
LONG = os.environ.get("BASTION_LONG") == "1"
# Sessions, bytes of each one's stdout, and how many sessions there are at once.
SESSIONS, STDOUT_BYTES, AT_ONCE = (1000, 10 * MIB, 8) if LONG else (12, MIB, 6)
STDERR_BYTES = STDOUT_BYTES // 4
TERMINAL_PARTS = 8  # between two of them the size changes
SESSION_SECONDS_MAX = 120


@dataclasses.dataclass(frozen=True)
class Seen:
    """What passed, as the client or the recording has it: (bytes, SHA-256) of each stream, and sizes."""

    stdout: tuple[int, str]
    stderr: tuple[int, str]
    sizes: tuple[tuple[int, int], ...] = ()  # columns, rows: the first, then each change


class Digest:
    """Reads a stream to its end in a thread of its own."""

    def __init__(self, stream):
        self.stream = stream
        self.len = 0
        self.hash = hashlib.sha256()
        self.grown = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        while data := os.read(self.stream.fileno(), 1 << 16):
            self.hash.update(data)
            with self.grown:
                self.len += len(data)
                self.grown.notify_all()
        with self.grown:
            self.ended = True
            self.grown.notify_all()

    def wait_for(self, size: int) -> None:
        with self.grown:
            assert self.grown.wait_for(lambda: self.len >= size or self.ended, SESSION_SECONDS_MAX)
            assert self.len == size, f"{self.len} of {size} bytes"

    def result(self) -> tuple[int, str]:
        self.thread.join(SESSION_SECONDS_MAX)
        assert not self.thread.is_alive()
        return self.len, self.hash.hexdigest()


@contextlib.contextmanager
def started(command, env, **streams):
    with subprocess.Popen(list(map(str, command)), env=env, start_new_session=True, **streams) as client:
        try:
            yield client
        finally:
            client.kill()


def run_command(alice, destination: str) -> Seen:
    """A command that writes to both streams at once."""
    words = f"head -c {STDOUT_BYTES} /dev/urandom & head -c {STDERR_BYTES} /dev/urandom >&2; wait"
    command = alice.ssh_command("-q", destination, words)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, alice.env, **pipes) as client:
        out, err = Digest(client.stdout), Digest(client.stderr)
        seen = Seen(out.result(), err.result())
        assert client.wait(SESSION_SECONDS_MAX) == 0
    assert (seen.stdout[0], seen.stderr[0]) == (STDOUT_BYTES, STDERR_BYTES)
    return seen


def set_size(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def run_terminal(alice, destination: str) -> Seen:
    """A terminal in raw mode that prints in parts. Before each further one its size is another."""
    part = STDOUT_BYTES // TERMINAL_PARTS
    words = f"stty raw -echo; head -c {part} /dev/urandom"
    words += f"; read go; head -c {part} /dev/urandom" * (TERMINAL_PARTS - 1)
    ours, theirs = os.openpty()
    sizes = [(100, 40)] + [(60 + 7 * at, 20 + 3 * at) for at in range(1, TERMINAL_PARTS)]
    try:
        set_size(ours, *sizes[0])
        command = alice.ssh_command("-q", "-tt", destination, words)
        pipes = {"stdin": theirs, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with started(command, alice.env | {"TERM": "xterm"}, **pipes) as client:
            out, notice = Digest(client.stdout), Digest(client.stderr)
            for at, size in enumerate(sizes):
                if at > 0:
                    set_size(ours, *size)
                    client.send_signal(signal.SIGWINCH)  # the terminal is not its own, so the kernel sends none
                    os.write(ours, b"\n")
                out.wait_for((at + 1) * part)
            seen = Seen(out.result(), (0, hashlib.sha256().hexdigest()), tuple(sizes))
            notice.result()
            assert client.wait(SESSION_SECONDS_MAX) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    return seen


def export(bastion, path, *words, take) -> None:
    """Gives what `recordings export` writes for one recording to `take`, as a stream."""
    command = [bastionctl(), "recordings", "--dir", recordings.folder_of(bastion), "export", path.stem, *words]
    with started(command, None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        take(made.stdout)
        error = made.stderr.read()
        assert made.wait(SESSION_SECONDS_MAX) == 0 and error == b"", (path, error)


def read_back(bastion, path) -> Seen:
    """The same of a recording."""
    streams = {}
    for name in ("stdout", "stderr"):

        def take(stream, name=name):
            streams[name] = Digest(stream).result()

        export(bastion, path, "--format", "raw", "--stream", name, take=take)
    sizes = []

    def take_sizes(stream):
        term = json.loads(stream.readline())["term"]
        changes = [json.loads(line)[2] for line in stream if b', "r", ' in line[:40]]
        if "type" in term:  # there was a terminal
            sizes.append((term["cols"], term["rows"]))
            sizes.extend(tuple(map(int, size.split("x"))) for size in changes)
        else:
            assert not changes

    export(bastion, path, "--format", "asciicast", "--cast-version", "3", take=take_sizes)
    return Seen(streams["stdout"], streams["stderr"], tuple(sizes))


def check_wave(bastion, pool, alice, kinds) -> int:
    """Runs sessions of these kinds at once, compares each with its recording, and removes that. Gives their bytes."""
    destination = f"{LOGIN}@web1@bastion"
    seen = list(pool.map(lambda run: run(alice, destination), kinds))
    files = recordings.wait_sealed(bastion, len(kinds), timeout=30)
    assert len(files) == len(kinds)
    verify = [bastionctl(), "recordings", "--dir", recordings.folder_of(bastion), "verify", "--all"]
    proven = process.run([*verify, "--key", recordings.audit_key(bastion)], timeout=SESSION_SECONDS_MAX).ok()
    assert f"{len(files)} of {len(files)} recordings are proven" in proven.text, proven
    recorded = list(pool.map(lambda path: read_back(bastion, path), files))
    # Random bytes: no two sessions have the same, so equal sets are equal one to one.
    assert len(set(seen)) == len(seen)
    assert set(recorded) == set(seen), f"received: {set(seen) - set(recorded)}, recorded: {set(recorded) - set(seen)}"
    for path in files:
        path.unlink()  # all of a run at once would fill disks
    return sum(each.stdout[0] + each.stderr[0] for each in seen)


@pytest.mark.timeout(2 * 3600 if LONG else 180)
def test_what_is_exported_is_what_clients_received(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["rules"][0]["exec_bytes"] = "64MiB"  # 10 MiB unless said: nothing is to be cut
    bastion = make_bastion(policy, service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    kinds = [(run_command, run_terminal)[at % 2] for at in range(SESSIONS)]
    total, begun = 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for at in range(0, SESSIONS, AT_ONCE):
            total += check_wave(bastion, pool, alice, kinds[at : at + AT_ONCE])
            print(f"{min(at + AT_ONCE, SESSIONS)} sessions, {total} bytes, {time.monotonic() - begun:.0f} s", flush=True)
