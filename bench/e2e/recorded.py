"""What recording, audit and digests cost: bastiond with each, beside the same without, alternating.

`plain` keeps nothing of a session, `recorded` keeps recordings and an audit log, `digested` hashes files besides.
"""

import pathlib
import subprocess
import tempfile
import time

from e2e import keystrokes, memory
from e2e.accounting import Cpu
from e2e.files import sftp
from e2e.lab import environment
from e2e.measure import Samples
from e2e.run import Failed
from e2e.ways import BastionServer, Routed
from support import keys

MIB = 1 << 20
PRINTED_MIB = 32  # a terminal takes 5 MB/s
PLAIN, RECORDED, DIGESTED = "not recorded", "recorded", "with digests"


class Server:
    """A way through a bastiond of a kind, by the name that the tables have for it."""

    def __init__(self, lab, kind: str, build: pathlib.Path | None):
        self.server = BastionServer(lab, kind, build, **settings(lab, kind))
        self.way = Routed(lab, self.server)
        self.way.name = kind

    def close(self) -> None:
        self.server.close()


def settings(lab, kind: str) -> dict:
    if kind == PLAIN:
        return {}
    key = lab.keys / "audit_key"
    if not key.exists():
        keys.make_key(lab.keys, "audit_key")
    more = {
        "state_dir": "{folder}/state",
        "audit_key": str(key),
        "recording": {"reserve": "16MiB"},
        "recording_notice": "off",  # the light client knows no such line
        "audit": {"file": "{folder}/state/audit/audit.jsonl"},
    }
    return {"more": more, "rule": {"files": {"digest": "sha256" if kind == DIGESTED else "none"}}}


def terminal(way, target, mib: int) -> float:
    """A terminal on which `yes` prints so many MiB; gives the seconds."""
    command = [way.lab.ssh, "-F", way.ssh_config(target), "-tt", "t", f"yes | head -c {mib * MIB}"]
    started = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=environment(way.lab.home), timeout=300,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"{way.name}: ssh ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return time.monotonic() - started


def prints(ways, target, samples: Samples, mib: int) -> None:
    for way in ways:
        with Cpu(way.group) as login:
            terminal(way, target, 0)
        with Cpu(way.group) as cpu:
            seconds = terminal(way, target, mib)
        samples.add((way.name, "yes"), "cpu_s_per_gib", (cpu.seconds - login.seconds) * 1024 / mib)
        samples.add((way.name, "yes"), "mb_per_s", mib * MIB / 1e6 / seconds)


def copies(ways, target, samples: Samples, folder: pathlib.Path, mib: int) -> None:
    """One large file by OpenSSH's sftp, there and back; the login is in the time of each."""
    source, there, back = (folder / name for name in ("source", "there", "back"))
    for way in ways:
        for direction, batch, made in (("up", f"put {source} {there}", there), ("down", f"get {there} {back}", back)):
            made.unlink(missing_ok=True)
            with Cpu(way.group) as cpu:
                seconds = sftp(way, target, batch)
            if made.stat().st_size != mib * MIB:
                raise Failed(f"{way.name}: {made} has {made.stat().st_size} bytes")
            samples.add((way.name, f"sftp {direction}"), "cpu_s_per_gib", cpu.seconds * 1024 / mib)
            samples.add((way.name, f"sftp {direction}"), "mb_per_s", mib * MIB / 1e6 / seconds)


def held(lab, target, build, samples: Samples, count: int) -> None:
    for kind in (PLAIN, RECORDED):
        server = Server(lab, kind, build)
        try:
            found = memory.measure_one(server.way, target, count, 2)
        finally:
            server.close()
        samples.add((kind, "memory"), "pss_kib_per_session", found["pss_kib_per_session"])
        samples.add((kind, "memory"), "idle_cpu_percent", found["idle_cpu_percent"])


def measure(lab, light, real, build, *, rounds: int, mib: int, keys_count: int, sessions: int, say) -> dict:
    """kind of bastiond -> what is done -> figures. `light` and `real` are targets."""
    samples = Samples()
    servers: list[Server] = []
    # Files lie in memory, so that no disk but that of the recordings has a part in it.
    memory_folder = pathlib.Path("/dev/shm")
    parent = memory_folder if memory_folder.is_dir() else lab.folder
    with tempfile.TemporaryDirectory(prefix="bastion-bench-", dir=parent) as name:
        folder = pathlib.Path(name)
        with (folder / "source").open("wb") as file:
            for _ in range(mib):
                file.write(bytes(range(256)) * (MIB // 256))
        try:
            servers += [Server(lab, kind, build) for kind in (PLAIN, RECORDED, DIGESTED)]
            ways = [server.way for server in servers]
            copies(ways, real, Samples(), folder, mib)  # once for nothing: what is made once is made
            for number in range(rounds):
                prints(ways[:2], real, samples, PRINTED_MIB)
                for way in ways[:2]:
                    keystrokes.typed(way, light, keys_count, samples, "keys")
                copies(ways, real, samples, folder, mib)
                say(f"recording, round {number + 1} of {rounds}")
        finally:
            for server in reversed(servers):
                server.close()
    held(lab, light, build, samples, sessions)
    say(f"recording, {sessions} idle sessions")
    return samples.medians()
