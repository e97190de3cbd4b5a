"""ufm.sweep against a loop: 1,000 small problems minimised, and minimised, certified and read.

A sample of the rows is compared with the loop's. Each time is of one call, after small ones to warm up.
"""

import random
from collections.abc import Iterator, Sequence

import ufm
from benchmarks.timing import Row, seconds

COUNT = 1000
LOOPED = 100  # of the problems, spread over all of them; the loop's time is scaled up


def draw(count: int, seed: int = 0) -> list[ufm.Problem]:
    """Problems of K = 2 .. 10 classes, d = K, balanced or not, decays over two decades, with a bias."""
    r, found = random.Random(seed), []
    for i in range(count):
        K = 2 + i % 9
        counts = (r.randint(1, 10),) * K if r.random() < 0.5 else tuple(r.randint(1, 10) for _ in range(K))
        lW, lH = (10 ** r.uniform(-4, -2) for _ in range(2))
        found.append(ufm.Problem(counts, K, lW, lH, 10 ** r.uniform(-4, -2)))
    return found


def rows(count: int = COUNT, looped: int = LOOPED) -> Iterator[Row]:
    problems = draw(count)
    ufm.sweep(problems[:9])
    for task, asked, loop in (("minimise", list, minimised), ("minimise, certify, read the spectrum", known, whole)):
        ours, found = seconds(lambda asked=asked: asked(ufm.sweep(problems)))
        some = range(0, count, count // looped)
        theirs, expected = seconds(lambda loop=loop, some=some: loop([problems[i] for i in some]))
        note = f"values differ by {apart([found[i].value for i in some], expected):.0e}"
        yield Row(f"{task}, {count:,} problems of K <= 10", "sweep", ours, "loop", theirs * count / len(some), note)


def known(found: ufm.Sweep) -> ufm.Sweep:
    """The same, with its certificates and spectra computed."""
    found.as_table()
    return found


def minimised(problems: Sequence[ufm.Problem]) -> list[float]:
    return [ufm.minimize(problem).value for problem in problems]


def whole(problems: Sequence[ufm.Problem]) -> list[float]:
    values = []
    for problem in problems:
        solution = ufm.minimize(problem)
        ufm.certify(problem, solution.point)
        ufm.spectrum(problem, solution.point)
        values.append(solution.value)
    return values


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest relative difference."""
    return max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
