#!/usr/bin/python3
"""Turns Wycheproof's JSON into the short text that tests/unit/crypto/wycheproof_test.cc reads.

usage: convert.py WYCHEPROOF_CHECKOUT

Source: github.com/C2SP/wycheproof, testvectors_v1, commit dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166,
Apache License 2.0. Of categories with many like cases the first ones are taken. A line is "key HEX..." or
"valid|invalid ID MESSAGE SIGNATURE"; "-" is an empty string.
"""

import collections
import json
import pathlib
import sys

# Name of the file here, name there, cases taken of each category ("flag"), at most.
FILES = [
    ("ed25519", "ed25519", 999),
    ("ecdsa_p256", "ecdsa_secp256r1_sha256_p1363", 24),
    ("ecdsa_p384", "ecdsa_secp384r1_sha384_p1363", 12),
    ("ecdsa_p521", "ecdsa_secp521r1_sha512_p1363", 12),
    ("rsa_sha256", "rsa_signature_2048_sha256", 24),
    ("rsa_sha512", "rsa_signature_2048_sha512", 6),
]


def key_of(group: dict) -> str:
    key = group["publicKey"]
    if "pk" in key:
        return key["pk"]
    if "uncompressed" in key:
        return key["uncompressed"]
    return key["publicExponent"] + " " + key["modulus"]


def convert(data: dict, taken_max: int) -> list[str]:
    lines = []
    taken = collections.Counter()
    for group in data["testGroups"]:
        key = key_of(group)
        order_len = (group["publicKey"].get("keySize", 0) + 7) // 8
        for test in group["tests"]:
            signature = test["sig"]
            # SSH has its own encoding of the two numbers: P1363's errors of size do not exist in it.
            if "uncompressed" in group["publicKey"] and len(signature) != 4 * order_len:
                continue
            if test["result"] == "acceptable":
                continue
            category = (tuple(test["flags"]), test["result"])
            taken[category] += 1
            if taken[category] > taken_max:
                continue
            if key:
                lines.append("key " + key)
                key = ""
            lines.append(" ".join([test["result"], str(test["tcId"]), test["msg"] or "-", signature or "-"]))
    return lines


def main() -> None:
    source = pathlib.Path(sys.argv[1]) / "testvectors_v1"
    for ours, theirs, taken_max in FILES:
        data = json.loads((source / (theirs + "_test.json")).read_text())
        out = pathlib.Path(__file__).parent / (ours + ".txt")
        out.write_text("\n".join(convert(data, taken_max)) + "\n")


main()
