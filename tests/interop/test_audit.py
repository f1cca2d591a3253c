"""What ssh-audit and a plain look at the wire say of the bastion's own offer."""

import json
import re

from support import process
from support.fixtures import make_policy

STRICT = "kex-strict-s-v00@openssh.com"


def audit(bastion) -> dict:
    program = bastion.lab.peers / "bin/ssh-audit"
    done = process.run([program, "-jj", "-p", bastion.port, "127.0.0.1"], timeout=60)
    assert done.out, done
    return json.loads(done.out) | {"code": done.code}


def notes(report: dict, kind: str) -> list[str]:
    found = []
    for what in ("kex", "key", "enc", "mac"):
        for entry in report[what]:
            found += [f"{what} {entry['algorithm']}: {text}" for text in entry.get("notes", {}).get(kind, [])]
    return found


def test_ssh_audit_has_nothing_to_say_of_standard(bastion):
    report = audit(bastion)
    assert not notes(report, "fail") and not notes(report, "warn"), report
    assert not report.get("cves"), report["cves"]
    assert report["code"] == 0, report


def test_strict_key_exchange_and_extensions_are_offered(bastion):
    offered = {entry["algorithm"] for entry in audit(bastion)["kex"]}
    assert STRICT in offered


def test_nothing_old_is_offered_by_compatible_either(lab, make_bastion):
    report = audit(make_bastion(make_policy(lab), {"algorithms": "compatible"}))
    names = [entry["algorithm"] for what in ("kex", "key", "enc", "mac") for entry in report[what]]
    old = [name for name in names if re.search(r"sha1\b|cbc|arcfour|dss|group1-|md5|^none$|^ssh-rsa$", name)]
    assert not old and report["compression"] == ["none"], report


def test_the_version_string_is_one_line_that_names_no_other_program(bastion):
    with bastion.connect() as raw:
        line = b""
        while not line.endswith(b"\n"):
            line += raw.recv(1)
    assert re.fullmatch(rb"SSH-2\.0-[\x21-\x2c\x2e-\x7e]+\r\n", line), line
    assert b"OpenSSH" not in line
