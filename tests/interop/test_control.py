"""bastionctl against a running bastion: what it shows, ends and reloads, and its exit statuses."""

import asyncio
import copy
import json
import os
import re
import signal
import time

from support import process
from support.bastion import bastionctl
from support.fixtures import client_of
from support.targets import LOGIN
from support.wire import connect

USER = f"{LOGIN}@web1"
SOON = 30


def listed(bastion) -> list[dict]:
    return json.loads(bastion.control("sessions", "--json").ok().text)["sessions"]


def test_status_says_what_runs(bastion):
    reply = json.loads(bastion.control("--json", "status").ok().text)
    assert {"version", "uptime_s", "workers", "gates", "policy", "sessions", "logins", "processes"} <= set(reply)
    assert reply["same_uid"] is True, "tests run all processes under one uid"
    roles = [each["role"] for each in reply["processes"]]
    assert roles.count("warden") == roles.count("resolver") == 1
    assert roles.count("worker") == reply["workers"] == 2
    running = {pid for pid, _ in bastion.processes()}
    assert {each["pid"] for each in reply["processes"]} <= running
    assert re.search(r"policy \w{6} \(loaded .* by start", bastion.control("status").ok().text)


def test_sessions_shows_who_is_where_and_end_ends_one(lab, bastion, tmp_path):
    client = client_of(bastion, tmp_path, lab.alice)

    async def conversation():
        async with connect(client, USER) as first, connect(client, USER) as second:
            shells = [await each.create_process("cat") for each in (first, second)]
            for shell in shells:
                shell.stdin.write("x" * 2000 + "\n")
                await shell.stdout.readline()
            deadline = time.monotonic() + SOON
            while sum(each["bytes_up"] >= 2000 for each in listed(bastion)) < 2:
                assert time.monotonic() < deadline, listed(bastion)
                await asyncio.sleep(0.05)
            sessions = listed(bastion)
            one = sessions[0]
            assert (one["user"], one["login"], one["target"], one["mode"]) == ("alice", LOGIN, "web1", "routed")
            assert one["from"] == "127.0.0.1" and "exec" in one["channels"] and one["bytes_down"] >= 2000
            table = bastion.control("sessions").ok().text.splitlines()
            assert table[0].split()[:3] == ["ID", "USER", "AS@TARGET"] and len(table) == 3
            assert f"alice  {LOGIN}@web1" in table[1]
            assert "\x1b" not in "".join(table), "no colour but on a terminal"

            ended = await asyncio.to_thread(bastion.control, "end", one["id"], "--reason", "maintenance at noon")
            assert one["id"] in ended.ok().text
            done, _ = await asyncio.wait(
                [asyncio.create_task(each.wait_closed()) for each in (first, second)],
                timeout=SOON,
                return_when=asyncio.FIRST_COMPLETED,
            )
            assert len(done) == 1
            assert [each["id"] for each in listed(bastion)] == [sessions[1]["id"]], "the other one lives"

    asyncio.run(asyncio.wait_for(conversation(), 2 * SOON))
    process.wait_until(lambda: listed(bastion) == [], what="the end of all sessions")
    assert bastion.control("sessions").ok().text == "no sessions\n"


def test_exit_statuses(bastion, tmp_path):
    assert bastion.control("end", "nosuchsession").code == 1
    assert bastion.control("end").code == 2
    for words, said in (
        (["nonsense"], 'bastionctl: there is no command "nonsense"; there are status, sessions,'),
        (["recordings", "plya", "7q2m"], 'bastionctl recordings: there is no command "plya"; there are list,'),
        (["policy", "explian"], 'bastionctl policy: there is no command "explian"; there are explain\n'),
        ([], "A subcommand is required"),
        (["policy", "explain", "alice"], "where is required"),
    ):
        wrong = bastion.control(*words)
        assert wrong.code == 2 and said in wrong.error, wrong
    assert bastion.control("--help").code == 0
    gone = process.run([bastionctl(), "--socket", tmp_path / "none.sock", "status"])
    assert gone.code == 3 and "is it running?" in gone.error
    environment = os.environ | {"BASTIOND_SOCKET": str(bastion.socket)}
    assert process.run([bastionctl(), "status"], env=environment).code == 0


def test_every_command_has_help_with_an_example(bastion):
    for command in ("status", "sessions", "end", "reload", "policy explain", "recordings hold", "recordings release"):
        assert f"Example: bastionctl {command}" in bastion.control(*command.split(), "--help").ok().text


def test_policy_explain_says_what_is_decided_and_which_rule_did(bastion):
    def explain(*words):
        return bastion.control("policy", "explain", *words)

    assert explain("alice", USER, "shell").ok().text.splitlines()[0] == 'allowed by rule "developers-everywhere"'
    denied = explain("bob", USER, "shell")
    assert denied.code == 1 and denied.text.startswith(f"denied: no rule allows shell to bob as {LOGIN} on web1\n"), denied
    assert re.search(r"^  guests-commands +allows exec, not shell$", denied.text, re.M), denied
    assert explain("alice", "web1", "jump").code == 0 and explain("alice", "drop1", "jump").code == 1
    reply = json.loads(explain("alice", f"{LOGIN}@wbe1", "shell", "--from", "127.0.0.1", "--json").text)
    assert reply["ok"] is True and reply["allowed"] is False and 'did you mean "web1"?' in reply["text"]
    unknown = explain("alcie", USER, "shell")
    assert unknown.code == 1 and unknown.error == 'there is no user "alcie" (did you mean "alice"?)\n', unknown


def test_reload_takes_a_good_policy_and_keeps_the_old_one_otherwise(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.bob)
    good = copy.deepcopy(bastion.policy)
    before = json.loads(bastion.control("--json", "status").text)["policy"]["hash"]

    bastion.policy["rules"].append({"name": "broken", "who": ["nobody-known"], "colour": "red"})
    bastion.write()
    refused = bastion.control("reload")
    assert refused.code == 1
    assert re.search(r"policy\.yaml:\d+:\d+: unknown key \"colour\"", refused.error), refused
    assert json.loads(bastion.control("--json", "status").text)["policy"]["hash"] == before
    assert client.ssh(f"{USER}@bastion", "echo still").text == "still\n"

    bastion.policy = good
    bastion.policy["rules"] = [rule for rule in good["rules"] if rule["name"] != "guests-commands"]
    bastion.write()
    assert "policy loaded" in bastion.control("reload").ok().text
    assert json.loads(bastion.control("--json", "status").text)["policy"]["hash"] != before
    assert client.ssh(f"{USER}@bastion", "echo still").code != 0


def test_a_reload_changes_how_much_is_logged(make_bastion):
    bastion = make_bastion()
    bastion.service["log_level"] = "debug"
    bastion.write()
    bastion.control("reload").ok()
    mark = bastion.mark()
    worker = next(
        each["pid"]
        for each in json.loads(bastion.control("--json", "status").text)["processes"]
        if each["role"] == "worker"
    )
    os.kill(worker, signal.SIGKILL)
    bastion.wait_for_log(r"debug warden: ", mark)


def test_a_second_bastion_does_not_take_the_socket_away(bastion, tmp_path):
    second = process.run([bastion.process.process.args[0], "--config", bastion.config, *bastion.process.process.args[3:]])
    assert second.code == 1
    assert "another bastiond is running" in second.error
    assert bastion.control("status").code == 0
