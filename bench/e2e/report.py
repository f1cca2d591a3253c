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
        rows.append(row)
    head = ["way", "to sshd, at 1", "at 16", "CPU ms per login, at 1", "at 16", "logins per CPU s, at 16",
            "p50 / p99 ms, at 1", "at 16"]  # fmt: skip
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


PARTS = {"logins": logins, "memory": memory}


def markdown(results: dict) -> str:
    return "\n".join(PARTS[part](results[part]) for part in PARTS if part in results)
