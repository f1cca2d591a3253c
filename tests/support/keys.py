"""Keys and certificates, all made by ssh-keygen."""

import dataclasses
import pathlib
import subprocess

KEY_TYPES = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "3072"],
    "ecdsa256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
}


@dataclasses.dataclass
class Key:
    """A key pair: `path` is the private file in OpenSSH's format."""

    path: pathlib.Path

    @property
    def line(self) -> str:
        """The public key without its comment."""
        return " ".join(self.path.with_name(self.path.name + ".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        out = subprocess.check_output(["ssh-keygen", "-l", "-f", str(self.path) + ".pub"], text=True)
        return out.split()[1]

    def convert(self, format: str) -> pathlib.Path:
        """The private key in another program's format: "dropbear", "putty" or "pem"."""
        target = self.path.with_name(f"{self.path.name}.{format}")
        if not target.exists():
            if format == "dropbear":
                command = ["dropbearconvert", "openssh", "dropbear", self.path, target]
            elif format == "putty":
                command = ["puttygen", self.path, "-O", "private", "-o", target]
            else:
                raise ValueError(format)
            subprocess.run(command, check=True, capture_output=True)
        return target


def make_key(folder: pathlib.Path, name: str, kind: str = "ed25519") -> Key:
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", *KEY_TYPES[kind], "-N", "", "-C", name, "-f", path], check=True, stdin=subprocess.DEVNULL
    )
    return Key(path)


def sign_key(ca: Key, key: Key, *, identity: str, principals: str | None, host: bool = False, options=()) -> pathlib.Path:
    """Makes the certificate file beside a key, where ssh and sshd look for it. `options` go to ssh-keygen."""
    command = ["ssh-keygen", "-q", "-s", ca.path, "-I", identity, *options]
    if principals is not None:
        command += ["-n", principals]
    if host:
        command.append("-h")
    subprocess.run([*command, str(key.path) + ".pub"], check=True, stdin=subprocess.DEVNULL)
    return key.path.with_name(key.path.name + "-cert.pub")
