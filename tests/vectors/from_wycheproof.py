#!/usr/bin/python3
"""Writes the vectors that come from Wycheproof, in the form that tests/support/vectors.h reads.

usage: from_wycheproof.py DIR    where DIR is testvectors_v1 of a checkout of github.com/C2SP/wycheproof

Only what our interfaces can be given is taken (96-bit nonces, 128-bit tags, uncompressed points), and of long
series of the same kind only every few, so that the files stay small.
"""

import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent


def load(source: pathlib.Path, name: str):
    data = json.loads((source / name).read_text())
    for group in data["testGroups"]:
        for test in group["tests"]:
            yield group, test


def thinned(tests, keep, most_of_a_kind):
    """All tests that `keep` wants, and of the others the first few of each set of flags."""
    seen: dict[tuple, int] = {}
    for group, test in tests:
        kind = (test["result"], tuple(test.get("flags", ())), group.get("keySize"))
        seen[kind] = seen.get(kind, 0) + 1
        if keep(test) or seen[kind] <= most_of_a_kind:
            yield group, test


def write(name: str, origin: str, records) -> None:
    lines = [f"# {origin}; see README.md.", ""]
    for record in records:
        lines += [f"{key} = {value}".rstrip() for key, value in record.items()] + [""]
    (HERE / name).write_text("\n".join(lines))


def aes_gcm(source):
    for group, test in thinned(load(source, "aes_gcm_test.json"), lambda t: False, 18):
        if (group["ivSize"], group["tagSize"]) == (96, 128) and group["keySize"] in (128, 256):
            yield {k: test[k] for k in ("tcId", "key", "iv", "aad", "msg", "ct", "tag", "result")}


def x25519(source):
    def special(test):
        return "LowOrderPublic" in test["flags"] or "NonCanonicalPublic" in test["flags"]

    for _, test in thinned(load(source, "x25519_test.json"), special, 12):
        yield {
            "tcId": test["tcId"],
            "private": test["private"],
            "public": test["public"],
            "shared": test["shared"],
            "zero": "yes" if "ZeroSharedSecret" in test["flags"] else "no",
        }


def ecdh(source):
    for bits in (256, 384, 521):
        for _, test in thinned(load(source, f"ecdh_secp{bits}r1_ecpoint_test.json"), lambda t: False, 8):
            # SSH's private values are drawn below the order and never empty; longer encodings of them do not occur.
            size = (bits + 7) // 8
            private = test["private"].removeprefix("00").rjust(2 * size, "0")
            if len(private) != 2 * size:
                continue
            point = test["public"]
            good = test["result"] == "valid" and point.startswith("04")
            yield {
                "tcId": test["tcId"],
                "method": f"ecdh-sha2-nistp{bits}",
                "private": private,
                "public": point,
                "shared": test["shared"] if good else "",
                "result": "valid" if good else "invalid",
            }


def ml_kem(source):
    taken = {"valid": 0, "invalid": 0}
    for _, test in load(source, "mlkem_768_test.json"):
        taken[test["result"]] += 1
        if test["result"] == "valid" and taken["valid"] <= 12:
            yield {
                "tcId": test["tcId"],
                "seed": test["seed"],
                "ek_sha256": hashlib.sha256(bytes.fromhex(test["ek"])).hexdigest(),
                "c": test["c"],
                "K": test["K"],
            }


def ml_kem_keygen(source):
    for _, test in list(load(source, "mlkem_768_keygen_seed_test.json"))[:30]:
        yield {
            "tcId": test["tcId"],
            "seed": test["seed"],
            "ek_sha256": hashlib.sha256(bytes.fromhex(test["ek"])).hexdigest(),
        }


def ml_kem_modulus(source):
    for _, test in load(source, "mlkem_768_encaps_test.json"):
        if "ModulusOverflow" in test.get("flags", ()):
            yield {"tcId": test["tcId"], "ek": test["ek"]}


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    write("aes_gcm.txt", "Wycheproof aes_gcm_test.json", aes_gcm(source))
    write("x25519.txt", "Wycheproof x25519_test.json", x25519(source))
    write("ecdh.txt", "Wycheproof ecdh_secp*_ecpoint_test.json", ecdh(source))
    write("ml_kem_768.txt", "Wycheproof mlkem_768_test.json", ml_kem(source))
    write("ml_kem_768_keygen.txt", "Wycheproof mlkem_768_keygen_seed_test.json", ml_kem_keygen(source))
    write("ml_kem_768_modulus.txt", "Wycheproof mlkem_768_encaps_test.json", ml_kem_modulus(source))


if __name__ == "__main__":
    main()
