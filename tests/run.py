#!/usr/bin/python3
"""Runs the test suites that are there, prints one table of them and the closing line `N passed, N failed`.

`./dev test` calls it after building. A skipped test counts as failed unless --allow-skip names it.
What a suite printed is kept in BUILD/test-results/.

What the Python suites find in their environment:
  BASTION_BUILD   the build tree; the programs are in its daemon/
  BASTIONCTL      bastionctl, for its unit tests
  BASTION_PEERS   the unpacked SSH servers and other programs (deploy/setup --peers); its bin/ is on PATH
  BASTION_LONG    1 with --long, else 0
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PYTHON = "/usr/bin/python3"
PYTHON_SUITES = ("instructions", "interop", "hostile", "sim", "system")
# Suites whose tests share nothing between processes: one process for each core.
PARALLEL_SUITES = ("instructions", "interop", "hostile")

UNIT_SECONDS_MAX = 900  # one program, all of its tests
PYTEST_SECONDS_MAX = 180  # one test
SUITE_SECONDS_MAX = {False: 1500, True: 4 * 3600}  # one Python suite, without and with --long
OUTPUT_LINES_MAX = 60  # of a failure, on the terminal; the rest is in the log


@dataclasses.dataclass
class Case:
    """One test: state is passed, failed or skipped."""

    suite: str
    name: str
    state: str
    note: str = ""


class Runner:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.build = pathlib.Path(options.build).resolve()
        built = json.loads((self.build / "meson-info/intro-buildoptions.json").read_text())
        self.sanitized = any(option["name"] == "fuzz" and option["value"] for option in built)
        self.results = self.build / "test-results"
        shutil.rmtree(self.results, ignore_errors=True)
        self.results.mkdir(parents=True)
        self.cases: list[Case] = []
        self.seconds: dict[str, float] = {}
        self.running: set[int] = set()

    # ---- running programs

    def environment(self, build: pathlib.Path) -> dict[str, str]:
        peers = self.options.peers
        sanitizer = "halt_on_error=1:abort_on_error=1:print_stacktrace=1"
        return os.environ | {
            "BASTION_BUILD": str(build),
            "BASTION_PEERS": peers,
            "BASTIONCTL": str(build / "daemon" / "bastionctl"),
            "BASTION_LONG": "1" if self.options.long else "0",
            "PATH": f"{peers}/bin:/usr/bin:/bin:/usr/sbin:/sbin:" + os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "ASAN_OPTIONS": sanitizer,
            "UBSAN_OPTIONS": sanitizer,
            "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
        }

    def execute(self, command, log: pathlib.Path, seconds_max: float, build=None) -> tuple[int, str]:
        """Runs a command in a process group of its own; at the time limit the whole group is killed."""
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.environment(build or self.build),
                start_new_session=True,
            )
            self.running.add(process.pid)
            try:
                code = process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                code = None
            self.kill(process.pid)
            process.wait()
            self.running.discard(process.pid)
        text = log.read_text(encoding="utf-8", errors="replace")
        if code is None:
            return 124, text + f"\nended after {seconds_max:.0f} s"
        return code, text

    def kill(self, group: int) -> None:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wanted(self, name: str) -> bool:
        return not self.options.filter or self.options.filter in name

    def record(self, suite: str, cases: list[Case], started: float) -> None:
        """Takes a suite's cases in, turns skips without leave into failures and says how it went."""
        for case in cases:
            if case.state == "skipped" and not any(
                allowed in f"{case.suite}::{case.name}" for allowed in self.options.allow_skip
            ):
                case.state = "failed"
                case.note = f"skipped, and no --allow-skip names it: {case.note}"
        self.cases += cases
        self.seconds[suite] = self.seconds.get(suite, 0) + time.monotonic() - started
        passed = sum(case.state == "passed" for case in cases)
        failed = [case for case in cases if case.state == "failed"]
        print(f"  {suite:<22} {passed:>5} passed  {len(failed):>3} failed  {time.monotonic() - started:6.1f} s", flush=True)
        for case in failed:
            print(f"    FAILED {case.suite}::{case.name}")
            lines = case.note.strip().splitlines()
            # pytest shows the test's source first; what went wrong stands in the lines with an E.
            lines.sort(key=lambda line: not re.match(r"E  ", line))
            if len(lines) > OUTPUT_LINES_MAX:
                lines = lines[: OUTPUT_LINES_MAX // 3] + ["..."] + lines[-OUTPUT_LINES_MAX * 2 // 3 :]
            print("".join(f"      {line}\n" for line in lines), end="", flush=True)

    # ---- suites

    def lint(self) -> None:
        started = time.monotonic()
        programs = [self.build / "daemon" / name for name in ("bastiond-resolver", "bastiond", "bastionctl", "bastiond-indexer")]
        cases = []
        for name, arguments in (("format", [ROOT]), ("includes", [ROOT]), ("text", [ROOT]), ("linkage", programs)):
            if self.wanted(f"lint::{name}"):
                code, text = self.execute(
                    [PYTHON, TESTS / "lint" / f"{name}.py", *arguments], self.results / f"lint_{name}.log", 120
                )
                cases.append(Case("lint", name, "failed" if code else "passed", text))
        if cases:
            self.record("lint", cases, started)

    def unit(self, build: pathlib.Path, suffix: str) -> None:
        for program in sorted([*build.glob("tests/unit/*/unit_*"), *build.glob("tests/evil/unit_*")]):
            if program.is_file() and os.access(program, os.X_OK):
                self.gtest(program, program.name + suffix, build)

    def gtest(self, program: pathlib.Path, suite: str, build: pathlib.Path) -> None:
        started = time.monotonic()
        report = self.results / f"{suite}.json"
        command = [program, f"--gtest_output=json:{report}", "--gtest_color=no"]
        if self.options.filter and self.options.filter not in suite:
            command.append(f"--gtest_filter=*{self.options.filter}*")
        code, text = self.execute(command, self.results / f"{suite}.log", UNIT_SECONDS_MAX, build)
        cases = []
        if report.exists() and code in (0, 1):
            for group in json.loads(report.read_text()).get("testsuites", []):
                for test in group["testsuite"]:
                    if test["status"] != "RUN" and test["result"] != "SKIPPED":
                        continue
                    failures = test.get("failures", [])
                    skipped = test["result"] == "SKIPPED"
                    cases.append(
                        Case(
                            suite,
                            f"{group['name']}.{test['name']}",
                            "failed" if failures else "skipped" if skipped else "passed",
                            "\n".join(failure["failure"] for failure in failures),
                        )
                    )
            if code and not any(case.state == "failed" for case in cases):
                cases.append(Case(suite, "(exit)", "failed", text[-4000:]))
        else:
            # It died: its output says what had passed, and which test did not end.
            states = {"      OK": "passed", " FAILED ": "failed", " SKIPPED": "skipped"}
            ended = {
                name: states[word]
                for word, name in re.findall(r"^\[ (      OK| FAILED | SKIPPED) \] (\S+) \(\d+ ms\)", text, re.M)
            }
            cases += [Case(suite, name, state) for name, state in ended.items()]
            begun = re.findall(r"^\[ RUN      \] (\S+)", text, re.M)
            name = begun[-1] if begun and begun[-1] not in ended else "(exit)"
            cases.append(Case(suite, name, "failed", f"died with code {code}\n{text[-6000:]}"))
        if cases:
            self.record(suite, cases, started)

    def corpus(self) -> None:
        started = time.monotonic()
        cases = []
        for program in sorted(self.build.glob("tests/fuzz/replay_*")):
            if not program.is_file() or not os.access(program, os.X_OK) or not self.wanted(f"corpus::{program.name}"):
                continue
            seeds = TESTS / "fuzz" / "corpus" / program.name.removeprefix("replay_")
            code, text = self.execute([program, seeds], self.results / f"{program.name}.log", 300)
            cases.append(Case("corpus", program.name, "failed" if code else "passed", text[-4000:]))
        if cases:
            self.record("corpus", cases, started)

    def python(self, folder: str) -> None:
        if not list((TESTS / folder).rglob("test_*.py")):
            return
        if folder == "instructions" and self.sanitized:
            return  # a sanitizer's instructions are no measure, and its programs do not run in valgrind
        started = time.monotonic()
        report = self.results / f"{folder}.xml"
        command = [
            PYTHON, "-m", "pytest", TESTS / folder, "-q", "-ra", "--color=no", "-p", "no:cacheprovider",
            f"--junitxml={report}", "-o", "junit_family=xunit2", f"--timeout={PYTEST_SECONDS_MAX}",
        ]  # fmt: skip
        if folder in PARALLEL_SUITES:
            command += ["-n", str(os.cpu_count())]
        if self.options.filter and self.options.filter != folder:
            command += ["-k", self.options.filter]
        print(f"  {folder:<22} running ...", flush=True)
        code, text = self.execute(
            command, self.results / f"{folder}.log", SUITE_SECONDS_MAX[self.options.long]
        )
        cases = []
        if report.exists():
            for test in xml.etree.ElementTree.parse(report).iter("testcase"):
                state, note = "passed", ""
                for child in test:
                    if child.tag in ("failure", "error"):
                        state, note = "failed", child.text or child.get("message", "")
                    elif child.tag == "skipped" and state != "failed":
                        state, note = "skipped", child.get("message", "")
                cases.append(Case(folder, f"{test.get('classname', '')}::{test.get('name', '')}", state, note))
        # 5 says that no test was chosen, which a filter may well do.
        complete = code in (0, 1) or (code == 5 and self.options.filter)
        if not complete or (code == 1 and not any(case.state == "failed" for case in cases)):
            cases.append(Case(folder, "(run)", "failed", f"pytest ended with code {code}\n{text[-6000:]}"))
        if cases:
            self.record(folder, cases, started)

    def fuzz(self, build: pathlib.Path, seconds: int) -> None:
        started = time.monotonic()
        programs = [
            program
            for program in sorted(build.glob("tests/fuzz/fuzz_*"))
            if program.is_file() and os.access(program, os.X_OK) and self.wanted(f"fuzz::{program.name}")
        ]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cases = list(pool.map(lambda program: self.fuzz_one(program, build, seconds), programs))
        if cases:
            self.record("fuzz", cases, started)

    def fuzz_one(self, program: pathlib.Path, build: pathlib.Path, seconds: int) -> Case:
        name = program.name.removeprefix("fuzz_")
        work = self.results / f"corpus_{name}"
        work.mkdir()
        seeds = TESTS / "fuzz" / "corpus" / name
        code, text = self.execute(
            [
                program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=3072",
                f"-artifact_prefix={self.results}/{name}-", work, *([seeds] if seeds.is_dir() else []),
            ],
            self.results / f"{program.name}.log",
            seconds + 120,
            build,
        )  # fmt: skip
        return Case("fuzz", program.name, "failed" if code else "passed", text[-6000:])

    # ---- the end

    def report(self) -> int:
        suites = list(dict.fromkeys(case.suite for case in self.cases))
        print(f"\n{'suite':<24}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>10}")
        totals = {"passed": 0, "failed": 0, "skipped": 0}
        for suite in suites:
            counts = {
                state: sum(case.suite == suite and case.state == state for case in self.cases) for state in totals
            }
            for state, count in counts.items():
                totals[state] += count
            print(
                f"{suite:<24}{counts['passed']:>8}{counts['failed']:>8}{counts['skipped']:>9}"
                f"{self.seconds.get(suite, 0):>8.1f} s"
            )
        for case in self.cases:
            if case.state != "passed":
                print(f"{case.state}: {case.suite}::{case.name}")
        print(f"logs: {self.results}\n")
        if totals["passed"] + totals["failed"] == 0:
            print("no test ran: " + (f"none matches {self.options.filter}" if self.options.filter else "none is built"))
            return 1
        closing = f"{totals['passed']} passed, {totals['failed']} failed"
        if totals["skipped"]:
            closing += f", {totals['skipped']} skipped"
        print(closing, flush=True)
        return 1 if totals["failed"] else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, help="the build tree whose programs are tested")
    parser.add_argument("--peers", required=True, help="the folder of deploy/setup --peers")
    parser.add_argument("--sanitized", help="a second build tree, with sanitizers: its unit tests and fuzz targets")
    parser.add_argument("--fuzz-seconds", type=int, default=10)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--allow-skip", action="append", default=[], metavar="NAME")
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()

    runner = Runner(options)
    try:
        runner.lint()
        runner.unit(runner.build, "")
        runner.corpus()
        if options.sanitized:
            runner.unit(pathlib.Path(options.sanitized).resolve(), "_sanitized")
        for folder in PYTHON_SUITES:
            runner.python(folder)
        if options.sanitized:
            runner.fuzz(pathlib.Path(options.sanitized).resolve(), options.fuzz_seconds)
    except KeyboardInterrupt:
        for group in list(runner.running):
            runner.kill(group)
        print("\ninterrupted")
        return 130
    return runner.report()


if __name__ == "__main__":
    sys.exit(main())
