"""An ssh-agent that holds FIDO keys without a token: what ssh sends is real, only the touch is not.

PROTOCOL.u2f and PROTOCOL.agent of OpenSSH say what the bytes are.
"""

import base64
import hashlib
import pathlib
import socketserver
import threading

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

PRESENT, VERIFIED = 0x01, 0x04
REQUEST_IDENTITIES, IDENTITIES_ANSWER, SIGN_REQUEST, SIGN_RESPONSE, FAILURE = 11, 12, 13, 14, 5
APPLICATION = b"ssh:"


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def take(data: bytes) -> tuple[bytes, bytes]:
    n = int.from_bytes(data[:4], "big")
    return data[4 : 4 + n], data[4 + n :]


class SkKey:
    """One FIDO key: "ed25519" or "ecdsa". `flags` is what its authenticator will say."""

    def __init__(self, kind: str, flags: int = PRESENT):
        self.flags = flags
        self.counter = 0
        if kind == "ed25519":
            self.type = b"sk-ssh-ed25519@openssh.com"
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
            self.blob = string(self.type) + string(self.private.public_key().public_bytes(raw, form)) + string(APPLICATION)
        else:
            self.type = b"sk-ecdsa-sha2-nistp256@openssh.com"
            self.private = ec.generate_private_key(ec.SECP256R1())
            encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            point = self.private.public_key().public_bytes(encoding, form)
            self.blob = string(self.type) + string(b"nistp256") + string(point) + string(APPLICATION)

    @property
    def line(self) -> str:
        return f"{self.type.decode()} {base64.b64encode(self.blob).decode()}"

    def sign(self, data: bytes) -> bytes:
        self.counter += 1
        tail = bytes([self.flags]) + self.counter.to_bytes(4, "big")
        message = hashlib.sha256(APPLICATION).digest() + tail + hashlib.sha256(data).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            signature = self.private.sign(message)
        else:
            digest = hashlib.sha256(message).digest()
            r, s = decode_dss_signature(self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
            signature = mpint(r) + mpint(s)
        return string(self.type) + string(signature) + tail


class SkAgent:
    """The agent, listening at a path as long as its block lasts."""

    def __init__(self, path: pathlib.Path, keys: list[SkKey]):
        agent_keys = {key.blob: key for key in keys}

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(4)) == 4:
                    answer = self.answer(self.rfile.read(int.from_bytes(head, "big")))
                    self.wfile.write(string(answer))

            def answer(self, request: bytes) -> bytes:
                if request[:1] == bytes([REQUEST_IDENTITIES]):
                    listed = b"".join(string(blob) + string(b"token") for blob in agent_keys)
                    return bytes([IDENTITIES_ANSWER]) + len(agent_keys).to_bytes(4, "big") + listed
                if request[:1] == bytes([SIGN_REQUEST]):
                    blob, rest = take(request[1:])
                    data, _ = take(rest)
                    if blob in agent_keys:
                        return bytes([SIGN_RESPONSE]) + string(agent_keys[blob].sign(data))
                return bytes([FAILURE])

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(str(path), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
