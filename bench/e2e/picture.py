"""The main ratios as one SVG: bars for bastiond, with sshd's as 1."""

from e2e.report import figure

WIDTH, ROW, TOP, LEFT, BAR = 900, 30, 74, 330, 330


def bars(results: dict) -> list[tuple[str, float, str]]:
    """Label, bastiond's share of sshd's, and both figures, for what was measured with an sshd beside it."""
    found = []

    def add(label: str, ours: float, theirs: float, unit: str) -> None:
        found.append((label, ours / theirs, f"{figure(ours)} / {figure(theirs)} {unit}"))

    def each(part: str):
        """bastiond's ways with sshd's of the same mode."""
        ways = results.get(part, {})
        for mode, ours, suffix in (("routed", "bastiond routed", "forced ssh"), ("-J", "bastiond -J", "-J")):
            theirs = [name for name in ways if name.startswith("sshd") and name.endswith(suffix)]
            if ours in ways and theirs:
                yield mode, ways[ours], ways[theirs[0]]

    for mode, ours, theirs in each("bulk"):
        for cipher in ("aes128-gcm", "chacha20"):
            key = f"{cipher} down"
            add(f"CPU per GiB, {cipher}, {mode}", ours[key]["cpu_s_per_gib"], theirs[key]["cpu_s_per_gib"], "s")
    for mode, ours, theirs in each("logins"):
        add(f"CPU per login, 16 at a time, {mode}", ours["at 16"]["cpu_ms"], theirs["at 16"]["cpu_ms"], "ms")
    for mode, ours, theirs in each("memory"):
        mine, other = (list(counts.values())[-1]["pss_kib_per_session"] for counts in (ours, theirs))
        add(f"memory per idle session, {mode}", mine, other, "KiB")
    return found


def svg(results: dict) -> str:
    rows = bars(results)
    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="28" font-size="18" fill="#1c2733">bastiond beside sshd as a jump host</text>',
        '<text x="16" y="50" fill="#5a6773">What bastiond takes of what sshd takes for the same work '
        "(grey: sshd). Shorter is better.</text>",
    ]
    for number, (label, share, figures) in enumerate(rows):
        y = TOP + ROW * number
        length = max(2.0, min(share, 1.0) * BAR)
        times = f"1/{1 / share:.0f}" if share < 0.1 else f"1/{1 / share:.1f}"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end" fill="#1c2733">{label}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{BAR}" height="20" fill="#dde3e8"/>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="20" fill="#1668b0"/>',
            f'<text x="{LEFT + BAR + 12}" y="{y + 15}" fill="#1c2733">{times}   '
            f'<tspan fill="#5a6773">{figures}</tspan></text>',
        ]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
