#!/usr/bin/python3
"""Listens on ports of the kernel's choice and starts a program for each connection, as inetd does.

usage: inetd.py HOME < SPEC

Test targets need no free port to be guessed that way, and each connection's server can have its own
options. SPEC is one JSON object: name -> {"command": [...], "log": path}. The answer is one JSON line on
stdout: name -> port. It serves until its standard input ends; then every program that it started is ended.

As root it first goes into a mount namespace of its own, and as an ordinary user with --private into a user
namespace too. There /run is empty but for what sshd wants, and HOME is the home folder of this user: the
machine and the user's own ~/.ssh stay out of the tests. Without --private an ordinary user keeps his home.
"""

import ctypes
import json
import os
import pathlib
import pwd
import select
import signal
import socket
import subprocess
import sys

INSIDE = "BASTION_TEST_NAMESPACE"
PR_SET_PDEATHSIG = 1


def enter_namespace(private: bool) -> None:
    """Runs this program again in its namespace."""
    if os.environ.get(INSIDE) or not (os.getuid() == 0 or private):
        return
    command = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid() != 0:
        command += ["--user", "--map-current-user", "--keep-caps"]
    os.environ[INSIDE] = "1"
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


def furnish(home: pathlib.Path) -> None:
    """Gives the namespace its /run and its /etc/passwd."""
    if not os.environ.get(INSIDE):
        return
    mount = "/usr/bin/mount"
    subprocess.run([mount, "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    pathlib.Path("/run/sshd").mkdir(mode=0o755)
    # tinysshd wants nobody else to be able to write to any folder above authorized_keys, /tmp for one.
    inside = pathlib.Path("/run/home")
    inside.mkdir(mode=0o700)
    subprocess.run([mount, "--bind", home, inside], check=True)
    me = pwd.getpwuid(os.getuid())
    lines = []
    for line in pathlib.Path("/etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == me.pw_name:
            fields[5] = str(inside)
            fields[6] = "/bin/bash"
        lines.append(":".join(fields))
    if not any(line.startswith("sshd:") for line in lines):
        lines.append("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin")
    passwd = pathlib.Path("/run/passwd")
    passwd.write_text("\n".join(lines) + "\n")
    subprocess.run([mount, "--bind", passwd, "/etc/passwd"], check=True)
    os.environ["HOME"] = str(inside)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(spec: dict) -> None:
    listeners = {}
    ports = {}
    for name, entry in spec.items():
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listener.setblocking(False)
        ports[name] = listener.getsockname()[1]
        listeners[listener.fileno()] = (listener, entry)
    print(json.dumps(ports), flush=True)

    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    for descriptor in listeners:
        poll.register(descriptor, select.POLLIN)
    children: list[subprocess.Popen] = []
    while True:
        ready = poll.poll()
        for descriptor, _ in ready:
            if descriptor == 0:
                for child in children:
                    if child.poll() is None:
                        child.kill()
                        child.wait()
                return
            listener, entry = listeners[descriptor]
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            with connection, open(entry["log"], "ab") as log:
                connection.setblocking(True)
                children.append(
                    subprocess.Popen(
                        entry["command"],
                        stdin=connection,
                        stdout=connection,
                        stderr=log,
                        start_new_session=True,
                        preexec_fn=die_with_parent,
                    )
                )
        children = [child for child in children if child.poll() is None]


def main() -> None:
    arguments = sys.argv[1:]
    private = "--private" in arguments
    home = pathlib.Path(arguments[-1])
    enter_namespace(private)
    furnish(home)
    die_with_parent()
    serve(json.loads(sys.stdin.buffer.readline()))


if __name__ == "__main__":
    main()
