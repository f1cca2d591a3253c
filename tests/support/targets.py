"""Real SSH servers to stand behind the bastion: OpenSSH in two versions, dropbear, tinysshd and asyncssh.

Each answers on 127.0.0.1 at a port of the kernel's choice, as the user who runs the tests. OpenSSH and
asyncssh trust the bastion's user CA; the others, which know no certificates, trust one key.
"""

import base64
import dataclasses
import getpass
import json
import os
import pathlib
import re
import socket
import subprocess

from support import keys, process

LOGIN = getpass.getuser()
HOST_KEY_KINDS = ("ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521")
PYTHON = "/usr/bin/python3"


@dataclasses.dataclass
class Target:
    """One server. `host_keys` are the lines that its real keys have."""

    name: str
    port: int
    host_keys: list[str]
    log: pathlib.Path
    takes_certificates: bool = True

    def mark(self) -> int:
        """The log's present end, to read from later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, mark: int) -> str:
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def negotiated(self, mark: int) -> dict[str, str]:
        """What OpenSSH's log says of the last key exchange after `mark`."""
        return negotiated(self.log_since(mark))


def negotiated(log: str) -> dict[str, str]:
    """The algorithms of the last key exchange in the debug output of either side of OpenSSH."""
    found = {}
    for name, pattern in (
        ("kex", r"kex: algorithm: (\S+)"),
        ("host_key", r"kex: host key algorithm: (\S+)"),
        ("cipher_in", r"kex: client->server cipher: (\S+)"),
        ("mac_in", r"kex: client->server cipher: \S+ MAC: (\S+)"),
        ("cipher_out", r"kex: server->client cipher: (\S+)"),
        ("mac_out", r"kex: server->client cipher: \S+ MAC: (\S+)"),
    ):
        if all_found := re.findall(pattern, log):
            found[name] = all_found[-1]
    return found


class Lab:
    """Keys, folders and targets of one test run, all below one folder. Close it to end every server."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.peers = process.peers()
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        (self.home / ".ssh").mkdir(mode=0o700)
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.keys = folder / "keys"
        self.keys.mkdir(mode=0o700)
        self.user_ca = keys.make_key(self.keys, "user_ca")
        self.credential = keys.make_key(self.keys, "credential")  # for targets without certificates
        self.host_keys = {kind: keys.make_key(self.keys, f"target_{kind}", kind) for kind in HOST_KEY_KINDS}
        authorized = self.home / ".ssh" / "authorized_keys"
        authorized.write_text(self.credential.line + "\n")
        authorized.chmod(0o600)
        self.targets: dict[str, Target] = {}
        self._public: dict[str, dict] = {}
        self._private: dict[str, dict] = {}
        self._services: list[process.Service] = []
        self._sockets: list[socket.socket] = []

    # ---- what is to be started

    def add_openssh(self, name: str, tree: str, options: dict[str, str] | None = None, *, host_keys=None, trust=True):
        """An OpenSSH server. `options` are lines of sshd_config that go before the usual ones."""
        root = self.peers / tree
        chosen = list(self.host_keys.values()) if host_keys is None else host_keys
        lines = [f"{word} {value}" for word, value in (options or {}).items()]
        lines += [f"HostKey {key.path}" for key in chosen]
        for program in ("sshd-session", "sshd-auth"):
            path = root / "usr/lib/openssh" / program
            if path.exists():
                lines.append(f"{''.join(part.capitalize() for part in program.split('-'))}Path {path}")
        if trust:
            lines.append(f"TrustedUserCAKeys {self.user_ca.path}.pub")
        lines += [
            f"AuthorizedKeysFile {self.home / '.ssh/authorized_keys' if trust else 'none'}",
            f"Subsystem sftp {root / 'usr/lib/openssh/sftp-server'}",
            "AcceptEnv LANG LC_* BASTION_TEST_*",
            "AddressFamily inet",  # of both, one could have a port's ::1 and somebody else its 127.0.0.1
            "LogLevel VERBOSE",  # at DEBUG1 sshd writes to the command's standard error
            "ExposeAuthInfo yes",
            "PermitRootLogin yes",
            "PidFile none",
            "StreamLocalBindUnlink yes",
            "StrictModes no",
            "UsePAM no",
            "X11Forwarding no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
        ]
        config = self.folder / f"sshd_{name}.conf"
        config.write_text("\n".join(lines) + "\n")
        self._add(name, [root / "usr/sbin/sshd", "-i", "-e", "-f", config], [key.line for key in chosen], self._public)

    def add_dropbear(self, name: str):
        key = keys.make_key(self.keys, f"{name}_host")
        # In this mode it knows no other log than syslog.
        command = ["/usr/sbin/dropbear", "-i", "-m", "-s", "-r", key.convert("dropbear")]
        self._add(name, command, [key.line], self._private, takes_certificates=False)

    def add_tinyssh(self, name: str):
        root = self.peers / "tinysshd"
        folder = self.folder / f"{name}_keys"
        makekey = self.folder / "tinysshd-makekey"
        if not makekey.exists():
            makekey.symlink_to(root / "usr/sbin/tinysshd")
        subprocess.run([makekey, folder], check=True, capture_output=True)
        public = (folder / "ed25519.pk").read_bytes()
        command = [root / "usr/sbin/tinysshd", "-v", "-x", f"sftp={self.sftp_server()}", folder]
        self._add(name, command, [ed25519_line(public)], self._private, takes_certificates=False)

    def add_asyncssh(self, *names: str, options: tuple[str, ...] = ("",)):
        """One server program with a port for each name, and for each its options (asyncssh_target.py)."""
        key = self.host_keys["ed25519"]
        log = self.logs / f"{names[0]}.log"
        program = process.ROOT / "tests/support/asyncssh_target.py"
        service = process.Service([PYTHON, program, key.path, f"{self.user_ca.path}.pub", *options], log)
        self._services.append(service)
        service.wait_for("^ready$")
        for name, port in zip(names, re.findall(r"^port (\d+)$", service.text(), re.M), strict=True):
            self.targets[name] = Target(name, int(port), [key.line], log)

    def add_silent(self, name: str):
        """Takes connections and never says a word."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        self.targets[name] = Target(name, listener.getsockname()[1], [self.host_keys["ed25519"].line], self.logs / name)

    def add_down(self, name: str):
        """A port at which nothing listens, and nothing else can while the tests run."""
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        self._sockets.append(held)
        self.targets[name] = Target(name, held.getsockname()[1], [self.host_keys["ed25519"].line], self.logs / name)

    def _add(self, name, command, host_keys, group, takes_certificates=True):
        log = self.logs / f"{name}.log"
        group[name] = {"command": [str(word) for word in command], "log": str(log)}
        self.targets[name] = Target(name, 0, host_keys, log, takes_certificates)

    def sftp_server(self) -> pathlib.Path:
        return self.peers / "openssh-system/usr/lib/openssh/sftp-server"

    # ---- running them

    def start(self) -> None:
        """Starts what was added since the last start."""
        groups = [(self._public, []), (self._private, ["--private"])]
        if os.getuid() == 0:
            groups = [(self._public | self._private, [])]
        for spec, options in groups:
            if not spec:
                continue
            service = process.Service(
                [PYTHON, process.ROOT / "tests/support/inetd.py", *options, self.home],
                self.logs / "inetd.log",
                input=json.dumps(spec).encode() + b"\n",
            )
            self._services.append(service)
            for name, port in json.loads(service.wait_for(r"^\{.*\}$")[0]).items():
                self.targets[name].port = port
        self._public, self._private = {}, {}

    def close(self) -> None:
        for service in self._services:
            service.process.stdin.close()
            service.process.terminate()
            service.kill()
        for each in self._sockets:
            each.close()


def ed25519_line(public: bytes) -> str:
    """The line of an ed25519 public key that is given as its 32 bytes."""
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", public))
    return "ssh-ed25519 " + base64.b64encode(blob).decode()
