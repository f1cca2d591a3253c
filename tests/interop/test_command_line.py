"""bastiond's own command line, as an administrator types it."""

import os
import re

import yaml

from support import process
from support.bastion import Bastion, binary
from support.fixtures import make_policy


def written(lab, name, change=lambda policy: None, service=None) -> Bastion:
    policy = make_policy(lab)
    change(policy)
    made = Bastion(lab, lab.folder / name, policy, service)
    made.write()
    return made


def check(made: Bastion) -> process.Done:
    return process.run([binary(), "--check", "--config", made.config])


def test_a_good_configuration_is_said_to_be_good(lab):
    done = check(written(lab, "good"))
    assert (done.code, done.error) == (0, ""), done
    assert "2 users" in done.text and "3 rules" in done.text, done


def test_a_misspelt_key_is_named_with_its_place_and_the_right_one(lab):
    made = written(lab, "misspelt", lambda policy: policy["targets"]["web1"].update(credentail="certificate"))
    done = check(made)
    assert done.code == 1, done
    (line,) = [line for line in done.text.splitlines() if "credentail" in line]
    place, text = line.split(": ", 1)
    name, number, column = place.split(":")
    assert name == str(made.policy_file), line
    found = made.policy_file.read_text().splitlines()[int(number) - 1]
    assert found.find("credentail") + 1 == int(column), line
    assert text == 'unknown key "credentail" in target "web1" (did you mean "credential"?)'


def test_a_rule_that_would_grant_more_than_it_says_is_refused_with_the_reason(lab):
    done = check(written(lab, "jump", lambda policy: policy["rules"][1].update(logins=["root"])))
    assert done.code == 1 and "jump" in done.text and "logins" in done.text, done


def test_what_is_in_force_is_printed_and_is_itself_a_configuration(lab):
    made = written(lab, "print", service={"limits": {"connect": "7s"}})
    printed = process.run([binary(), "--print-config", "--config", made.config]).ok()
    first = next(iter(yaml.safe_load_all(printed.text)))
    assert first["limits"]["connect"] == "7s"
    assert first["limits"]["login_grace"] in ("120s", "2m"), "defaults are there, too"


def test_the_sandbox_self_test_finds_nothing_that_works(lab):
    done = process.run([binary(), "--sandbox-self-test"], timeout=60)
    assert done.code == 0, done
    for attempt in ("shutdown", "FASTOPEN"):
        assert attempt.lower() in done.text.lower(), done


def test_words_that_it_does_not_know(lab):
    done = process.run([binary(), "--chekc"])
    assert done.code == 2 and "chekc" in done.error, done
    version = process.run([binary(), "--version"]).ok().text
    assert re.fullmatch(r"bastiond \d+\.\d+\.\d+ \(\S+\), BoringSSL API \d+\n", version), version
    assert os.fspath(binary()) and "--print-config" in process.run([binary(), "--help"]).ok().text
