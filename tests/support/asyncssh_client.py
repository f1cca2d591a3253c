#!/usr/bin/python3
"""Runs one command by asyncssh: HOST PORT USER KEY KNOWN_HOSTS COMMAND [OPTION=VALUE]...

It prints what was negotiated to stderr and ends with the command's exit status.
"""

import asyncio
import sys

import asyncssh


async def main() -> int:
    host, port, user, key, known_hosts, command = sys.argv[1:7]
    options = {}
    for word in sys.argv[7:]:
        name, value = word.split("=", 1)
        options[name] = value.split(",")
    async with asyncssh.connect(
        host,
        int(port),
        username=user,
        client_keys=[key],
        known_hosts=known_hosts,
        agent_path=None,
        config=None,
        connect_timeout=20,
        **options,
    ) as connection:
        get = connection.get_extra_info
        print(f"cipher={get('send_cipher')} mac={get('send_mac')}", file=sys.stderr)
        done = await connection.run(command, encoding=None)
        sys.stdout.buffer.write(done.stdout)
        sys.stderr.buffer.write(done.stderr)
        return done.exit_status if done.exit_status is not None else 255


try:
    code = asyncio.run(main())
except (OSError, asyncssh.Error) as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    code = 255
sys.exit(code)
