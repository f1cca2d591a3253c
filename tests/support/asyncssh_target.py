#!/usr/bin/python3
"""An SSH server by asyncssh that runs real commands: asyncssh_target.py HOST_KEY USER_CA_FILE [OPTIONS]...

The command `wait-for-signal` says which signal or break it gets, since sshd delivers none to root's commands.

OPTIONS are like "kex_algs=a,b;encryption_algs=c"; each word gets a port of its own.
It prints `port N` for each port, `ready` when it listens, and one line for each login: `login USER kex=… cipher=…`.
"""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")  # of old ciphers in the cryptography module
import asyncssh  # noqa: E402


class Server(asyncssh.SSHServer):
    def connection_made(self, connection):
        self.connection = connection

    def auth_completed(self):
        get = self.connection.get_extra_info
        print(f"login {get('username')} cipher={get('send_cipher')} mac={get('send_mac')}", flush=True)


async def handle(process: asyncssh.SSHServerProcess) -> None:
    if process.command == "wait-for-signal":
        process.stdout.write(b"ready\n")
        try:
            await process.stdin.read()
        except asyncssh.SignalReceived as received:
            process.stdout.write(f"caught {received.signal}\n".encode())
            process.exit(3)
        except asyncssh.BreakReceived as received:
            process.stdout.write(f"break {received.msec}\n".encode())
            process.exit(4)
        return
    command = process.command or "/bin/sh -i"
    child = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    inward = asyncio.create_task(pump(process.stdin, child.stdin))
    await asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
    code = await child.wait()
    inward.cancel()
    process.exit(code)


async def pump(source, sink) -> None:
    """Copies one stream to its end. asyncssh's own redirection breaks under bulk in both directions."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        pass


async def main() -> None:
    host_key, user_ca = sys.argv[1:3]
    trusted = asyncssh.import_authorized_keys("cert-authority " + open(user_ca).read())
    for word in sys.argv[3:] or [""]:
        options = dict(option.split("=") for option in word.split(";") if option)
        server = await asyncssh.create_server(
            Server,
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=trusted,
            process_factory=handle,
            sftp_factory=True,
            allow_scp=True,
            encoding=None,
            **{name: value.split(",") for name, value in options.items()},
        )
        print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
