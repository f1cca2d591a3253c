"""asyncssh in the tests' own process, for what command line clients do not show."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of old ciphers in the cryptography module
    import asyncssh


def connect(client, user: str, **options):
    """A connection of a Client's (support.clients) endpoint and key, as `async with` takes it."""
    return asyncssh.connect(
        "127.0.0.1",
        client.port,
        username=user,
        client_keys=[str(client.key.path)],
        known_hosts=str(client.known_hosts),
        agent_path=None,
        config=None,
        connect_timeout=20,
        **options,
    )
