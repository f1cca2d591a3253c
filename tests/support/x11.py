"""X11 without an X server: a display of the user's and a program on the target that speak as far as X's greeting."""

import pathlib
import queue
import socket
import threading

from support.targets import Lab, Target

# What an X program does first, by its cookie; then it says a word and prints the answer.
X_CLIENT = """
import os, socket, struct, sys
number = int(os.environ["DISPLAY"].rsplit(":", 1)[1].split(".")[0])
words = open(sys.argv[1]).read().split("add ", 1)[1].split()
name, cookie = words[1].encode(), bytes.fromhex(words[2])
with socket.create_connection(("localhost", 6000 + number)) as display:
    padded = [part + bytes(-len(part) % 4) for part in (name, cookie)]
    display.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)) + b"".join(padded) + b"hello")
    print(display.makefile("rb").read())
"""


class Programs:
    """A target that forwards displays, and the command that runs the program there."""

    def __init__(self, lab: Lab, folder: pathlib.Path):
        cookies = folder / "cookies"
        xauth = folder / "xauth"  # keeps what sshd would have it store
        xauth.write_text(f"#!/bin/sh\ncat >{cookies}\n")
        xauth.chmod(0o755)
        program = folder / "x_client.py"
        program.write_text(X_CLIENT)
        self.command = f"python3 {program} {cookies}"
        name = f"x{len(lab.targets)}"
        lab.add_openssh(name, "openssh-system", {"X11Forwarding": "yes", "XAuthLocation": xauth})
        lab.start()
        self.target: Target = lab.targets[name]


class Screen:
    """A display that answers each program with "seen" when it has said "hello"."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.env = {"DISPLAY": f"127.0.0.1:{self.listener.getsockname()[1] - 6000}"}
        self.seen: queue.Queue = queue.Queue()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                data = b""
                while not data.endswith(b"hello") and (more := connection.recv(1000)):
                    data += more
                connection.sendall(b"seen")
                self.seen.put(data)

    def first(self) -> bytes:
        return self.seen.get(timeout=10)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
