"""SSH by paramiko's transport with every rule off: any message at any time, as a user or as a target.

Paramiko exchanges the keys; after that the test says what is sent and looks at what comes back.
"""

import contextlib
import queue
import socket
import threading
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of old ciphers in the cryptography module
    import paramiko

DISCONNECT, SERVICE_REQUEST, SERVICE_ACCEPT = 1, 5, 6
USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER, USERAUTH_PK_OK = 50, 51, 52, 53, 60
END = (None, b"")


def string(data) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(4, "big") + data


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


class Raw:
    """One connection past its key exchange. What paramiko does not need for that comes to `receive`."""

    KEY_EXCHANGE = (20, 21, 30, 31)

    def __init__(self, connection: socket.socket, host_key: str | None = None):
        """With a host key file this is the server."""
        self.socket = connection
        self.messages: queue.Queue = queue.Queue()
        self.transport = paramiko.Transport(connection)
        packetizer = self.transport.packetizer
        read = packetizer.read_message

        def read_message():
            while True:
                try:
                    number, message = read()
                except BaseException:
                    self.messages.put(END)
                    raise
                if number in self.KEY_EXCHANGE:
                    return number, message
                self.messages.put((number, message.asbytes()))

        packetizer.read_message = read_message
        done = threading.Event()
        if host_key is None:
            self.transport.start_client(event=done)
        else:
            self.transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(host_key))
            self.transport.start_server(event=done, server=paramiko.ServerInterface())
        done.wait(15)
        assert self.transport.is_active(), self.transport.get_exception()

    @property
    def session_id(self) -> bytes:
        return self.transport.session_id

    def send(self, number: int, body: bytes = b"") -> None:
        message = paramiko.Message()
        message.add_byte(bytes([number]))
        message.add_bytes(body)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.transport.packetizer.send_message(message)

    def receive(self, timeout: float = 15):
        """The next message: (number, body), or END."""
        try:
            return self.messages.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing was received within {timeout} s") from None

    def rest(self, timeout: float = 15) -> list:
        """Everything up to the end of the connection."""
        found = []
        while (got := self.receive(timeout)) != END:
            found.append(got)
        return found

    def close(self) -> None:
        self.transport.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(port: int) -> Raw:
    """A user's connection, past its key exchange and before authentication."""
    return Raw(socket.create_connection(("127.0.0.1", port), timeout=15))


def login(port: int, user: str, key_file: str) -> Raw:
    """A user's connection after authentication by an ed25519 key."""
    raw = connect(port)
    key = paramiko.Ed25519Key.from_private_key_file(key_file)
    raw.send(SERVICE_REQUEST, string("ssh-userauth"))
    raw.send(USERAUTH_REQUEST, signed_request(raw, user, key))
    while (got := raw.receive())[0] != USERAUTH_SUCCESS:
        assert got[0] in (7, SERVICE_ACCEPT, USERAUTH_BANNER), got
    return raw


def signed_request(raw: Raw, user: str, key, *, algorithm: str = "ssh-ed25519", session_id: bytes | None = None) -> bytes:
    """A publickey request with its signature."""
    blob = key.asbytes()
    fields = b"\1" + string(algorithm) + string(blob)
    head = userauth_request(user, "publickey", fields)
    data = string(raw.session_id if session_id is None else session_id) + bytes([USERAUTH_REQUEST]) + head
    return head + string(key.sign_ssh_data(data, algorithm).asbytes())


def key_query(user: str, key) -> bytes:
    return userauth_request(user, "publickey", b"\0" + string("ssh-ed25519") + string(key.asbytes()))


def userauth_request(user: str, method: str, fields: bytes = b"", service: str = "ssh-connection") -> bytes:
    return string(user) + string(service) + string(method) + fields
