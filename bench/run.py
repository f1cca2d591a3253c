#!/usr/bin/python3
"""bastiond beside sshd as a jump host: `./dev bench` calls it after building. docs/benchmarks.md has the method.

Everything is measured in one run, the ways alternating, on 127.0.0.1; tables, JSON and a picture go to --out.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "bench")]
sys.dont_write_bytecode = True

from e2e import picture, report  # noqa: E402
from e2e.lab import CIPHERS  # noqa: E402
from e2e.run import Failed  # noqa: E402
from e2e.suite import PARTS, Suite  # noqa: E402


def about(quick: bool, load: float) -> str:
    """The circumstances of a run, in one line that names no machine."""
    models = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return (
        f"{'--quick, ' if quick else ''}{os.cpu_count()} processors ({models[0] if models else platform.machine()}), "
        f"Linux {platform.release().split('-')[0]}, load average {load:.1f} before the start"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--peers", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: a few minutes")
    parser.add_argument("--out", type=pathlib.Path, help="where results go (bench/results; --quick: build/bench-results)")
    parser.add_argument("--new-sshd", action="store_true", help="beside the newer sshd too, where it is unpacked")
    parser.add_argument("--bastion-build", type=pathlib.Path, action="append", default=[], metavar="TREE",
                        help="another build tree whose bastiond is measured in the same run")  # fmt: skip
    parser.add_argument("--cipher", action="append", choices=list(CIPHERS), help="bulk with these only")
    parser.add_argument("--without-sshd", action="store_true", help="bastiond alone")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)} (all)")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(PARTS)}")
    os.environ["BASTION_PEERS"] = str(options.peers)
    started = time.monotonic()
    suite = Suite(options)
    results: dict = {}
    try:
        suite.start()
        suite.run(results)
    except Failed as why:
        print(f"[bench] failed: {why}", file=sys.stderr)
        return 1
    finally:
        suite.close()
        if results:
            write(options, results, about(options.quick, suite.load))
    print(f"[bench] {time.monotonic() - started:.0f} s")
    return 0


def write(options: argparse.Namespace, results: dict, circumstances: str) -> None:
    """Writes the tables, the figures and the picture; a run of some parts is put into the results that are there."""
    out = options.out or (ROOT / "bench/results" if not options.quick and not options.parts else options.build / "bench-results")
    out.mkdir(parents=True, exist_ok=True)
    results["about"] = {part: circumstances for part in results}
    if options.parts and (out / "results.json").exists():
        before = json.loads((out / "results.json").read_text())
        results["about"] = before.get("about", {}) | results["about"]
        results = before | results
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = report.markdown(results)
    (out / "results.md").write_text(text)
    (out / "ratios.svg").write_text(picture.svg(results))
    print(f"\n{text}\n[bench] results in {out}")


if __name__ == "__main__":
    sys.exit(main())
