"""Results as tables in Markdown: ratios first, then the figures."""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figure(value: float | None) -> str:
    """Three significant digits, without an exponent."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    magnitude = abs(value)
    digits = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 1 else 3
    return f"{value:,.{digits}f}"


def ratio(ours: float | None, theirs: float | None) -> str:
    """How many times less ours is: "1/21", or "1.3 x" where it is more."""
    if not ours or not theirs or ours < 0:
        return "–"
    return f"1/{theirs / ours:.{0 if theirs >= 10 * ours else 1}f}" if theirs > ours else f"{ours / theirs:.2f} x"


def counterpart(results: dict, way: str) -> str | None:
    """The sshd way of the same mode as one of ours."""
    suffix = "-J" if way.endswith("-J") else "forced ssh"
    found = [name for name in results if name.startswith("sshd") and name.endswith(suffix)]
    return found[0] if found else None


def logins(results: dict) -> str:
    rows = []
    for way, settings in results.items():
        other = results.get(counterpart(results, way)) if way.startswith("bastiond") else None
        row = [way]
        for setting in ("at 1", "at 16"):
            row.append(ratio(settings[setting]["cpu_ms"], other[setting]["cpu_ms"]) if other else "")
        for setting in ("at 1", "at 16"):
            row.append(figure(settings[setting].get("cpu_ms")))
        row += [figure(settings["at 16"].get("logins_per_cpu_s"))]
        for setting in ("at 1", "at 16"):
            row.append(f"{figure(settings[setting]['p50_ms'])} / {figure(settings[setting]['p99_ms'])}")
        by_ssh = settings["by ssh"]["p50_ms"]
        row.append(f"{figure(by_ssh)} ({by_ssh / results['direct']['by ssh']['p50_ms']:.2f} x direct)")
        rows.append(row)
    head = ["way", "to sshd, at 1", "at 16", "CPU ms per login, at 1", "at 16", "logins per CPU s, at 16",
            "p50 / p99 ms, at 1", "at 16", "by ssh: p50 ms"]  # fmt: skip
    return "## Logins\n\n" + table(head, rows)


def memory(results: dict) -> str:
    rows = []
    for way, counts in results.items():
        other = results.get(counterpart(results, way)) if way.startswith("bastiond") else None
        theirs = list(other.values())[-1]["pss_kib_per_session"] if other else None
        for count, figures in counts.items():
            each = figures["pss_kib_per_session"]
            rows.append([way, count, ratio(each, theirs) if theirs else "", figure(each),
                         figure(figures["pss_kib_total"] / 1024), figure(figures["pss_kib_before"] / 1024),
                         str(figures["processes"]), figure(figures["idle_cpu_percent"])])  # fmt: skip
    head = ["way", "idle sessions", "to sshd", "PSS KiB per session", "PSS MiB of all", "before", "processes", "idle CPU %"]
    return "## Memory of idle sessions\n\n" + table(head, rows)


RELAYS = {"routed": "least routed relay", "-J": "least -J relay"}
PASSES = {"routed": "two passes", "-J": "one pass"}


def bulk(results: dict) -> str:
    text = ""
    settings = list(next(iter(results.values())))
    rows = []
    for way, figures in results.items():
        if not way.startswith("bastiond"):
            continue
        other = results.get(counterpart(results, way))
        mode = "-J" if way.endswith("-J") else "routed"
        least, passes = results.get(RELAYS[mode]), results.get(PASSES[mode])
        for setting in settings:
            ours = figures[setting]["cpu_s_per_gib"]
            row = [way, setting]
            row.append(ratio(ours, other[setting]["cpu_s_per_gib"]) if other else "–")
            row.append(f"{ours / least[setting]['cpu_s_per_gib']:.2f} x" if least else "–")
            bare = results["bare relay"][setting]["cpu_s_per_gib"]
            row.append(f"{ours / (bare + passes[setting]['cpu_s_per_gib']):.2f} x" if passes else "–")
            row.append(f"{ours / bare:.2f} x")
            rows.append(row)
    text += table(["way", "cipher, direction", "to sshd", "to the least relay", "to bytes and passes", "to bytes alone"], rows) + "\n"
    rows = [
        [way, *[f"{figure(of[s]['cpu_s_per_gib'])} ({figure(of[s].get('mb_per_s'))})" for s in settings]]
        for way, of in results.items()
    ]
    return "## Bulk data by ssh: CPU s/GiB (MB/s)\n\n" + text + table(["way", *settings], rows)


def keystrokes(results: dict) -> str:
    direct = results["direct"]["alone"]
    rows = []
    for way, settings in results.items():
        for setting, figures in settings.items():
            added = [""] * 3
            if setting == "alone" and way != "direct":
                added = [figure(figures[q] - direct[q]) for q in ("p50_us", "p99_us")]
                other = results.get(counterpart(results, way)) if way.startswith("bastiond") else None
                added += [ratio(figures["p50_us"] - direct["p50_us"], other["alone"]["p50_us"] - direct["p50_us"])
                          if other else ""]  # fmt: skip
            rows.append([way, setting, *added, figure(figures["p50_us"]), figure(figures["p99_us"])])
    head = ["way", "", "added p50 µs", "added p99 µs", "added p50 to sshd's", "p50 µs", "p99 µs"]
    return "## Keystrokes\n\n" + table(head, rows)


def files(results: dict) -> str:
    rows = []
    for way, directions in results.items():
        row = [way]
        for direction in ("up", "down"):
            seconds = directions[direction]["seconds"]
            row += [f"{seconds / results['direct'][direction]['seconds']:.2f} x", figure(seconds)]
        rows.append(row)
    return "## 1,000 small files by sftp\n\n" + table(["way", "up, to direct", "s", "down, to direct", "s"], rows)


def streams(results: dict) -> str:
    rows = []
    for way, settings in results.items():
        for direction in ("down", "up"):
            found = {name.split()[0]: each for name, each in settings.items() if name.endswith(direction)}
            one = found["1"]["cpu_s_per_gib"]
            rows.append([way, direction, *[
                f"{figure(found[n]['cpu_s_per_gib'])} ({found[n]['cpu_s_per_gib'] / one:.2f} x)" if n in found else "–"
                for n in ("1", "10", "100", "1000")
            ]])  # fmt: skip
    head = ["way", "", "1 stream", "10", "100", "1,000"]
    return "## Streams at once: CPU s/GiB (to one stream)\n\n" + table(head, rows)


def growth(results: dict) -> str:
    rows = []
    for way, sessions in results.items():
        few, many = sorted(sessions, key=int)
        ms = [sessions[n]["cpu_ms"] for n in (few, many)]
        rows.append([way, f"{ms[1] / ms[0]:.2f} x", f"{figure(ms[0])} ({few})", f"{figure(ms[1])} ({many})"])
    head = ["way", "many to few", "CPU ms per login (sessions held)", ""]
    return "## Logins beside idle sessions\n\n" + table(head, rows)


RECORDED = (  # what is done, the figure, of which kinds, what it is called, the goal
    ("yes", "cpu_s_per_gib", "recorded", "`yes` at a terminal: CPU s/GiB", "at most 1.15"),
    ("keys", "p50_us", "recorded", "a key: p50 µs", "1"),
    ("keys", "p99_us", "recorded", "a key: p99 µs", "1"),
    ("memory", "pss_kib_per_session", "recorded", "idle session of 500: PSS KiB", ""),
    ("sftp up", "mb_per_s", "recorded", "sftp, up: MB/s, audited", "at least 0.97"),
    ("sftp down", "mb_per_s", "recorded", "sftp, down: MB/s, audited", "at least 0.97"),
    ("sftp up", "mb_per_s", "with digests", "sftp, up: MB/s, audited with SHA-256", "at least 0.85"),
    ("sftp down", "mb_per_s", "with digests", "sftp, down: MB/s, audited with SHA-256", "at least 0.85"),
    ("sftp up", "cpu_s_per_gib", "recorded", "sftp, up: CPU s/GiB, audited", ""),
    ("sftp down", "cpu_s_per_gib", "recorded", "sftp, down: CPU s/GiB, audited", ""),
    ("sftp up", "cpu_s_per_gib", "with digests", "sftp, up: CPU s/GiB, audited with SHA-256", ""),
    ("sftp down", "cpu_s_per_gib", "with digests", "sftp, down: CPU s/GiB, audited with SHA-256", ""),
)


def recording(results: dict) -> str:
    rows = []
    for setting, name, kind, what, goal in RECORDED:
        without, with_it = (results[each][setting] for each in ("not recorded", kind))
        spread = " to ".join(figure(value) for value in with_it[f"{name}_range"])
        rows.append([what, f"{with_it[name] / without[name]:.3f} x", goal, figure(with_it[name]), spread,
                     figure(without[name]), " to ".join(figure(value) for value in without[f"{name}_range"])])  # fmt: skip
    head = ["", "to without", "goal", "with", "least to most", "without", "least to most"]
    return "## What recording and audit cost\n\n" + table(head, rows)


PARTS = {
    "bulk": bulk, "logins": logins, "memory": memory, "keystrokes": keystrokes, "files": files, "streams": streams,
    "growth": growth, "recording": recording,
}  # fmt: skip


def markdown(results: dict) -> str:
    head = (
        "# bastiond beside sshd as a jump host\n\n"
        "Made by `./dev bench`; docs/benchmarks.md says how. 1/5 is a fifth of what the other takes. Medians of the "
        "rounds; on loopback, with client, bastion and target on the same processors.\n\n"
    )
    text = []
    for part in PARTS:
        if part in results:
            title, body = PARTS[part](results[part]).split("\n\n", 1)
            text.append(f"{title}\n\nMeasured with: {results.get('about', {}).get(part, '?')}.\n\n{body}")
    return head + "\n".join(text)
