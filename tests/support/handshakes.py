#!/usr/bin/python3
"""New key exchanges at a steady rate, in a process of its own: `handshakes.py PORT RATE`.

Each comes from an address of its own among 250, sends all that curve25519-sha256 asks of a client at once, waits
for the signed reply and is reset. Ends with standard input, and says then: how many were begun, how many had the
reply, and how many ended without.
"""

import collections
import contextlib
import os
import selectors
import socket
import struct
import sys
import time

AT_ONCE_MAX = 512  # more open ones than that wait: the rate is what the bastion can do then
REPLY = 31
RESET = struct.pack("ii", 1, 0)


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def packet(payload: bytes) -> bytes:
    padding = 4 + -(5 + len(payload) + 4) % 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def hello() -> bytes:
    lists = [b"curve25519-sha256", b"ssh-ed25519", *[b"aes128-gcm@openssh.com"] * 2, *[b"hmac-sha2-256"] * 2, b"none", b"none"]
    kexinit = bytes([20]) + os.urandom(16) + b"".join(string(each) for each in [*lists, b"", b""]) + bytes(5)
    return b"SSH-2.0-flood\r\n" + packet(kexinit) + packet(bytes([30]) + string(os.urandom(32)))


def has_reply(data: bytes) -> bool:
    at = data.find(b"\r\n") + 2
    while at > 1 and len(data) >= at + 6:
        if data[at + 5] == REPLY:
            return True
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return False


class Flood:
    def __init__(self, port: int, rate: float):
        self.port, self.rate = port, rate
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.counts: collections.Counter[str] = collections.Counter()
        self.open = 0

    def begin(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        number = self.counts["begun"]
        connection.bind((f"127.3.{number % 250}.{number // 250 % 250 + 1}", 0))
        connection.connect_ex(("127.0.0.1", self.port))
        self.selector.register(connection, selectors.EVENT_WRITE, bytearray())
        self.counts["begun"] += 1
        self.open += 1

    def go_on(self, connection: socket.socket, data: bytearray, events: int) -> None:
        over = ""
        with contextlib.suppress(BlockingIOError):
            try:
                if events & selectors.EVENT_WRITE:
                    connection.send(hello())
                    self.selector.modify(connection, selectors.EVENT_READ, data)
                else:
                    got = connection.recv(65536)
                    data += got
                    over = "replied" if has_reply(data) else "" if got else "ended"
            except ConnectionError:
                over = "ended"
        if over:
            self.counts[over] += 1
            self.open -= 1
            self.selector.unregister(connection)
            connection.close()

    def run(self) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            while due <= now and self.open < AT_ONCE_MAX:
                self.begin()
                due = max(due + 1 / self.rate, now - 0.1)  # what was missed is not made up for at once
            for key, events in self.selector.select(max(0.0, min(due - now, 0.1)) if self.open < AT_ONCE_MAX else 0.1):
                if key.fileobj is sys.stdin:
                    print(*(self.counts[which] for which in ("begun", "replied", "ended")), flush=True)
                    return
                self.go_on(key.fileobj, key.data, events)


if __name__ == "__main__":
    Flood(int(sys.argv[1]), float(sys.argv[2])).run()
