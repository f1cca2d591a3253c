"""The ways from a user to a target that are measured side by side, and the servers that they lead through.

A way says how the light client goes (`light`), and how ssh does (`ssh`). `group` holds the processes whose CPU and
memory are measured; the way that leads straight to the target has none.
"""

import pathlib
import re
import tempfile

import yaml

from e2e.accounting import Group
from e2e.lab import CIPHERS, KEX, LOGIN, MAC, Lab, Target
from support import process
from support.bastion import PlainDumper


class Way:
    """`name` is what the tables call it, `mode` routed or jump (or direct): what it is compared with."""

    name = ""
    mode = ""
    group: Group | None = None
    tunnel = False

    def __init__(self, lab: Lab):
        self.lab = lab

    def entry(self, target: Target) -> tuple[int, str]:
        """The port and the user name that a client begins with."""
        raise NotImplementedError

    def tunnel_host(self, target: Target) -> str:
        return "127.0.0.1"

    def light(self, target: Target) -> list:
        """The light client's command, up to its mode."""
        port, user = self.entry(target)
        command = [
            self.lab.bench_program("bench-client"), "--address", f"127.0.0.1:{port}", "--user", user,
            "--key", self.lab.user.path, "--cipher", CIPHERS[target.cipher],
        ]  # fmt: skip
        if self.tunnel:
            command += ["--tunnel-host", self.tunnel_host(target), "--tunnel-port", target.port, "--inner-user", LOGIN]
        return command

    def ssh_config(self, target: Target) -> pathlib.Path:
        """ssh's configuration, where the target is called `t`."""
        port, user = self.entry(target)
        common = f"""
  IdentityFile {self.lab.user.path}
  IdentitiesOnly yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking no
  UpdateHostKeys no
  BatchMode yes
  LogLevel ERROR
  HostKeyAlgorithms ssh-ed25519
  KexAlgorithms {KEX}
  Ciphers {CIPHERS[target.cipher]}
  MACs {MAC}
"""
        if self.tunnel:
            text = (
                f"Host entry\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n"
                f"Host t\n  HostName {self.tunnel_host(target)}\n  Port {target.port}\n  User {LOGIN}\n"
                f"  ProxyJump entry\nHost *{common}"
            )
        else:
            text = f"Host t\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\nHost *{common}"
        # ssh gives this path to a shell, for ProxyJump, and a way's name may have parentheses.
        path = self.lab.folder / re.sub(r"[^\w.-]", "_", f"ssh-{self.name}-{target.name}.conf")
        path.write_text(text)
        return path

    def fresh(self) -> tuple["Way", object]:
        """The same way through a server of its own, and that server, to be closed."""
        raise NotImplementedError

    def close(self) -> None:
        pass


class Direct(Way):
    name, mode = "direct", "direct"

    def entry(self, target: Target) -> tuple[int, str]:
        return target.port, LOGIN


class BastionServer:
    """One bastiond for both of its modes, with limits that no benchmark meets. `more` is added to its settings, and
    `rule` to the rule of its routed sessions; "{folder}" in a value is the server's own."""

    def __init__(
        self, lab: Lab, name: str = "bastiond", build: pathlib.Path | None = None, workers: int = 2,
        more: dict | None = None, rule: dict | None = None,
    ):
        self.lab, self.name, self.build = lab, name, build
        self.group = Group()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bastion-", dir=lab.folder))
        targets = {
            target.name: {"address": "127.0.0.1", "port": target.port, "host_keys": [lab.target_host.line]}
            for target in lab.targets.values()
        }
        everybody = {"who": ["user"], "targets": "all"}
        policy = {
            "users": {"user": {"keys": [lab.user.line]}},
            "targets": targets,
            "rules": [
                everybody | {"name": "everything", "logins": [LOGIN], "allow": "all"} | (rule or {}),
                everybody | {"name": "tunnels", "allow": ["jump"]},
            ],
        }
        service = {
            "listen": ["127.0.0.1:0"],
            "host_keys": [str(lab.host.path)],
            "user_ca": str(lab.user_ca.path),
            "policy": str(folder / "policy.yaml"),
            "workers": workers,
            "gates": workers,
            "rekey": {"bytes": "64GiB", "time": "1d"},
            "algorithms": {
                "preset": "compatible", "kex": [KEX], "ciphers": list(CIPHERS.values()), "macs": [MAC],
            },
            "limits": {
                "unauthenticated": 100000, "unauthenticated_per_source": 100000, "sessions_per_user": 100000,
            },
            "control": {"socket": str(folder / "control.sock")},
        } | in_folder(more or {}, folder)  # fmt: skip
        (folder / "policy.yaml").write_text(yaml.dump(policy, Dumper=PlainDumper, sort_keys=False, width=1000))
        (folder / "bastiond.yaml").write_text(yaml.dump(service, Dumper=PlainDumper, sort_keys=False, width=1000))
        command = [(build or lab.build) / "daemon/bastiond", "--config", folder / "bastiond.yaml"]
        command += ["--one-uid"] if LOGIN == "root" else []
        self.service = self.group.launch(command, folder / "bastiond.log", cwd=folder)
        self.port = int(self.service.wait_for(r"listening on \S+ port (\d+)", timeout=30)[1])
        self.service.wait_for("configuration in force", timeout=30)

    def close(self) -> None:
        if self.service.process.poll() is None:
            self.service.stop(timeout=60)
        self.group.close()


def in_folder(settings: dict, folder: pathlib.Path) -> dict:
    """The settings with the folder's path for "{folder}"."""
    put = {str: lambda text: text.replace("{folder}", str(folder)), dict: lambda each: in_folder(each, folder)}
    return {key: put.get(type(value), lambda same: same)(value) for key, value in settings.items()}


class Routed(Way):
    """bastiond ends SSH on both sides: ssh login@target@bastion."""

    mode, suffix = "routed", "routed"

    def __init__(self, lab: Lab, server: BastionServer):
        super().__init__(lab)
        self.name = f"{server.name} {self.suffix}"
        self.server, self.group = server, server.group

    def fresh(self, workers: int = 2) -> tuple[Way, object]:
        server = BastionServer(self.lab, self.server.name, self.server.build, workers)
        return type(self)(self.lab, server), server

    def entry(self, target: Target) -> tuple[int, str]:
        return self.server.port, f"{LOGIN}@{target.name}"


class Jump(Routed):
    """bastiond as ProxyJump: ssh -J bastion login@target."""

    mode, suffix, tunnel = "jump", "-J", True

    def entry(self, target: Target) -> tuple[int, str]:
        return self.server.port, "user"

    def tunnel_host(self, target: Target) -> str:
        return target.name


class SshdJump(Way):
    """sshd as ProxyJump."""

    mode, tunnel = "jump", True

    def __init__(self, lab: Lab, tree: str):
        super().__init__(lab)
        self.tree = tree
        self.name = f"sshd {sshd_version(lab, tree)} -J"
        self.group = Group()
        self.service, self.port = lab.start_sshd(
            f"jump-{tree}", lab.host, ["AllowTcpForwarding yes"], tree, self.group
        )

    def entry(self, target: Target) -> tuple[int, str]:
        return self.port, LOGIN

    def fresh(self) -> tuple[Way, object]:
        way = SshdJump(self.lab, self.tree)
        return way, way

    def close(self) -> None:
        self.service.kill()
        self.group.close()


class SshdForced(Way):
    """sshd whose ForceCommand is an ssh to the target: one sshd for each target, all in one group."""

    mode = "routed"

    def __init__(self, lab: Lab, tree: str):
        super().__init__(lab)
        self.tree = tree
        self.name = f"sshd {sshd_version(lab, tree)} forced ssh"
        self.group = Group()
        self.ports: dict[str, int] = {}
        self.services: list[process.Service] = []

    def prepare(self, target: Target) -> None:
        """Starts the sshd that leads to this target, so that its start is in no measurement."""
        if target.name in self.ports:
            return
        config = Direct(self.lab).ssh_config(target)
        ssh = f"exec {self.lab.peers / self.tree / 'usr/bin/ssh'} -F {config}"
        command = (
            f'case "$SSH_ORIGINAL_COMMAND" in "") {ssh} -tt t;; *sftp-server*) {ssh} -s t sftp;; '
            f'*) {ssh} -T t -- "$SSH_ORIGINAL_COMMAND";; esac'
        )
        name = f"forced-{self.tree}-{target.name}"
        service, port = self.lab.start_sshd(name, self.lab.host, [f"ForceCommand {command}"], self.tree, self.group)
        self.services.append(service)
        self.ports[target.name] = port

    def entry(self, target: Target) -> tuple[int, str]:
        self.prepare(target)
        return self.ports[target.name], LOGIN

    def fresh(self) -> tuple[Way, object]:
        way = SshdForced(self.lab, self.tree)
        return way, way

    def close(self) -> None:
        for service in self.services:
            service.kill()
        self.group.close()


class Relay(Way):
    """One of the least relays (bench/relay): a process for each target, all in one group."""

    NAMES = {"bare": "bare relay", "routed": "least routed relay", "tunnel": "least -J relay"}

    def __init__(self, lab: Lab, mode: str):
        super().__init__(lab)
        self.relay_mode = mode
        self.name, self.mode, self.tunnel = self.NAMES[mode], mode, mode == "tunnel"
        self.group = Group()
        self.ports: dict[str, int] = {}
        self.services: list[process.Service] = []

    def entry(self, target: Target) -> tuple[int, str]:
        if target.name not in self.ports:
            command = [
                self.lab.bench_program("bench-relay"), "--mode", self.relay_mode, "--host-key", self.lab.host.path,
                "--key", self.lab.user.path, "--login", LOGIN, "--cipher", CIPHERS[target.cipher],
                "--target", f"127.0.0.1:{target.port}",
            ]  # fmt: skip
            log = self.lab.folder / f"relay-{self.relay_mode}-{target.name}.log"
            service = self.group.launch(command, log)
            self.services.append(service)
            self.ports[target.name] = int(service.wait_for(r"listening on 127\.0\.0\.1 port (\d+)")[1])
        return self.ports[target.name], LOGIN

    def close(self) -> None:
        for service in self.services:
            service.kill()
        self.group.close()


def sshd_version(lab: Lab, tree: str) -> str:
    done = process.run([lab.peers / tree / "usr/sbin/sshd", "-V"])
    found = re.search(r"OpenSSH_(\d+\.\d+)", done.error + done.text)
    return found[1] if found else tree


__all__ = ["BastionServer", "Direct", "Jump", "Relay", "Routed", "SshdForced", "SshdJump", "Way"]
