"""The bastion as a fixture: its two files, its process, and the checks that it ended well."""

import copy
import json
import os
import pathlib
import re
import signal
import socket

import yaml

from support import keys, process
from support.targets import LOGIN, Lab, Target

# What must be in no log of ours, whatever a peer did.
BAD_LINES = re.compile(
    r"internal error|AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    r"|CHECK failed|terminate called|Assertion .* failed|stack smashing",
    re.I,
)


def binary() -> pathlib.Path:
    return process.BUILD / "daemon" / "bastiond"


def bastionctl() -> pathlib.Path:
    return process.BUILD / "daemon" / "bastionctl"


def target_entry(lab: Lab, target: Target, **more) -> dict:
    """A target as policy.yaml has it, with its real host keys pinned."""
    entry = {"address": "127.0.0.1", "port": target.port, "host_keys": list(target.host_keys)}
    if not target.takes_certificates:
        entry["credential"] = {"key_file": str(lab.credential.path)}
    return entry | more


class PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice: the bastion takes no anchors."""

    def ignore_aliases(self, data):
        return True


class Bastion:
    """bastiond with a configuration of its own, on 127.0.0.1 at a port of the kernel's choice."""

    def __init__(self, lab: Lab, folder: pathlib.Path, policy: dict, service: dict | None = None):
        self.lab = lab
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "bastiond.log"
        self.config = folder / "bastiond.yaml"
        self.policy_file = folder / "policy.yaml"
        self.host_keys = {}
        for kind in ("ed25519", "rsa"):
            path = lab.keys / f"bastion_{kind}"
            self.host_keys[kind] = keys.Key(path) if path.exists() else keys.make_key(lab.keys, path.name, kind)
        # A socket's path has 107 bytes at most, which pytest's folders can exceed.
        self.socket = folder / "control.sock"
        self.service = {
            "listen": ["127.0.0.1:0"],
            "host_keys": [str(key.path) for key in self.host_keys.values()],
            "user_ca": str(lab.user_ca.path),
            "policy": str(self.policy_file),
            "workers": 2,
            "control": {"socket": str(self.socket)},
        } | (service or {})
        self.policy = copy.deepcopy(policy)
        self.process: process.Service | None = None
        self.port = 0
        self.ports: list[tuple[str, int]] = []

    @property
    def host_key_lines(self) -> list[str]:
        return [key.line for key in self.host_keys.values()]

    def write(self) -> None:
        for path, content in ((self.config, self.service), (self.policy_file, self.policy)):
            path.write_text(yaml.dump(content, Dumper=PlainDumper, sort_keys=False, width=1000))

    def start(self) -> "Bastion":
        self.write()
        command = [binary(), "--config", self.config]
        if os.getuid() == 0:
            command.append("--one-uid")  # this machine need not have our users
        self.process = process.Service(command, self.log, cwd=self.folder)
        wanted = len(self.service["listen"])
        deadline_line = r"listening on (\S+) port (\d+)"
        self.process.wait_for(deadline_line, timeout=30)
        process.wait_until(
            lambda: len(re.findall(deadline_line, self.process.text())) >= wanted, timeout=30, what="listening"
        )
        self.ports = [(host, int(port)) for host, port in re.findall(deadline_line, self.process.text())]
        self.port = self.ports[0][1]
        return self

    def mark(self) -> int:
        """The log's present end, to give to log_since and wait_for_log."""
        with self.process.changed:
            return len(self.process.lines)

    def log_since(self, mark: int) -> str:
        with self.process.changed:
            return "\n".join(self.process.lines[mark:])

    def wait_for_log(self, pattern: str, mark: int = 0, *, timeout: float = 10) -> re.Match:
        return self.process.wait_for(pattern, start=mark, timeout=timeout)

    def processes(self) -> list[tuple[int, str]]:
        return process.descendants(self.process.process.pid)

    def reload(self, policy: dict | None = None, *, expect: str = r"(?i)\bloaded\b.*policy|policy.*\bloaded\b") -> None:
        """Writes another policy, sends SIGHUP and waits for what the log says of it."""
        if policy is not None:
            self.policy = copy.deepcopy(policy)
            self.write()
        mark = self.mark()
        self.process.process.send_signal(signal.SIGHUP)
        self.wait_for_log(expect, mark)

    def control(self, *words, timeout: float = 15) -> process.Done:
        return process.run([bastionctl(), "--socket", self.socket, *words], timeout=timeout)

    def pids(self, role: str) -> list[int]:
        """The processes of a kind; one that is being replaced has none."""
        status = json.loads(self.control("--json", "status").ok().text)
        return [each["pid"] for each in status["processes"] if each["role"] == role and each["pid"] > 0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self) -> None:
        """Ends it by SIGTERM. Every process must be gone then, and the log must be clean."""
        if self.process is None:
            return
        running = self.processes()
        try:
            code = self.process.stop(timeout=20)
            process.wait_until(
                lambda: not [pid for pid in running if process.identity(pid[0]) == pid],
                what=f"the end of all processes of {self.folder.name}",
            )
        finally:
            for pid in running:
                if process.identity(pid[0]) == pid:
                    os.kill(pid[0], signal.SIGKILL)
            text = self.process.text()
            self.process = None
        assert code == 0, f"bastiond ended with {code}:\n{text[-4000:]}"
        self.check_log(text)

    def check_log(self, text: str) -> None:
        bad = [line for line in text.splitlines() if BAD_LINES.search(line)]
        assert not bad, "\n".join(bad[:20]) + f"\nin {self.log}"
        stray = [line for line in text.splitlines() if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)]
        assert not stray, f"control bytes in the log: {stray[:5]!r}"


__all__ = ["LOGIN", "Bastion", "bastionctl", "binary", "target_entry"]
