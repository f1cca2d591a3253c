"""The SSH clients that people use, each as one call that runs to its end.

A Client speaks to one endpoint (the bastion, or a target directly) with one key, and keeps what the
programs write about hosts in its own folder. Every user name is given whole: "root@web1", "root+web1", …
"""

import os
import pathlib
import shutil

from support import keys, process
from support.process import Done, run
from support.targets import PYTHON

NODE = ("node", "nodejs")


class Client:
    def __init__(self, folder: pathlib.Path, port: int, host_keys: list[str], key: keys.Key, name: str = "bastion"):
        self.folder = folder
        self.port = port
        self.key = key
        self.name = name
        self.peers = process.peers()
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text("".join(f"{name},[127.0.0.1]:{port} {line}\n" for line in host_keys))
        self.fingerprints = []
        for i, line in enumerate(host_keys):
            path = folder / f"host_key_{i}.pub"
            path.write_text(line + "\n")
            self.fingerprints.append(keys.Key(path.with_suffix("")).fingerprint)
        self.config = folder / "ssh_config"
        self.write_config()
        self.env = os.environ | {"HOME": str(folder / "home")}
        self.env.pop("SSH_AUTH_SOCK", None)

    def write_config(self, more: str = "") -> None:
        """`more` goes first, where it wins."""
        self.config.write_text(
            f"""{more}
Host {self.name}
  HostName 127.0.0.1
  Port {self.port}
  HostKeyAlias {self.name}
  IdentityFile {self.key.path}
Host *
  UserKnownHostsFile {self.known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  BatchMode yes
  ConnectTimeout 20
  UpdateHostKeys no
"""
        )

    # ---- OpenSSH

    def tree(self, version: str, program: str) -> str:
        """A client program of "openssh-new" or of the system."""
        if version == "system":
            return f"/usr/bin/{program}"
        return str(self.peers / version / "usr/bin" / program)

    def ssh_command(self, *words, version: str = "system", options=()) -> list:
        return [self.tree(version, "ssh"), "-F", self.config, *[w for o in options for w in ("-o", o)], *words]

    def ssh(self, *words, version="system", options=(), input: bytes | None = b"", timeout=30, env=None) -> Done:
        """ssh's own words: options, destination, command."""
        command = self.ssh_command(*words, version=version, options=options)
        return run(command, input=input, timeout=timeout, env=self.env | (env or {}))

    def scp(self, *words, version="system", options=(), timeout=60) -> Done:
        command = [self.tree(version, "scp"), "-F", self.config, "-S", self.tree(version, "ssh")]
        command += [w for o in options for w in ("-o", o)]
        return run([*command, *words], timeout=timeout, env=self.env)

    def sftp(self, destination: str, batch: str, *, version="system", options=(), timeout=60) -> Done:
        command = [self.tree(version, "sftp"), "-F", self.config, "-S", self.tree(version, "ssh"), "-b", "-"]
        command += [w for o in options for w in ("-o", o)]
        return run([*command, destination], input=batch.encode(), timeout=timeout, env=self.env)

    # ---- dropbear

    def dbclient(self, user: str, *words, timeout=30, input: bytes | None = b"") -> Done:
        command = ["/usr/bin/dbclient", "-y", "-y", "-T", "-i", self.key.convert("dropbear"), "-p", self.port]
        return run([*command, "-l", user, "127.0.0.1", *words], timeout=timeout, env=self.env, input=input)

    # ---- PuTTY

    def _putty(self, user: str) -> list:
        command = ["-batch", "-noagent", "-P", self.port, "-l", user, "-i", self.key.convert("putty")]
        return command + [word for print in self.fingerprints for word in ("-hostkey", print)]

    def plink(self, user: str, *words, timeout=30, input: bytes | None = b"", options=()) -> Done:
        command = ["/usr/bin/plink", "-ssh", "-no-trivial-auth", *self._putty(user), *options]
        return run([*command, "127.0.0.1", *words], timeout=timeout, env=self.env, input=input)

    def psftp(self, user: str, batch: str, timeout=60) -> Done:
        script = self.folder / "psftp.batch"
        script.write_text(batch)
        return run(["/usr/bin/psftp", *self._putty(user), "-b", script, "127.0.0.1"], timeout=timeout, env=self.env)

    def pscp(self, user: str, source: str, destination: str, *, protocol="-sftp", timeout=60) -> Done:
        """A path on the far side begins with ":"."""
        words = [("127.0.0.1" + word if word.startswith(":") else word) for word in (source, destination)]
        return run(["/usr/bin/pscp", protocol, *self._putty(user), *words], timeout=timeout, env=self.env)

    # ---- libraries, each in a process of its own

    def _python(self, program: str, *words, timeout=30, input=b"") -> Done:
        script = process.ROOT / "tests/support" / program
        return run([PYTHON, "-W", "ignore", script, *words], timeout=timeout, env=self.env, input=input)

    def asyncssh(self, user: str, command: str, *options: str, timeout=30) -> Done:
        """`options` are algorithm lists: "kex_algs=…", "encryption_algs=…"."""
        words = ("127.0.0.1", self.port, user, self.key.path, self.known_hosts, command, *options)
        return self._python("asyncssh_client.py", *words, timeout=timeout)

    def paramiko(self, user: str, command: str, *options: str, timeout=30) -> Done:
        """`options` are names to use alone: "kex=…", "ciphers=…"."""
        words = ("127.0.0.1", self.port, user, self.key.path, self.known_hosts, command, *options)
        return self._python("paramiko_client.py", *words, timeout=timeout)

    def libssh(self, user: str, command: str, *options: str, timeout=30, input=b"") -> Done:
        program = process.BUILD / "tests/support/libssh_client"
        words = [program, "127.0.0.1", self.port, user, self.key.path, command, *options]
        return run(words, timeout=timeout, env=self.env, input=input)

    def ssh2(self, user: str, command: str, *options: str, timeout=30) -> Done:
        """ssh2 of npm. `options` are "kex=…", "cipher=…", "serverHostKey=…", "hmac=…"."""
        node = next((path for path in map(shutil.which, NODE) if path), "node")
        env = self.env | {"NODE_PATH": str(self.peers / "npm/node_modules")}
        words = [node, process.ROOT / "tests/support/ssh2_client.js", self.port, user, self.key.path, command]
        return run([*words, *options], timeout=timeout, env=env)

    def curl(self, user: str, path: str, *words, timeout=60) -> Done:
        """sftp:// by libssh2. The user name goes into the URL with its "@" escaped where it has one."""
        escaped = user.replace("%", "%25").replace("@", "%40").replace("+", "%2B")
        command = ["/usr/bin/curl", "-sS", "--key", self.key.path, "--pubkey", f"{self.key.path}.pub"]
        command += ["--hostpubsha256", self.fingerprints[0].removeprefix("SHA256:") + "="]
        return run([*command, *words, f"sftp://{escaped}@127.0.0.1:{self.port}{path}"], timeout=timeout, env=self.env)

    def lftp(self, user: str, commands: str, timeout=60) -> Done:
        escaped = user.replace("@", "%40").replace("+", "%2B")
        connect = f"/usr/bin/ssh -a -x -F {self.config}"
        script = (
            f'set sftp:connect-program "{connect}"; set sftp:auto-confirm no; set net:max-retries 1;'
            f" open sftp://{escaped}:@{self.name}; {commands}; exit"
        )
        return run(["/usr/bin/lftp", "--norc", "-c", script], timeout=timeout, env=self.env)
