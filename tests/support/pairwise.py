"""Few cases that together hold every pair of values: a full product only where time is no matter."""

import itertools


def product(*lists):
    """Every combination."""
    return list(itertools.product(*lists))


def pairs(*lists):
    """Combinations in which each value of each list meets each value of each other list at least once.

    Greedy and without chance: the same lists always give the same cases.
    """
    lists = [list(values) for values in lists]
    # A dict, for the order in which pairs are first missed; only its keys count.
    left = {
        (i, a, j, b): None
        for i, j in itertools.combinations(range(len(lists)), 2)
        for a in lists[i]
        for b in lists[j]
    }
    cases = []
    while left:
        i, a, j, b = next(iter(left))
        case = [None] * len(lists)
        case[i], case[j] = a, b
        for k, values in enumerate(lists):
            if case[k] is None:
                case[k] = max(values, key=lambda value: _gain(left, case, k, value))
        cases.append(tuple(case))
        for m, n in itertools.combinations(range(len(case)), 2):
            left.pop((m, case[m], n, case[n]), None)
    return cases


def _gain(left, case, k, value):
    """How many pairs that are still missing a value would bring to a case that is half chosen."""
    gain = 0
    for m, other in enumerate(case):
        if m == k or other is None:
            continue
        gain += ((m, other, k, value) if m < k else (k, value, m, other)) in left
    return gain
