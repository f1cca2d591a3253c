"""Keystrokes: the round trip of one key through a shell that echoes, alone, and beside a bulk transfer."""

from e2e.measure import Samples, quantile
from e2e.run import Held


def typed(way, target, count: int, samples: Samples, setting: str) -> None:
    log = way.lab.folder / f"keys-{way.name}.log".replace(" ", "_")
    held = Held([*way.light(target), "keys", "--count", count, "--interval-ms", 10], log)
    try:
        us = held.go()["us"]
    finally:
        held.close()
    samples.add((way.name, setting), "p50_us", quantile(us, 0.5))
    samples.add((way.name, setting), "p99_us", quantile(us, 0.99))


def measure(ways, target, *, rounds: int, count: int, say) -> dict:
    """way -> "alone" -> figures."""
    samples = Samples()
    for number in range(rounds):
        for way in ways:
            typed(way, target, count, samples, "alone")
        say(f"keystrokes, round {number + 1} of {rounds}")
    return samples.medians()


def beside_bulk(pairs, target, *, rounds: int, count: int, gib: int, say) -> dict:
    """way -> "beside bulk" -> figures. `pairs` are the ways of the keys and of the bulk (with one worker they share
    it). The bulk is larger than what can flow meanwhile, and is cut off at the end."""
    samples = Samples()
    for number in range(rounds):
        for way, bulk in pairs:
            log = way.lab.folder / f"beside-{bulk.name}.log".replace(" ", "_")
            held = Held([*bulk.light(target), "streams", "--count", 1, "--bytes", gib << 30], log)
            held.start()
            try:
                typed(way, target, count, samples, f"beside bulk through {bulk.name}")
                if held.service.process.poll() is not None or "seconds" in held.service.text():
                    raise AssertionError("the bulk transfer ended before the last key")
            finally:
                held.kill()
        say(f"keystrokes beside bulk, round {number + 1} of {rounds}")
    return samples.medians()
