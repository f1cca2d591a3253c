"""What is measured, in which order and how much of it."""

import os
import time

from e2e import bulk, files, growth, keystrokes, logins, memory, recorded
from e2e.lab import CIPHERS, Lab
from e2e.ways import BastionServer, Direct, Jump, Relay, Routed, SshdForced, SshdJump

PARTS = ("bulk", "logins", "memory", "keystrokes", "files", "streams", "growth", "recording")
MAIN_CIPHER = "aes128-gcm"


class Suite:
    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.started = time.monotonic()
        self.load = os.getloadavg()[0]
        self.lab = Lab(options.build.resolve(), options.peers)
        self.servers: list = []

    def start(self) -> None:
        options = self.options
        self.lab.start_targets()
        self.direct = Direct(self.lab)
        self.ours = self.bastion_ways("bastiond", None)
        for number, build in enumerate(options.bastion_build):
            self.ours += self.bastion_ways(f"bastiond({build.resolve().parent.name})", build.resolve())
        self.relays = [self.keep(Relay(self.lab, mode)) for mode in Relay.NAMES]
        self.theirs = []
        if not options.without_sshd:
            for tree in ["openssh-system"] + (["openssh-new"] if options.new_sshd else []):
                self.theirs += [self.keep(SshdForced(self.lab, tree)), self.keep(SshdJump(self.lab, tree))]

    def keep(self, server):
        self.servers.append(server)
        return server

    def bastion_ways(self, name: str, build) -> list:
        server = self.keep(BastionServer(self.lab, name, build))
        return [Routed(self.lab, server), Jump(self.lab, server)]

    def say(self, text: str) -> None:
        print(f"[bench] {time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def run(self, results: dict) -> None:
        """Puts what each part found into `results` as it ends: what is measured is not lost when a later part fails."""
        for part in PARTS:
            if not self.options.parts or part in self.options.parts:
                results[part] = getattr(self, part)()

    def logins(self) -> dict:
        counts = {"bastiond": 200, "direct": 200, "sshd": 12} if self.quick else {"bastiond": 500, "direct": 500, "sshd": 40}
        for way in self.ours:
            counts[way.name.split()[0]] = counts["bastiond"]
        target = self.lab.target(MAIN_CIPHER, real=False)
        ways, rounds = [self.direct, *self.ours, *self.theirs], 3 if self.quick else 5
        found = logins.measure(ways, target, rounds=rounds, counts=counts, say=self.say)
        real = self.lab.target(MAIN_CIPHER, real=True)
        for way, settings in logins.by_ssh(ways, real, rounds=rounds, count=10, say=self.say).items():
            found[way].update(settings)
        return found

    def memory(self) -> dict:
        target = self.lab.target(MAIN_CIPHER, real=False)
        found = {}
        for way in self.ours:
            counts = [500, 2000] if self.quick else [500, 2000, 10000]
            idle_seconds = 2 if self.quick else 10
            found[way.name] = memory.measure(way.fresh, target, counts, idle_seconds=idle_seconds, say=self.say)
        for way in self.theirs:
            counts = [50] if self.quick else [500]
            found[way.name] = memory.measure(way.fresh, target, counts, idle_seconds=1, say=self.say)
        return found

    def bulk(self) -> dict:
        targets = [self.lab.target(cipher, real=True) for cipher in self.options.cipher or CIPHERS]
        mib = 128 if self.quick else 512
        return bulk.measure([*self.ours, *self.relays, *self.theirs], targets, rounds=3, mib=mib, say=self.say)

    def keystrokes(self) -> dict:
        target = self.lab.target(MAIN_CIPHER, real=False)
        count = 200 if self.quick else 500
        rounds = 3 if self.quick else 5
        found = keystrokes.measure(
            [self.direct, *self.ours, *self.relays, *self.theirs], target, rounds=rounds, count=count, say=self.say
        )
        pairs, servers = [], []
        for way in self.ours:
            one_worker, server = way.fresh(workers=1)
            servers.append(server)
            # The keys of a session that has no bastion show what the machine does to anybody beside the same bulk.
            pairs += [(self.direct, one_worker), (one_worker, one_worker)]
        pairs += [(way, way) for way in self.theirs]
        try:
            beside = keystrokes.beside_bulk(pairs, target, rounds=3, count=count, gib=64, say=self.say)
        finally:
            for server in servers:
                server.close()
        for way, settings in beside.items():
            found.setdefault(way, {}).update(settings)
        return found

    def files(self) -> dict:
        target = self.lab.target(MAIN_CIPHER, real=True)
        ways = [self.direct, *self.ours, *self.relays, *self.theirs]
        return files.measure(ways, target, rounds=3 if self.quick else 5, say=self.say)

    def streams(self) -> dict:
        target = self.lab.target(MAIN_CIPHER, real=False)
        counts = {way.name: [1, 10, 100] if self.quick else [1, 10, 100, 1000] for way in self.ours}
        # sshd has a process or two for each: a hundred show the trend.
        counts |= {way.name: [1, 10] if self.quick else [1, 10, 100] for way in self.theirs}
        mib = 256 if self.quick else 1024
        return growth.streams([*self.ours, *self.theirs], target, counts, rounds=3, mib=mib, say=self.say)

    def growth(self) -> dict:
        target = self.lab.target(MAIN_CIPHER, real=False)
        sessions = [10, 1000] if self.quick else [10, 10000]
        found = {}
        for way in self.ours:
            found |= growth.logins_beside(way.fresh, target, sessions, rounds=5, count=200, say=self.say)
        return found

    def recording(self) -> dict:
        light, real = (self.lab.target(MAIN_CIPHER, real=real) for real in (False, True))
        return recorded.measure(
            self.lab, light, real, None, rounds=3 if self.quick else 5, mib=256, keys_count=200 if self.quick else 500,
            sessions=500, say=self.say,
        )  # fmt: skip

    def close(self) -> None:
        for server in reversed(self.servers):
            server.close()
        self.lab.close()
