"""What a server's processes have cost: CPU seconds, ended children included, and memory.

CPU is read from a control group of its own where one can be made (cgroup 2, also beside version 1), else it is the sum
over the process tree of what each process and its waited-for children used. Both are the kernel's own run time; neither
counts the clients or targets.
"""

import os
import pathlib
import time

from support import process

TICK = os.sysconf("SC_CLK_TCK")


def cgroup_root() -> pathlib.Path | None:
    """A folder in which groups can be made, or None."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return pathlib.Path(place)
    return None


class Group:
    """The processes of one server: what `launch` started and everything below it."""

    _number = 0

    def __init__(self):
        self.root_pid = 0
        self.folder = None
        root = cgroup_root()
        if root is not None:
            Group._number += 1
            folder = root / f"bastiond-bench-{os.getpid()}-{Group._number}"
            try:
                folder.mkdir()
                self.folder = folder
            except OSError:
                pass  # the process tree is walked instead

    @property
    def kind(self) -> str:
        return "cgroup" if self.folder else "process tree"

    def launch(self, command, log: pathlib.Path, cwd=None) -> process.Service:
        """Starts a program in this group."""
        if self.folder:
            enter = f'echo 0 >{self.folder}/cgroup.procs && exec "$@"'
            command = ["/bin/sh", "-c", enter, "sh", *command]
        service = process.Service(command, log, cwd=cwd)
        self.root_pid = service.process.pid
        return service

    def pids(self) -> list[int]:
        if self.folder:
            return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]
        return [pid for pid, _ in process.descendants(self.root_pid)]

    def cpu_seconds(self) -> float:
        if self.folder:
            for line in (self.folder / "cpu.stat").read_text().splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) / 1e6
        return sum(tree_seconds(pid) for pid in self.pids())

    def pss_kib(self) -> int:
        return sum(pss_kib(pid) for pid in self.pids())

    def settle(self, num_processes: int, timeout: float = 10.0) -> None:
        """Waits until the sessions' processes have ended and what is left does nothing."""
        deadline = time.monotonic() + timeout
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.05)  # nobody tells when a process becomes idle
            now = self.cpu_seconds()
            if len(self.pids()) <= num_processes and now - before < 0.001:
                return
            before = now

    def close(self) -> None:
        if self.folder:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                try:
                    self.folder.rmdir()
                    return
                except OSError:
                    time.sleep(0.05)


def tree_seconds(pid: int) -> float:
    """CPU of one process and of its children that have ended and were waited for."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK


def pss_kib(pid: int) -> int:
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class Cpu:
    """CPU seconds of a group between entering and leaving, until it is quiet again."""

    def __init__(self, group: Group, settle: bool = True):
        self.group = group
        self.settles = settle
        self.seconds = 0.0

    def __enter__(self) -> "Cpu":
        self.num_processes = len(self.group.pids())
        self.before = self.group.cpu_seconds()
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None and self.settles:
            self.group.settle(self.num_processes)
        self.seconds = self.group.cpu_seconds() - self.before
