"""What grows with the number of sessions: CPU for each GiB by the number of streams, and a login beside many sessions."""

from e2e.accounting import Cpu
from e2e.measure import Samples
from e2e.run import Held, result_of


def streams(ways, target, counts: dict[str, list[int]], *, rounds: int, mib: int, say) -> dict:
    """way -> "N streams direction" -> figures; so many MiB over all streams, light client and target."""
    samples = Samples()
    for number in range(rounds):
        for count in sorted({count for of_way in counts.values() for count in of_way}):
            for direction in ("down", "up"):
                for way in ways:
                    if count not in counts[way.name]:
                        continue
                    command = [*way.light(target), "streams", "--count", count, "--bytes", (mib << 20) // count]
                    command += ["--up"] if direction == "up" else []
                    held = Held(command, way.lab.folder / "streams.log")
                    try:
                        way.group.settle(10**9)
                        with Cpu(way.group, settle=False) as cpu:
                            seconds = held.go()["seconds"]
                    finally:
                        held.close()
                    key = (way.name, f"{count} {direction}")
                    samples.add(key, "cpu_s_per_gib", cpu.seconds * 1024 / mib)
                    samples.add(key, "mb_per_s", (mib << 20) / 1e6 / seconds)
                    way.group.settle(0, timeout=1)
        say(f"streams, round {number + 1} of {rounds}")
    return samples.medians()


def logins_beside(make_way, target, sessions: list[int], *, rounds: int, count: int, say) -> dict:
    """way -> number of sessions held -> CPU ms of a login."""
    samples = Samples()
    for held_count in sessions:
        way, server = make_way()
        try:
            log = way.lab.folder / f"beside-{held_count}.log"
            held = Held([*way.light(target), "hold", "--count", held_count, "--concurrent", 16], log)
            try:
                for _ in range(rounds):
                    way.group.settle(10**9)
                    with Cpu(way.group) as cpu:
                        result_of([*way.light(target), "logins", "--count", count, "--concurrent", 4])
                    samples.add((way.name, str(held_count)), "cpu_ms", cpu.seconds * 1000 / count)
            finally:
                held.kill()
        finally:
            server.close()
        say(f"logins beside {held_count} sessions, {way.name}")
    return samples.medians()
