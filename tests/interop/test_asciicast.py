"""Exports as asciicast, read by the formats' own descriptions: what passed, when, in which size, and how it ended."""

import asyncio

import pytest

from support import asciicast, process, recordings
from support.bastion import bastionctl
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.traffic import DESTINATION, service_of
from support.wire import connect

USER = f"{LOGIN}@web1"
VERSIONS = [2, 3]


# ---- the reader itself

GOOD = {
    2: ['{"version": 2, "width": 80, "height": 24, "timestamp": 1.5, "env": {"TERM": "xterm"}}',
        '[0.5, "o", "\\u001b[1mé"]', '[1, "r", "90x30"]', '[1.000001, "m", ""]', '[2.0, "i", "\\r"]'],
    3: ['{"version": 3, "term": {"cols": 80, "rows": 24, "type": "xterm"}, "timestamp": 1, "tags": ["a"]}',
        '# a comment', '[0.5, "o", "\\u001b[1mé"]', '[1, "r", "90x30"]', '[0.000001, "m", "here"]',
        '[0, "i", "\\r"]', '# another', '[2.0, "x", "255"]'],
}  # fmt: skip


def lines(*texts: str) -> bytes:
    return "".join(text + "\n" for text in texts).encode()


def test_the_reader_takes_what_is_described():
    two, three = (asciicast.read(lines(*GOOD[version]), version) for version in VERSIONS)
    assert (two.columns, two.rows) == (three.columns, three.rows) == (80, 24)
    assert [event.time_us for event in two.events] == [500_000, 1_000_000, 1_000_001, 2_000_000]
    assert [event.time_us for event in three.events] == [500_000, 1_500_000, 1_500_001, 1_500_001, 3_500_001]
    assert two.text_of("o") == three.text_of("o") == "\x1b[1mé" and three.data_of("x") == ["255"]


@pytest.mark.parametrize("version, at, bad", [
    (3, 0, "# first"), (3, 0, GOOD[2][0]), (2, 0, GOOD[3][0]), (3, 0, '{"version": 3, "term": {"cols": 80}}'),
    (3, 0, '{"version": 3, "term": {"cols": 80, "rows": "24"}}'), (3, 0, '{"version": 3, "term": {"cols": 0, "rows": 1}}'),
    (3, 0, '{"version": 3, "term": {"cols": 80, "rows": 24}, "size": 1}'),
    (3, 0, '{"version": 3, "term": {"cols": 80, "rows": 24}, "timestamp": 1.5}'),
    (3, 0, '{"version": 3, "version": 3, "term": {"cols": 80, "rows": 24}}'),
    (2, 0, '{"version": 2, "width": 80, "height": true}'), (2, 1, "# none here"), (3, 2, ""), (3, 2, "[0.5]"),
    (3, 2, '[0.5, "o"]'), (3, 2, '[0.5, "o", "a", 1]'), (3, 2, '[-0.5, "o", "a"]'), (3, 2, '["0.5", "o", "a"]'),
    (3, 2, '[NaN, "o", "a"]'), (3, 2, '[0.5, "q", "a"]'), (3, 2, '[0.5, "o", 1]'), (3, 2, '[0.5, "o", "\x1b"]'),
    (3, 2, '[0.5, "o", "\x7f"]'), (3, 2, '[0.5, "o", "\\ud83d"]'), (3, 2, '[0.5, "r", "80"]'), (3, 2, '[0.5, "r", "0x0"]'),
    (3, 2, '[0.5, "x", "TERM"]'), (3, 2, '[0.5, "x", "0"]'), (2, 4, '[2.0, "x", "0"]'), (2, 2, '[0.4, "o", "back"]'),
    (3, 2, '[0.5, "o", "a"]\r'),
])  # fmt: skip
def test_the_reader_takes_nothing_else(version, at, bad):
    made = list(GOOD[version])
    made[at] = bad
    with pytest.raises(asciicast.Malformed):
        asciicast.read(lines(*made), version)


def test_the_reader_wants_utf_8_and_whole_lines():
    for content in (lines(*GOOD[3])[:-1], lines(*GOOD[3]).replace("é".encode(), b"\xe9"), b"", b"\n"):
        with pytest.raises(asciicast.Malformed):
            asciicast.read(content, 3)


# ---- what is exported


@pytest.fixture
def recorded(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["rules"][0]["record_input"] = True
    bastion = make_bastion(policy, service_of(lab, tmp_path / "state"))
    return bastion, client_of(bastion, tmp_path / "alice", lab.alice)


def exports(bastion, recording) -> list[asciicast.Cast]:
    """The recording in both versions."""
    ctl = [bastionctl(), "recordings", "--dir", recordings.folder_of(bastion), "export", recording.path.stem]
    return [asciicast.read(process.run([*ctl, "--cast-version", version]).ok().out, version) for version in VERSIONS]


def check_times(recording, cast) -> None:
    """Each event is of when its bytes passed, to the microsecond."""
    times = {entry["kind"]: entry["time_us"] for entry in recording.entries}
    began = times["start"]
    assert cast.header["timestamp"] == began // 1_000_000
    passed = {entry["time_us"] - began for entry in recording.entries}
    assert all(event.time_us in passed for event in cast.events)
    assert cast.events[-1].time_us <= max(passed)


# Each is sent when the one before has arrived, so that they are events of their own: in the middle of characters, too.
PARTS = [b"caf\xc3", b"\xa9 \xf0\x9f", b"\x99\x82 \x1b[31mred\x1b[0m\x7f\x00", b"\xe2\x80\xa8 \xff\xfe\xc3( \xe2\x82", b"A\xed\xa0\x80 \xf0\x9f"]


def test_a_terminal(recorded, tmp_path):
    bastion, alice = recorded
    goes = [tmp_path / f"go-{at}" for at in range(len(PARTS))]
    command = ""
    for part, go in zip(PARTS, goes):
        octal = "".join(f"\\{byte:03o}" for byte in part)
        command += f"printf '{octal}'; while ! [ -e {go} ]; do sleep 0.02; done; "
    command += "read line; exit 3"
    sizes = [(100, 40), (101, 30), (60, 20), (132, 50), (80, 25)]

    async def session():
        async with connect(alice, USER) as connection:
            there = await connection.create_process(command, term_type="xterm-256color", term_size=sizes[0], encoding=None)
            for at, part in enumerate(PARTS):
                assert await there.stdout.readexactly(len(part)) == part
                if at + 1 < len(sizes):
                    there.change_terminal_size(*sizes[at + 1])
                goes[at].touch()
            there.stdin.write(b"typed\r")
            return (await there.wait()).exit_status

    assert asyncio.run(asyncio.wait_for(session(), 60)) == 3
    recording = recordings.read_new(bastion, [])
    assert recording.bytes_of("stdout").startswith(b"".join(PARTS))
    out = recording.bytes_of("stdout").decode(errors="replace")
    assert out.startswith("café \U0001f642 \x1b[31mred")
    for version, cast in zip(VERSIONS, exports(bastion, recording)):
        assert cast.text_of("o") == out and cast.text_of("i") == "typed\r"
        assert (cast.columns, cast.rows) == sizes[0]
        assert cast.data_of("r") == [f"{columns}x{rows}" for columns, rows in sizes[1:]]
        assert cast.data_of("x") == (["3"] if version == 3 else [])
        term = cast.header["term"]["type"] if version == 3 else cast.header["env"]["TERM"]
        assert term == "xterm-256color" and cast.header["command"] == command
        assert cast.header["title"].startswith(f"alice as {LOGIN}@web1 (")
        check_times(recording, cast)


def test_random_bytes_at_a_terminal_that_says_no_size(recorded):
    bastion, alice = recorded

    async def session():
        async with connect(alice, USER) as connection:
            return await connection.run(
                "stty raw; head -c 300000 /dev/urandom", term_type="xterm", term_size=(0, 0), encoding=None
            )

    received = asyncio.run(asyncio.wait_for(session(), 60)).stdout
    recording = recordings.read_new(bastion, [])
    assert recording.bytes_of("stdout") == received and len(received) == 300_000
    for cast in exports(bastion, recording):
        assert cast.text_of("o") == received.decode(errors="replace")
        assert (cast.columns, cast.rows) == (80, 24)
        check_times(recording, cast)


def test_a_command_without_a_terminal(recorded):
    bastion, alice = recorded
    done = alice.ssh(DESTINATION, "printf 'one\\ntwo\\n'; printf 'three\\n' >&2; cat; exit 7", input=b"four\n")
    assert done.code == 7 and done.out == b"one\ntwo\nfour\n"
    recording = recordings.read_new(bastion, [])
    for version, cast in zip(VERSIONS, exports(bastion, recording)):
        # A terminal shows it as lines.
        assert sorted(cast.text_of("o").split("\r\n")) == ["", "four", "one", "three", "two"]
        assert cast.text_of("i") == "four\n"
        assert (cast.columns, cast.rows) == (80, 24) and "env" not in cast.header and "type" not in cast.header.get("term", {})
        assert cast.data_of("x") == (["7"] if version == 3 else [])
        check_times(recording, cast)


def test_a_command_that_a_signal_ends_has_no_status(recorded):
    bastion, alice = recorded
    assert alice.ssh(DESTINATION, "echo before; kill -KILL $$").out == b"before\n"
    recording = recordings.read_new(bastion, [])
    assert "exit-signal" in recording.kinds()
    for cast in exports(bastion, recording):
        assert cast.text_of("o") == "before\r\n" and cast.data_of("x") == []
