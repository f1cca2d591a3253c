"""A thousand small files by OpenSSH's sftp, there and back, held against the same without a bastion."""

import random
import shutil
import subprocess
import time

from e2e.accounting import Cpu
from e2e.lab import environment
from e2e.measure import Samples
from e2e.run import Failed

COUNT = 1000


def sftp(way, target, batch: str) -> float:
    command = [way.lab.peers / "openssh-system/usr/bin/sftp", "-q", "-S", way.lab.ssh, "-F", way.ssh_config(target),
               "-b", "-", "t"]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run([str(word) for word in command], input=batch.encode(), capture_output=True,
                          env=environment(way.lab.home), timeout=600)  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"{way.name}: sftp ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return time.monotonic() - started


def measure(ways, target, *, rounds: int, say) -> dict:
    """way -> up or down -> seconds, the login included, and CPU."""
    lab = ways[0].lab
    sizes = random.Random(1)
    source = lab.folder / "small"
    source.mkdir()
    for number in range(COUNT):
        (source / f"f{number:04}").write_bytes(sizes.randbytes(sizes.randint(1, 8192)))
    samples = Samples()
    for number in range(rounds):
        for way in ways:
            there, back = lab.folder / "there", lab.folder / "back"
            for folder in (there, back):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            for direction, batch in (("up", f"put -r {source} {there}"), ("down", f"get -r {there}/small {back}")):
                if way.group is None:
                    seconds = sftp(way, target, batch)
                else:
                    with Cpu(way.group) as cpu:
                        seconds = sftp(way, target, batch)
                    samples.add((way.name, direction), "cpu_s", cpu.seconds)
                samples.add((way.name, direction), "seconds", seconds)
            if len(list((back / "small").iterdir())) != COUNT:
                raise Failed(f"{way.name}: files are missing")
        say(f"small files, round {number + 1} of {rounds}")
    return samples.medians()
