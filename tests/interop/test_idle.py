"""What an idle session costs: memory of all our processes, and no processor time."""

import asyncio
import contextlib
import json
import pathlib
import re
import time

from support import process
from support.fixtures import client_of
from support.targets import LOGIN
from support.wire import connect

BASTIOND_YAML = {"limits": {"sessions_per_user": 1000, "unauthenticated_per_source": 1000}}
BYTES_MAX = 16 * 1024  # the promise: one idle routed session, of all our processes together


def said_at_start(bastion) -> int:
    """The sum that the log gave, which must be that of its items."""
    line = bastion.wait_for_log(r'memory of one idle session, in bytes sum="(\d+) = ([^"]*)"')
    items = [int(number) for number in re.findall(r"(\d+) [a-z]", line[2])]
    assert len(items) >= 5 and sum(items) == int(line[1]), line[0]
    return int(line[1])


def pss_bytes(bastion) -> int:
    return process.memory_bytes(pid for pid, _ in bastion.processes())


async def settled_pss_bytes(bastion) -> int:
    """The same once it no longer falls: buffers of traffic are given back five seconds after the last of it."""
    least, since = pss_bytes(bastion), time.monotonic()
    while time.monotonic() - since < 6.5:
        await asyncio.sleep(0.25)
        if (now := pss_bytes(bastion)) < least:
            least, since = now, time.monotonic()
    return least


def processor_seconds(bastion) -> float:
    """What all processes of the bastion have used so far."""
    total = 0
    for pid, _ in bastion.processes():
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def test_an_idle_session_takes_less_than_was_said(lab, bastion, tmp_path):
    said = said_at_start(bastion)
    assert said <= BYTES_MAX
    client = client_of(bastion, tmp_path, lab.alice)
    first, all_of_them = 40, 240

    async def conversation():
        async with contextlib.AsyncExitStack() as stack:
            few_at_a_time = asyncio.Semaphore(8)

            async def open_one():
                async with few_at_a_time:
                    connection = await stack.enter_async_context(connect(client, f"{LOGIN}@async1"))
                    waiting = await connection.create_process("wait-for-signal")
                    assert await waiting.stdout.readline() == "ready\n"

            async def open_until(count):
                await asyncio.gather(*[open_one() for _ in range(count)])

            # The first ones grow what all share: pools, tables, the allocator's reserve.
            await open_until(first)
            before = await settled_pss_bytes(bastion)
            await open_until(all_of_them - first)
            each = (await settled_pss_bytes(bastion) - before) / (all_of_them - first)
            status = json.loads(bastion.control("status", "--json").ok().text)
            assert status["sessions"]["routed"] == all_of_them

            started, used = time.monotonic(), processor_seconds(bastion)
            await asyncio.sleep(2)
            idle = (processor_seconds(bastion) - used) / (time.monotonic() - started)
            return each, idle

    each, idle = asyncio.run(asyncio.wait_for(conversation(), 240))
    print(f"{each / 1024:.1f} KiB for an idle session (said: {said / 1024:.1f}), {idle * 100:.2f} % of a core")
    assert each <= said, f"{each:.0f} bytes of memory for each idle session, {said} were said"
    assert idle <= 0.01, f"{idle:.3f} of a core while nothing happens"
