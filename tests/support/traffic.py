"""Recorded sessions through which much flows, and what must then be in their recordings."""

import os
import pathlib
import subprocess
import threading

from support import keys, recordings
from support.targets import LOGIN

DESTINATION = f"{LOGIN}@web1@bastion"


def service_of(lab, folder: pathlib.Path, **more) -> dict:
    key = lab.keys / "audit_key"
    if not key.exists():
        keys.make_key(lab.keys, "audit_key")
    return {"state_dir": str(folder), "audit_key": str(key), "recording": {"reserve": "1MiB"}} | more


class Traffic:
    """Sessions that print numbered lines until they are ended; what each client received is kept."""

    COMMAND = "i=0; while :; do i=$((i+1)); echo line-$i-$RANDOM$RANDOM; done"

    def __init__(self, client, count: int):
        command = list(map(str, client.ssh_command(DESTINATION, self.COMMAND)))
        self.clients = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=client.env)
            for _ in range(count)
        ]
        self.received = [bytearray() for _ in range(count)]
        self.threads = [threading.Thread(target=self.read, args=(at,)) for at in range(count)]
        for thread in self.threads:
            thread.start()

    def read(self, at: int) -> None:
        out = self.clients[at].stdout
        while data := os.read(out.fileno(), 65536):
            self.received[at] += data

    def flows(self, least: int = 20_000) -> bool:
        return all(len(received) >= least for received in self.received)

    def running(self) -> int:
        return sum(client.poll() is None for client in self.clients)

    def end(self) -> None:
        for client in self.clients:
            client.kill()
        self.join()

    def join(self) -> None:
        for client, thread in zip(self.clients, self.threads):
            client.wait(30)
            thread.join(30)

    def errors(self) -> list[str]:
        return [client.stderr.read().decode(errors="replace") for client in self.clients]


def check_all_recorded(bastion, traffic: Traffic, before: list) -> list[recordings.Recording]:
    """Every byte that a client received is in a recording of its own, which verifies."""
    files = recordings.wait_sealed(bastion, len(before) + len(traffic.clients), timeout=30)
    made = [recordings.read(path, recordings.audit_key(bastion)) for path in files if path not in before]
    for recording in made:
        assert recording.verdict == "proven", (recording.path, recording.verdict, recording.problems)
    outputs = [recording.bytes_of("stdout") for recording in made]
    for received in traffic.received:
        if received:
            holders = [output for output in outputs if output.startswith(bytes(received))]
            assert holders, f"{len(received)} bytes reached a client and are in no recording"
    return made
