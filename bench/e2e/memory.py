"""Memory of idle sessions: PSS of all the bastion's processes, before and with so many sessions, and their idle CPU."""

import time

from e2e.run import Held, result_of


def measure(make_way, target, counts: list[int], *, idle_seconds: float, say) -> dict:
    """count -> figures. `make_way` starts a server for each count, since a process keeps what it once had."""
    found = {}
    for count in counts:
        way, server = make_way()
        try:
            found[str(count)] = measure_one(way, target, count, idle_seconds)
        finally:
            server.close()
        say(f"memory, {count} sessions, {way.name}: {found[str(count)]['pss_kib_per_session']:.1f} KiB each")
    return found


def measure_one(way, target, count: int, idle_seconds: float) -> dict:
    # The first login makes what is made once; it is no session's cost.
    result_of([*way.light(target), "logins", "--count", 4, "--concurrent", 4])
    way.group.settle(0, timeout=2)
    before = way.group.pss_kib()
    log = way.lab.folder / f"hold-{count}-{way.name}.log".replace(" ", "_")
    held = Held([*way.light(target), "hold", "--count", count, "--concurrent", 16], log)
    try:
        way.group.settle(10**9)
        cpu, started = way.group.cpu_seconds(), time.monotonic()
        time.sleep(idle_seconds)
        idle = (way.group.cpu_seconds() - cpu) / (time.monotonic() - started)
        total = way.group.pss_kib()
        return {
            "pss_kib_per_session": (total - before) / count,
            "pss_kib_total": total,
            "pss_kib_before": before,
            "processes": len(way.group.pids()),
            "idle_cpu_percent": idle * 100,
        }
    finally:
        held.close()
