"""python -m benchmarks.before REVISION: time cross-entropy's paths here and at another revision, in turns.

Each task runs in a process of its own, now with this checkout and now with the other, so that a noisy machine slows
both. The least of the times counts. Tasks use nothing but what both revisions have.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row
from ufm.errors import InputError, require

HOUSE = Path(__file__).parents[1]
ROUNDS = 3
PROGRAM = """
import json, sys, time, torch, ufm
from ufm.solvers.minimize import random_point
torch.set_num_threads(1)
decay = {"lambda_w": 5e-4, "lambda_h": 1e-6, "lambda_b": 1e-3}
large = ufm.Problem.balanced(100, 50, 128, **decay)
small = ufm.Problem.balanced(20, 5, 24, lambda_w=5e-4, lambda_h=5e-5, lambda_b=1e-3)
uneven = ufm.Problem((9, 7, 5, 3, 2, 1), 8, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
five = ufm.Problem.balanced(5, 2, 5, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
f, x = large.landscape_at(random_point(large))
end = ufm.minimize(small, tol=1e-12).point
rough = ufm.minimize(uneven, tol=1e-12).point

def objective():
    for _ in range(20):
        jet = f.jet(x)
        jet.value, jet.gradient

def fresh(point):
    return ufm.Point(point.W, point.H, point.b)

tasks = {
    "objective and gradient, K = 100, d = 128, N = 5,000, 20 times": objective,
    "minimise, K = 100, n = 50, d = 128": lambda: ufm.minimize(large, tol=1e-10),
    "minimise, K = 20, n = 5, d = 24, all features free": lambda: ufm.minimize(small, tol=1e-10, reduce=False),
    "spectrum at the minimiser, K = 20, d = 24": lambda: ufm.spectrum(small, fresh(end)),
    "certify, imbalanced, K = 6, d = 8, 20 times": lambda: [ufm.certify(uneven, fresh(rough)) for _ in range(20)],
    "verify, K = 4, n = 3, d = 6": lambda: ufm.verify(ufm.Problem.balanced(4, 3, 6, lambda_w=5e-3, lambda_h=2e-3)),
    "atlas, K = 5": lambda: ufm.explore(five, until_quiet=200),
}
found = {}
for name, task in tasks.items():
    times = []
    for _ in range(1 if name.startswith(("atlas", "verify")) else 5):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    found[name] = min(times)
print(json.dumps(found))
"""


def rows(revision: str) -> list[Row]:
    """A row a task: here, at the revision, and the ratio of the two. InputError where git has no such revision."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=HOUSE, capture_output=True)
        require(archive.returncode == 0, f"git has no revision {revision!r} here; name one that git log lists")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        taken: dict[str, list[dict[str, float]]] = {"here": [], "there": []}
        for _ in range(ROUNDS):
            for place, house in (("here", str(HOUSE)), ("there", folder)):
                taken[place].append(_times(house))
    here, there = ({name: min(t[name] for t in runs) for name in runs[0]} for runs in taken.values())
    return [
        Row(name, "here", here[name], revision, there[name], f"{here[name] / there[name]:.2f} of it") for name in here
    ]


def _times(house: str) -> dict[str, float]:
    """The seconds of every task with the packages in that folder."""
    environment = os.environ | {"PYTHONPATH": house, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=house, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    from benchmarks.__main__ import HEADER, cells
    from ufm_cli.console import show

    parser = argparse.ArgumentParser(prog="python -m benchmarks.before", description=__doc__)
    parser.add_argument("revision", help="of this repository, such as HEAD~1")
    revision = parser.parse_args().revision
    try:
        found = rows(revision)
    except InputError as error:
        parser.exit(2, f"benchmarks: {error}\n")
    show(f"beside {revision}", HEADER, [cells(row) for row in found])


if __name__ == "__main__":
    main()
