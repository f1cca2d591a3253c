#!/usr/bin/python3
"""Half-open connections from many addresses, in a process of its own: `crowd.py PORT RATE ADDRESS=COUNT...`.

Says "ready" when all are there. From then on the oldest is given up for a new one RATE times a second, until
standard input ends; then it says how many it has opened in all. What the bastion has closed is held as long as the rest.
"""

import collections
import select
import socket
import sys
import time


def main() -> None:
    port, rate = int(sys.argv[1]), float(sys.argv[2])
    sources = [address for word in sys.argv[3:] for address, _, count in [word.partition("=")] for _ in range(int(count))]
    held: collections.deque[socket.socket] = collections.deque()
    opened = 0

    def another() -> None:
        nonlocal opened
        source = (sources[opened % len(sources)], 0)
        held.append(socket.create_connection(("127.0.0.1", port), timeout=20, source_address=source))
        opened += 1

    for _ in sources:
        another()
    print("ready", flush=True)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due += 1 / rate
        held.popleft().close()
        another()
    print(opened, flush=True)


if __name__ == "__main__":
    main()
