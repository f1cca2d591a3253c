"""Medians of rounds, and quantiles."""

import collections
import math
import statistics


class Samples:
    """Figures by (way, setting) and by what they are, one for each round."""

    def __init__(self):
        self.all = collections.defaultdict(lambda: collections.defaultdict(list))

    def add(self, key: tuple, name: str, value: float) -> None:
        self.all[key][name].append(value)

    def medians(self) -> dict:
        """way -> setting -> {figure: median, figure_range: [least, most]}."""
        found: dict = {}
        for (way, setting), figures in self.all.items():
            entry = found.setdefault(way, {}).setdefault(setting, {})
            for name, values in figures.items():
                entry[name] = statistics.median(values)
                entry[f"{name}_range"] = [min(values), max(values)]
        return found


def quantile(ordered: list[float], q: float) -> float:
    """The least of the values that at least q of them do not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
