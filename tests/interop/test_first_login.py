"""One user logs in to one server and runs one command."""

import re

from support.targets import LOGIN


def test_a_command_runs_on_the_target(alice):
    done = alice.ssh(f"{LOGIN}@web1@bastion", "echo out; echo err >&2; exit 7")
    assert (done.code, done.text) == (7, "out\n"), done
    assert "err\n" in done.error


def test_the_target_saw_a_certificate_made_for_this_session(alice, lab):
    target = lab.targets["web1"]
    mark = target.mark()
    assert alice.ssh(f"{LOGIN}@web1@bastion", "true").code == 0
    log = target.log_since(mark)
    accepted = re.search(
        rf"Accepted publickey for {re.escape(LOGIN)} from 127\.0\.0\.1 port \d+ ssh2: "
        r'ED25519-CERT SHA256:\S+ ID (.+) \(serial \d+\) CA ED25519 (\S+)',
        log,
    )
    assert accepted, log
    assert "alice" in accepted[1] and "developers-everywhere" in accepted[1], accepted[1]
    assert accepted[2] == lab.user_ca.fingerprint


def test_each_session_has_a_certificate_of_its_own(alice, lab):
    target = lab.targets["web1"]
    found = []
    for _ in range(2):
        mark = target.mark()
        assert alice.ssh(f"{LOGIN}@web1@bastion", "true").code == 0
        found.append(re.search(r"ED25519-CERT (SHA256:\S+) ID (.+?) \(serial", target.log_since(mark)).groups())
    assert found[0][1] != found[1][1]


def test_the_log_says_who_where_and_by_which_rule(alice, bastion):
    mark = bastion.mark()
    assert alice.ssh(f"{LOGIN}@web1@bastion", "true").code == 0
    bastion.wait_for_log(r"alice.*web1.*developers-everywhere|developers-everywhere.*alice.*web1", mark)


def test_a_key_that_nobody_has_is_told_nothing_but_no(stranger, bastion):
    done = stranger.ssh(f"{LOGIN}@web1@bastion", "true")
    assert done.code == 255
    assert done.error.strip() == f"{LOGIN}@web1@127.0.0.1: Permission denied (publickey)."


def test_input_of_a_command_arrives(alice):
    data = bytes(range(256)) * 5000
    done = alice.ssh(f"{LOGIN}@web1@bastion", "cat", input=data)
    assert done.code == 0, done
    assert done.out == data


def test_two_hundred_short_logins_in_a_row(alice):
    slowest = 0.0
    for i in range(200):
        done = alice.ssh(f"{LOGIN}@web1@bastion", f"exit {i % 7}")
        assert done.code == i % 7, done
        slowest = max(slowest, done.seconds)
    assert slowest < 10
