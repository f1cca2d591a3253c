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
    """One connection past its key exchange. `received` yields (number, body) and at last END."""

    def __init__(self, connection: socket.socket, host_key: str | None = None):
        """With a host key file this is the server."""
        self.socket = connection
        self.transport = paramiko.Transport(connection)
        self.transport.use_compression(False)
        self.messages: queue.Queue = queue.Queue()
        if host_key is None:
            self.transport.start_client(timeout=15)
        else:
            self.transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(host_key))
            ready = threading.Event()
            self.transport.start_server(event=ready, server=paramiko.ServerInterface())
            ready.wait(15)
            assert self.transport.is_active(), self.transport.get_exception()

    @property
    def session_id(self) -> bytes:
        return self.transport.session_id

    def take_over(self) -> "Raw":
        """Paramiko reads on, but what it reads comes here and is not acted upon."""

        packetizer = self.transport.packetizer
        read = packetizer.read_message

        def read_message():
            while True:
                try:
                    number, message = read()
                except Exception:
                    self.messages.put(END)
                    raise
                if number in (20, 21, 30, 31):
                    return number, message
                self.messages.put((number, message.asbytes()[1:]))

        packetizer.read_message = read_message
        return self

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
    raw = Raw.__new__(Raw)
    connection = socket.create_connection(("127.0.0.1", port), timeout=15)
    connection.settimeout(None)
    raw.__init__(connection)
    return raw.take_over()


def userauth_request(user: str, method: str, fields: bytes = b"", service: str = "ssh-connection") -> bytes:
    return string(user) + string(service) + string(method) + fields
