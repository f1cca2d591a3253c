#!/usr/bin/python3
"""Runs one command by paramiko: HOST PORT USER KEY KNOWN_HOSTS COMMAND [OPTION=NAME]...

Options: kex, ciphers, digests, keys (host key algorithms): the one name that is offered.
It prints what was negotiated to stderr and ends with the command's exit status.
"""

import sys

import paramiko


def main() -> int:
    host, port, user, key, known_hosts, command = sys.argv[1:7]
    chosen = dict(word.split("=", 1) for word in sys.argv[7:])
    names = {"kex": "_preferred_kex", "ciphers": "_preferred_ciphers", "digests": "_preferred_macs", "keys": "_preferred_keys"}

    class Transport(paramiko.Transport):
        pass

    for option, attribute in names.items():
        if option in chosen:
            setattr(Transport, attribute, (chosen[option],))
    client = paramiko.SSHClient()
    client.load_host_keys(known_hosts)
    client.connect(
        host,
        int(port),
        username=user,
        key_filename=key,
        look_for_keys=False,
        allow_agent=False,
        timeout=20,
        transport_factory=Transport,
    )
    transport = client.get_transport()
    print(f"cipher={transport.remote_cipher} mac={transport.remote_mac}", file=sys.stderr)
    stdin, stdout, stderr = client.exec_command(command, timeout=30)
    stdin.channel.shutdown_write()
    sys.stdout.buffer.write(stdout.read())
    sys.stderr.buffer.write(stderr.read())
    code = stdout.channel.recv_exit_status()
    client.close()
    return code if code >= 0 else 255


try:
    code = main()
except (OSError, EOFError, paramiko.SSHException) as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    code = 255
sys.exit(code)
