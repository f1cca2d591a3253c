#!/usr/bin/python3
"""Writes packets.txt, dh.txt and exchange.txt with implementations that share no code with ours.

usage: from_pyca.py

Ciphers and MACs come from Python's `cryptography` (OpenSSL), put together here as the specifications of SSH say;
the groups of RFC 3526 from their formula and the digits of pi; powers and hashes from Python itself.
"""

import hashlib
import pathlib
import struct

from cryptography.hazmat.primitives import hashes, hmac, poly1305
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent


def stream(label: str, size: int) -> bytes:
    """Bytes that look random and are the same each time."""
    return hashlib.shake_256(label.encode()).digest(size)


def write(name: str, what: str, records) -> None:
    lines = [f"# {what}, by from_pyca.py; see README.md.", ""]
    for record in records:
        for key, value in record.items():
            lines.append(f"{key} = {value.hex() if isinstance(value, bytes) else value}".rstrip())
        lines.append("")
    (HERE / name).write_text("\n".join(lines))


def clear_packet(label: str, payload_len: int, block: int, outside: int) -> bytes:
    padding = block - (5 + payload_len - outside) % block
    padding += block if padding < 4 else 0
    body = bytes([padding]) + stream(label, payload_len + padding)
    return struct.pack(">I", len(body)) + body


class Gcm:
    block, outside = 16, 4

    def __init__(self, key, iv, mac_key, mac):
        self.aead, self.fixed, self.count = AESGCM(key), iv[:4], int.from_bytes(iv[4:], "big")

    def seal(self, seq, clear):
        nonce = self.fixed + self.count.to_bytes(8, "big")
        self.count = (self.count + 1) % 2**64
        return clear[:4] + self.aead.encrypt(nonce, clear[4:], clear[:4])


class ChaCha:
    block, outside = 8, 4

    def __init__(self, key, iv, mac_key, mac):
        self.payload_key, self.length_key = key[:32], key[32:]

    @staticmethod
    def crypt(key, counter, seq, data):
        nonce = struct.pack("<Q", counter) + struct.pack(">Q", seq)
        return Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(data)

    def seal(self, seq, clear):
        sealed = self.crypt(self.length_key, 0, seq, clear[:4]) + self.crypt(self.payload_key, 1, seq, clear[4:])
        one_time = self.crypt(self.payload_key, 0, seq, bytes(32))
        return sealed + poly1305.Poly1305.generate_tag(one_time, sealed)


class Ctr:
    block = 16

    def __init__(self, key, iv, mac_key, mac):
        self.encryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        self.mac_key, self.etm = mac_key, mac.endswith("-etm@openssh.com")
        self.hash = hashes.SHA256() if "256" in mac else hashes.SHA512()
        self.outside = 4 if self.etm else 0

    def tag(self, seq, packet):
        mac = hmac.HMAC(self.mac_key, self.hash)
        mac.update(struct.pack(">I", seq) + packet)
        return mac.finalize()

    def seal(self, seq, clear):
        sealed = clear[: self.outside] + self.encryptor.update(clear[self.outside :])
        return sealed + self.tag(seq, sealed if self.etm else clear)


SUITES = [
    ("aes128-gcm@openssh.com", "", Gcm, 16, 12),
    ("aes256-gcm@openssh.com", "", Gcm, 32, 12),
    ("chacha20-poly1305@openssh.com", "", ChaCha, 64, 0),
] + [
    (f"aes{bits}-ctr", mac, Ctr, bits // 8, 16)
    for bits in (128, 192, 256)
    for mac in ("hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
]


def packets():
    for cipher, mac, construction, key_len, iv_len in SUITES:
        label = cipher + mac
        key, mac_key = stream(label + "key", key_len), stream(label + "mac", 64 if "512" in mac else 32 if mac else 0)
        # The counters begin short of every carry that they have: of 32, 64 and 128 bits, and GCM's of 64.
        iv = stream(label + "iv", iv_len)
        iv = iv[:4] + b"\xff" * 7 + b"\xfe" if iv_len == 12 else b"\xff" * 15 + b"\xfd" if iv_len == 16 else iv
        sealer = construction(key, iv, mac_key, mac)
        # ChaCha20 in `cryptography` takes any nonce, so that sequence numbers near the wrap are tried, too.
        for seq, payload_len in enumerate((1, 40, 300, 0), start=2**32 - 2):
            clear = clear_packet(f"{label}{seq}", payload_len, sealer.block, sealer.outside)
            yield {
                "cipher": cipher,
                "mac": mac,
                "key": key,
                "iv": iv,
                "mac_key": mac_key,
                "seq": seq % 2**32,
                "clear": clear,
                "sealed": sealer.seal(seq % 2**32, clear),
            }


def pi_bits(bits: int) -> int:
    """floor(2^bits * pi) by Machin's formula."""
    guard = 64
    one = 1 << (bits + guard)

    def arctan_inverse(x):
        total, term, n = 0, one // x, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term //= x * x
            n += 2
        return total

    return 4 * (4 * arctan_inverse(5) - arctan_inverse(239)) >> guard


def rfc3526(bits: int, offset: int) -> int:
    return 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi_bits(bits - 130) + offset)


def diffie_hellman():
    for method, bits, offset, exponent_len in (
        ("diffie-hellman-group14-sha256", 2048, 124476, 32),
        ("diffie-hellman-group16-sha512", 4096, 240904, 64),
    ):
        p = rfc3526(bits, offset)
        for number in range(3):
            ours = int.from_bytes(stream(f"{method} ours {number}", exponent_len), "big") | 1 << 8 * exponent_len - 1
            theirs = int.from_bytes(stream(f"{method} theirs {number}", bits // 8), "big") % p
            public = pow(2, theirs, p)
            yield {
                "method": method,
                "prime": p.to_bytes(bits // 8, "big"),
                "private": ours.to_bytes(exponent_len, "big"),
                "public": pow(2, ours, p).to_bytes(bits // 8, "big"),
                "peer": public.to_bytes(bits // 8, "big"),
                "shared": pow(public, ours, p).to_bytes(bits // 8, "big"),
            }


def exchange():
    def string(value: bytes) -> bytes:
        return struct.pack(">I", len(value)) + value

    for name in ("sha1", "sha256", "sha384", "sha512"):
        parts = {
            "client_ident": b"SSH-2.0-OpenSSH_9.2p1",
            "server_ident": b"SSH-2.0-bastion",
            "client_kexinit": b"\x14" + stream("client kexinit", 80),
            "server_kexinit": b"\x14" + stream("server kexinit", 70),
            "host_key_blob": stream("host key", 51),
        }
        fields = {
            "client_field": string(stream("client value", 32)),
            "server_field": string(stream("server value", 32)),
            "secret_field": string(b"\x00\x9a" + stream("secret", 31)),
        }
        data = b"".join(string(value) for value in parts.values()) + b"".join(fields.values())
        exchange_hash = hashlib.new(name, data).digest()
        session_id = stream("session id", len(exchange_hash))
        record = {"hash": name, **parts, **fields, "exchange_hash": exchange_hash, "session_id": session_id}
        for letter in "ABCDEF":
            key = hashlib.new(name, fields["secret_field"] + exchange_hash + letter.encode() + session_id).digest()
            while len(key) < 150:
                key += hashlib.new(name, fields["secret_field"] + exchange_hash + key).digest()
            record["key_" + letter] = key[:150]
        yield record


def main() -> None:
    write("packets.txt", "Packets of all ciphers", packets())
    write("dh.txt", "Diffie-Hellman in the groups of RFC 3526", diffie_hellman())
    write("exchange.txt", "Exchange hashes and derived keys", exchange())


if __name__ == "__main__":
    main()
