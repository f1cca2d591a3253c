"""Keys, targets and configuration files of one run of the benchmark, all below one folder.

Targets come in two kinds. A *light* target is bench/peers' server: thousands of sessions in one process, so that what
is between it and the light client is measured and not they. A *real* target is OpenSSH's sshd, for what only real
programs do: the receives that ssh's own writes lead to, sftp, ssh's own start.
Each kind has one target for each cipher, which it alone accepts, so both hops of a routed session use it.
"""

import dataclasses
import getpass
import os
import pathlib
import re
import socket
import tempfile

from support import keys, process

LOGIN = getpass.getuser()

# What a table calls it: the cipher's name on the wire. AES-CTR goes with hmac-sha2-256-etm.
CIPHERS = {
    "aes128-gcm": "aes128-gcm@openssh.com",
    "aes256-gcm": "aes256-gcm@openssh.com",
    "chacha20": "chacha20-poly1305@openssh.com",
    "aes128-ctr+etm": "aes128-ctr",
}
MAC = "hmac-sha2-256-etm@openssh.com"
KEX = "curve25519-sha256"


@dataclasses.dataclass
class Target:
    name: str
    port: int
    cipher: str  # a key of CIPHERS
    real: bool


def free_port() -> int:
    """A port of the kernel's choice, for servers that cannot say which one they got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    def __init__(self, build: pathlib.Path, peers: pathlib.Path):
        self.build = build
        self.peers = peers
        self._folder = tempfile.TemporaryDirectory(prefix="bastion-bench-")
        self.folder = pathlib.Path(self._folder.name)
        self.ssh = peers / "openssh-system/usr/bin/ssh"
        self.keys = self.folder / "keys"
        self.keys.mkdir(mode=0o700)
        self.user = keys.make_key(self.keys, "user")
        self.host = keys.make_key(self.keys, "host")  # of every bastion
        self.target_host = keys.make_key(self.keys, "target_host")
        self.user_ca = keys.make_key(self.keys, "user_ca")
        self.authorized = self.folder / "authorized_keys"
        self.authorized.write_text(self.user.line + "\n")
        self.authorized.chmod(0o600)
        self.home = self.folder / "home"  # an empty one, since a shell's start-up files are nobody's cost here
        self.home.mkdir(mode=0o755)
        self.services: list[process.Service] = []
        self.targets: dict[tuple[str, bool], Target] = {}

    def bench_program(self, name: str) -> pathlib.Path:
        return self.build / "bench" / name

    def target(self, cipher: str, *, real: bool) -> Target:
        return self.targets[cipher, real]

    def start_targets(self) -> None:
        for cipher in CIPHERS:
            name = re.sub(r"\W", "", cipher)
            self.targets[cipher, False] = Target(f"light-{name}", self._start_light(name, cipher), cipher, False)
            self.targets[cipher, True] = Target(f"real-{name}", self._start_sshd(name, cipher), cipher, True)

    def _start_light(self, name: str, cipher: str) -> int:
        command = [self.bench_program("bench-target"), "--host-key", self.target_host.path, "--cipher", CIPHERS[cipher]]
        service = process.Service(command, self.folder / f"light-{name}.log")
        self.services.append(service)
        return int(service.wait_for(r"listening on 127\.0\.0\.1 port (\d+)")[1])

    def _start_sshd(self, name: str, cipher: str) -> int:
        options = [f"Ciphers {CIPHERS[cipher]}", f"MACs {MAC}", f"TrustedUserCAKeys {self.user_ca.path}.pub"]
        service, port = self.start_sshd(f"real-{name}", self.target_host, options)
        self.services.append(service)
        return port

    def start_sshd(self, name: str, host_key: keys.Key, options: list[str], tree: str = "openssh-system", group=None):
        """An OpenSSH server in the foreground; gives its service and port."""
        port = free_port()
        config = self.folder / f"sshd-{name}.conf"
        config.write_text("\n".join([
            *options,
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {host_key.path}",
            f"AuthorizedKeysFile {self.authorized}",
            "AuthenticationMethods publickey",
            "PermitRootLogin yes",
            "StrictModes no",
            f"SetEnv HOME={self.home}",
            "UsePAM no",
            "PidFile none",
            "PrintMotd no",
            "MaxStartups 20000",
            "MaxSessions 1000",
            f"Subsystem sftp {self.peers / tree / 'usr/lib/openssh/sftp-server'}",
        ]) + "\n")  # fmt: skip
        command = [process.ROOT / "deploy/sshd", tree, "-f", config]
        log = self.folder / f"sshd-{name}.log"
        service = group.launch(command, log) if group else process.Service(command, log)
        service.wait_for(r"Server listening on 127\.0\.0\.1")
        return service, port

    def close(self) -> None:
        for service in reversed(self.services):
            service.process.stdin.close()
            service.process.terminate()
            service.kill()
        self._folder.cleanup()


def environment(home: pathlib.Path) -> dict[str, str]:
    """For ssh and sftp: no agent, and nobody's own configuration."""
    found = os.environ | {"HOME": str(home)}
    found.pop("SSH_AUTH_SOCK", None)
    return found
