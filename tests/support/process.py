"""Runs programs with a time limit, and services until they are told to end."""

import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BASTION_BUILD", ROOT / "build"))
LONG = os.environ.get("BASTION_LONG") == "1"


def peers() -> pathlib.Path:
    """The folder with the unpacked SSH servers and clients."""
    if "BASTION_PEERS" in os.environ:
        return pathlib.Path(os.environ["BASTION_PEERS"])
    return pathlib.Path(subprocess.check_output([ROOT / "deploy" / "setup", "--peers"], text=True).strip())


@dataclasses.dataclass
class Done:
    """A program that has ended. `code` is negative where a signal ended it."""

    command: list
    code: int
    out: bytes
    err: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace")

    @property
    def error(self) -> str:
        return self.err.decode(errors="replace")

    def ok(self) -> "Done":
        assert self.code == 0, str(self)
        return self

    def __str__(self) -> str:
        words = " ".join(str(word) for word in self.command)
        return f"{words}\n-> {self.code} in {self.seconds:.2f} s\n--- out\n{self.text[-3000:]}\n--- err\n{self.error[-6000:]}"


def run(command, *, input: bytes | None = b"", timeout: float = 30, env=None, cwd=None) -> Done:
    """Runs a program to its end with its output captured. At the time limit its whole process group is
    killed and the test fails."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        done = Done(command, -signal.SIGKILL, out, err, time.monotonic() - started)
        raise AssertionError(f"not done within {timeout} s: {done}") from None
    return Done(command, process.returncode, out, err, time.monotonic() - started)


class Service:
    """A program that runs until it is stopped. Its output goes to a log file and can be waited for."""

    def __init__(self, command, log: pathlib.Path, *, env=None, cwd=None, input: bytes | None = None):
        self.command = [str(word) for word in command]
        self.log = log
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        if input is not None:
            self.process.stdin.write(input)
            self.process.stdin.flush()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        with open(self.log, "ab") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                with self.changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.lines.append("")
            self.changed.notify_all()

    def wait_for(self, pattern: str, *, timeout: float = 15, start: int = 0) -> re.Match:
        """Waits until a line from number `start` on matches. Fails when the program ends or time is up."""
        deadline = time.monotonic() + timeout
        expression = re.compile(pattern)
        seen = start
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if found := expression.search(line):
                        return found
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                    tail = "\n".join(self.lines[-40:])
                    raise AssertionError(f"no line matches {pattern!r} in {self.log}:\n{tail}")
                self.changed.wait(min(left, 0.5))

    def text(self) -> str:
        with self.changed:
            return "\n".join(self.lines)

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = 15) -> int:
        """Ends the program and gives its exit code. One that does not end in time is killed, and the test
        fails."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command[0]} did not end within {timeout} s") from None
        self.reader.join(5)
        return code

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reader.join(5)


def identity(pid: int) -> tuple[int, str] | None:
    """A process by its number and its start time, so that a number that is used again is not mistaken."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else (pid, fields[19])


def descendants(pid: int) -> list[tuple[int, str]]:
    """Every process below `pid`, itself included."""
    found = []
    waiting = [pid]
    while waiting:
        pid = waiting.pop()
        me = identity(pid)
        if me is None:
            continue
        found.append(me)
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in task.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def memory_bytes(pids) -> int:
    """The proportional set size of processes, without files: the programs' and libraries' pages count for more
    when another that shares them ends."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += sum(int(size) for size in re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", text, re.M)) * 1024
    return total


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_until(condition, *, timeout: float = 10, what: str = "it") -> None:
    """Waits for something that tells nobody when it happens, such as the end of another's process."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.02)
